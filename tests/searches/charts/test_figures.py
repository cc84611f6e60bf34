"""Figures of the search page: what they show, and that they stay small at 10,000 trials."""

import json
from dataclasses import replace

import numpy as np
import pytest

from searches.charts.base import MAX_POINTS, TrialRow
from searches.charts.curves import Curve, learning_curves, trial_curve
from searches.charts.insight import Span, clock, genealogy, how_far, timeline
from searches.charts.options import OptionRow, by_option
from searches.charts.progress import against_cost, best_so_far


def rows(n=30, seed=0):
    rng = np.random.default_rng(seed)
    out = []
    for i in range(1, n + 1):
        wrong = int(rng.integers(4, 20))
        state = "failed" if i == 5 else "pruned" if i % 7 == 0 else "completed"
        out.append(
            TrialRow(
                number=i, name=f"net{i}", state=state, accuracy=None if state == "failed" else 1 - wrong / 360,
                n_wrong=wrong, n_samples=360, fidelity=40, epochs=40 if state == "completed" else 4,
                n_params=1000 * i, n_macs=20_000 * i, by="random" if i <= 8 else "evolution",
                parents=() if i <= 8 else (i - 1,), why="because",
            )
        )  # fmt: skip
    return out


def traces(figure, name):
    return [t for t in figure.data if t.get("name") == name]


def test_best_so_far_is_the_running_maximum_of_completed_trials():
    every = rows()
    figure = best_so_far(every)
    (line,) = traces(figure, "best so far")
    best = max(r.accuracy for r in every if r.state == "completed")
    assert line["y"] == sorted(line["y"])
    assert line["y"][-1] == round(100 * best, 2)
    assert line["x"][-1] == len(every)
    (marks,) = traces(figure, "outside the range")
    assert "x-thin" in marks["marker"]["symbol"] and "triangle-down" in marks["marker"]["symbol"]


def test_a_pruned_trial_never_is_the_best():
    every = [*rows(8), TrialRow(9, "quick", "pruned", accuracy=1.0, n_wrong=0, n_samples=360, epochs=4)]
    (line,) = traces(best_so_far(every), "best so far")
    assert line["y"][-1] < 100


def test_without_results_the_chart_says_so():
    assert best_so_far([]).empty
    assert against_cost([], []).empty


def test_front_is_exactly_the_non_dominated_set():
    every = [r for r in rows(200, seed=3) if r.state == "completed"]
    figure = against_cost(every, [], winner=None)
    expected = {
        r.number
        for r in every
        if not any(
            o.accuracy >= r.accuracy and o.n_macs <= r.n_macs and (o.accuracy > r.accuracy or o.n_macs < r.n_macs)
            for o in every
        )
    }
    assert {row[0] for row in figure.rows} == expected
    assert figure.notes["front"] == len(expected)


def test_ten_thousand_trials_stay_below_the_limits():
    every = rows(10_000, seed=1)
    figures = [
        best_so_far(every),
        against_cost([r for r in every if r.state == "completed"], []),
        genealogy(every, lineage=[8, 9, 10]),
        how_far(every, full=40, rungs=(4, 13)),
        timeline(
            [Span(f"cpu-{i % 2}", i / 2, i / 2 + 0.9, i, f"#{i}", "completed") for i in range(10_000)],
            now_s=5001, winner=3, running=True,
        ),
    ]  # fmt: skip
    for figure in figures:
        out = figure.to_json()
        assert len(json.dumps(out)) < 400_000
        for trace in out["data"]:
            assert len(trace["x"]) <= 2 * MAX_POINTS


def test_timeline_gives_each_slot_of_a_worker_a_lane_and_never_overlaps():
    spans = [
        Span("cpu", 0, 10, 1, "#1", "completed"),
        Span("cpu", 5, 15, 2, "#2", "running"),
        Span("cpu", 10, 12, 3, "#3", "failed"),
    ]
    figure = timeline(spans, now_s=20, winner=1, running=True)
    assert sorted(set(figure.data[0]["y"])) == ["cpu", "cpu (2)"]
    assert figure.notes == {"busy": round(100 * 22 / 40, 1), "slots": 2}


def test_options_show_their_mean_and_count():
    figure = by_option([OptionRow("depth", "3", [0.9, 0.92]), OptionRow("depth", "4", [0.95, 0.97, 0.96])], n_trials=5)
    assert figure.rows == [["depth", "3", 2, 91.0], ["depth", "4", 3, 96.0]]
    bars = [t for t in figure.data if t["mode"] == "lines"]
    assert bars[0]["line"]["color"] == "role:ghost" and bars[1]["line"]["color"] == "role:accent"


def test_how_far_counts_epochs_and_what_was_saved():
    figure = how_far(
        [TrialRow(1, "a", "completed", epochs=40), TrialRow(2, "b", "pruned", epochs=4)], full=40, rungs=(4,)
    )
    assert figure.notes == {"epochs": 44, "saved": 36}


