"""Looking at one architecture: read, changed, shown in the space it belongs to, and proposed by hand."""

from __future__ import annotations

import json

from engine import catalog
from engine.data import registry
from engine.spaces.base import space_of
from searches.models import LogEntry
from searches.services import lifecycle
from searches.services.advance import advance_search
from tests.factories import config_make
from tests.searches.views.test_spaces import form_of


def layers(data="digits"):
    """The space of the searches below, and one architecture."""
    cls = catalog.get("space", "layers")
    return space_of(cls, cls.Options(), registry.spec(data))


# -- looking ---------------------------------------------------------------------------------------
def test_every_family_can_be_looked_at(page, samples):
    for family in catalog.plugins("space"):
        text = page.get(f"/architectures/?s={family}").content.decode()
        assert "multiply-adds" in text and "look-picture-json" in text, family


def test_an_architecture_is_read_changed_and_refused(page):
    space = layers()
    arch = next(space.enumerate())
    url = "/architectures/"
    shown = page.get(url, {"s": "layers", "data": "digits", "a": json.dumps(arch.choices)})
    assert f"{space.costs(arch).n_params:,} parameters" in shown.content.decode()
    changed = page.get(
        url, {"s": "layers", "a": json.dumps(arch.choices), "change": "block1_op", "to": '"sep3"'}, HTTP_X_PART="look"
    )
    assert changed.context["look"].arch["block1_op"] == "sep3" and "<html" not in changed.content.decode()
    for text, said in (("{", "not JSON"), ("[1]", "notice-fail"), ('{"depth": 99}', "choose one of"),
                       ("x" * 70_000, "at most 65,536")):  # fmt: skip
        answer = page.get(url, {"s": "layers", "a": text})
        assert answer.status_code == 200 and said in answer.content.decode(), text[:20]
    refused = page.get(url, {"s": "layers", "a": json.dumps(arch.choices), "change": "norm", "to": '"none of it"'})
    assert "is not offered here" in refused.content.decode()


def test_what_another_space_reads_is_shown_in_that_one(page):
    cell = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
    for text, wanted in (("DARTS_V2", "darts.darts"), (cell, "nasbench201.published")):
        answer = page.get("/architectures/", {"s": "layers", "data": "digits", "a": text}, follow=True)
        assert answer.context["look"].s == wanted and not answer.context["look"].problem
        assert "layers has no such architecture" in answer.content.decode()
    # nothing reads it; and options of its own are what was asked for
    for more in ({"a": "nonsense"}, {"a": cell, "o": "{}"}):
        answer = page.get("/architectures/", {"s": "layers", "data": "digits", **more})
        assert answer.status_code == 200 and answer.context["look"].problem


# -- proposing by hand -------------------------------------------------------------------------------
def test_a_running_search_tries_what_a_person_sends(page, mira, make):
    search = lifecycle.search_create(owner=mira, config=config_make(budget={"trials": 8, "epochs": 4}), start=True)
    advance_search(search_id=search.pk)
    search.refresh_from_db()
    assert search.n_trials == 2
    space = layers()
    tried = [t.architecture for t in search.trials.all()]
    url = f"/architectures/?s=search{search.pk}&trial=1"
    shown = page.get(url)
    assert shown.context["look"].arch.choices == tried[0]
    assert "duplicate of #1" in shown.content.decode()
    other = next(a for a in space.neighbours(space.validate(tried[0])) if a.choices not in tried)
    sent = {"search": search.pk, "choices": json.dumps(other.choices), "parent": 1}
    page.post("/architectures/propose/", sent)
    entry = LogEntry.objects.filter(search=search).order_by("-number").first()
    assert entry.payload["edit"] == "propose" and entry.payload["payload"]["parents"] == [1]
    lifecycle.search_extend(search=search, by=mira, trials=1)  # any entry: both slots are taken
    trial = search.trials.get(number=1)
    lifecycle.trial_cancel(trial=trial, by=mira)
    advance_search(search_id=search.pk)
    mine = search.trials.get(by="you")
    assert "proposed by hand" in page.get(f"/searches/{search.pk}/trials/{mine.number}/").content.decode()
    assert mine.architecture == other.choices and mine.parents == [1] and mine.why.startswith("by hand: ")
    again = page.post("/architectures/propose/", sent, follow=True).content.decode()
    assert f"duplicate of #{mine.number}" in again
    assert search.trials.filter(by="you").count() == 1


def test_what_is_proposed_is_refused_with_its_reason(page, mira, jonas):
    search = lifecycle.search_create(owner=mira, config=config_make(), start=True)
    theirs = lifecycle.search_create(owner=jonas, config=config_make(), start=True)
    choices = json.dumps(layers().enumerate().__next__().choices)
    assert page.post("/architectures/propose/", {"search": theirs.pk, "choices": choices}).status_code == 404
    n = search.entries.count()
    for bad in ("{", "[]", '{"depth": 3}', json.dumps({"x": "y" * 70_000})):
        assert page.post("/architectures/propose/", {"search": search.pk, "choices": bad}).status_code == 302
    lifecycle.search_cancel(search=search, by=mira)
    page.post("/architectures/propose/", {"search": search.pk, "choices": choices})
    kinds = [p["edit"] for p in search.entries.values_list("payload", flat=True) if p["kind"] == "edit"]
    assert kinds == ["start", "cancel"] and n == 1


def test_a_first_trial_by_hand_begins_a_new_search(page, mira):
    arch = next(layers().enumerate())
    text, hidden = form_of(page, "/searches/new/?first=" + json.dumps(arch.choices))
    assert "made by hand" in text and layers().short_name(arch) in text
    assert page.get("/searches/new/?first=[1").status_code == 404
    search = lifecycle.search_create(owner=mira, config=config_make(), start=True, first=[arch.choices])
    advance_search(search_id=search.pk)
    first = search.trials.get(number=1)
    assert first.architecture == arch.choices and first.by == "you"
