"""What a strategy believes, drawn: its table with a hint (`engine/strategies/_views.py`) in, a figure out.

Nothing here knows a strategy. A table without a hint, with one that is not known, or with a hint that does not fit its
columns stays a table, so that no search of an older or foreign strategy breaks its page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from searches.charts import belief_points
from searches.charts.base import Figure, count_ticks, escape, note, rule
from searches.charts.belief_table import Column, Table, distinct, minus, short, trial_number, words
from searches.charts.family import edges, generations, line_of

#: bars in view before "more" is asked for
MOST_BARS = 40
#: characters of a name beside a row, and where the chart is narrow
NAME, NARROW_NAME = 34, 16


def belief(view: Mapping[str, Any], *, whole: bool = False, lineage: Sequence[int] = ()) -> Figure:
    """The figure of one view.

    Args:
        view: a table and how it wants to be drawn, as `Search.views` holds it.
        whole: show outliers and all bars too.
        lineage: trials from the first ancestor to the winner, which trees draw in the accent.
    """
    table = Table(view)
    chart = view.get("chart") or {}
    draw = KINDS.get(str(chart.get("kind")))
    title = str(view.get("title") or "")
    drawn = None
    if draw is not None and table.rows:
        try:
            drawn = draw(table, chart, whole, lineage)
        except (KeyError, TypeError, ValueError):
            drawn = None  # the hint does not fit its table
    if drawn is None:
        n = len(table.rows)
        drawn = Figure([], {}, f"{n:,} {'row' if n == 1 else 'rows'}.", only_table=True)
        if not n:
            drawn.empty = "Nothing yet."
    summary = f"{title}: {drawn.summary}" if title else drawn.summary
    return replace(drawn, summary=summary, columns=table.heads, rows=table.rows)


# -- cells ---------------------------------------------------------------------------------------------
def _heat(table: Table, chart: Mapping[str, Any], whole: bool, lineage: Sequence[int]) -> Figure | None:
    """A field of cells, the first row on top; rows of one decision ("edge 1: skip") stand together."""
    x, y, z = table[chart["x"]], table[chart["y"]], table[chart["z"]]
    if not z.numeric:
        return None
    across: list[Any] = sorted(distinct(x.values)) if x.numeric and None not in x.values else distinct(x.values)
    down = distinct(y.values)
    at = {(b, a): v for a, b, v in zip(x.values, y.values, z.values, strict=True)}
    field = [[at.get((b, a)) for a in across] for b in down]
    known = [v for v in z.values if v is not None]
    names = [words(b) for b in down]
    scale = x.numeric and len(across) > 1
    height = min(620, max(150, 62 + (20 if len(down) <= 18 else 15) * len(down)))
    share = all(0 <= v <= 1 for v in known)
    trace = {
        "type": "heatmap",
        "x": across if scale else list(range(len(across))),
        "y": list(range(len(down))),
        "z": field,
        "zmin": 0 if share else min(known),
        "zmax": max(known),
        "xgap": 0 if scale else 1,
        "ygap": 1,
        "text": [[_spot(x, a, y, b, z, at.get((b, a))) for a in across] for b in down],
        "hovertemplate": "%{text}<extra></extra>",
        "hoverongaps": False,
        "colorbar": {"thickness": 8, "outlinewidth": 0, "xpad": 4, "ypad": 0, "nticks": 5, "ticklen": 3},
    }
    # over time what is now, else all of it
    spots = {(b, a): v for (b, a), v in at.items() if v is not None and (not scale or a == across[-1])}
    top = max(spots, key=lambda p: spots[p], default=None)
    where = f"{words(top[0])} at {words(top[1])}" if top else ""
    said = f"; highest {'now' if scale else 'of all'}: {where}, {words(spots[top])}{z.unit}" if top else ""
    labels = {"tickvals": list(range(len(down))), "ticktext": [escape(short(n, NAME)) for n in names]}
    horizontal: dict[str, Any] = {"title": {"text": escape(x.title)}, "showline": False}
    if scale and len(across) <= 8:
        horizontal["tickvals"] = across
    if not scale:
        horizontal |= {
            "tickvals": list(range(len(across))),
            "ticktext": [escape(short(words(a), NARROW_NAME)) for a in across],
        }
    return Figure(
        data=[trace],
        layout={
            "xaxis": horizontal,
            "yaxis": {**labels, "range": [len(down) - 0.5, -0.5], "showgrid": False, "ticklabelstandoff": 6},
            "shapes": [
                {
                    "type": "line",
                    "xref": "paper",
                    "x0": 0,
                    "x1": 1,
                    "y0": i - 0.5,
                    "y1": i - 0.5,
                    "line": {"width": 4, "color": "role:bg"},
                }
                for i in range(1, len(down))
                if ": " in names[i] and names[i].split(": ")[0] != names[i - 1].split(": ")[0]
            ],
            "margin": {"l": 8, "r": 8, "t": 8, "b": 44},
            "height": height,
        },
        summary=f"{len(down):,} rows by {len(across):,} columns of {z.title}, {words(min(known))} to "
        f"{words(max(known))}{z.unit}{said}.",
        small={"yaxis": {"ticktext": [escape(short(n, NARROW_NAME)) for n in names]}},
    )


def _spot(x: Column, a: Any, y: Column, b: Any, z: Column, value: Any) -> str:
    where = f"{escape(words(b))}<br>{escape(x.title)} {escape(words(a))}"
    return f"{where}<br>{escape(z.title)} {words(value)}{z.unit}"


# -- bars ----------------------------------------------------------------------------------------------
def _bars(table: Table, chart: Mapping[str, Any], whole: bool, lineage: Sequence[int]) -> Figure | None:
    """Horizontal bars in the order of the rows; those of one name stand together in the colours of their series."""
    x, y, series = table[chart["x"]], table[chart["y"]], table.maybe(chart.get("series"))
    rows = [
        (a, b, words(c) if series else "")
        for a, b, c in zip(x.values, y.values, (series or x).values, strict=True)
        if b is not None
    ]
    if not y.numeric:
        return None
    names, kinds = distinct([a for a, _, _ in rows]), distinct([c for _, _, c in rows])
    shown = names if whole or len(names) <= MOST_BARS else _longest(names, rows)
    place = {name: i for i, name in enumerate(shown)}
    several = len({(a, c) for a, _, c in rows}) > len(names)
    labels = [_bar_name(chart["x"], name) for name in shown]
    data = []
    for i, kind in enumerate(kinds):
        mine = [(place[a], b, a) for a, b, c in rows if c == kind and a in place]
        colour = f"role:{belief_points.colour(i)}" if series else "role:ghost"
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": escape(kind),
                "y": [p for p, _, _ in mine],
                "x": [b for _, b, _ in mine],
                "marker": {"color": colour, "opacity": 0.75 if series else 1},
                "text": [minus(f"{b:,.3g}{y.unit}") if abs(b) < 1000 else words(b) for _, b, _ in mine],
                "textposition": "outside",
                "constraintext": "none",
                "cliponaxis": False,
                "textfont": {"color": "role:ink-2"},
                "customdata": [trial_number(a) if chart["x"] == "trial" else None for _, _, a in mine],
                "hovertext": [f"{escape(_bar_name(chart['x'], a))}{_of(kind)}<br>{escape(y.title)} {words(b)}{y.unit}"
                              for _, b, a in mine],
                "hovertemplate": "%{hovertext}<extra></extra>",
            }
        )  # fmt: skip
    values = [b for _, b, _ in rows]
    low, high = min(0.0, *values), max(0.0, *values)
    room = 0.14 * ((high - low) or 1.0)
    per = 22 if not several else 14 * len(kinds) + 8
    a, b, c = max(rows, key=lambda r: r[1])
    hidden = len(names) - len(shown)
    return Figure(
        data=data,
        layout={
            "barmode": "group" if several else "overlay",
            "bargap": 0.3,
            "xaxis": {
                "range": [low - (room if low < 0 else 0), high + room], "showline": False, "showgrid": True,
                "title": {"text": escape(y.title)},
            },
            "yaxis": {
                "range": [len(shown) - 0.5, -0.5], "showgrid": False, "ticklabelstandoff": 6,
                "tickvals": list(range(len(shown))),
                "ticktext": [escape(short(n, NAME)) for n in labels],
            },
            "shapes": [rule(x0=0, x1=0, yref="paper", y0=0, y1=1, colour="axis", dash="solid")],
            "margin": {"l": 8, "r": 16, "t": 4, "b": 44},
            "height": min(2400, max(110, 56 + per * len(shown))),
        },
        summary=f"{len(names):,} {'bar' if len(names) == 1 else 'bars'} of {y.title}; the longest is "
        f"{_bar_name(chart['x'], a)}{_of(c)} with {words(b)}{y.unit}.",
        notes=belief_points.legend(kinds if series else [], "area")
        | {"hidden": hidden, "total": len(names), "what": "bars"},
        small={"yaxis": {"ticktext": [escape(short(n, NARROW_NAME)) for n in labels]}},
    )  # fmt: skip


def _longest(names: Sequence[Any], rows: Sequence[tuple[Any, float, str]]) -> list[Any]:
    """The names with the longest bars, in their own order."""
    length: dict[Any, float] = {}
    for a, b, _ in rows:
        length[a] = max(length.get(a, 0.0), abs(b))
    kept = set(sorted(names, key=lambda n: -length[n])[:MOST_BARS])
    return [n for n in names if n in kept]


def _bar_name(column: str, value: Any) -> str:
    return f"#{value}" if column == "trial" and trial_number(value) else words(value)


def _of(kind: str) -> str:
    return f", {kind}" if kind else ""


# -- descent -------------------------------------------------------------------------------------------
def _tree(table: Table, chart: Mapping[str, Any], whole: bool, lineage: Sequence[int]) -> Figure | None:
    """From parent to child in the order of proposal; in height a value, or the generation."""
    node, parent, value = table[chart["node"]], table[chart["parent"]], table.maybe(chart.get("value"))
    parents: dict[int, list[int]] = {}
    height: dict[int, float] = {}
    for i, (number, of) in enumerate(zip(node.values, parent.values, strict=True)):
        if trial_number(number) is None:
            continue
        mine = parents.setdefault(number, [])
        if trial_number(of) is not None and of not in mine:
            mine.append(of)
        if value is not None and value.values[i] is not None:
            height[number] = float(value.values[i])
    if not parents or (value is not None and not value.numeric):
        return None
    steps = generations(parents)
    drawn: dict[int, float] = height if value is not None else {n: float(s) for n, s in steps.items()}
    places = {n: (float(n), y) for n, y in drawn.items()}
    line = [n for n in lineage if n in places]
    on_line = set(line)
    numbers = sorted(places)
    last = max(numbers, default=1)
    deep = max((steps[n] for n in parents), default=0)
    unit = value.unit if value else ""
    born, fill = {n for n, ps in parents.items() if ps}, ("role:bg", "role:ink-3")  # without a parent: hollow
    return Figure(
        data=[
            edges(places, ((p, n) for n, ps in parents.items() for p in ps), faint=len(numbers) > 200),
            line_of(places, line),
            {
                "type": "scatter",
                "mode": "markers",
                "x": numbers,
                "y": [places[n][1] for n in numbers],
                "marker": {
                    "size": [10 if n in on_line else 8 if len(numbers) < 300 else 5 for n in numbers],
                    "color": ["role:accent" if n in on_line else fill[n in born] for n in numbers],
                    "line": {"width": 1.5, "color": [fill[n not in born and n not in on_line] for n in numbers]},
                },
                "text": [_born(n, parents.get(n, ()), steps.get(n, 0), value, height.get(n), unit) for n in numbers],
                "customdata": numbers,
                "hovertemplate": "%{text}<extra></extra>",
            },
        ],
        layout={
            "xaxis": {
                "range": [0, last + max(1, last * 0.03)], "tickvals": count_ticks(last), "tickformat": ",d",
                "title": {"text": "trial, in the order of proposal"},
            },
            "yaxis": {"tickformat": ",d", "dtick": max(1, -(-deep // 8))} if value is None else {},
            "margin": {"l": 44, "r": 12, "t": 26, "b": 44},
            "annotations": [
                belief_points.on_top(value or Column("generation", [])),
                *(note(n, places[n][1], f"#{n}", colour="accent", strong=True, yshift=14) for n in line[-1:]),
            ],
            "height": 320,
        },
        summary=f"{len(numbers):,} trials in {deep + 1:,} {'generation' if not deep else 'generations'}"
        + (f"; the winner descends {' → '.join(f'#{n}' for n in line)}." if len(line) > 1 else "."),
        notes={"generations": deep + 1},
        empty="" if numbers else "The first child appears here.",
    )  # fmt: skip


def _born(
    number: int, parents: Sequence[int], generation: int, value: Column | None, height: float | None, unit: str
) -> str:
    of = f"from {', '.join(f'#{p}' for p in parents)}" if parents else "without a parent"
    at = f"<br>{escape(value.title)} {words(height)}{unit}" if value else ""
    return f"#{number}, {of}<br>generation {generation}{at}"


Draw = Callable[[Table, Mapping[str, Any], bool, Sequence[int]], Figure | None]
KINDS: dict[str, Draw] = {
    "scatter": belief_points.scatter,
    "lines": belief_points.lines,
    "heat": _heat,
    "bars": _bars,
    "tree": _tree,
}
