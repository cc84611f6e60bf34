"""The form of a new search: one value, one search, nothing lost."""

import html
import json
import re
import subprocess
import sys
from datetime import timedelta

import pytest
from django.utils import timezone

from engine.spaces.layers import LayersOptions
from searches.forms import fields as form_fields
from searches.forms.values import DEFAULTS
from searches.models import Job, Search

pytestmark = pytest.mark.django_db
NEW = "/searches/new/"


def hidden(text, name):
    found = re.search(rf'name="{re.escape(name)}" value="([^"]*)"', text)
    return found and found[1]


def state(response):
    found = re.search(r'id="form-state" hidden data-state="([^"]*)"', response.content.decode())
    return json.loads(html.unescape(found[1]))


def test_name_and_start_are_enough(page, mira):
    text = page.get(NEW).content.decode()
    assert 'value="Digits, auto"' in text
    response = page.post(NEW, {"name": "Mine", "token": hidden(text, "token")})
    search = Search.objects.get()
    assert response["Location"] == f"/searches/{search.pk}/"
    assert (search.name, search.owner, search.state) == ("Mine", mira, "queued")
    assert search.config["strategy"]["name"] == DEFAULTS["strategy"]
    assert search.config["data"] == {"name": "digits", "split_seed": 0}


def test_a_second_press_of_start_makes_no_second_search(page):
    token = hidden(page.get(NEW).content.decode(), "token")
    places = [page.post(NEW, {"name": "Mine", "token": token})["Location"] for _ in range(3)]
    assert Search.objects.count() == 1
    assert set(places) == {f"/searches/{Search.objects.get().pk}/"}
    # a fresh form has a token of its own
    assert hidden(page.get(NEW).content.decode(), "token") != token


def test_a_late_answer_does_not_bring_the_sent_form_back(page):
    token = hidden(page.get(NEW).content.decode(), "token")
    page.post(NEW, {"name": "Mine", "token": token})
    page.post(f"{NEW}summary/", {"form:key": "new", "name": "Mine", "token": token})
    response = page.get(NEW)
    assert hidden(response.content.decode(), "token") != token
    assert 'value="Mine"' not in response.content.decode()
    assert response["Cache-Control"] == "no-store"


def test_a_stale_form_leads_to_what_it_made_and_says_so(page):
    token = hidden(page.get(NEW).content.decode(), "token")
    page.post(NEW, {"name": "Mine", "token": token})
    Search.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    response = page.post(NEW, {"name": "Changed", "token": token})
    assert response["Location"] == f"/searches/{Search.objects.get().pk}/"
    assert "made this search" in page.get("/").content.decode()


def test_problems_stand_at_their_fields_and_nothing_is_made(page):
    response = page.post(NEW, {"form:whole": "1", "name": "", "budget.trials": "0", "objectives": "accuracy:maximize"})
    text = response.content.decode()
    assert response.status_code == 422
    assert Search.objects.count() == 0
    said = state(response)["errors"]
    assert said["budget.trials"] == ["Must be at least 1 (received '0')."]
    assert said["name"] == ["This must not be empty."]
    row = text[text.index('data-field="budget.trials"') :][:900]
    assert 'aria-invalid="true"' in row
    assert 'aria-describedby="f-budget-trials-error"' in row
    assert 'value="0"' in row  # what was typed stays
    assert "data-focus-error" in text
    assert "Two fields need you." in text


def test_what_is_typed_is_escaped(page):
    evil = '"><script>alert(1)</script>'
    for fields in (
        {"name": evil},
        {"name": "x", "space.name": evil},
        {"name": "x", "budget.trials": evil, "limits.n_macs": evil},
    ):
        text = page.post(NEW, {"form:whole": "1", **fields}).content.decode()
        if fields["name"] != evil:
            assert "alert(1)" in text  # it is shown
        assert "<script>alert" not in text


def test_the_name_of_a_search_is_escaped_in_the_form_that_clones_it(page, mira, make):
    search = make(mira, "</textarea><script>alert(1)</script>")
    text = page.get(f"{NEW}?from={search.pk}").content.decode()
    assert "<script>alert" not in text
    assert "</textarea><script" not in text


