"""What all charts share: rows, robust axes, thinning, labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

#: largest number of points a trace may hold; SVG traces redraw in well under 100 ms then
MAX_POINTS = 2000
#: dots drawn of more trials than that: at this width they would only hide each other
MANY = 600

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TrialRow:
    """What a chart knows of a trial. Accuracies are shares of 1, on the validation split."""

    number: int
    name: str
    state: str
    accuracy: float | None = None
    n_wrong: int | None = None
    n_samples: int = 0
    fidelity: int = 0
    epochs: int = 0
    n_params: int | None = None
    n_macs: int | None = None
    by: str = ""
    why: str = ""
    reason: str = ""
    parents: tuple[int, ...] = ()
    on_front: bool = False

    @property
    def label(self) -> str:
        """`#41 5×conv3-48`."""
        return f"#{self.number} {self.name}"

    @property
    def at_random(self) -> bool:
        """Whether it was drawn at random, not proposed from results."""
        return self.by == "random"


@dataclass(slots=True)
class Figure:
    """One chart.

    Attributes:
        data, layout: Plotly's, with colour roles.
        summary: the chart in one sentence, for screen readers.
        columns, rows: its data as a table (at most 200 rows).
        notes: facts for the caption beside the heading, e.g. `{"below": 5, "floor": 94}`.
        empty: said instead of a chart while there is nothing to draw.
        small: layout that replaces its own where the chart is narrow.
        only_table: nothing is drawn, the table stands in its place.
    """

    data: list[dict[str, Any]]
    layout: dict[str, Any]
    summary: str
    columns: list[str] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    empty: str = ""
    small: dict[str, Any] = field(default_factory=dict)
    only_table: bool = False

    def to_json(self) -> dict[str, Any]:
        """JSON as `static/js/core/charts.js` reads it.

        Where the chart is narrow, labels named "wide" go, those named "end" keep their number only, those named
        "short:TEXT" say the text, and the right margin that held them is given back.
        """
        layout = dict(self.layout)
        height = layout.pop("height", 288)
        out: dict[str, Any] = {
            "data": self.data if not self.empty else [],
            "layout": layout,
            "summary": self.summary,
            "table": {"columns": self.columns, "rows": self.rows[:200], "more": max(0, len(self.rows) - 200)},
            "notes": self.notes,
            "height": height,
        }
        if self.empty:
            out["empty"] = self.empty
        if self.only_table:
            out["only_table"] = True
        notes = layout.get("annotations") or []
        short = [_shortened(n) for n in notes]
        if any(short):
            ends = any("text" in n for n in short)
            out["small"] = {"layout": {"annotations": short, "margin": {"r": 44 if ends else 8}}}
        if self.small:
            out["small"] = {"layout": {**out.get("small", {}).get("layout", {}), **self.small}}
        return out


def _shortened(note: Mapping[str, Any]) -> dict[str, Any]:
    """What changes in a label where the chart is narrow."""
    name, text = str(note.get("name", "")), str(note["text"])
    if name == "wide":
        return {"visible": False}
    bold = "<b>%s</b>" if text.startswith("<b>") else "%s"
    if name == "end":
        return {"text": bold % text.removeprefix("<b>").removesuffix("</b>").split(" ")[0]}
    return {"text": bold % name.removeprefix("short:")} if name.startswith("short:") else {}


def percent(share: float) -> float:
    """A share of 1 as percent with two decimals, as charts hold it."""
    return round(100 * share, 2)


def escape(text: str) -> str:
    """Text for Plotly's hover and annotations, which read a little HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def hover(row: TrialRow, *more: str) -> str:
    """Hover text of a trial: name, accuracy with its counts, then what the chart adds."""
    lines = [escape(row.label)]
    if row.accuracy is not None:
        wrong = f", {row.n_wrong} of {row.n_samples} wrong" if row.n_wrong is not None else ""
        epochs = f", {row.fidelity} epochs" if row.fidelity else ""
        lines.append(f"{100 * row.accuracy:.1f} %{wrong}{epochs}")
    lines += [escape(x) for x in more if x]
    return "<br>".join(lines)


@dataclass(frozen=True, slots=True)
class Axis:
    """A robust range for accuracies in percent."""

    floor: float
    ceiling: float
    step: float

    @property
    def height(self) -> float:
        """From floor to ceiling."""
        return self.ceiling - self.floor

    def to_layout(self, **more: Any) -> dict[str, Any]:
        """Plotly's y axis."""
        pad = (self.ceiling - self.floor) * 0.01
        decimals = {} if self.step >= 1 else {"tickformat": ".1f"}
        return {"range": [self.floor, self.ceiling + pad], "dtick": self.step, **decimals, **more}


