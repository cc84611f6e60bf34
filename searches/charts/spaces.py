"""How the costs of sampled networks spread: histograms on a logarithmic axis, with the middle ninety per cent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from searches.charts.base import Figure, note
from searches.charts.spread import si

BINS = 28
HEIGHT = 150
#: of the axis, between two labels
APART = 0.18

#: what the networks of a space cost: metric and heading
COSTS = (("n_params", "parameters"), ("n_macs", "multiply-adds"), ("activation_bytes", "activation memory"))


def bytes_words(value: float) -> str:
    """ "1.31 MB"."""
    words = si(value)
    return f"{words}B" if words[-1:].isalpha() else f"{words} B"


def cost_histogram(title: str, values: Sequence[float], *, in_bytes: bool = False) -> Figure:
    """Counts of networks by cost, in equal steps of its logarithm.

    Args:
        title: what is counted, for the summary.
        values: costs of sampled networks, in any order.
    """
    words = bytes_words if in_bytes else si
    if not values:
        return Figure([], {"height": HEIGHT}, "", empty="No network was sampled yet.")
    ordered = sorted(values)
    logs = [math.log10(max(v, 1.0)) for v in ordered]
    low, high = logs[0], logs[-1]
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    width = (high - low) / BINS
    counts = [0] * BINS
    for v in logs:
        counts[min(BINS - 1, int((v - low) / width))] += 1
    middle = [low + (i + 0.5) * width for i in range(BINS)]
    spans = [(10 ** (low + i * width), 10 ** (low + (i + 1) * width)) for i in range(BINS)]
    n = len(ordered)
    five, half, most = (ordered[min(n - 1, int(share * n))] for share in (0.05, 0.5, 0.95))
    ticks = _ticks(low, high)
    at = math.log10(max(half, 1.0))
    data: list[dict[str, Any]] = [
        {
            "type": "bar", "x": middle, "y": counts, "width": [0.86 * width] * BINS,
            "marker": {"color": "role:ghost/0.7"},
            "customdata": [f"{words(a)} to {words(b)}" for a, b in spans],
            "hovertemplate": f"%{{customdata}}<br>%{{y}} of {n}<extra></extra>",
        }
    ]  # fmt: skip
    layout = {
        "height": HEIGHT,
        "margin": {"l": 4, "r": 8, "t": 20, "b": 28},
        "bargap": 0,
        "xaxis": {
            "range": [low - 0.6 * width, high + 0.6 * width], "tickvals": ticks,
            "ticktext": [_round(words(10**t)) for t in ticks], "tickangle": 0, "fixedrange": True,
        },
        "yaxis": {"visible": False, "fixedrange": True, "range": [0, 1.04 * max(counts)]},
        "shapes": [
            {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper",
             "line": {"width": 1, "dash": "dot", "color": "role:ink-3"}}
        ],
        "annotations": [
            note(at, 1.0, f"median {words(half)}", yref="paper", yanchor="bottom", xanchor=_side(at, low, high))
        ],
    }  # fmt: skip
    summary = (
        f"{title} of {n} sampled networks: {words(ordered[0])} to {words(ordered[-1])}, median {words(half)}, "
        f"nine in ten between {words(five)} and {words(most)}"
    )
    rows = [[words(a), words(b), c] for (a, b), c in zip(spans, counts, strict=True) if c]
    return Figure(data, layout, summary, columns=["from", "to", "networks"], rows=rows)


def _round(words: str) -> str:
    """ "10 k" of "10.0 k"."""
    number, _, unit = words.partition(" ")
    return f"{float(number.replace(',', '')):g} {unit}".strip()


def _side(at: float, low: float, high: float) -> str:
    share = (at - low) / (high - low)
    return "left" if share < 0.25 else "right" if share > 0.75 else "center"


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round values between the ends, apart enough for a narrow chart: powers of ten, or parts of them."""
    tenths = tuple(i / 10 for i in range(10, 100))
    for steps in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), tuple(map(float, range(1, 10))), tenths):
        found = [
            t
            for e in range(math.floor(low), math.ceil(high) + 1)
            for s in steps
            if low <= (t := e + math.log10(s)) <= high
        ]
        found = _apart(found, APART * (high - low))
        if len(found) >= 3:
            break
    if len(found) < 2:
        return [low + (high - low) * share for share in (0.1, 0.5, 0.9)]
    return found


def _apart(ticks: list[float], least: float) -> list[float]:
    """Those that keep this distance from the one before."""
    out: list[float] = []
    for tick in ticks:
        if not out or tick - out[-1] >= least:
            out.append(tick)
    return out
