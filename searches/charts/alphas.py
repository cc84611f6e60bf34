"""Architecture probabilities of one epoch as a field of cells, with the epochs before and after it to scrub through."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from searches.charts.base import Figure, escape
from searches.charts.belief_table import short

#: epochs sent along for scrubbing; the first, the last and the one asked for are always among them
MOST_FRAMES = 80
#: options that have a column of their own; with more, columns are places and the cells say their option on hover
MOST_COLUMNS = 16
NAME, NARROW_NAME = 38, 15
Tables = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Row:
    """One table as it is shown.

    Attributes:
        name: of the table; title: for people.
        options: as they stand in an epoch's row, in the order of the space.
        words: the same for people.
    """

    name: str
    title: str
    options: tuple[str, ...]
    words: tuple[str, ...]


def natural(text: str) -> list[Any]:
    """A key that sorts "edge 10" behind "edge 2"."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def entropy(row: Mapping[str, float]) -> float:
    """Of one table, as a share of its largest: 1 = all options alike, 0 = decided."""
    known = [p for p in row.values() if p > 0]
    if len(row) < 2 or not known:
        return 0.0
    return max(0.0, -sum(p * math.log(p) for p in known) / math.log(len(row)))


def probabilities(epochs: Sequence[tuple[int, Tables]], rows: Sequence[Row], *, epoch: int | None = None) -> Figure:
    """The field of one epoch.

    Args:
        epochs: all that have probabilities, in order.
        rows: how the tables stand below each other.
        epoch: which is shown; None = the newest.

    Returns:
        A figure whose notes carry what `static/js/search/supernet.js` scrubs through: "frames" ({"epoch", "z",
        "entropy"}, the cells' probabilities in the order of "cells" (row, column, words)).
    """
    if not epochs:
        return Figure([], {}, "No probabilities yet.", empty="The first epoch appears here.")
    known = [e for e, _ in epochs]
    wanted = known[-1] if epoch is None else min(known, key=lambda e: abs(e - epoch))
    heads = _columns(rows)
    place = {w: i for i, w in enumerate(heads)}
    placed = [
        [place[w] if len(heads) <= MOST_COLUMNS and w in place else i for i, w in enumerate(r.words)] for r in rows
    ]
    width = max((max(p, default=0) for p in placed), default=0) + 1
    if len(heads) > MOST_COLUMNS:
        heads = [f"option {i + 1}" for i in range(width)]

    def field(tables: Tables) -> list[list[float | None]]:
        out: list[list[float | None]] = []
        for row, places in zip(rows, placed, strict=True):
            line: list[float | None] = [None] * width
            for option, at in zip(row.options, places, strict=True):
                if (p := tables.get(row.name, {}).get(option)) is not None:
                    line[at] = round(p, 3)
            out.append(line)
        return out

    frames = [
        {"epoch": e, "z": field(t), "entropy": [round(entropy(t.get(r.name, {})), 2) for r in rows]}
        for e, t in _kept(epochs, wanted)
    ]
    now: dict[str, Any] = next(f for f in frames if f["epoch"] == wanted)
    per = 22 if len(rows) <= 12 else 18 if len(rows) <= 30 else 14
    cells: list[list[str]] = [[""] * width for _ in rows]
    for i, (row, places) in enumerate(zip(rows, placed, strict=True)):
        for word, at in zip(row.words, places, strict=True):
            cells[i][at] = word
    ticks = {"tickvals": list(range(len(rows))), "ticktext": [escape(short(r.title, NAME)) for r in rows]}
    across = [_in_two_lines(escape(short(h, 18))) for h in heads]
    return Figure(
        data=[
            {
                "type": "heatmap", "x": list(range(width)), "y": list(range(len(rows))), "z": now["z"],
                "zmin": 0, "zmax": _top(frames), "xgap": 1, "ygap": 1, "hoverongaps": False,
                "text": [[f"{escape(r.title)}<br>{escape(w)}" for w in line]
                         for r, line in zip(rows, cells, strict=True)],
                "hovertemplate": "%{text}: %{z:.3f}<extra></extra>",
                "colorbar": {"thickness": 8, "outlinewidth": 0, "xpad": 4, "ypad": 0, "nticks": 5, "ticklen": 3,
                             "x": 1.0, "xref": "paper"},
            },
            {
                "type": "scatter", "mode": "text", "x": [width - 0.1] * len(rows), "y": list(range(len(rows))),
                "text": [f"{v:.2f}" for v in now["entropy"]], "textfont": {"color": "role:ink-2"},
                "hoverinfo": "skip", "cliponaxis": False,
            },
        ],
        layout={
            "xaxis": {
                "range": [-0.5, width + 0.4], "tickvals": [*range(width), width - 0.1],
                "ticktext": [*across, "entropy"], "side": "top", "showline": False, "tickangle": 0, "ticks": "",
                "fixedrange": True,
            },
            "yaxis": {**ticks, "range": [len(rows) - 0.5, -0.5], "showgrid": False, "ticklabelstandoff": 6,
                      "fixedrange": True},
            "shapes": _between(rows),
            "margin": {"l": 8, "r": 8, "t": 40, "b": 28},
            "height": max(172, 84 + per * len(rows)),
        },
        summary=_said(rows, now, cells),
        columns=["decision", *heads, "entropy"],
        rows=[[r.title, *line, v] for r, line, v in zip(rows, now["z"], now["entropy"], strict=True)],
        small={
            "yaxis": {"ticktext": [escape(_narrow(r)) for r in rows]},
            "xaxis": {"tickangle": -60, "ticktext": [*(escape(short(h, 10)) for h in heads), "entropy"]},
            "margin": {"t": 72},
        },
        notes={
            "frames": frames, "epoch": wanted, "cells": cells, "titles": [r.title for r in rows],
            "first": known[0], "last": known[-1],
        },
    )  # fmt: skip