def test_learning_curves_colour_the_chosen_in_order():
    curve = Curve("#1 a", "completed", [(1, 0.5), (2, 0.9)])
    figure = learning_curves([curve, Curve("#2 <b>", "completed", [(1, 0.6), (2, 0.91)])], [curve], rungs=(1,))
    chosen = [t["line"] for t in figure.data[1:]]
    assert [line["color"] for line in chosen] == ["role:cat-1", "role:cat-2"]
    assert [line["dash"] for line in chosen] == ["solid", "dash"]
    assert "<b>" not in figure.data[2]["name"]


def test_trial_curve_places_the_sealed_test_with_its_interval():
    figure = trial_curve([(1, 0.9), (2, 0.95)], [(1, 0.9), (4, 0.97)], test=(0.96, 0.94, 0.98))
    test = figure.data[-1]
    assert test["y"] == [94.0, 96.0, 98.0]
    assert "sealed test 96.0 %" in figure.summary


def test_clock():
    assert [clock(s) for s in (0, 59.6, 377, 7389)] == ["0:00", "1:00", "6:17", "2:03:09"]


def test_a_long_name_of_a_decision_stands_above_its_options():
    def y_of(decision):
        rows = [OptionRow(decision, "last cell but one", [0.9]), OptionRow(decision, "node 2", [0.8])]
        figure = by_option(rows, n_trials=2)
        name = next(n["y"] for n in figure.layout["annotations"] if n["text"].startswith(f"<b>{decision}"))
        return figure.layout["yaxis"]["tickvals"][0] - name

    assert y_of("depth") == 0 and y_of("reduction node 3: inputs") > 0.5


def test_one_epoch_is_a_dot():
    one, more = Curve("#1", "completed", [(1, 0.5)]), Curve("#2", "completed", [(1, 0.4), (2, 0.6)])
    assert [t["mode"] for t in learning_curves([one, more], []).data] == ["markers", "lines"]
    quick = trial_curve([(1, 0.4)], [(1, 0.45), (2, 0.6)], test=(0.6, 0.5, 0.7))
    label = next(n for n in quick.layout["annotations"] if "quick score" in n["text"])
    assert label["xanchor"] == "left" and quick.layout["xaxis"]["tickvals"] == [1, 2]


def fallen(accuracies, **more):
    """Completed trials in the order of proposal."""
    return [
        TrialRow(i, f"net{i}", "completed", a, round(1000 * (1 - a)), 1000, 5, 5, 100 * i, 1000 * i, **more)
        for i, a in enumerate(accuracies, start=1)
    ]


FAR = [0.3, 0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.945]


@pytest.mark.parametrize(
    "draw",
    [
        lambda whole: best_so_far(fallen(FAR), whole=whole),
        lambda whole: against_cost(fallen(FAR), [], whole=whole),
        lambda whole: genealogy(fallen(FAR), lineage=[], whole=whole),
        lambda whole: by_option([OptionRow("depth", str(k), FAR[k::2]) for k in (0, 1)], n_trials=8, whole=whole),
    ],
    ids=["best", "cost", "genealogy", "options"],
)
def test_what_lies_below_the_axis_is_counted_and_marked_in_every_chart(draw):
    some, every = draw(False), draw(True)
    assert some.notes["below"] == 1 and some.notes["floor"] > 50
    (marks,) = traces(some, "outside the range")
    assert some.notes["floor"] in (*marks["x"], *marks["y"]) and len(marks["x"]) == 1
    assert every.notes["below"] == 0 and every.notes["floor"] <= 30


def test_the_first_result_shows_its_whole_interval_and_its_label_beside_it():
    figure = best_so_far(fallen([0.9]))
    (interval,) = [t for t in figure.data if t["mode"] == "lines+markers"]
    low, high = figure.layout["yaxis"]["range"]
    assert low <= min(interval["y"]) and max(interval["y"]) <= high
    label = next(n for n in figure.layout["annotations"] if "wrong" in n["text"])
    width = figure.layout["xaxis"]["range"][1]
    assert 0 < (label["x"] - interval["x"][0]) / width < 0.05


def test_random_and_evolved_are_told_apart_only_where_that_is_so():
    def said(trials, **more):
        figure = genealogy(trials, lineage=[len(trials)], **more)
        words = [n["text"] for n in figure.layout["annotations"]]
        assert ("evolved" in words) == bool(figure.layout["shapes"])
        return bool(figure.layout["shapes"]), figure.notes["words"]

    random, own = {"by": "random"}, {"by": "gaussian_process"}
    first = fallen(FAR, **random)[:3]
    children = [replace(t, by="evolution", parents=(2,)) for t in fallen(FAR)[3:]]
    assert said(first + children) == (True, "")
    largest = [replace(first[0], by="largest_first"), *first[1:], *children]
    assert said(largest) == (False, "Proposed by: evolution 5, random 2, largest first 1.")
    mixed = [*first, children[0], *(replace(t, **own, parents=()) for t in children[1:])]
    assert said(mixed)[0] is False and "gaussian process 4" in said(mixed)[1]


def test_a_search_without_parents_says_so_when_it_has_ended():
    going, ended = (genealogy(fallen(FAR, by="random"), lineage=[7], ended=e) for e in (False, True))
    assert going.summary == "No lineage yet." and going.notes["words"] == "Proposed by: random 8."
    assert ended.summary == "No network here was made from another one."
    assert ended.notes["words"] == "No network here was made from another one. Proposed by: random 8."
