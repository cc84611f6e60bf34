"""Figures as JSON: sizes, ranges, hovers, who may see them."""

import json

import pytest
from django.urls import reverse

from searches.charts.base import MAX_POINTS
from searches.models import Trial
from searches.views.figures import FIGURES

pytestmark = pytest.mark.django_db


@pytest.fixture
def search(seeded):
    return seeded(n_trials=30, n_epochs=12, running=2, seed=3)


def figure(page, search, name, **query):
    response = page.get(reverse("searches:figure", args=[search.pk, name]), query)
    assert response.status_code == 200
    return response.json()


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_every_figure_has_data_words_and_a_table(page, search, name):
    found = figure(page, search, name)
    assert found["data"] and found["summary"]
    if name != "running":  # drawn by the page itself
        assert found["table"]["rows"] and len(found["table"]["columns"]) == len(found["table"]["rows"][0])


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_an_empty_search_draws_nothing_and_says_so(page, mira, make, name):
    found = figure(page, make(mira, state="queued"), name)
    assert found["data"] == [] or all(not trace.get("x") for trace in found["data"])


def test_an_ended_search_without_results_promises_none(page, mira, make):
    assert figure(page, make(mira, state="failed", failed=2), "best")["empty"] == "No trial has finished."


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_names_are_escaped_in_hovers_and_labels(page, search, name):
    """Plotly reads a little HTML in texts: a name must come out as text."""
    search.trials.update(name="<b>x</b><script>", why="<img src=x>", reason="<a href=x>")
    chosen = ",".join(str(n) for n in search.trials.values_list("number", flat=True)[:3])
    found = figure(page, search, name, t=chosen)
    del found["table"], found["summary"]  # written as text, not as HTML
    if name == "running":
        return  # its labels only find the number
    text = json.dumps(found).replace("<b>#", "").replace("<br>", "").replace("<extra></extra>", "")
    for evil in ("<b>x", "<script>", "<img", "<a "):
        assert evil not in text


def test_best_so_far_is_exact(page, search):
    found = figure(page, search, "best")
    best = Trial.objects.get(pk=search.best_id)
    step = next(t for t in found["data"] if t.get("name") == "best so far")
    assert step["y"][-1] == round(100 * best.accuracy, 2)
    assert step["y"] == sorted(step["y"])


def test_the_front_is_exact_and_never_holds_what_still_runs(page, search):
    found = figure(page, search, "cost")
    done = search.trials.filter(state="completed").order_by("n_macs", "-accuracy").values_list("number", "accuracy")
    front, top = [], -1.0
    for number, accuracy in done:
        if accuracy > top:
            front, top = [*front, number], accuracy
    assert [row[0] for row in found["table"]["rows"]] == front
    assert found["notes"]["front"] == len(front)


def test_an_unknown_cost_is_multiply_adds(page, search):
    assert figure(page, search, "cost", cost="search__owner") == figure(page, search, "cost")
    assert figure(page, search, "cost", cost="n_params") != figure(page, search, "cost")


def test_outliers_are_marked_and_come_in_when_asked_for(page, search):
    Trial.objects.filter(search=search, state="completed").exclude(pk=search.best_id).order_by("number").filter(
        number=search.trials.filter(state="completed").exclude(pk=search.best_id).first().number
    ).update(accuracy=0.2)
    robust, whole = figure(page, search, "best"), figure(page, search, "best", range="all")
    assert robust["notes"]["below"] > whole["notes"]["below"]
    assert robust["layout"]["yaxis"]["range"][0] > 60 and whole["layout"]["yaxis"]["range"][0] <= 20


def test_chosen_curves_keep_their_order(page, search):
    done = list(search.trials.filter(state="completed").values_list("number", flat=True)[:3])
    done.reverse()
    found = figure(page, search, "curves", t=",".join(map(str, done)))
    coloured = [t["name"] for t in found["data"] if t["line"]["color"].startswith("role:cat-")]
    assert [int(name.split()[0][1:]) for name in coloured] == done


def test_running_curves_come_with_the_band_of_finished_ones(page, search):
    found = figure(page, search, "running")
    assert len(found["data"]) == 2
    band = found["notes"]["band"]
    assert len(band) == 12 and all(low <= high for _, low, high in band)


def test_more_decisions_when_asked_for(page, search):
    some, every = figure(page, search, "options"), figure(page, search, "options", range="all")
    assert some["notes"]["hidden"] + 10 == some["notes"]["decisions"]
    assert every["notes"]["hidden"] == 0
    assert len({row[0] for row in every["table"]["rows"]}) == every["notes"]["decisions"]
    assert len({row[0] for row in some["table"]["rows"]}) == 10


def test_no_trace_holds_more_than_some_thousand_points(page, seeded):
    search = seeded(n_trials=2600, n_epochs=1)
    for name in FIGURES:
        for trace in figure(page, search, name)["data"]:
            assert len(trace.get("x") or []) <= 3 * MAX_POINTS, name  # lines between parents and children have gaps


def test_no_such_figure(page, search):
    assert page.get(f"/searches/{search.pk}/figures/nothing/").status_code == 404


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_somebody_elses_figures_are_not_there(page, seeded, jonas, name):
    search = seeded(owner=jonas, n_trials=3)
    assert page.get(reverse("searches:figure", args=[search.pk, name])).status_code == 404


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_queries_do_not_grow_with_the_trials(seeded, n_queries, name):
    few, many = seeded(n_trials=10, seed=1), seeded(n_trials=80, seed=1)
    counts = [n_queries(reverse("searches:figure", args=[s.pk, name])) for s in (few, many)]
    assert max(counts) <= 9 and counts[1] <= counts[0] + 1  # + 1: a few have no others beside the best
