"""Hypervolume of a front, and what lies beyond it in boxes. Losses: smaller is better.

Three objectives cost O(n^2), each further one a factor of n; fronts of a search have tens of points.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.objectives import front

Vector = NDArray[np.float64]
_Box = tuple[tuple[float, float], ...]


def hypervolume(values: Vector, reference: Vector) -> float:
    """The volume that rows of losses (n, m) dominate below a reference point (m,)."""
    inside = values[(values < reference).all(axis=1)]
    return _volume(inside[front(inside)] if len(inside) else inside, reference)


def _volume(points: Vector, reference: Vector) -> float:
    if not len(points):
        return 0.0
    if len(reference) == 1:
        return float(reference[0] - points[:, 0].min())
    points = points[np.argsort(points[:, -1], kind="stable")]
    if len(reference) == 2:  # a staircase
        reached = np.minimum.accumulate(points[:, 0])
        heights = np.diff(np.append(points[:, 1], reference[1]))
        return float(heights @ (reference[0] - reached))
    levels = np.append(points[:, -1], reference[-1])
    total = 0.0
    for i in range(len(points)):
        if levels[i + 1] > levels[i]:
            below = points[: i + 1, :-1]
            total += (levels[i + 1] - levels[i]) * _volume(below[front(below)], reference[:-1])
    return total


def beyond(values: Vector, reference: Vector) -> tuple[Vector, Vector]:
    """Boxes that make up all that no row of losses (n, m) dominates below a reference point (m,).

    Slices along the last objective, within each the staircase of the others; boxes of neighbouring slices that are
    equal are one (Lacour et al. 2017 count such boxes: about 2n for three objectives).

    Returns:
        Lower and upper corners, (boxes, m) each; lower corners may be -inf. The boxes do not overlap.
    """
    inside = values[(values < reference).all(axis=1)]
    found = _slices(inside[front(inside)] if len(inside) else inside, reference)
    corners = np.array(found, dtype=np.float64).reshape(-1, len(reference), 2)
    return corners[..., 0], corners[..., 1]


def _slices(points: Vector, reference: Vector) -> list[_Box]:
    if len(reference) == 1:
        return [((-np.inf, float(min(points[:, 0].min(initial=np.inf), reference[0]))),)]
    levels = np.array([-np.inf, *np.unique(points[:, -1]), reference[-1]])
    done: list[_Box] = []
    since: dict[_Box, float] = {}
    for low in levels[:-1]:
        below = points[points[:, -1] <= low][:, :-1]
        now = dict.fromkeys(_slices(below[front(below)] if len(below) else below, reference[:-1]), float(low))
        done += [(*box, (start, float(low))) for box, start in since.items() if box not in now]
        since = {box: since.get(box, start) for box, start in now.items()}
    return done + [(*box, (start, float(levels[-1]))) for box, start in since.items()]
