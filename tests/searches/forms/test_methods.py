"""The choice of a strategy: what is in view, what stands where behind it, what cannot serve and why."""

import re

import pytest
from django.urls import reverse

from engine import catalog
from engine.catalog import in_words
from engine.strategies.base import GROUPS, Strategy
from searches.forms import changed
from searches.forms import values as v
from searches.forms.check import check
from searches.forms.fields import Choice
from searches.forms.methods import IN_VIEW, methods
from searches.forms.sections import build

pytestmark = pytest.mark.django_db


def chooser(now="", **changes):
    values = v.fresh() | {"name": "x"} | changes
    if now:
        values["strategy"] = {"name": now}
    return methods(check(values), str(values["strategy"]["name"]))


@pytest.fixture
def refusing(monkeypatch):
    """Local search cannot serve two objectives, random search nothing at all."""
    every = catalog.methods()
    monkeypatch.setattr(
        every["local_search"], "supports", classmethod(lambda cls, s, o: "it climbs one hill" if len(o) > 1 else None)
    )
    monkeypatch.setattr(every["random"], "supports", classmethod(lambda cls, s, o: "it is out of luck"))


def test_each_strategy_stands_in_one_place():
    row = chooser()
    assert sorted(m.value for m in row.choices) == sorted(catalog.methods())
    assert [m.value for m in row.choices if m.chosen] == [v.DEFAULTS["strategy"]]
    behind = [m.value for _, members in row.families for m in members]
    assert [m.value for m in row.in_view] + behind == [m.value for m in row.choices]
    assert {m.value for m in row.in_view} <= {name for names in IN_VIEW for name in names}


def test_families_keep_their_order_and_say_when_to_take_what():
    row = chooser()
    titles = [title for title, _ in row.families]
    assert titles == [*(t for t in GROUPS.values() if t in titles), "Cannot serve this search"]
    for _, members in row.families:
        assert all(m.title for m in members)
    grown = next(m for m in row.choices if m.value == "regularized_evolution")
    assert grown.guide.startswith("Robust") and grown.source.startswith("Real et al. 2019")


def test_what_cannot_serve_stands_last_with_its_reason(refusing):
    row = chooser()
    title, members = row.families[-1]
    assert title == "Cannot serve this search"
    refused = {m.value: (m.refused, m.disabled) for m in members}
    assert refused["random"] == ("it is out of luck", True)
    asked = set(refused) & set(catalog.plugins("strategy"))
    assert asked <= {"random", "narrowing"}  # a wrapper cannot serve where nobody inside it can
    both = [{"metric": m, "direction": d} for m, d in (("accuracy", "maximize"), ("n_macs", "minimize"))]
    assert {"random", "local_search"} <= {m.value for m in chooser(objectives=both).families[-1][1]}


def test_the_chosen_one_can_be_seen_wherever_it_stands(refusing):
    assert chooser("local_search").chosen_behind.value == "local_search"
    assert chooser("regularized_evolution").chosen_behind is None
    refused = chooser("random").chosen_behind
    assert refused.value == "random" and refused.refused and not refused.disabled
    foreign = chooser("of_another_installation")
    assert foreign.in_view[-1].value == "of_another_installation" and foreign.in_view[-1].chosen


def test_automatic_is_offered_first_and_preselected():
    assert v.fresh()["strategy"] == {"name": "auto"}
    assert chooser().in_view[0].value == "auto"
    assert v.complete({})["strategy"] == {"name": "auto"}


def test_the_form_has_one_button_a_strategy_with_its_guide(client, django_user_model):
    client.force_login(django_user_model.objects.create_user("mira"))
    text = client.get(reverse("searches:new")).content.decode()
    buttons = re.findall(r'<input class="check" type="radio" name="strategy.name" value="(\w+)" id="([\w-]+)"', text)
    assert sorted(name for name, _ in buttons) == sorted(catalog.methods())
    assert len({id for _, id in buttons}) == len(buttons)
    for described in re.findall(r'aria-describedby="(f-strategy-name-[\w-]+-about)"', text):
        assert text.count(f'id="{described}"') == 1


def test_abbreviations_are_no_words():
    assert in_words("aging_nsga2") == "aging NSGA-II" and in_words("local_search") == "local search"


def test_the_page_of_methods_holds_every_strategy_by_family(client, django_user_model):
    assert client.get(reverse("searches:methods")).status_code == 302
    client.force_login(django_user_model.objects.create_user("mira"))
    text = client.get(reverse("searches:methods")).content.decode()
    every: dict[str, type[Strategy]] = catalog.methods()
    assert re.findall(r'<tr id="(\w+)">', text) == [n for g in GROUPS for n, c in every.items() if c.group == g]
    assert text.count("offered first") == 1


def test_weight_sharing_brings_what_suits_it_and_shows_its_first_options():
    fresh = v.fresh()
    chosen = changed.with_strategy(fresh, "spos")
    assert chosen["budget"]["trials"] == changed.ALONE and chosen["schedule"] == {"name": "full"}
    typed = changed.to_sharing(chosen | {"budget": {"trials": 7}, "schedule": {"name": "successive_halving"}}, "auto")
    assert typed["budget"]["trials"] == 7 and typed["schedule"] == {"name": "full"}
    again = chosen | {"schedule": {"name": "successive_halving"}}
    assert changed.to_sharing(again, "darts") == again, "what was typed for one method stays for another"
    form = build(chosen, check(chosen), supernets=[Choice("", "its seed", True)])
    section = next(s for s in form.sections if s.id == "strategy")
    assert [f.path[-1] for f in section.fields] == ["name", "epochs", "scores", "name"]
    start = next(f for f in section.every() if f.path == ("strategy", "start"))
    assert start.kind == "select" and [c.label for c in start.choices] == ["its seed"]
    digest = "a" * 64
    assert changed.with_start(chosen, digest)["strategy"]["start"] == digest
    assert changed.with_start(chosen, "no digest") == chosen and changed.with_start(fresh, digest) == fresh
