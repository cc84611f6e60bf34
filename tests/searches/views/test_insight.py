"""The Insight tab."""

import pytest
from django.urls import reverse

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


def test_views_of_a_strategy_are_tables_and_escaped(page, seeded):
    search = seeded()
    search.views = {
        "population": {"title": "Alive <b>", "columns": ["trial"], "rows": [["<script>x</script>"]] * 70},
        "empty": {"title": "Nothing yet", "columns": ["a"], "rows": []},
    }
    search.save()
    text = page_of(page, search)
    assert "Alive &lt;b&gt;" in text and "<script>x" not in text
    assert text.count("&lt;script&gt;x") == 50  # no more than a page can show
    assert "Nothing yet" not in text


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
