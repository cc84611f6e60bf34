"""The list of searches."""

import re

import pytest

from searches.models import Artifact, Search
from searches.selectors.listing import View, age, best_so_far, megabytes

pytestmark = pytest.mark.django_db


def names(response):
    return re.findall(r'data-cell="name">([^<]*)<', response.content.decode())


def test_nobody_gets_in_without_logging_in(client):
    response = client.get("/")
    assert response.status_code == 302
    assert response["Location"].startswith("/login/")


def test_an_empty_page_says_what_to_do_first(page):
    text = page.get("/").content.decode()
    assert "No search yet." in text
    assert "Make the first one" in text
    assert 'href="/searches/new/"' in text


def test_a_row_shows_state_progress_best_and_its_reason(page, mira, make, worker):
    search = make(mira, "Small and fast", state="running", accuracies=[0.9, 0.975, 0.95], failed=1)
    Artifact.objects.create(search=search, kind="weights", name="w", digest="d", bytes=41_000_000)
    text = page.get("/").content.decode()
    assert "1 search runs" in text
    assert "4 of 30" in text
    assert "97.5" in text
    assert "9 of 360 wrong" in text
    assert "Delete (frees 41 MB)" in text
    assert "1 worker" in text
    assert text.count('<i data-state="completed"') == 3
    assert text.count('<i data-state="left"') == 26


def test_no_worker_is_said_where_it_matters(page, mira, make):
    make(mira, state="running")
    text = page.get("/").content.decode()
    assert "no worker is online" in text


def test_a_failed_search_says_why(page, mira, make):
    make(mira, state="failed", reason="no example of class 3 in validation")
    assert "no example of class 3 in validation" in page.get("/").content.decode()


def test_other_peoples_searches_and_preflights_are_not_listed(page, mira, jonas, make):
    make(mira, "Mine")
    make(jonas, "Secret")
    Search.objects.create(owner=mira, name="Preflight", config={}, submit_token="preflight:abc")
    response = page.get("/")
    assert names(response) == ["Mine"]
    assert b"Secret" not in response.content


def test_names_are_escaped(page, mira, make):
    make(mira, "<script>alert(1)</script>")
    text = page.get("/").content.decode()
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_filter_search_box_and_archive_are_addresses(page, mira, make):
    make(mira, "Alpha", state="running")
    make(mira, "Beta", state="failed")
    make(mira, "Gamma")
    make(mira, "Old", archived=True)
    assert set(names(page.get("/"))) == {"Alpha", "Beta", "Gamma"}
    assert names(page.get("/?show=running")) == ["Alpha"]
    assert names(page.get("/?show=needs-you")) == ["Beta"]
    assert set(names(page.get("/?show=ended"))) == {"Beta", "Gamma"}
    assert names(page.get("/?q=gam")) == ["Gamma"]
    assert set(names(page.get("/?q=regularized evolution"))) == {"Alpha", "Beta", "Gamma"}
    assert names(page.get("/?archived=1")) == ["Old"]
    assert "No search fits" in page.get("/?q=nothing").content.decode()


def test_sorting_is_allow_listed(page, mira, make):
    make(mira, "B", accuracies=[0.9], age_min=1)
    make(mira, "a", accuracies=[0.8], age_min=2)
    make(mira, "C", age_min=3)
    assert names(page.get("/")) == ["B", "a", "C"]
    assert names(page.get("/?sort=name")) == ["a", "B", "C"]
    assert names(page.get("/?sort=-best")) == ["B", "a", "C"]
    assert names(page.get("/?sort=best")) == ["a", "B", "C"]  # those without a result come last
    for wrong in ("owner__password", "-owner__password", "config", "pk;drop", "\x00"):
        assert names(page.get("/", {"sort": wrong, "show": wrong, "page": wrong})) == ["B", "a", "C"]


def test_pages(page, mira, make):
    for i in range(27):
        make(mira, f"S{i:02d}", age_min=i)
    assert len(names(page.get("/"))) == 25
    assert names(page.get("/?page=2")) == ["S25", "S26"]
    assert "page 2 of 2" in page.get("/?page=99").content.decode()


def test_queries_do_not_grow_with_searches_and_trials(page, mira, make, worker, django_assert_max_num_queries):
    make(mira, "One", accuracies=[0.9])
    with django_assert_max_num_queries(14) as one:
        page.get("/")
    for i in range(20):
        make(mira, f"S{i}", state="running", accuracies=[0.5 + k / 100 for k in range(40)])
    with django_assert_max_num_queries(len(one.captured_queries)):
        page.get("/")


def test_only_what_changes_is_asked_for_again(page, mira, make):
    make(mira, "Alpha", state="running")
    text = page.get("/", headers={"X-Part": "rows"}).content.decode()
    assert "<html" not in text
    assert names(page.get("/", headers={"X-Part": "rows"})) == ["Alpha"]
    assert 'data-part="headline"' in text


def test_best_so_far_holds_improvements_only(mira, make):
    search = make(mira, accuracies=[0.5, 0.4, 0.7, 0.7, 0.6, 0.9])
    assert best_so_far([search.pk])[search.pk] == [(1, 0.5), (3, 0.7), (6, 0.9)]
    long = make(mira, accuracies=[0.1 + i / 1000 for i in range(200)])
    steps = best_so_far([long.pk])[long.pk]
    assert len(steps) == 60
    assert steps[0] == (1, 0.1)
    assert steps[-1][0] == 200


def test_words():
    assert (age(30), age(400), age(11_000), age(90_000), age(300_000)) == ("now", "6 min", "3 h", "yesterday", "3 days")
    assert (megabytes(0), megabytes(20_000), megabytes(6_200_000), megabytes(312_400_000)) == ("0", "0.1", "6.2", "312")
    assert View.of({"sort": "-name", "q": " a ", "page": "3"}).address(page=2) == "?q=a&sort=-name&page=2"
