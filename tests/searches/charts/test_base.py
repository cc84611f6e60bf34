"""Axes, thinning and the JSON form of figures."""

import numpy as np
import pytest

from searches.charts.base import Figure, TrialRow, accuracy_axis, count_ticks, escape, hover, note, thin


def test_axis_holds_all_finished_trials_when_they_lie_close():
    axis = accuracy_axis([96.1, 97.0, 98.9])
    assert axis.floor <= 96.1 and axis.ceiling >= 98.9
    assert axis.ceiling == 100


def test_one_outlier_does_not_stretch_the_axis_unless_asked_for():
    values = [98 + i / 100 for i in range(50)] + [10.0]
    assert accuracy_axis(values).floor > 90
    assert accuracy_axis(values, whole=True).floor <= 10


@pytest.mark.parametrize("n", [0, 1, 5, 1999, 2000])
def test_few_items_are_not_thinned(n):
    assert thin(list(range(n)), float) == list(range(n))


def test_thinning_keeps_extremes_order_and_bound():
    rng = np.random.default_rng(0)
    values = list(rng.normal(size=25_000))
    kept = thin(values, lambda v: v)
    assert len(kept) <= 2000
    assert max(values) in kept and min(values) in kept
    places = [values.index(v) for v in kept[:50]]
    assert places == sorted(places)


def test_tick_values_start_at_one_and_stay_few():
    for last in (1, 7, 30, 999, 10_000):
        ticks = count_ticks(last)
        assert ticks[0] == 1 and len(ticks) <= 9 and ticks[-1] <= last


def test_hover_escapes_what_came_from_a_person():
    row = TrialRow(1, "<script>alert(1)</script>", "completed", accuracy=0.5, n_wrong=5, n_samples=10)
    text = hover(row, "a < b")
    assert "<script>" not in text and "&lt;script&gt;" in text and "a &lt; b" in text
    assert escape("&<>") == "&amp;&lt;&gt;"


def test_narrow_form_drops_wide_labels_and_shortens_end_labels():
    figure = Figure(
        data=[{"x": [1]}],
        layout={
            "height": 100,
            "annotations": [note(0, 0, "only wide", name="wide"), note(0, 0, "#24 sep3-48", name="end")],
        },
        summary="s",
    )
    out = figure.to_json()
    assert out["height"] == 100 and "height" not in out["layout"]
    assert out["small"]["layout"]["annotations"] == [{"visible": False}, {"text": "#24"}]


def test_an_empty_figure_has_words_instead_of_traces():
    out = Figure(data=[{"x": []}], layout={}, summary="", empty="The first result appears here.").to_json()
    assert out["data"] == [] and out["empty"]
