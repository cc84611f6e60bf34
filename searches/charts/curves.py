"""Learning curves: of many trials with some in colour, and of one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from searches.charts.base import Axis, Figure, accuracy_axis, escape, moved_apart, note, percent, rule

DASHES = ("solid", "dash", "dot", "dashdot")


@dataclass(frozen=True, slots=True)
class Curve:
    """One learning curve.

    Attributes:
        label: `#24 sep3-48-skip`.
        state: of its trial.
        points: (epoch, value) in order; accuracies as shares of 1, losses as they are.
    """

    label: str
    state: str
    points: Sequence[tuple[int, float]]


def learning_curves(
    chosen: Sequence[Curve],
    others: Sequence[Curve],
    *,
    rungs: Sequence[int] = (),
    metric: str = "accuracy",
    whole: bool = False,
    total: int | None = None,
    height: int = 240,
) -> Figure:
    """The chosen in their category's colour and dash, the others as ghosts.

    Args:
        chosen: at most eight; their order gives colour and dash.
        others: a sample; what is early stopped is amber.
        rungs: epochs at which trials are judged.
        metric: "accuracy" or "loss".
        whole: show all values, not only the robust range.
        total: how many trials the sample of `others` and the chosen stand for.
        height: in pixels.
    """
    accuracy = metric == "accuracy"

    def values(c: Curve) -> list[float]:
        return [percent(v) if accuracy else round(v, 4) for _, v in c.points]

    # the chosen are all in view, of the others those that were trained to the end
    last = [values(c)[-1] for c in others if c.points and c.state not in ("pruned", "failed")]
    axis = accuracy_axis(last, whole=whole) if accuracy else None
    if accuracy and chosen:
        ends = [values(c)[-1] for c in chosen if c.points]
        top = max([v for c in [*chosen, *others] for v in values(c)], default=0.0)
        axis = accuracy_axis([*last, *ends], whole=whole or bool(ends and min(ends) > max(ends) - 20), top=top)
    if axis and not whole:  # a little more below than the ends need: where the curves come from
        more = (2 if others else 4) * axis.step
        step = next(
            (s for s in (0.5, 1, 2, 5, 10, 20) if s >= axis.step and (axis.ceiling - axis.floor + more) / s <= 7), 20
        )
        axis = Axis(
            max(0.0, math.floor((axis.floor - more) / step) * step), math.ceil(axis.ceiling / step) * step, step
        )
    unit = " %" if accuracy else ""
    data: list[dict[str, Any]] = []
    for curve in others:
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": [e for e, _ in curve.points],
                "y": values(curve),
                "line": {"width": 1, "color": "role:st-early" if curve.state == "pruned" else "role:ghost"},
                "opacity": 0.55,
                "cliponaxis": True,
                "name": escape(curve.label),
                "hovertemplate": f"{escape(curve.label)}<br>epoch %{{x}}: %{{y}}{unit}<extra></extra>",
            }
        )
    notes = []
    moved = moved_apart([values(c)[-1] if c.points else 0.0 for c in chosen], axis, height - 56)
    last_epoch = max((c.points[-1][0] for c in [*chosen, *others] if c.points), default=1)
    for i, curve in enumerate(chosen):
        data.append(
            {
                "type": "scatter",
                **_drawn(curve.points, f"role:cat-{i % 8 + 1}"),
                "x": [e for e, _ in curve.points],
                "y": values(curve),
                "line": {"width": 2, "color": f"role:cat-{i % 8 + 1}", "dash": DASHES[i % 4]},
                "name": escape(curve.label),
                "hovertemplate": f"{escape(curve.label)}<br>epoch %{{x}}: %{{y}}{unit}<extra></extra>",
            }
        )
        if curve.points:
            notes.append(
                note(
                    curve.points[-1][0], values(curve)[-1], escape(curve.label),
                    colour=f"cat-{i % 8 + 1}", strong=True, xanchor="left", xshift=6, yshift=moved[i], name="end",
                )
            )  # fmt: skip
    shapes = [rule(x0=r, x1=r, yref="paper", y0=0, y1=1, dash="dash", layer="below") for r in rungs]
    ticks = sorted({1, *rungs, *range(10, last_epoch + 1, max(1, 10 * round(last_epoch / 60)) or 10), last_epoch})
    ticks = [t for i, t in enumerate(ticks) if i == 0 or t - ticks[i - 1] > last_epoch / 40 or t in rungs]
    n = len(chosen) + len(others)
    right = min(260, 20 + 7 * max(len(c.label) for c in chosen)) if chosen else 16
    what = "accuracy" if accuracy else "loss"
    return Figure(
        data=data,
        layout={
            "xaxis": {"range": [min(1, last_epoch - 1), last_epoch], "tickvals": ticks, "title": {"text": "epoch"}},
            "yaxis": axis.to_layout() if axis else {"rangemode": "tozero"},
            "margin": {"l": 36, "r": right, "t": 12, "b": 44},
            "annotations": notes,
            "shapes": shapes,
            "height": height,
        },
        summary=f"Validation {what} by epoch of {n} trials" + (f" out of {total}." if total and total > n else "."),
        columns=["trial", "last epoch", f"validation {what}" + (", %" if accuracy else "")],
        rows=[[c.label, c.points[-1][0], values(c)[-1]] for c in [*chosen, *others] if c.points],
        empty="" if any(c.points for c in [*chosen, *others]) else "Curves begin with the second epoch.",
        notes={"floor": axis.floor if axis else None, "shown": n, "total": total or n},
    )


def _drawn(points: Sequence[tuple[int, float]], colour: str) -> dict[str, Any]:
    """A line, or a dot where there is one epoch only."""
    if len(points) > 1:
        return {"mode": "lines", "cliponaxis": True}
    return {"mode": "markers", "marker": {"size": 8, "color": colour}, "cliponaxis": False}


def running_curves(running: Sequence[Curve], finished: Sequence[Curve]) -> Figure:
    """Small curves of what runs, before the middle 80 % of the finished trials.

    The page draws them itself: one trace a trial, named by its label; `notes["band"]` holds (epoch, low, high) in
    percent, at most 60 epochs of it, none before three trials have finished.
    """
    at: dict[int, list[float]] = {}
    for curve in finished:
        for epoch, value in curve.points:
            at.setdefault(epoch, []).append(percent(value))
    epochs = sorted(e for e, values in at.items() if len(values) >= 3)
    kept = epochs[:: max(1, -(-len(epochs) // 60))]
    band = []
    for epoch in kept:
        values = sorted(at[epoch])
        cut = len(values) // 10
        band.append([epoch, values[cut], values[-1 - cut]])
    return Figure(
        data=[
            {"name": c.label, "x": [e for e, _ in c.points], "y": [percent(v) for _, v in c.points]} for c in running
        ],
        layout={},
        summary=f"Learning curves of {len(running)} running trials.",
        notes={"band": band},
    )


def trial_curve(
    quick: Sequence[tuple[int, float]],
    full: Sequence[tuple[int, float]],
    *,
    test: tuple[float, float, float] | None = None,
    rungs: Sequence[int] = (),
    extra: Mapping[str, Any] | None = None,
) -> Figure:
    """Curves of one trial: quick score, full training, and the sealed test with its interval.

    Args:
        quick, full: (epoch, accuracy as a share).
        test: accuracy on the sealed test split with its 95 % interval, shares.
        rungs: epochs at which the trial was judged.
        extra: more entries for the notes.
    """
    ends = [percent(c[-1][1]) for c in (quick, full) if c] + ([percent(test[1])] if test else [])
    # where the last three quarters of the curves lie, and where they end
    tail = [percent(v) for c in (quick, full) for e, v in c if c and e >= c[-1][0] / 4]
    axis = accuracy_axis([*ends, *tail])
    data: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    last = max([e for c in (quick, full) for e, _ in c], default=1)
    styles = (
        (quick, "quick score", {"width": 1.5, "color": "role:ink-3", "dash": "dash" if full else "solid"}),
        (full, "full training", {"width": 2, "color": "role:accent"}),
    )
    for points, name, line in styles:
        if not points:
            continue
        data.append(
            {
                "type": "scatter",
                **_drawn(points, str(line["color"])),
                "x": [e for e, _ in points],
                "y": [percent(v) for _, v in points],
                "line": line,
                "name": name,
                "hovertemplate": f"{name}<br>epoch %{{x}}: %{{y}} %<extra></extra>",
            }
        )
        value = percent(points[-1][1])
        main = name == "full training"
        left = last > 1 and points[-1][0] <= 1 + 0.4 * (last - 1)  # words to the left would leave the chart
        lift = 0 if left else 14 if main or not full else -16
        notes.append(
            note(
                points[-1][0], value, f"{name}, {value:.1f}",
                colour="accent" if main else "ink-2", strong=main, xanchor="left" if left else "right",
                xshift=10 if left else 0, yshift=lift, name="" if main or not full else "wide",
            )
        )  # fmt: skip
    right = 16
    if test:
        x = last * 1.03
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": [x, x, x],
                "y": [percent(test[1]), percent(test[0]), percent(test[2])],
                "line": {"width": 2, "color": "role:ink"},
                "marker": {"symbol": "diamond", "size": [0, 9, 0], "color": "role:ink"},
                "hovertemplate": f"sealed test {100 * test[0]:.1f} %, "
                f"95 % interval {100 * test[1]:.1f}–{100 * test[2]:.1f} %<extra></extra>",
            }
        )
        notes.append(
            note(
                x,
                percent(test[0]),
                f"sealed test, {100 * test[0]:.1f}",
                colour="ink",
                strong=True,
                xanchor="left",
                xshift=8,
                name=f"short:{100 * test[0]:.1f}",
            )
        )
        right = 124
    return Figure(
        data=data,
        layout={
            "xaxis": {
                "range": [min(1, last - 1), last * (1.04 if test else 1)],
                "title": {"text": "epoch"},
                **({"tickvals": list(range(1, last + 1))} if last <= 10 else {}),
            },
            "yaxis": axis.to_layout(),
            "margin": {"l": 36, "r": right, "t": 16, "b": 44},
            "annotations": notes,
            "shapes": [rule(x0=r, x1=r, yref="paper", y0=0, y1=1, dash="dash", layer="below") for r in rungs],
            "height": 280,
        },
        summary="Validation accuracy by epoch"
        + "".join(f"; {n} ends at {100 * c[-1][1]:.1f} %" for c, n, _ in styles if c)
        + (f"; sealed test {100 * test[0]:.1f} %." if test else "."),
        columns=["training", "epoch", "validation accuracy, %"],
        rows=[[n, e, percent(v)] for c, n, _ in styles for e, v in c],
        empty="" if quick or full else "No epoch has ended yet.",
        notes=dict(extra or {}),
    )
