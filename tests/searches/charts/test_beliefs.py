"""What a strategy believes as figures: each kind of drawing, in people's units, and tables that fit no drawing."""

import json

import pytest

from engine.strategies._views import bars, heat, lines, scatter, tree, view
from searches.charts.belief_table import Table, ranks_agree, words
from searches.charts.beliefs import KINDS, MOST_BARS, belief
from searches.charts.family import generations


def predicted(rows, **hint):
    chart = scatter("predicted", "accuracy", spread="sd", label="trial", diagonal=True, **hint)
    return view("Foretold", ["trial", "predicted", "sd", "accuracy"], rows, chart=chart)


FIVE = [
    [1, 0.90, 0.01, 0.91],
    [2, 0.92, 0.01, 0.93],
    [3, 0.94, 0.02, 0.90],
    [4, 0.95, 0.01, 0.96],
    [5, 0.97, 0.01, 0.97],
]
EVERY = {
    "scatter": predicted(FIVE),
    "lines": view("Shares", ["trial", "by", "share"], [[t, s, 0.5] for t in (1, 2) for s in "ab"],
                  chart=lines("trial", "share", series="by")),
    "heat": view("Odds", ["trial", "choice", "p"], [[t, f"edge {e}: skip", 0.1 * t] for t in (1, 5) for e in (1, 2)],
                 chart=heat("trial", "choice", "p")),
    "bars": view("Best", ["candidate", "EI"], [["a", 0.2], ["b", 0.1]], chart=bars("candidate", "EI")),
    "tree": view("Family", ["trial", "parent"], [[1, None], [2, 1], [3, 2], [4, 1]], chart=tree("trial", "parent")),
}  # fmt: skip


def test_every_kind_of_drawing_is_here():
    assert set(EVERY) == set(KINDS)


@pytest.mark.parametrize("kind", EVERY)
def test_each_is_drawn_said_in_words_and_read_as_a_table(kind):
    out = belief(EVERY[kind]).to_json()
    json.dumps(out, allow_nan=False)
    assert out["data"] and not out.get("only_table") and not out.get("empty")
    assert out["summary"].startswith(EVERY[kind]["title"]) and out["summary"].endswith(".")
    assert len(out["table"]["rows"]) == len(EVERY[kind]["rows"])
    assert {t["type"] for t in out["data"]} <= {"scatter", "bar", "heatmap"}  # nothing that wants WebGL and eval


@pytest.mark.parametrize("kind", EVERY)
def test_no_rows_say_so(kind):
    out = belief(EVERY[kind] | {"rows": []}).to_json()
    assert out["data"] == [] and out["empty"]


@pytest.mark.parametrize(
    "chart",
    [None, {"kind": "pie", "x": "a"}, {"kind": "lines"}, {"kind": "lines", "x": "a", "y": "gone"},
     {"kind": "heat", "x": "a", "y": "a", "z": "words"}, {"kind": "scatter", "x": "a", "y": "words"}],
)  # fmt: skip
def test_a_hint_that_does_not_fit_leaves_a_table(chart):
    out = belief({"title": "T", "columns": ["a", "words"], "rows": [[1, "x"], [2, "<b>"]], "chart": chart}).to_json()
    assert out["only_table"] and out["table"]["rows"] == [[1, "x"], [2, "<b>"]] and "empty" not in out


def test_a_view_of_an_older_search_with_ragged_rows_and_numbers_that_are_none():
    out = belief({"columns": ["a", "b"], "rows": [[1], [2, float("nan"), 3]]}).to_json()
    assert out["table"]["rows"] == [[1, None], [2, None]]


# -- units ---------------------------------------------------------------------------------------------
def test_accuracies_are_percent_and_what_is_read_beside_them_too():
    table = Table(predicted(FIVE))
    assert table.heads == ["trial", "predicted, %", "sd, %", "accuracy, %"]
    assert table.rows[0] == [1, 90.0, 1.0, 91.0]


def test_other_shares_stay_as_they_are():
    assert Table(EVERY["lines"]).heads == ["trial", "by", "share"]
    already = view("P", ["trial", "accuracy"], [[1, 93.5]], chart=None)
    assert Table(already).rows == [[1, 93.5]]


# -- points --------------------------------------------------------------------------------------------
def test_how_well_it_foretold_is_said():
    said = belief(predicted(FIVE)).notes["words"]
    assert said == "Off by 1.4 points on average, rank correlation 0.70, 100 % within two standard deviations."


def test_points_far_below_are_left_to_marks_until_asked_for():
    rows = [*([i, 0.9 + i / 1000, 0.01, 0.9 + i / 1000] for i in range(1, 30)), [30, 0.93, 0.01, 0.1]]
    some, every = belief(predicted(rows)), belief(predicted(rows), whole=True)
    assert some.notes["below"] == 1 and every.notes["below"] == 0
    assert some.layout["yaxis"]["range"][0] > 50 > every.layout["yaxis"]["range"][0]
    assert some.data[-1]["y"] == [some.notes["floor"]]


def test_groups_have_colours_and_a_legend_points_lead_to_their_trials():
    rows = [[i, 0.9, 0.9, "EI" if i % 2 else "random"] for i in range(1, 7)]
    chart = scatter("predicted", "accuracy", label="trial", group="by")
    out = belief(view("P", ["trial", "predicted", "accuracy", "by"], rows, chart=chart))
    assert [name for _, name, *_ in out.notes["legend"]] == ["EI", "random"]
    assert [trace["marker"]["color"] for trace in out.data[:2]] == ["role:cat-1", "role:cat-2"]
    assert out.data[0]["customdata"] == [1, 3, 5]


