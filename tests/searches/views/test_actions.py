"""What people do to their searches."""

import pytest
from django.test import Client

from searches.models import Search

pytestmark = pytest.mark.django_db
ALL = [
    "start",
    "pause",
    "resume",
    "finish",
    "cancel",
    "extend",
    "clone",
    "edit",
    "rename",
    "archive",
    "unarchive",
    "delete",
]


def do(page, search, action, **data):
    return page.post(f"/searches/{search.pk}/do/{action}/", data)


@pytest.mark.parametrize("action", ALL)
def test_somebody_elses_search_is_not_there(page, jonas, make, action):
    search = make(jonas, state="running")
    assert do(page, search, action, name="stolen", trials="5").status_code == 404
    search.refresh_from_db()
    assert (search.name, search.state, search.archived) == ("Digits", "running", False)


@pytest.mark.parametrize("action", ALL)
def test_actions_are_posts(page, mira, make, action):
    search = make(mira)
    assert page.get(f"/searches/{search.pk}/do/{action}/").status_code == 405


def test_an_action_without_the_token_is_refused(mira, make):
    client = Client(enforce_csrf_checks=True)
    client.force_login(mira)
    search = make(mira)
    assert do(client, search, "delete").status_code == 403
    assert Search.objects.filter(pk=search.pk).exists()


def test_an_unknown_action_is_not_there(page, mira, make):
    assert do(page, make(mira), "explode").status_code == 404


def test_pause_resume_and_cancel(page, mira, make):
    search = make(mira, state="running")
    for action, state in (("pause", "paused"), ("resume", "running"), ("cancel", "stopped")):
        response = do(page, search, action)
        assert response["Location"] == f"/searches/{search.pk}/"
        search.refresh_from_db()
        assert search.state == state


def test_what_cannot_be_done_is_said(page, mira, make):
    search = make(mira, state="completed")
    response = page.post(f"/searches/{search.pk}/do/pause/", {"next": "/"}, follow=True)
    assert "completed" in response.content.decode()
    assert "paused" in response.content.decode()
    search.refresh_from_db()
    assert search.state == "completed"


def test_rename(page, mira, make):
    search = make(mira)
    do(page, search, "rename", name="  Better name ")
    search.refresh_from_db()
    assert search.name == "Better name"
    for bad in ("", "   ", "x" * 201):
        do(page, search, "rename", name=bad)
        search.refresh_from_db()
        assert search.name == "Better name"


def test_archive_back_and_delete(page, mira, make):
    search = make(mira, accuracies=[0.9])
    do(page, search, "archive")
    search.refresh_from_db()
    assert search.archived
    do(page, search, "unarchive")
    search.refresh_from_db()
    assert not search.archived
    response = do(page, search, "delete", next=f"/searches/{search.pk}/")
    assert response["Location"] == "/"  # its own page is gone
    assert not Search.objects.filter(pk=search.pk).exists()


@pytest.mark.parametrize("bad", [{}, {"trials": "many"}, {"trials": "-3"}, {"trials": "0"}, {"minutes": "1e9"}])
def test_extend_wants_a_number(page, mira, make, bad):
    search = make(mira, state="running")
    do(page, search, "extend", **bad)
    search.refresh_from_db()
    assert search.extra_trials == 0


def test_extend_a_running_search(page, mira, make):
    search = make(mira, state="running")
    do(page, search, "extend", trials="12")
    search.refresh_from_db()
    assert search.extra_trials == 12


def test_clone_and_edit_lead_to_the_form(page, mira, make):
    search = make(mira)
    assert do(page, search, "clone")["Location"] == f"/searches/new/?from={search.pk}"
    assert do(page, search, "edit")["Location"] == f"/searches/{search.pk}/edit/"


def test_the_way_back_stays_on_this_site(page, mira, make):
    search = make(mira)
    assert do(page, search, "archive", next="/?show=ended")["Location"] == "/?show=ended"
    for evil in ("//evil.example/", "https://evil.example/", "javascript:alert(1)"):
        assert do(page, search, "unarchive", next=evil)["Location"] == f"/searches/{search.pk}/"


def test_htmx_is_told_where_to_go(page, mira, make):
    search = make(mira)
    response = page.post(f"/searches/{search.pk}/do/archive/", headers={"HX-Request": "true"})
    assert response.status_code == 204
    assert response["HX-Redirect"] == f"/searches/{search.pk}/"


def test_several_at_once(page, mira, make):
    searches = [make(mira, f"S{i}") for i in range(3)]
    page.post("/searches/do/archive/", {"id": [s.pk for s in searches[:2]]})
    assert sorted(Search.objects.filter(archived=True).values_list("name", flat=True)) == ["S0", "S1"]
    page.post("/searches/do/delete/", {"id": [searches[0].pk, searches[2].pk]})
    assert list(Search.objects.values_list("name", flat=True)) == ["S1"]


def test_several_with_one_of_somebody_else_changes_nothing(page, mira, jonas, make):
    mine, other = make(mira, "Mine"), make(jonas, "Other")
    assert page.post("/searches/do/delete/", {"id": [mine.pk, other.pk]}).status_code == 404
    assert page.post("/searches/do/delete/", {"id": ["1; drop"]}).status_code == 404
    assert Search.objects.count() == 2
