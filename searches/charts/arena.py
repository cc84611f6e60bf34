"""Races drawn: regret with its bands against queries and against total cost, and ranks. From `engine.arena.figures`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from searches.charts.base import Axis, Figure, escape, moved_apart, note

DASHES = ("solid", "dash", "dot", "dashdot")
#: bands of more than so many entrants hide each other: then only the first ones have theirs
BANDS = 5
#: a band of fewer seeds says nothing but that
SEEDS = 5
HEIGHT = 320
_SECONDS = ((1.0, "s"), (60.0, "min"), (3600.0, "h"), (86400.0, "days"))


def drawn_as(place: int) -> tuple[str, str]:
    """Colour role and dash of the entrant at a place in the race's list, from 1."""
    return f"cat-{(place - 1) % 8 + 1}", DASHES[(place - 1) // 8 % len(DASHES)]


def regret(
    curves: Sequence[Mapping[str, Any]], titles: Mapping[str, str], places: Mapping[str, int], *, by: str, unit: str,
    whole: bool = False,
) -> Figure:  # fmt: skip
    """Mean regret with 95 % bands; 0 is the best there is.

    Args:
        curves: of `engine.arena.figures`, best first.
        titles, places: of entrants by label: what they are called, and which colour they have.
        by: "queries" or "cost" (seconds, the strategy's own time included).
        unit: of the reports.
        whole: show the first queries' regret too, which is large and the same for all.
    """
    drawn = [c for c in curves if c[by]["x"]]
    factor, word = _unit_of([c["cost"]["x"][-1] for c in drawn]) if by == "cost" else (1.0, "queries")
    points = {c["label"]: _after(c[by], factor, 1 if whole else _first(c, by)) for c in drawn}
    top = max((max(p["mean"], default=0) for p in points.values()), default=1.0) or 1.0
    axis = _axis(top)
    data: list[dict[str, Any]] = []
    for c in reversed([c for c in drawn if c["seeds"] >= SEEDS][:BANDS]):
        p, (colour, _) = points[c["label"]], drawn_as(places[c["label"]])
        data.append(
            {
                "type": "scatter", "mode": "lines", "x": [*p["x"], *reversed(p["x"])],
                "y": [*p["high"], *reversed(p["low"])], "fill": "toself", "fillcolor": f"role:{colour}/0.13",
                "line": {"width": 0}, "hoverinfo": "skip", "cliponaxis": True,
            }
        )  # fmt: skip
    for c in reversed(drawn):
        p, (colour, dash) = points[c["label"]], drawn_as(places[c["label"]])
        name = escape(titles[c["label"]])
        at = "%{x:,} queries" if by == "queries" else f"%{{x:.3~g}} {word}"
        data.append(
            {
                "type": "scatter", "mode": "lines", "x": p["x"], "y": p["mean"], "name": name,
                "line": {"width": 2, "color": f"role:{colour}", "dash": dash}, "cliponaxis": True,
                "hovertemplate": f"{name}<br>{at}: %{{y:.2f}} below the best<extra></extra>",
            }
        )  # fmt: skip
    xs = [x for p in points.values() for x in p["x"]]
    moved = moved_apart([points[c["label"]]["mean"][-1] for c in drawn], axis, HEIGHT - 64)
    end = max(xs, default=1.0)
    notes = [
        note(
            _log(points[c["label"]]["x"][-1]), points[c["label"]]["mean"][-1], escape(titles[c["label"]]),
            colour=drawn_as(places[c["label"]])[0], xanchor="left", xshift=6, yshift=moved[i], name="wide",
        )
        for i, c in enumerate(drawn)
    ]  # fmt: skip
    what = "queries" if by == "queries" else f"total cost, {word} (queries and the strategy's own time)"
    below = f"{'points' if unit == '%' else 'report'} below the best there is"
    return Figure(
        data=data,
        layout={
            "xaxis": {
                "type": "log", "range": [_log(min(xs, default=1.0)), _log(end)], "title": {"text": what},
                **_ticks(min(xs, default=1.0), end),
            },
            "yaxis": axis.to_layout(title={"text": below}),
            "margin": {"l": 48, "r": min(240, 20 + 7 * max((len(titles[c["label"]]) for c in drawn), default=0)),
                       "t": 12, "b": 44},
            "annotations": notes,
            "height": HEIGHT,
        },
        small={"margin": {"r": 12}},
        summary=(
            f"Mean regret by {what} of {len(drawn)} strategies; at the end "
            + ", ".join(f"{titles[c['label']]} {points[c['label']]['mean'][-1]:.2f}" for c in drawn)
            + "."
        ),
        columns=["strategy", word, "below the best", "95 % from", "95 % to"],
        rows=[
            [titles[c["label"]], x, mean, low, high]
            for c in drawn
            for x, mean, low, high in _thinned(points[c["label"]])
        ],
        empty="" if drawn else "The first finished run begins the curves.",
    )  # fmt: skip


def ranks(curves: Sequence[Mapping[str, Any]], titles: Mapping[str, str], places: Mapping[str, int]) -> Figure:
    """Average rank over seeds after so many queries; 1 is the best."""
    drawn = [c for c in curves if c["rank"]["x"]]
    data = []
    axis = Axis(1, max(2, len(drawn)), 1)
    for c in reversed(drawn):
        colour, dash = drawn_as(places[c["label"]])
        name = escape(titles[c["label"]])
        data.append(
            {
                "type": "scatter", "mode": "lines", "x": c["rank"]["x"], "y": c["rank"]["y"], "name": name,
                "line": {"width": 2, "color": f"role:{colour}", "dash": dash}, "cliponaxis": True,
                "hovertemplate": f"{name}<br>%{{x:,}} queries: rank %{{y:.1f}}<extra></extra>",
            }
        )  # fmt: skip
    end = max((c["rank"]["x"][-1] for c in drawn), default=1.0)
    moved = moved_apart([-c["rank"]["y"][-1] for c in drawn], Axis(-axis.ceiling, -1, 1), 240 - 64)
    notes = [
        note(
            _log(end), c["rank"]["y"][-1], escape(titles[c["label"]]), colour=drawn_as(places[c["label"]])[0],
            xanchor="left", xshift=6, yshift=moved[i], name="wide",
        )
        for i, c in enumerate(drawn)
    ]  # fmt: skip
    return Figure(
        data=data,
        layout={
            "xaxis": {"type": "log", "range": [0, _log(end)], "title": {"text": "queries"}, **_ticks(1, end)},
            "yaxis": {"range": [axis.ceiling + 0.1, 0.9], "dtick": 1 if len(drawn) < 9 else 2,
                      "title": {"text": "average rank"}},
            "margin": {"l": 48, "r": min(240, 20 + 7 * max((len(titles[c["label"]]) for c in drawn), default=0)),
                       "t": 12, "b": 44},
            "annotations": notes,
            "height": 240,
        },
        small={"margin": {"r": 12}},
        summary="Average rank by queries; at the end "
        + ", ".join(f"{titles[c['label']]} {c['rank']['y'][-1]:.1f}" for c in drawn) + ".",
        columns=["strategy", "queries", "average rank"],
        rows=[[titles[c["label"]], x, y] for c in drawn for x, y in zip(c["rank"]["x"], c["rank"]["y"], strict=True)],
        empty="" if len(drawn) > 1 else "Ranks begin when two entrants have finished a run of the same seed.",
    )  # fmt: skip


def _first(curve: Mapping[str, Any], by: str) -> float:
    """From where on a curve is shown: the first queries' regret is large and tells nobody apart."""
    if by == "queries":
        return float(min(5, curve["queries"]["x"][-1]))
    xs = curve["cost"]["x"]
    return float(xs[len(xs) // 4])


def _after(part: Mapping[str, Any], factor: float, first: float) -> dict[str, list[float]]:
    kept = [i for i, x in enumerate(part["x"]) if x >= first] or [len(part["x"]) - 1]
    out = {k: [part[k][i] for i in kept] for k in ("mean", "low", "high")}
    out["x"] = [part["x"][i] if factor == 1 else round(part["x"][i] / factor, 5) for i in kept]
    return out


def _unit_of(ends: Sequence[float]) -> tuple[float, str]:
    longest = max(ends, default=1.0)
    return max((u for u in _SECONDS if longest >= 2 * u[0]), default=_SECONDS[0])


def _axis(top: float) -> Axis:
    step = next((s for s in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if top / s <= 6), 20.0)
    return Axis(0.0, max(step, round(top * 1.05, 4)), step)


def _log(x: float) -> float:
    from math import log10

    return log10(max(x, 1e-9))


def _ticks(low: float, high: float) -> dict[str, Any]:
    """Round tick values on a log axis."""
    values = [m * 10.0**e for e in range(-4, 8) for m in (1, 2, 5) if low * 0.999 <= m * 10.0**e <= high * 1.001]
    return {"tickvals": values, "ticktext": [f"{v:,g}" for v in values]}


def _thinned(points: Mapping[str, Sequence[float]]) -> list[tuple[float, float, float, float]]:
    rows = list(zip(points["x"], points["mean"], points["low"], points["high"], strict=True))
    step = max(1, len(rows) // 8)
    return rows[::-1][::step][::-1]
