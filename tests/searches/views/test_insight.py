"""The Insight tab."""

import itertools
import json

import pytest
from django.urls import reverse
from django.utils.html import escape

from engine.strategies._views import lines, tree, view
from searches.models import Trial
from searches.selectors import trials as read

pytestmark = pytest.mark.django_db


def page_of(page, search):
    return page.get(reverse("searches:insight", args=[search.pk])).content.decode()


def test_one_chart_for_each_question(page, seeded):
    search = seeded()
    text = page_of(page, search)
    for name in ("timeline", "options", "genealogy", "far"):
        assert reverse("searches:figure", args=[search.pk, name]) in text


def test_the_winners_line_is_told_in_words(page, seeded):
    search = seeded(n_trials=30, seed=3)
    child = search.trials.exclude(parents=[]).filter(state="completed").order_by("-number").first()
    search.best = child
    search.save()
    line = read.lineage(search, child.number)
    assert len(line) > 1 and line[-1] == child.number
    text = page_of(page, search)
    for number in line[-8:]:
        assert f">#{number}</a>" in text


def test_a_circle_of_parents_ends(seeded):
    search = seeded()
    Trial.objects.filter(search=search, number=1).update(parents=[2])
    Trial.objects.filter(search=search, number=2).update(parents=[1])
    assert read.lineage(search, 2) == [1, 2]


VIEWS = {
    "population": {"title": "Alive <b>", "columns": ["trial"], "rows": [["<script>x</script>"]] * 70},
    "empty": {"title": "Nothing yet", "columns": ["a"], "rows": []},
    "loss": view("Loss", ["step", "loss"], [[1, 2.0], [2, 1.5]], chart=lines("step", "loss"), note="of the controller"),
    "rungs": {"title": "Rungs", "columns": ["epochs"], "rows": [[3]], "by": "schedule"},
}


@pytest.fixture
def believing(seeded):
    search = seeded()
    search.views = VIEWS
    search.save()
    return search


def test_what_the_strategy_believes_comes_first_one_chart_a_view(page, believing):
    text = page_of(page, believing)
    assert "What auto believes" in text and "networks to start with" in text
    assert "Alive &lt;b&gt;" in text and "of the controller" in text and "Nothing yet" not in text
    for name in ("population", "loss", "rungs"):
        assert reverse("searches:belief", args=[believing.pk, name]) in text
    assert text.index("believes") < text.index("What did the workers do?") < text.index("How the schedule stands")
    assert text.index("How the schedule stands") < text.index("beliefs/rungs")


def test_a_strategy_that_shows_nothing_has_no_heading(page, seeded):
    assert "believes" not in page_of(page, seeded())


def test_a_view_is_answered_as_a_chart_or_as_a_table_and_text_stays_text(page, believing):
    def answer(name):
        return page.get(reverse("searches:belief", args=[believing.pk, name]))

    drawn, table = answer("loss").json(), answer("population").json()
    assert drawn["data"][0]["y"] == [2.0, 1.5] and not drawn.get("only_table")
    assert table["only_table"] and table["table"]["rows"] == [["<script>x</script>"]] * 70
    assert answer("nothing").status_code == 404


def test_somebody_elses_beliefs_are_not_there(page, seeded, jonas):
    search = seeded(owner=jonas, n_trials=3)
    search.views = VIEWS
    search.save()
    assert page.get(reverse("searches:belief", args=[search.pk, "loss"])).status_code == 404


def test_the_page_learns_which_views_have_changed(page, believing):
    def parts():
        return page.get(reverse("searches:parts", args=[believing.pk, "insight"])).json()

    before = parts()
    assert set(before["views"]) == {"belief-population", "belief-loss", "belief-rungs"}
    assert f'data-views="{escape(json.dumps(before["views"]))}"' in page_of(page, believing)
    believing.views = VIEWS | {"loss": VIEWS["loss"] | {"rows": [[1, 2.0], [2, 1.5], [3, 1.1]]}}
    believing.save()
    after = parts()
    assert {k for k in after["views"] if after["views"][k] != before["views"][k]} == {"belief-loss"}
    assert after["parts"]["beliefs"] == before["parts"]["beliefs"]  # the charts themselves stay where they are


def test_trees_draw_the_winners_line(page, believing):
    child = believing.trials.exclude(parents=[]).filter(state="completed").order_by("-number").first()
    believing.best = child
    line = read.lineage(believing, child.number)
    rows = [[b, a] for a, b in itertools.pairwise(line)]
    believing.views = {"family": view("Family", ["trial", "parent"], rows, chart=tree("trial", "parent"))}
    believing.save()
    found = page.get(reverse("searches:belief", args=[believing.pk, "family"])).json()
    assert " → ".join(f"#{n}" for n in line) in found["summary"]


def test_before_the_first_trial(page, mira, make):
    assert "Where did the winner come from?" in page_of(page, make(mira, state="queued"))


def test_options_of_network_and_recipe_can_be_read_apart(page, seeded):
    search = seeded()
    assert "?part=recipe" not in page_of(page, search)
    address = reverse("searches:figure", args=[search.pk, "options"])
    every = {row[0] for row in page.get(f"{address}?range=all").json()["table"]["rows"]}
    search.config["space"]["recipe"] = {"learning_rate": [0.001, 0.01]}
    search.save()
    for trial in search.trials.all():
        trial.architecture["recipe_learning_rate"] = 0.01 if trial.number % 2 else 0.001
        trial.save()
    text = page_of(page, search)
    assert "?part=recipe" in text and "?part=network" in text
    recipe = {row[0] for row in page.get(f"{address}?part=recipe").json()["table"]["rows"]}
    network = {row[0] for row in page.get(f"{address}?part=network&range=all").json()["table"]["rows"]}
    assert recipe == {"learning rate"} and network == every
    assert {row[0] for row in page.get(f"{address}?range=all").json()["table"]["rows"]} == every | recipe
    assert page.get(f"{address}?part=nonsense").status_code == 200
