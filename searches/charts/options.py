"""Insight: accuracy by option of each decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from searches.charts.base import MAX_POINTS, Figure, accuracy_axis, escape, note, percent, rule, thin


@dataclass(frozen=True, slots=True)
class OptionRow:
    """Trials that chose one option of a decision."""

    decision: str
    option: str
    accuracies: Sequence[float]


#: decisions shown before all are asked for
MOST_DECISIONS = 10
#: pixels left of the plot, and about what a character of 12 px text takes of them
LEFT = 184
CHARACTER = 6.4


def _telling(options: Sequence[OptionRow]) -> float:
    """How much of the spread the options of one decision explain (epsilon squared: chance alone gives 0)."""
    every = [a for o in options for a in o.accuracies]
    n, k = len(every), len(options)
    mean = sum(every) / n
    total = sum((a - mean) ** 2 for a in every)
    if total <= 0 or n <= k:
        return 0.0
    between = sum(len(o.accuracies) * (sum(o.accuracies) / len(o.accuracies) - mean) ** 2 for o in options)
    return (between - (k - 1) * (total - between) / (n - k)) / total


def by_option(options: Sequence[OptionRow], *, n_trials: int, whole: bool = False) -> Figure:
    """Accuracy by option of each decision: a dot per trial, a bar at the mean, the count at the right.

    Args:
        options: grouped by decision, options in their order.
        n_trials: finished trials behind it.
        whole: all decisions, not only the `MOST_DECISIONS` that explain most; either way in the order of the space.
    """
    groups: dict[str, list[OptionRow]] = {}
    for o in options:
        groups.setdefault(o.decision, []).append(o)
    left_out = 0
    if len(groups) > MOST_DECISIONS and not whole:
        ranked = sorted(groups, key=lambda name: -_telling(groups[name]))[:MOST_DECISIONS]
        left_out = len(groups) - len(ranked)
        options = [o for o in options if o.decision in ranked]
    flat = [100 * a for o in options for a in o.accuracies]
    axis = accuracy_axis(flat, whole=whole)
    # each trial stands once in every decision that acts in it
    below = {name: sum(100 * a < axis.floor for o in mine for a in o.accuracies) for name, mine in groups.items()}
    low: list[tuple[float, int]] = []
    tick_y, tick_text, dots_x, dots_y = [], [], [], []
    data: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    y, last = 0.0, None
    cap = max(8, MAX_POINTS // max(1, len(options)))
    rows: list[list[Any]] = []
    for o in options:
        if o.decision != last:
            y += 0.7
            notes.append(
                note(0, y, escape(o.decision), colour="ink", strong=True, xref="paper", xanchor="left", xshift=-LEFT)
            )
            shapes.append(rule(xref="paper", x0=0, x1=1, y0=y - 0.85, y1=y - 0.85, colour="line", dash="solid"))
            if CHARACTER * (len(o.decision) * 1.1 + len(o.option)) > LEFT - 12:
                y += 0.85  # the name stands above its options, not over the first of them
            last = o.decision
        tick_y.append(y)
        tick_text.append(escape(o.option))
        inside = [a for a in o.accuracies if 100 * a >= axis.floor]
        if len(inside) < len(o.accuracies):
            low.append((y, len(o.accuracies) - len(inside)))
        for a in thin(inside, lambda v: v, cap):
            dots_x.append(percent(a))
            dots_y.append(y)
        mean = sum(o.accuracies) / len(o.accuracies)
        if 100 * mean >= axis.floor:
            few = len(o.accuracies) < 3
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": [percent(mean)] * 2,
                    "y": [y - 0.34, y + 0.34],
                    "line": {"width": 3, "color": "role:ghost" if few else "role:accent"},
                    "hovertemplate": f"{escape(o.decision)} {escape(o.option)}: mean {100 * mean:.1f} % "
                    f"of {len(o.accuracies)}<extra></extra>",
                }
            )
        notes.append(note(1, y, f"{len(o.accuracies):,}", xref="paper", xanchor="right", xshift=32))
        rows.append([o.decision, o.option, len(o.accuracies), percent(mean)])
        y += 1
    data.insert(
        0,
        {
            "type": "scatter",
            "mode": "markers",
            "x": dots_x,
            "y": dots_y,
            "marker": {"size": 7, "color": "role:ink-3", "opacity": 0.35, "line": {"width": 0}},
            "hoverinfo": "skip",
        },
    )
    data.append(
        {
            "type": "scatter",
            "mode": "markers",
            "x": [axis.floor] * len(low),
            "y": [at for at, _ in low],
            "marker": {"size": 8, "color": "role:ghost"},
            "text": [f"{n:,} below the range" for _, n in low],
            "hovertemplate": "%{text}<extra></extra>",
            "cliponaxis": False,
            "name": "outside the range",
        }
    )
    return Figure(
        data=data,
        layout={
            "xaxis": {
                "range": [axis.floor, axis.ceiling],
                "dtick": axis.step,
                "showgrid": True,
                "title": {"text": "validation accuracy, %"},
            },
            "yaxis": {
                "range": [y - 0.2, -0.1],
                "tickvals": tick_y,
                "ticktext": tick_text,
                "showgrid": False,
                "automargin": False,
            },
            "margin": {"l": LEFT, "r": 36, "t": 4, "b": 44},
            "annotations": notes,
            "shapes": shapes,
            "height": round(48 + 21 * y),
        },
        summary=f"Mean validation accuracy of {n_trials} finished trials by option of "
        f"{len(groups) - left_out} decisions.",
        columns=["decision", "option", "trials", "mean accuracy, %"],
        rows=rows,
        empty="" if options else "Nothing to compare until finished trials differ in a decision.",
        notes={
            "trials": n_trials,
            "floor": axis.floor,
            "below": max(below.values(), default=0),
            "hidden": left_out,
            "decisions": len(groups),
        },
    )
