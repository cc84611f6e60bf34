"""Lines from parent to child, and the line of one trial in the accent: shared by all drawings of descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

#: trial number -> (x, y)
Places = Mapping[int, tuple[float, float]]


def edges(places: Places, pairs: Iterable[tuple[int, int]], *, faint: bool = False) -> dict[str, Any]:
    """One trace of all lines; pairs are (parent, child), those with an end that has no place are left out."""
    x: list[float | None] = []
    y: list[float | None] = []
    for parent, child in pairs:
        if parent in places and child in places:
            (x0, y0), (x1, y1) = places[parent], places[child]
            x += [x0, x1, None]
            y += [y0, y1, None]
    return {
        "type": "scatter", "mode": "lines", "x": x, "y": y, "line": {"width": 1, "color": "role:ghost"},
        "hoverinfo": "skip", "opacity": 0.6 if faint else 1,
    }  # fmt: skip


def line_of(places: Places, lineage: Sequence[int]) -> dict[str, Any]:
    """From the first ancestor that has a place to the trial itself."""
    chain = [places[n] for n in lineage if n in places]
    return {
        "type": "scatter", "mode": "lines", "x": [x for x, _ in chain], "y": [y for _, y in chain],
        "line": {"width": 2.5, "color": "role:accent"}, "hoverinfo": "skip",
    }  # fmt: skip


def generations(parents: Mapping[int, Sequence[int]]) -> dict[int, int]:
    """Steps from the first ancestors (0), along the longest line; parents are known by number, circles end.

    A parent always comes before its child, so that one pass in the order of numbers is enough; a later one is taken for
    a first ancestor.
    """
    every = sorted({*parents, *(p for ps in parents.values() for p in ps)})
    out: dict[int, int] = {}
    for number in every:
        out[number] = 1 + max((out[p] for p in parents.get(number, ()) if p in out), default=-1)
    return out
