"""Objectives, limits, non-domination and crowding.

Values are handled as losses (smaller is better) of shape (n, m) after `losses`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

#: metrics known before anything is trained: exact closed formulas over the network plan
EXACT_COSTS = ("n_params", "n_macs", "activation_bytes")


class Objective(BaseModel):
    """One thing to make large or small.

    Attributes:
        metric: name in `Report.metrics` or one of `EXACT_COSTS`.
        direction: what is better.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str = "accuracy"
    direction: Literal["maximize", "minimize"] = "maximize"

    def better(self, a: float, b: float) -> bool:
        """Whether `a` is strictly better than `b`."""
        return a > b if self.direction == "maximize" else a < b


def losses(metrics: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> NDArray[np.float64]:
    """Values as losses, shape (n, m); a missing or non-finite value is +inf."""
    out = np.full((len(metrics), len(objectives)), np.inf)
    for i, row in enumerate(metrics):
        for j, objective in enumerate(objectives):
            value = row.get(objective.metric)
            if value is not None and np.isfinite(value):
                out[i, j] = -value if objective.direction == "maximize" else value
    return out


def within(metrics: Mapping[str, float], limits: Mapping[str, float]) -> bool:
    """Whether every limit (at most) holds; a metric that is not known yet does not break one."""
    return all(metrics[name] <= limit for name, limit in limits.items() if name in metrics)


def front(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of the non-dominated rows of losses (n, m), duplicates kept, in row order.

    Rows with +inf are never on it. Kung et al. 1975 order: sort, then compare with the kept ones.
    """
    finite = np.flatnonzero(np.isfinite(values).all(axis=1))
    if values.shape[1] == 1:
        return finite[values[finite, 0] == values[finite, 0].min()] if finite.size else finite
    kept: list[int] = []
    order = finite[np.lexsort(values[finite].T[::-1])]
    for i in order:
        have = values[kept] if kept else np.empty((0, values.shape[1]))
        if not ((have <= values[i]).all(axis=1) & (have < values[i]).any(axis=1)).any():
            kept.append(int(i))
    return np.array(sorted(kept), dtype=np.intp)


def crowding(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Crowding distance of the rows of one front, losses (n, m); extremes are +inf (Deb et al. 2002, III-B)."""
    n, m = values.shape
    out = np.zeros(n)
    for j in range(m):
        order = np.argsort(values[:, j], kind="stable")
        span = values[order[-1], j] - values[order[0], j] if n else 0.0
        out[order[[0, -1]]] = np.inf
        if span > 0 and n > 2:
            out[order[1:-1]] += (values[order[2:], j] - values[order[:-2], j]) / span
    return out


def front_numbers(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """(n,) on which front each row of losses (n, m) is: 0 = not dominated, 1 = not once those are gone, and so on.

    Fast non-dominated sorting (Deb et al. 2002, III-A); all rows with +inf share the last front.
    """
    out = np.zeros(len(values), dtype=np.intp)
    finite = np.flatnonzero(np.isfinite(values).all(axis=1))
    v = values[finite]
    if v.shape[1] == 1:
        numbers = np.unique(v[:, 0], return_inverse=True)[1]
        out[finite] = numbers
        number = int(numbers.max(initial=-1)) + 1
    else:
        never_worse = np.ones((len(v), len(v)), dtype=bool)  # row i than column j
        better = np.zeros_like(never_worse)
        for column in v.T:
            never_worse &= column[:, None] <= column
            better |= column[:, None] < column
        dominates = never_worse & better
        above, left, number = dominates.sum(axis=0), np.ones(len(v), dtype=bool), 0
        while left.any():
            top = left & (above == 0)
            out[finite[top]] = number
            left &= ~top
            above = above - dominates[top].sum(axis=0)
            number += 1
    out[~np.isfinite(values).all(axis=1)] = number
    return out


def ranking(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Row indices from best to worst: by front, then by crowding, then by row; losses (n, m)."""
    if values.shape[1] == 1:
        return np.argsort(values[:, 0], kind="stable")
    numbers = front_numbers(values)
    out: list[int] = []
    for number in range(int(numbers.max(initial=-1)) + 1):
        rows = np.flatnonzero(numbers == number)
        if np.isfinite(values[rows]).all():
            rows = rows[np.argsort(-crowding(values[rows]), kind="stable")]
        out.extend(int(i) for i in rows)
    return np.array(out, dtype=np.intp)