def accuracy_axis(values: Sequence[float], *, whole: bool = False, top: float = 0.0, bottom: float = 100.0) -> Axis:
    """From a round value below the finished trials to one above the best.

    Outliers do not stretch it: what lies further below the best than four times the distance from the best to the lower
    quartile is left to the marks on the axis, unless `whole` is asked for.

    Args:
        values: accuracies of finished trials in percent.
        whole: show all of them.
        top, bottom: reach at least so far up and down (the ends of an interval).
    """
    if not values:
        return Axis(0, 100, 20)
    ordered = sorted(values)
    best, low = ordered[-1], ordered[0]
    quartile = ordered[len(ordered) // 4]
    if not whole:
        low = max(low, best - 4 * max(best - quartile, 0.5))
    low, top = min(low, bottom), max(best, top)
    span = max(top - low, 0.5)
    step = next((s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if span / s <= 7), 20)
    ceiling = min(100.0, math.ceil(max(best + 0.15 * span, top) / step) * step)
    if 100 - ceiling <= step:
        ceiling = 100.0
    # a little below the lowest, so that it does not stand among the marks on the axis
    floor = max(0.0, math.floor((low - 0.1 * step) / step) * step)
    return Axis(round(floor, 6), round(ceiling, 6), step)


def thin(items: Sequence[T], value: Callable[[T], float], limit: int = MAX_POINTS) -> list[T]:
    """At most `limit` items in their order; of each stretch the largest and smallest values are always among them."""
    if len(items) <= limit:
        return list(items)
    per = 4
    stretches = limit // per
    kept: list[int] = []
    for s in range(stretches):
        a, b = s * len(items) // stretches, (s + 1) * len(items) // stretches
        span = range(a, b)
        chosen = {max(span, key=lambda i: value(items[i])), min(span, key=lambda i: value(items[i])), a, (a + b) // 2}
        kept.extend(sorted(chosen))
    return [items[i] for i in kept]


def apart(items: Sequence[T], place: Callable[[T], tuple[float, float]], dx: float, dy: float) -> list[T]:
    """Those items, in their order, whose labels do not lie on one that comes before: nearer than dx and dy to it."""
    kept: list[T] = []
    for item in items:
        x, y = place(item)
        if all(abs(x - a) >= dx or abs(y - b) >= dy for a, b in map(place, kept)):
            kept.append(item)
    return kept


def moved_apart(ends: Sequence[float], axis: Axis | None, plot: int) -> list[int]:
    """Pixels by which labels at line ends are moved apart (12 px text, `plot` px of height)."""
    if not ends:
        return []
    low, high = (axis.floor, axis.ceiling) if axis else (min(ends), max(max(ends), min(ends) + 1e-6))
    scale = plot / max(high - low, 1e-6)
    order = sorted(range(len(ends)), key=lambda i: -ends[i])
    moved: dict[int, float] = {}
    before: float | None = None
    for i in order:
        y = ends[i] * scale
        y = y if before is None else min(y, before - 15)
        moved[i] = y - ends[i] * scale
        before = y
    lift = -sum(moved.values()) / len(moved) / 2
    return [round(moved[i] + lift) for i in range(len(ends))]


def note(x: float, y: float, text: str, *, colour: str = "ink-2", strong: bool = False, **more: Any) -> dict[str, Any]:
    """A label at a point."""
    return {
        "x": x,
        "y": y,
        "text": f"<b>{text}</b>" if strong else text,
        "showarrow": False,
        "font": {"color": f"role:{colour}"},
        **more,
    }


def rule(*, colour: str = "ink-3", dash: str = "dot", **where: Any) -> dict[str, Any]:
    """A straight rule."""
    return {"type": "line", "line": {"width": 1, "dash": dash, "color": f"role:{colour}"}, **where}


def count_ticks(last: int) -> list[int]:
    """Round tick values for a count from 1 to `last`."""
    step = next((s * 10**e for e in range(7) for s in (1, 2, 5) if last / (s * 10**e) <= 8), 10**6)
    return [1, *(v for v in range(step, last + 1, step) if v > 1)]


def below_range(rows: Iterable[TrialRow], floor: float) -> list[TrialRow]:
    """Those whose accuracy lies below the axis; a chart marks them there and counts them in its notes."""
    return [r for r in rows if r.accuracy is not None and 100 * r.accuracy < floor]


def marks_at(floor: float, items: Iterable[tuple[float, str, str]]) -> dict[str, Any]:
    """Marks on the axis for what has no place in the range: (x, state, hover)."""
    rows = list(items)
    symbol = {"failed": "x-thin", "pruned": "triangle-down"}
    colour = {"failed": "role:st-failed", "pruned": "role:st-early"}
    colours = [colour.get(state, "role:ghost") for _, state, _ in rows]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [x for x, _, _ in rows],
        "y": [floor] * len(rows),
        "marker": {
            "symbol": [symbol.get(state, "circle") for _, state, _ in rows],
            "size": 8,
            "color": colours,
            "line": {"width": [2 if state == "failed" else 0 for _, state, _ in rows], "color": colours},
        },
        "text": [text for _, _, text in rows],
        "hovertemplate": "%{text}<extra></extra>",
        "cliponaxis": False,
        "name": "outside the range",
    }
