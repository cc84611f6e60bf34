"""Points and lines of what a strategy believes: predictions against what came, probabilities and scores over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from searches.charts.base import Axis, Figure, accuracy_axis, escape, marks_at, moved_apart, note, rule
from searches.charts.belief_table import Column, Table, distinct, ranks_agree, short, trial_number, words

#: series that are told apart by colour and dash
MOST_SERIES = 8
DASHES = ("solid", "dash", "dot", "dashdot")
#: order of colours for points and areas: the two faint categories (under 3:1 on white) come last
COLOURS = ("cat-1", "cat-2", "cat-3", "cat-4", "cat-7", "cat-8", "cat-5", "cat-6")
HEIGHT = 300


def colour(i: int) -> str:
    """Role of the i-th series; from the ninth on all are ghosts."""
    return COLOURS[i] if i < MOST_SERIES else "ghost"


def legend(names: Sequence[str], shape: str) -> dict[str, Any]:
    """Notes from which the page makes a legend in words: [[role, name, shape, dash]]."""
    if not names:
        return {}
    told = [[colour(i), short(n, 40), shape, DASHES[i % 4]] for i, n in enumerate(names[:MOST_SERIES])]
    if len(names) > MOST_SERIES:
        told.append(["ghost", f"{len(names) - MOST_SERIES:,} others", shape, "solid"])
    return {"legend": told}


def on_top(y: Column) -> dict[str, Any]:
    """What the y axis says, over it: read without turning the head."""
    return note(0, 1, escape(y.title), colour="ink-3", xref="paper", yref="paper", xanchor="left", yanchor="bottom",
                xshift=-40, yshift=6, align="left")  # fmt: skip


def scatter(table: Table, chart: Mapping[str, Any], whole: bool, lineage: Sequence[int]) -> Figure | None:
    """Points; with `diagonal` how well x foretold y is said in words, too."""
    x, y = table[chart["x"]], table[chart["y"]]
    spread, label, group = (table.maybe(chart.get(k)) for k in ("spread", "label", "group"))
    if not y.numeric or (chart.get("diagonal") and not x.numeric):
        return None
    rows = [i for i in range(len(x.values)) if x.values[i] is not None and y.values[i] is not None]
    axis = accuracy_axis([y.values[i] for i in rows], whole=whole) if y.percent else None
    inside = [i for i in rows if axis is None or y.values[i] >= axis.floor]
    low = [i for i in rows if axis is not None and y.values[i] < axis.floor]

    def told(i: int) -> str:
        lines = [f"#{label.values[i]}"] if label and trial_number(label.values[i]) else []
        sigma = f" ± {words(spread.values[i])}" if spread and spread.values[i] is not None else ""
        lines.append(f"{escape(x.title)} {escape(words(x.values[i]))}{sigma}")
        lines.append(f"{escape(y.title)} {words(y.values[i])}")
        if group:
            lines.append(escape(f"{group.title}: {words(group.values[i])}"))
        return "<br>".join(lines)

    names = distinct([words(v) for v in group.values]) if group else [""]
    data: list[dict[str, Any]] = []
    for g, name in enumerate(names):
        mine = [i for i in inside if not group or words(group.values[i]) == name]
        shade = f"role:{colour(g)}" if group else "role:ink-3"
        trace: dict[str, Any] = {
            "type": "scatter",
            "mode": "markers",
            "name": escape(name),
            "x": [x.values[i] for i in mine],
            "y": [y.values[i] for i in mine],
            "marker": {"size": 8 if len(rows) <= 150 else 6, "color": shade, "line": {"width": 1, "color": "role:bg"}},
            "text": [told(i) for i in mine],
            "customdata": [trial_number(label.values[i]) if label else None for i in mine],
            "hovertemplate": "%{text}<extra></extra>",
            "cliponaxis": bool(chart.get("diagonal")) and not whole,  # long whiskers end at the axis
        }
        if spread:
            trace["error_x"] = {
                "type": "data", "array": [spread.values[i] or 0 for i in mine], "width": 0, "thickness": 1,
                "color": f"{shade}/0.4",
            }  # fmt: skip
        data.append(trace)
    span, shapes = None, []
    if x.numeric and rows:
        values = [float(x.values[i]) for i in inside or rows]
        span = (min(values), max(values))
        if chart.get("diagonal"):
            base = (axis.floor, axis.ceiling) if axis else _bounds([y.values[i] for i in rows])
            span = (min(span[0], base[0]), max(span[1], base[1]))  # no point is lost; whiskers may be cut
            ends = {"x0": base[0], "x1": base[1], "y0": base[0], "y1": base[1]}
            shapes.append(rule(**ends, dash="dash", layer="below"))
        room = 0.03 * ((span[1] - span[0]) or 1.0)
        span = (span[0] - room, span[1] + room)
    if axis and low:
        data.append(
            marks_at(
                axis.floor,
                [(x.values[i], "", told(i)) for i in low if not span or span[0] <= float(x.values[i]) <= span[1]],
            )
        )
    said = _foretelling(x, y, spread, rows) if chart.get("diagonal") else ""
    n = len(rows)
    return Figure(
        data=data,
        layout={
            "xaxis": {"title": {"text": escape(x.title)}, **({"range": list(span)} if span else {})},
            "yaxis": axis.to_layout() if axis else {},
            "margin": {"l": 44, "r": 12, "t": 26, "b": 44},
            "shapes": shapes,
            "annotations": [on_top(y)],
            "height": HEIGHT,
        },
        summary=f"{n:,} {'point' if n == 1 else 'points'} of {y.title} over {x.title}{': ' if said else ''}{said}.",
        notes=legend(names if group else [], "dot")
        | {
            "below": len(low),
            "floor": axis.floor if axis else None,
            "words": f"{said[:1].upper()}{said[1:]}." if said else "",
        },
        empty="" if rows else "The first result appears here.",
    )


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _foretelling(x: Column, y: Column, spread: Column | None, rows: Sequence[int]) -> str:
    """How well x foretold y."""
    if not rows:
        return ""
    pairs = [(float(x.values[i]), float(y.values[i])) for i in rows]
    off = sum(abs(a - b) for a, b in pairs) / len(pairs)
    out = f"off by {off:.2g}{' points' if y.percent else ''} on average"
    agree = ranks_agree([a for a, _ in pairs], [b for _, b in pairs])
    if agree is not None:
        out += f", rank correlation {agree:.2f}"
    if spread and len(rows) >= 5 and all(spread.values[i] for i in rows):
        share = sum(abs(x.values[i] - y.values[i]) <= 2 * spread.values[i] for i in rows) / len(rows)
        out += f", {share:.0%} within two standard deviations".replace("%", " %")
    return out


def lines(table: Table, chart: Mapping[str, Any], whole: bool, lineage: Sequence[int]) -> Figure | None:
    """One line a series, named at its end."""
    x, y, series = table[chart["x"]], table[chart["y"]], table.maybe(chart.get("series"))
    if not y.numeric:
        return None
    names = distinct([words(v) for v in series.values]) if series else [""]
    values = [v for v in y.values if v is not None]
    low, high = _bounds(values)
    if 0 <= low < 0.4 * high:
        low = 0.0
    room = 0.04 * (high - low)
    frame = Axis(low - (room if low else 0), high + room, (high - low) / 5)
    data: list[dict[str, Any]] = []
    last: list[tuple[Any, float, str, int]] = []
    for i, name in enumerate(names):
        points = [
            (a, b)
            for a, b, c in zip(x.values, y.values, (series or x).values, strict=True)
            if a is not None and b is not None and (series is None or words(c) == name)
        ]
        if not points:
            continue
        if x.numeric:
            points.sort(key=lambda p: p[0])  # results come in any order
        ghost = i >= MOST_SERIES
        shade = f"role:{colour(i)}" if series else "role:ink-2"
        data.append(
            {
                "type": "scatter",
                "mode": "lines" if len(points) > 1 else "markers",
                "name": escape(name),
                "x": [a for a, _ in points],
                "y": [b for _, b in points],
                "line": {"width": 1 if ghost else 2, "color": shade, "dash": "solid" if ghost else DASHES[i % 4]},
                "marker": {"size": 8, "color": shade},
                "opacity": 0.55 if ghost else 1,
                "hovertemplate": f"{escape(name)}{'<br>' if name else ''}{escape(x.title)} %{{x}}<br>"
                f"{escape(y.title)} %{{y:.4~g}}<extra></extra>",
                "cliponaxis": False,
            }
        )
        if series and not ghost:
            last.append((points[-1][0], points[-1][1], name, i))
    moved = moved_apart([b for _, b, _, _ in last], frame, HEIGHT - 56)
    notes = [
        note(a, b, escape(short(name, 26)), colour=colour(i), strong=True, xanchor="left", xshift=6,
             yshift=moved[k], name="wide")
        for k, (a, b, name, i) in enumerate(last)
    ]  # fmt: skip
    told = ", ".join(f"{name} {words(b)}{y.unit}" for _, b, name, _ in sorted(last, key=lambda p: -p[1])[:3])
    only = next((trace for trace in data), None)
    if only is not None and not series:
        told = f"{words(only['y'][-1])}{y.unit}"
    at_end = "at the end " if told else ""
    return Figure(
        data=data,
        layout={
            "xaxis": {"title": {"text": escape(x.title)}, **_ticks(x)},
            "yaxis": {"range": [frame.floor, frame.ceiling]},
            "margin": {"l": 44, "r": min(220, 20 + 7 * max((len(short(n, 26)) for *_, n, _ in last), default=0)),
                       "t": 26, "b": 44},
            "annotations": [on_top(y), *notes],
            "height": HEIGHT,
        },
        summary=f"{len(data):,} {'line' if len(data) == 1 else 'lines'} of {y.title} over {x.title}; {at_end}{told}.",
        notes=legend(names, "line") | {"legend_narrow": True} if series else {},
        empty="" if data else "The first value appears here.",
        small={"margin": {"r": 12}},
    )  # fmt: skip


def _ticks(x: Column) -> dict[str, Any]:
    """Whole numbers stay whole on the axis; words stand as they are."""
    if not x.numeric:
        return {"type": "category"}
    known = [v for v in x.values if v is not None]
    first, last = _bounds(known)  # labels at line ends must not stretch it
    ticks = {"tickvals": sorted(set(known))} if all(isinstance(v, int) for v in known) and last - first < 8 else {}
    return {"range": [first, last], **ticks}
