"""A supernet by epoch: losses, its own accuracy, skip connections, the dominant eigenvalue, a controller's rewards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from searches.charts.base import Axis, Figure, count_ticks, escape, moved_apart, note, rule, thin
from searches.charts.belief_table import short, words

HEIGHT = 232
#: notes of epochs that are written out; the others are said on hover
MOST_NOTES = 4


@dataclass(frozen=True, slots=True)
class Series:
    """One line: what it is called, in which colour, its values by epoch."""

    name: str
    colour: str
    dash: str
    points: Sequence[tuple[int, float]]


def losses(rows: Sequence[Mapping[str, Any]], *, epochs: int) -> Figure:
    """Training loss, and the loss of the held-out half where there is one; what happened stands at its epoch."""
    series = [
        Series("training", "cat-1", "solid", _points(rows, "train_loss")),
        Series("held out", "cat-2", "dash", _points(rows, "held_loss")),
    ]
    happened = [(int(r["epoch"]), str(r["note"])) for r in rows if r.get("note")]
    return _lines(series, epochs=epochs, what="loss", happened=happened)


def accuracy(rows: Sequence[Mapping[str, Any]], *, epochs: int) -> Figure:
    """Accuracy with shared weights in percent: comparable with itself only."""
    points = [(e, 100 * v) for e, v in _points(rows, "accuracy")]
    return _lines([Series("", "ink-2", "solid", points)], epochs=epochs, what="accuracy with shared weights", unit=" %")


def skips(rows: Sequence[Mapping[str, Any]], *, epochs: int, alarm: int = 0) -> Figure:
    """Share of skip connections in what would be derived, in percent.

    Args:
        rows: of the epochs.
        epochs: the supernet is trained for.
        alarm: epoch of the collapse alarm, 0 = none.
    """
    points = [(e, 100 * v) for e, v in _points(rows, "skips")]
    return _lines(
        [Series("", "ink-2", "solid", points)], epochs=epochs, what="share of skip connections", unit=" %", alarm=alarm,
        span=(0.0, 100.0), steps=True,
    )  # fmt: skip


def eigenvalue(rows: Sequence[Mapping[str, Any]], *, epochs: int, alarm: int = 0) -> Figure:
    """Dominant eigenvalue of the held-out loss's Hessian in the architecture parameters."""
    series = [Series("", "ink-2", "solid", _points(rows, "eigenvalue"))]
    return _lines(series, epochs=epochs, what="dominant eigenvalue", alarm=alarm)


def controller(rows: Sequence[Mapping[str, Any]], *, epochs: int) -> Figure:
    """What a controller learns from, in percent: mean reward, entropy of its choices, share within the limits."""
    lines = (("reward", "cat-1", "solid"), ("entropy", "cat-2", "dash"), ("within", "ink-2", "dot"))
    series = [Series(n, colour, dash, [(e, 100 * v) for e, v in _points(rows, n)]) for n, colour, dash in lines]
    return _lines(series, epochs=epochs, what="of the controller", unit=" %", span=(0.0, 100.0))


def _points(rows: Sequence[Mapping[str, Any]], name: str) -> list[tuple[int, float]]:
    return [(int(r["epoch"]), float(r[name])) for r in rows if isinstance(r.get(name), int | float)]


