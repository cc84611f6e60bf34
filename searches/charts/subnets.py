"""Subnets under shared weights: accuracy against multiply-adds, with those marked that were trained alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from searches.charts.base import MANY, Figure, accuracy_axis, apart, escape, note, percent, thin

#: how what was drawn at random looks
HOLLOW = {"color": "role:bg", "size": 8, "line": {"color": "role:ink-3", "width": 1.5}}


@dataclass(frozen=True, slots=True)
class SubnetRow:
    """A scored subnet; accuracy is a share of 1 under shared weights. `trial` trained it alone, `by` proposed that."""

    name: str
    accuracy: float
    n_macs: int
    trial: int | None = None
    by: str = ""


def against_macs(rows: Sequence[SubnetRow]) -> Figure:
    """Every scored subnet a dot; derived ones in the accent, their random partners hollow."""
    plain = thin([r for r in rows if r.trial is None], lambda r: r.accuracy, MANY)
    chosen = [r for r in rows if r.trial is not None and r.by != "random"]
    random = [r for r in rows if r.trial is not None and r.by == "random"]
    axis = accuracy_axis([100 * r.accuracy for r in rows], whole=True)
    xs = [r.n_macs / 1e6 for r in rows if r.n_macs > 0] or [1.0]
    low, high = math.log10(min(xs)) - 0.06, math.log10(max(xs)) + 0.08

    def dots(found: Sequence[SubnetRow], name: str, marker: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "scatter", "mode": "markers", "name": name,
            "x": [max(r.n_macs, 1) / 1e6 for r in found], "y": [percent(r.accuracy) for r in found], "marker": marker,
            "customdata": [r.trial for r in found],
            "text": [
                f"{escape(r.name)}<br>{100 * r.accuracy:.1f} % with shared weights<br>{r.n_macs / 1e6:.2f} M "
                f"multiply-adds{f'<br>trained alone as #{r.trial}' if r.trial else ''}"
                for r in found
            ],
            "hovertemplate": "%{text}<extra></extra>", "cliponaxis": False,
        }  # fmt: skip

    def place(r: SubnetRow) -> tuple[float, float]:
        return math.log10(max(r.n_macs, 1) / 1e6), percent(r.accuracy)

    labelled = apart(chosen, place, 0.07 * (high - low), 0.08 * axis.height)[:6]
    best = max(rows, key=lambda r: r.accuracy, default=None)
    return Figure(
        data=[
            dots(plain, "scored", {"color": "role:ghost", "size": 7, "opacity": 0.75}),
            dots(random, "random partner", HOLLOW),
            dots(chosen, "derived", {"color": "role:accent", "size": 8}),
        ],
        layout={
            "xaxis": {"type": "log", "range": [low, high], "title": {"text": "multiply-adds, million (log)"},
                      **_ticks(10**low, 10**high)},
            "yaxis": axis.to_layout(),
            "margin": {"l": 36, "r": 16, "t": 16, "b": 44},
            "annotations": [
                note(*place(r), f"#{r.trial}", colour="accent", strong=True, yshift=13) for r in labelled
            ],
            "height": 288,
        },
        summary=f"Accuracy with shared weights against multiply-adds of {len(rows):,} subnets"
        + (f"; the best, {best.name}, has {100 * best.accuracy:.1f} %." if best else "."),
        columns=["subnet", "accuracy with shared weights, %", "multiply-adds, M", "trained alone as"],
        rows=[[r.name, percent(r.accuracy), round(r.n_macs / 1e6, 3), f"#{r.trial}" if r.trial else "–"]
              for r in sorted(rows, key=lambda r: -r.accuracy)],
        empty="" if rows else "The first scored subnets appear here.",
        notes={"subnets": len(rows)},
    )  # fmt: skip


def _ticks(low: float, high: float) -> dict[str, Any]:
    values = [m * 10**e for e in range(-4, 7) for m in (1, 2, 5) if low <= m * 10**e <= high]
    if len(values) > 8:
        values = [v for v in values if f"{v:e}".startswith("1")]
    values = values or [(low * high) ** 0.5]
    return {"tickvals": values, "ticktext": [f"{v:.3g}" for v in values]}