@pytest.mark.parametrize(
    ("a", "b", "rho"),
    [([1, 2, 3, 4], [10, 20, 30, 40], 1.0), ([1, 2, 3, 4], [4, 3, 2, 1], -1.0), ([1, 2, 3], [5, 5, 5], None),
     ([1, 2], [1, 2], None), ([1, 2, 2, 3], [1, 2, 3, 3], 0.8333)],
)  # fmt: skip
def test_rank_correlation(a, b, rho):
    found = ranks_agree(a, b)
    assert found is None if rho is None else found == pytest.approx(rho, abs=1e-4)


def test_a_line_goes_forward_whatever_the_order_of_results():
    out = belief(view("L", ["trial", "worth"], [[3, 0.3], [1, 0.1], [2, 0.2]], chart=lines("trial", "worth")))
    assert out.data[0]["x"] == [1, 2, 3] and out.data[0]["y"] == [0.1, 0.2, 0.3]


def test_from_the_ninth_line_on_all_are_ghosts():
    rows = [[t, f"s{s:02}", 0.1 * s] for s in range(11) for t in (1, 2)]
    out = belief(view("L", ["t", "s", "y"], rows, chart=lines("t", "y", series="s")))
    assert [trace["line"]["color"] for trace in out.data[7:]] == ["role:cat-6", *["role:ghost"] * 3]
    assert out.notes["legend"][-1][1] == "3 others"
    named = [n["text"] for n in out.layout["annotations"] if n.get("name") == "wide"]
    assert len(named) == 8
    assert out.to_json()["small"]["layout"]["annotations"][1:] == [{"visible": False}] * 8  # the legend says it there


# -- cells, bars, descent --------------------------------------------------------------------------------
def test_cells_stand_in_their_row_and_column_and_gaps_stay_gaps():
    rows = [[10, "a: x", 0.1], [20, "a: x", 0.9], [20, "b: y", 0.4]]
    out = belief(view("H", ["trial", "choice", "p"], rows, chart=heat("trial", "choice", "p")))
    assert out.data[0]["z"] == [[0.1, 0.9], [None, 0.4]] and out.data[0]["x"] == [10, 20]
    assert len(out.layout["shapes"]) == 1  # between the decisions a and b
    assert "highest now: a: x at 20, 0.9" in out.summary


def test_many_bars_show_the_longest_in_their_order_until_asked_for():
    rows = [[f"c{i}", float(i % 50)] for i in range(60)]
    shown = view("B", ["c", "EI"], rows, chart=bars("c", "EI"))
    some, every = belief(shown), belief(shown, whole=True)
    assert some.notes["hidden"] == 20 and every.notes["hidden"] == 0
    names = some.layout["yaxis"]["ticktext"]
    assert len(names) == MOST_BARS and names == sorted(names, key=lambda n: int(n[1:]))
    assert "c49" in names and "c0" not in names


def test_bars_of_trials_lead_to_them():
    out = belief(view("B", ["trial", "age"], [[7, 3], [9, 1]], chart=bars("trial", "age")))
    assert out.data[0]["customdata"] == [7, 9] and out.layout["yaxis"]["ticktext"] == ["#7", "#9"]


def test_a_tree_places_generations_or_values():
    out = belief(EVERY["tree"], lineage=[1, 2, 3])
    spots = out.data[2]
    assert dict(zip(spots["x"], spots["y"], strict=True)) == {1: 0, 2: 1, 3: 2, 4: 1}
    assert out.data[1]["x"] == [1, 2, 3] and "#1 → #2 → #3" in out.summary
    rows = [[1, None, 0.9], [2, 1, 0.95], [3, 8, 0.93]]  # of #8 nothing is known
    valued = belief(view("F", ["t", "p", "accuracy"], rows, chart=tree("t", "p", value="accuracy")))
    assert valued.data[2]["y"] == [90.0, 95.0, 93.0] and len(valued.data[0]["x"]) == 3


def test_generations_follow_the_longest_line():
    assert generations({4: [1, 3], 3: [2], 2: [1], 1: [4]}) == {1: 0, 2: 1, 3: 2, 4: 3}


@pytest.mark.parametrize("kind", EVERY)
def test_text_of_people_is_escaped_where_the_chart_library_reads_html(kind):
    evil = "<b>x</b>"
    text = json.dumps(EVERY[kind])
    for name in ("predicted", "candidate", "EI", "choice", "edge 1: skip", "by", "share", "accuracy"):
        text = text.replace(f'"{name}"', f'"{name} {evil}"')
    out = belief(json.loads(text)).to_json()
    del out["table"], out["summary"], out["notes"]  # written as text
    assert evil not in json.dumps(out).replace("\\/", "/")


def test_no_point_of_a_prediction_lies_out_of_sight():
    """Far from what came: the axis reaches them, whiskers may be cut."""
    out = belief(predicted([[1, 0.63, 0.4, 0.875], [2, 0.81, 0.1, 0.880]]))
    low, high = out.layout["xaxis"]["range"]
    assert out.data[0]["x"] == [63, 81] and low < 63 and 81 < high < 120 and low > 40


def test_negative_numbers_have_a_minus_sign():
    assert words(-0.25) == "−0.25" and words(-3) == "−3" and words("a-b") == "a-b"
    out = belief(view("B", ["candidate", "gain"], [["a", -0.2]], chart=bars("candidate", "gain")))
    assert out.data[0]["text"] == ["−0.2"]