def _lines(
    series: Sequence[Series], *, epochs: int, what: str, unit: str = "", alarm: int = 0,
    happened: Sequence[tuple[int, str]] = (), span: tuple[float, float] | None = None, steps: bool = False,
) -> Figure:  # fmt: skip
    """Lines over the epochs, named at their ends where there are several."""
    shown = [s for s in series if s.points]
    values = [v for s in shown for _, v in s.points]
    low, high = span or (min(values, default=0.0), max(values, default=1.0))
    if not span:
        low = 0.0 if 0 <= low < 0.4 * high else low
        room = 0.05 * ((high - low) or abs(high) or 1.0)
        low, high = low - (room if low else 0), high + room
    last = max([epochs, *(e for s in shown for e, _ in s.points)], default=1)
    named = len(shown) > 1
    data = []
    for s in shown:
        points = thin(s.points, lambda p: p[1])
        many = len(points) > 1
        data.append(
            {
                "type": "scatter", "mode": "lines" if many else "markers", "name": escape(s.name or what),
                "x": [e for e, _ in points], "y": [round(v, 4) for _, v in points],
                "line": {"width": 2, "color": f"role:{s.colour}", "dash": s.dash, **({"shape": "hv"} if steps else {})},
                "marker": {"size": 8, "color": f"role:{s.colour}"}, "cliponaxis": False,
                "hovertemplate": f"epoch %{{x}}<br>{escape(s.name)}{' ' if s.name else ''}{what} "
                f"%{{y:.4~g}}{unit}<extra></extra>",
            }
        )  # fmt: skip
    notes, shapes = [], []
    moved = moved_apart([s.points[-1][1] for s in shown], Axis(low, high, 1), HEIGHT - 56)
    for s, shift in zip(shown, moved, strict=True):
        value = f"{s.points[-1][1]:.3g}"
        end = f"{s.name} {value}" if named else f"{value}{unit}"
        brief = f"{s.name.split(' ')[0]} {value}" if named else value
        notes.append(
            note(s.points[-1][0], s.points[-1][1], escape(end), colour=s.colour, strong=True, xanchor="left", xshift=6,
                 yshift=shift, name=f"short:{brief}")
        )  # fmt: skip
    for i, (e, text) in enumerate(happened):
        shapes.append(rule(x0=e, x1=e, yref="paper", y0=0, y1=1, layer="below"))
        if i < MOST_NOTES:
            left = e > 0.6 * last
            notes.append(
                note(e, 1, escape(short(text, 36)), yref="paper", yanchor="top", xanchor="right" if left else "left",
                     xshift=-5 if left else 5, yshift=-14 * (i % 2), name="wide")
            )  # fmt: skip
    if alarm:
        shapes.append(rule(x0=alarm, x1=alarm, yref="paper", y0=0, y1=1, colour="st-early", dash="solid"))
        left = alarm > 0.6 * last
        notes.append(
            note(alarm, 1, f"alarm, epoch {alarm}", colour="st-early-ink", strong=True, yref="paper", yanchor="top",
                 xanchor="right" if left else "left", xshift=-5 if left else 5, name="short:alarm")
        )  # fmt: skip
    told = ", ".join(f"{s.name + ' ' if named else ''}{words(round(s.points[-1][1], 4))}{unit}" for s in shown)
    by = {e: [e] for s in shown for e, _ in s.points}
    for s in shown:
        found = dict(s.points)
        for e, row in by.items():
            row.append(round(found[e], 4) if e in found else None)  # type: ignore[arg-type]
    ends = max((len(str(n["text"])) for n in notes if str(n.get("name", "")).startswith("short:")), default=0)
    return Figure(
        data=data,
        layout={
            "xaxis": {
                "range": [min(1, last - 1), last], "tickvals": count_ticks(last), "tickformat": ",d",
                "title": {"text": "epoch"},
            },
            "yaxis": {"range": [low, high]},
            "margin": {"l": 44, "r": min(140, 16 + 7 * ends), "t": 12, "b": 44},
            "annotations": notes,
            "shapes": shapes,
            "height": HEIGHT,
        },
        summary=f"{what[:1].upper()}{what[1:]} by epoch: {told} after epoch {max(by, default=0)} of {epochs}."
        + (f" The collapse alarm was raised in epoch {alarm}." if alarm else ""),
        columns=["epoch", *(f"{s.name} {what}{unit and ', %'}".strip() for s in shown)],
        rows=[by[e] for e in sorted(by)],
        empty="" if shown else "The first epoch appears here.",
        small={"margin": {"r": 96 if named else 44}},
    )  # fmt: skip