def test_no_inline_script_and_a_strict_policy(page):
    response = page.get(NEW)
    text = response.content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"\son\w+=", text)
    assert "script-src 'self'" in response["Content-Security-Policy"]


def test_the_form_follows_and_is_kept(page):
    page.get(NEW)
    answer = page.post(
        f"{NEW}summary/",
        {
            "form:key": "new",
            "form:whole": "1",
            "name": "Half typed",
            "budget.trials": "12",
            "objectives": "accuracy:maximize",
            "space:for": "layers",
            "space.name": "layers",
            "space.depth": ["2", "3"],
            **{f"space.{k}": v for k, v in LAYERS.items()},
        },
    )
    text = answer.content.decode()
    assert state(answer)["ok"], state(answer)
    assert "12 trials" in text
    assert "12 random" not in text
    assert "architectures." in text
    again = page.get(NEW).content.decode()
    assert 'value="Half typed"' in again
    assert "start over" in again
    page.get(f"{NEW}?fresh=1")
    assert 'value="Half typed"' not in page.get(NEW).content.decode()


#: one box ticked of each option, the first
LAYERS = {
    name: [form_fields.show(usual[0])]
    for name, info in LayersOptions.model_fields.items()
    if name not in ("depth", "pool_after")
    and form_fields.shape_of(info).kind == "checks"
    and (usual := info.get_default())
    and name not in ("depth", "pool_after")
}


def test_another_space_brings_its_own_options(page):
    text = page.post(
        f"{NEW}fields/",
        {
            "form:key": "new",
            "form:whole": "1",
            "name": "x",
            "space.name": "nasbench201",
            "space:for": "layers",
            "space.depth": "3",
            "objectives": "accuracy:maximize",
        },
    ).content.decode()
    assert 'name="space.cells"' in text
    assert 'name="space.depth"' not in text
    assert hidden(text, "space:for") == "nasbench201"
    assert 'id="answer"' in text  # the summary comes along


def test_a_name_that_nobody_typed_follows_the_data(page):
    page.get(NEW)
    for name, wanted in (("Digits, regularized evolution", "Wine, random"), ("Mine", "Mine")):
        typed = {"name": name, "data.name": "wine", "strategy.name": "random"}
        text = page.post("/searches/new/fields/", typed).content.decode()
        assert f'id="f-name" name="name" type="text" value="{wanted}"' in text


def test_yaml_fills_the_form(page):
    yaml = "name: Pasted\nspace: {name: layers, depth: [2]}\nbudget: {trials: 7, epochs: 0}\n"
    response = page.post(f"{NEW}paste/", {"form:key": "new", "yaml": yaml})
    text = response.content.decode()
    assert 'value="Pasted"' in text
    assert 'value="7"' in text
    assert state(response)["errors"]["budget.epochs"]
    assert re.search(r'class="yaml-line bad">[^\n]*budget', text)


@pytest.mark.parametrize("yaml", ["a: [1, 2", "a: &x [1]\nb: *x", "just text", "x" * 100_001, ""])
def test_what_is_no_search_leaves_the_form_alone(page, yaml):
    response = page.post(f"{NEW}paste/", {"form:key": "new", "yaml": yaml})
    assert response["HX-Retarget"] == "#yaml-error"
    assert 'role="alert"' in response.content.decode()


def test_the_time_is_measured_where_a_worker_is_online(page, mira, worker):
    page.get(NEW)
    fields = {"form:key": "new", "name": "x"}
    assert "Waiting for a free worker" in page.post(f"{NEW}summary/", fields).content.decode()
    job = Job.objects.get()
    assert job.kind == "preflight"
    # the same networks are not measured twice, whatever else changes
    page.post(f"{NEW}summary/", fields | {"budget.trials": "99", "name": "y"})
    page.post(f"{NEW}preflight/", fields)
    assert Job.objects.count() == 1
    network = {"n_params": 1000, "epoch_s": 0.5, "memory_bytes": 2e8}
    job.state, job.worker = "done", "cpu-1"
    job.result = {"report": {"cost": {"networks": [network, network | {"epoch_s": 1.5}]}}}
    job.save()
    text = page.post(f"{NEW}preflight/", fields).content.decode()
    assert re.search(r"<b>About \d+:\d\d</b> for 30 trials on 1 worker", text)
    assert "on cpu-1" in text
    assert "every 1500ms" not in text
    # while workers are busy, an earlier measurement of such networks stands in; of others it does not
    page.get(f"{NEW}?fresh=1")
    text = page.post(f"{NEW}summary/", fields | {"seed": "7"}).content.decode()
    assert Job.objects.filter(state="waiting").count() == 1
    assert re.search(r"<b>About \d+:\d\d</b> for 30 trials", text) and "by an earlier measurement" in text
    assert 'id="time-line" hx-post' in text
    text = page.post(f"{NEW}summary/", fields | {"training.batch_size": "32"}).content.decode()
    assert "Waiting for a free worker" in text and "by an earlier measurement" not in text


