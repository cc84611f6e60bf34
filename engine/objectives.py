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


def ranking(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Row indices from best to worst: by front, then by crowding, then by row; losses (n, m)."""
    if values.shape[1] == 1:
        return np.argsort(values[:, 0], kind="stable")
    left = np.arange(len(values))
    out: list[int] = []
    while left.size:
        top = front(values[left])
        if not top.size:  # only infinite rows are left
            out.extend(int(i) for i in left)
            break
        rows = left[top]
        order = np.argsort(-crowding(values[rows]), kind="stable")
        out.extend(int(i) for i in rows[order])
        left = np.delete(left, top)
    return np.array(out, dtype=np.intp)