def _in_two_lines(head: str) -> str:
    """ "separable 3×3" over a narrow column."""
    return "<br>".join(head.rsplit(" ", 1)) if len(head) > 9 else head


def _narrow(row: Row) -> str:
    """A table where there is little room: its own name says more than the beginning of its title."""
    if len(row.title) > NARROW_NAME >= len(row.name):
        return row.name.replace("_", " ")
    return short(row.title, NARROW_NAME)


def _columns(rows: Sequence[Row]) -> list[str]:
    """Options in words, each once, in the order in which the tables give them."""
    return list(dict.fromkeys(w for r in rows for w in r.words))


def _kept(epochs: Sequence[tuple[int, Tables]], wanted: int) -> list[tuple[int, Tables]]:
    """An even draw with the first, the last and the one that is shown."""
    if len(epochs) <= MOST_FRAMES:
        return list(epochs)
    step = -(-(len(epochs) - 1) // (MOST_FRAMES - 2))
    last = len(epochs) - 1
    return [p for i, p in enumerate(epochs) if i % step == 0 or i == last or p[0] == wanted]


def _top(frames: Sequence[Mapping[str, Any]]) -> float:
    """The scale is the same in all epochs, so that a colour means one thing while scrubbing."""
    return max(0.05, *(v for f in frames for line in f["z"] for v in line if v is not None))


def _between(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Ground between groups of tables: normal and reduction cells, stages."""
    group = [re.split(r"[\s\d]", r.title, maxsplit=1)[0] for r in rows]
    if len(set(group)) < 2:
        return []
    return [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": i - 0.5, "y1": i - 0.5,
         "line": {"width": 4, "color": "role:bg"}}
        for i in range(1, len(rows))
        if group[i] != group[i - 1]
    ]  # fmt: skip


def _said(rows: Sequence[Row], now: Mapping[str, Any], cells: Sequence[Sequence[str]]) -> str:
    """The field in a sentence: what leads where, and how decided it is."""
    strongest = []
    for r, line, words in zip(rows, now["z"], cells, strict=True):
        known = [(p, w) for p, w in zip(line, words, strict=True) if p is not None]
        if known:
            p, w = max(known, key=lambda pair: pair[0])
            strongest.append((p, f"{r.title}: {w} {p:.2f}"))
    strongest.sort(key=lambda pair: -pair[0])
    mean = sum(now["entropy"]) / len(rows)
    return (
        f"Probabilities of {len(rows)} decisions in epoch {now['epoch']}; strongest: "
        f"{', '.join(text for _, text in strongest[:3])}; mean entropy {mean:.2f} of 1."
    )