def test_no_worker_online_is_said_and_nothing_is_queued(page):
    text = page.post(f"{NEW}summary/", {"form:key": "new", "name": "x"}).content.decode()
    assert "no worker is online" in text
    assert Job.objects.count() == 0


def test_a_draft_is_saved_edited_and_started(page, mira):
    page.post(NEW, {"name": "Later", "do": "draft"})
    draft = Search.objects.get()
    assert draft.state == "draft"
    text = page.get(f"/searches/{draft.pk}/edit/").content.decode()
    assert 'value="Later"' in text
    token = hidden(text, "token")
    where = f"/searches/{draft.pk}/edit/"
    places = [page.post(where, {"name": "Now", "token": token})["Location"] for _ in range(2)]
    search = Search.objects.get()
    assert (search.name, search.state, search.origin) == ("Now", "queued", None)
    assert places == [f"/searches/{search.pk}/"] * 2


def test_a_clone_takes_everything_over_and_is_linked(page, mira, make):
    origin = make(mira, "Digits 7")
    origin.config["budget"]["trials"] = 77
    origin.save()
    text = page.get(f"{NEW}?from={origin.pk}").content.decode()
    assert 'value="Digits 8"' in text
    assert 'value="77"' in text
    page.post(f"{NEW}?from={origin.pk}", {"name": "Digits 8", "token": hidden(text, "token"), "budget.trials": "77"})
    clone = Search.objects.exclude(pk=origin.pk).get()
    assert (clone.origin, clone.relation, clone.config["budget"]["trials"]) == (origin, "cloned", 77)


def test_a_failed_search_is_edited_and_started_again(page, mira, make):
    failed = make(mira, "Broken", state="failed", reason="no data")
    text = page.get(f"/searches/{failed.pk}/edit/").content.decode()
    page.post(f"/searches/{failed.pk}/edit/", {"name": "Mended", "token": hidden(text, "token")})
    mended = Search.objects.exclude(pk=failed.pk).get()
    assert (mended.origin, mended.relation, mended.state) == (failed, "edited", "queued")
    failed.refresh_from_db()
    assert (failed.state, failed.name) == ("failed", "Broken")


def test_other_peoples_searches_cannot_be_opened_in_the_form(page, jonas, make):
    search = make(jonas)
    assert page.get(f"/searches/{search.pk}/edit/").status_code == 404
    assert page.get(f"{NEW}?from={search.pk}").status_code == 404
    assert page.get(f"{NEW}?from=<b>").status_code == 404
    assert page.post(f"/searches/{search.pk}/edit/", {"name": "x"}).status_code == 404


def test_a_token_of_somebody_else_finds_nothing(page, client, jonas):
    token = hidden(page.get(NEW).content.decode(), "token")
    page.post(NEW, {"name": "Mine", "token": token})
    client.force_login(jonas)
    client.post(NEW, {"name": "His", "token": token})
    assert sorted(Search.objects.values_list("name", "owner__username")) == [("His", "jonas"), ("Mine", "mira")]


def test_unknown_parts_are_not_there(page):
    assert page.post(f"{NEW}nonsense/").status_code == 404
    assert page.post(f"{NEW}summary/", {"form:key": "../x"}).status_code == 404
    assert page.get(f"{NEW}summary/").status_code == 405


def test_the_pages_never_load_torch():
    code = """
import sys
import django
django.setup()
import nasweb.urls
from searches.forms import check, values
assert check.check(values.fresh() | {"name": "x"}).ok
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
