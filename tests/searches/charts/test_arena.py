"""Charts of races: colours that stay, bands under lines, axes that fit."""

from __future__ import annotations

from searches.charts import arena


def curve(label, mean, seeds=9):
    xs = list(range(1, len(mean) + 1))
    part = {"mean": mean, "low": [m * 0.9 for m in mean], "high": [m * 1.1 for m in mean]}
    return {
        "label": label, "seeds": seeds, "ms": 1.0, "queries": {"x": xs, **part},
        "cost": {"x": [3600.0 * x for x in xs], **part}, "rank": {"x": xs, "y": [1.0] * len(xs)},
    }  # fmt: skip


CURVES = [curve("b", [9, 8, 7, 6, 3, 2, 1, 0.5]), curve("a", [9, 8, 7, 6, 4, 3, 2, 1])]
NAMES, PLACES = {"a": "first", "b": "second <x>"}, {"a": 1, "b": 2}


def test_lines_keep_their_colour_whoever_leads():
    for curves in (CURVES, CURVES[::-1]):
        drawn = arena.regret(curves, NAMES, PLACES, by="queries", unit="%").to_json()
        lines = {d["name"]: d["line"]["color"] for d in drawn["data"] if "name" in d}
        assert lines == {"first": "role:cat-1", "second &lt;x&gt;": "role:cat-2"}
    assert arena.drawn_as(9) == ("cat-1", "dash") and arena.drawn_as(1) == ("cat-1", "solid")


def test_the_first_queries_are_shown_when_asked_for():
    part = arena.regret(CURVES, NAMES, PLACES, by="queries", unit="%")
    whole = arena.regret(CURVES, NAMES, PLACES, by="queries", unit="%", whole=True)
    assert min(d["x"][0] for d in part.data if "name" in d) == 5 and part.layout["yaxis"]["range"][1] < 5
    assert min(d["x"][0] for d in whole.data if "name" in d) == 1 and whole.layout["yaxis"]["range"][1] > 9


def test_total_cost_is_in_a_unit_that_can_be_read():
    drawn = arena.regret(CURVES, NAMES, PLACES, by="cost", unit="")
    assert "total cost, h" in drawn.layout["xaxis"]["title"]["text"] and drawn.data[-1]["x"][-1] == 8.0
    assert drawn.layout["yaxis"]["title"]["text"].startswith("report below")


def test_bands_of_the_first_ones_only():
    many = [curve(str(i), [9.0, 5, 4, 3, 2, 1]) for i in range(8)]
    names, places = {str(i): str(i) for i in range(8)}, {str(i): i + 1 for i in range(8)}
    drawn = arena.regret(many, names, places, by="queries", unit="%")
    assert sum("fill" in d for d in drawn.data) == arena.BANDS
    few = [curve("a", [9.0, 5, 4, 3, 2, 1], seeds=2)]
    assert not any("fill" in d for d in arena.regret(few, NAMES, PLACES, by="queries", unit="%").data)


def test_nothing_yet_is_said():
    assert arena.regret([], {}, {}, by="queries", unit="%").to_json()["empty"]
    assert arena.ranks(CURVES[:1], NAMES, PLACES).to_json()["empty"]
    assert not arena.ranks(CURVES, NAMES, PLACES).empty
