"""Overview: best so far, and accuracy against cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from engine.analysis.stats import wilson
from searches.charts.base import (
    MANY,
    MAX_POINTS,
    Figure,
    TrialRow,
    accuracy_axis,
    apart,
    below_range,
    count_ticks,
    hover,
    marks_at,
    note,
    percent,
    rule,
    thin,
)

COSTS = {"n_macs": ("multiply-adds", 1e6, "million"), "n_params": ("parameters", 1e3, "thousand")}


def _dots(rows: Sequence[tuple[float, TrialRow]], marker: dict[str, Any], name: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [x for x, _ in rows],
        "y": [percent(r.accuracy or 0.0) for _, r in rows],
        "marker": marker,
        "text": [hover(r, r.why) for _, r in rows],
        "customdata": [r.number for _, r in rows],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _wilson(row: TrialRow) -> tuple[float, float]:
    return wilson(row.n_samples - (row.n_wrong or 0), row.n_samples)


def _interval(x: float, row: TrialRow, colour: str) -> dict[str, Any]:
    low, high = _wilson(row)
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [x, x, x],
        "y": [percent(low), percent(row.accuracy or 0.0), percent(high)],
        "line": {"width": 2, "color": f"role:{colour}"},
        "marker": {"size": [0, 8, 0], "color": f"role:{colour}", "line": {"width": 0}},
        "hovertemplate": f"95 % interval {100 * low:.1f}–{100 * high:.1f} %<extra></extra>",
        "cliponaxis": True,
    }


def best_so_far(ended: Sequence[TrialRow], *, whole: bool = False) -> Figure:
    """Every ended trial a dot in the order of ending, the best so far a step.

    Args:
        ended: trials that have ended, in that order; only completed ones (trained to the end) are ranked.
        whole: show outliers too instead of marking them on the axis.
    """
    placed = list(enumerate(ended, start=1))
    ranked = [(k, r) for k, r in placed if r.state == "completed" and r.accuracy is not None]
    leader = max((r for _, r in ranked), key=lambda r: r.accuracy or 0, default=None)
    bottom, top = (100 * end for end in (_wilson(leader) if leader and leader.n_samples else (1.0, 0.0)))
    axis = accuracy_axis([100 * (r.accuracy or 0) for _, r in ranked], whole=whole, top=top, bottom=bottom)
    steps: list[tuple[int, TrialRow]] = []
    for k, r in ranked:
        if not steps or (r.accuracy or 0) > (steps[-1][1].accuracy or 0):
            steps.append((k, r))
    inside = [(k, r) for k, r in ranked if 100 * (r.accuracy or 0) >= axis.floor]
    improved = {r.number for _, r in steps}
    drawn = inside if len(inside) <= MAX_POINTS else thin(inside, lambda p: p[1].accuracy or 0, MANY)
    random = [(k, r) for k, r in drawn if r.at_random]
    other = [(k, r) for k, r in drawn if not r.at_random and r.number not in improved]
    shown = {k for k, _ in inside}
    out = [(k, r) for k, r in placed if k not in shown]
    n = len(ended)
    x_end = max(n, 1)
    gap = x_end * 0.02
    best_random = max((r for _, r in ranked if r.at_random), key=lambda r: r.accuracy or 0, default=None)
    data: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    if steps:
        xs = [k for k, _ in steps] + [x_end]
        ys = [percent(r.accuracy or 0) for _, r in steps]
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": xs,
                "y": [*ys, ys[-1]],
                "line": {"shape": "hv", "width": 2, "color": "role:accent"},
                "hoverinfo": "skip",
                "name": "best so far",
            }
        )
    data.append(_dots(other, {"color": "role:ghost", "size": 7, "opacity": 0.75}, "proposed from results"))
    data.append(_dots(random, {"color": "role:bg", "size": 7, "line": {"color": "role:ink-3", "width": 1.5}}, "random"))
    data.append(_dots([s for s in steps if not s[1].at_random], {"color": "role:accent", "size": 8}, "a new best"))
    marks = [(float(k), r.state, hover(r, r.reason if r.state != "completed" else "below the range")) for k, r in out]
    data.append(marks_at(axis.floor, thin(marks, lambda m: m[0], 200)))
    if steps:
        best = steps[-1][1]
        notes.append(
            note(steps[-1][0], percent(best.accuracy or 0), f"#{best.number}", colour="accent", strong=True, yshift=14)
        )
        for k, r in steps[-4:-1]:
            if not r.at_random and steps[-1][0] - k > 0.05 * x_end:
                notes.append(note(k, percent(r.accuracy or 0), f"#{r.number}", yshift=14))
        if best.n_samples:
            data.append(_interval(x_end + 2 * gap, best, "accent"))
            label = f"#{best.number}, {best.n_wrong} wrong"
            notes.append(
                note(
                    x_end + 3.5 * gap, percent(best.accuracy or 0), label, colour="accent", xanchor="left", name="wide"
                )
            )
        if best_random is not None and best_random.number != best.number:
            y = percent(best_random.accuracy or 0)
            shapes.append(rule(x0=0, x1=x_end + 3 * gap, y0=y, y1=y))
            if best_random.n_samples:
                data.append(_interval(x_end + 3 * gap, best_random, "ink-3"))
            n_random = sum(r.at_random for _, r in ranked)
            tail = f",<br>{best_random.n_wrong} wrong" if best_random.n_wrong is not None else ""
            gap_y = percent(best.accuracy or 0) - y
            push = -18 if gap_y < 0.12 * (axis.ceiling - axis.floor) else -4
            notes.append(
                note(
                    x_end + 3.5 * gap, y, f"best of {n_random} random{tail}",
                    xanchor="left", align="left", yshift=push, name="wide",
                )
            )  # fmt: skip
    below = sum(
        1 for _, r in out if r.state == "completed" or (r.accuracy is not None and 100 * r.accuracy < axis.floor)
    )
    rows: list[list[Any]] = [[k, r.number, r.name, percent(r.accuracy or 0), r.why] for k, r in steps]
    summary = "No trial has finished yet."
    if steps:
        b = steps[-1][1]
        trials = "ended trial" if n == 1 else "ended trials"
        summary = f"Best validation accuracy {100 * (b.accuracy or 0):.1f} % by {b.label} after {n} {trials}."
    return Figure(
        data=data,
        layout={
            "xaxis": {
                "range": [0, x_end + 4 * gap],
                "tickvals": count_ticks(x_end),
                "tickformat": ",d",
                "title": {"text": "trials ended"},
            },
            "yaxis": axis.to_layout(),
            "margin": {"l": 36, "r": 116, "t": 12, "b": 44},
            "annotations": notes,
            "shapes": shapes,
            "height": 288,
        },
        summary=summary,
        columns=["ended", "trial", "name", "validation accuracy, %", "why proposed"],
        rows=rows[::-1],
        empty="" if steps else "The first result appears here.",
        notes={
            "below": below,
            "floor": axis.floor,
            "ranked": len(ranked),
            "random": sum(r.at_random for _, r in ranked),
        },
    )


def against_cost(
    finished: Sequence[TrialRow],
    running: Sequence[TrialRow],
    *,
    cost: str = "n_macs",
    winner: int | None = None,
    whole: bool = False,
) -> Figure:
    """Accuracy against an exact cost, with the Pareto front of both as a step.

    Args:
        finished: completed trials of the full fidelity.
        running: trials under way; their accuracy so far is drawn open and never on the front.
        cost: `n_macs` or `n_params`.
        winner: number of the best trial, drawn in the accent.
        whole: show outliers too.
    """
    title, unit, unit_name = COSTS[cost]
    known = [r for r in finished if r.accuracy is not None and getattr(r, cost)]
    axis = accuracy_axis([100 * (r.accuracy or 0) for r in known], whole=whole)
    by_cost = sorted(known, key=lambda r: (getattr(r, cost), -(r.accuracy or 0)))
    front: list[TrialRow] = []
    for r in by_cost:
        if not front or (r.accuracy or 0) > (front[-1].accuracy or 0):
            front.append(r)
    on_front = {r.number for r in front}
    rest = [r for r in by_cost if r.number not in on_front and 100 * (r.accuracy or 0) >= axis.floor]
    rest = thin(rest, lambda r: r.accuracy or 0, MANY)

    def x(r: TrialRow) -> float:
        return round(getattr(r, cost) / unit, 6)

    open_now = [r for r in running if r.accuracy is not None and getattr(r, cost)]
    low_down = below_range([*known, *open_now], axis.floor)
    drawn = [r for r in front if 100 * (r.accuracy or 0) >= axis.floor]
    xs = [x(r) for r in [*known, *(r for r in running if getattr(r, cost))]] or [1.0]
    low, high = math.log10(min(xs)) - 0.06, math.log10(max(xs)) + 0.08
    data: list[dict[str, Any]] = []
    if drawn:
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": [*(x(r) for r in drawn), 10**high],
                "y": [*(percent(r.accuracy or 0) for r in drawn), percent(drawn[-1].accuracy or 0)],
                "line": {"shape": "hv", "width": 1.25, "color": "role:ink-2"},
                "hoverinfo": "skip",
                "name": "Pareto front",
            }
        )
    data.append(_dots([(x(r), r) for r in rest], {"color": "role:ghost", "size": 7, "opacity": 0.75}, "finished"))
    data.append(
        _dots([(x(r), r) for r in drawn if r.number != winner], {"color": "role:ink", "size": 8}, "on the front")
    )
    best = [r for r in known if r.number == winner and 100 * (r.accuracy or 0) >= axis.floor]
    data.append(_dots([(x(r), r) for r in best], {"color": "role:accent", "size": 10}, "winner"))
    seen = [r for r in open_now if 100 * (r.accuracy or 0) >= axis.floor]
    data.append(
        _dots(
            [(x(r), r) for r in seen],
            {"color": "role:bg", "size": 8, "line": {"color": "role:st-running", "width": 1.5}},
            "running, so far",
        )
    )

    data.append(
        marks_at(
            axis.floor, thin([(x(r), r.state, hover(r, "below the range")) for r in low_down], lambda m: m[0], 200)
        )
    )

    def place(r: TrialRow) -> tuple[float, float]:
        return math.log10(x(r)), percent(r.accuracy or 0)

    near = (0.07 * (high - low), 0.08 * axis.height)
    # the winner's label first: it is the one that stays where labels are close
    labelled = apart(sorted(drawn, key=lambda r: r.number != winner), place, *near)[:9]
    notes = [
        note(
            math.log10(x(r)),
            percent(r.accuracy or 0),
            f"#{r.number}",
            colour="accent" if r.number == winner else "ink",
            strong=r.number == winner,
            yshift=13,
            xshift=-12 if math.log10(x(r)) - low > 0.04 * (high - low) else 8,  # clear of the axis
        )
        for r in labelled
    ]
    for r in apart(seen[:6], place, *near):
        # two that run with about the same numbers: one label is enough, the hover says both
        notes.append(note(*place(r), f"#{r.number}", colour="st-running-ink", xanchor="left", xshift=8))
    return Figure(
        data=data,
        layout={
            "xaxis": {
                "type": "log",
                "range": [low, high],
                "tickvals": _log_ticks(low, high),
                "title": {"text": f"{title}, {unit_name} (log)"},
            },
            "yaxis": axis.to_layout(),
            "margin": {"l": 36, "r": 12, "t": 12, "b": 44},
            "annotations": notes,
            "height": 288,
        },
        summary=f"The Pareto front of validation accuracy against {title} has {len(front)} of {len(known)} trials.",
        columns=["trial", "name", "validation accuracy, %", f"{title}, {unit_name}"],
        rows=[[r.number, r.name, percent(r.accuracy or 0), round(x(r), 3)] for r in front],
        empty="" if known or seen else "The first result appears here.",
        notes={"front": len(front), "running": len(seen), "below": len(low_down), "floor": axis.floor},
    )


def _log_ticks(low: float, high: float) -> list[float]:
    steps = (1, 2, 3, 5) if high - low < 2.2 else (1,)
    ticks = [
        round(s * 10.0**e, 9)
        for e in range(math.floor(low), math.ceil(high) + 1)
        for s in steps
        if low <= math.log10(s * 10.0**e) <= high
    ]
    return ticks or [round(10 ** ((low + high) / 2), 3)]
