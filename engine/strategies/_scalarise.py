"""Several objectives as one number, another one per proposal (Knowles 2006, ParEGO, sec. III)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
#: s of the paper: weights are multiples of 1/s
STEPS = 10
#: rho of the paper: how much the weighted sum counts beside the weighted maximum
SUM = 0.05


def weights(objectives: int, rng: np.random.Generator) -> Vector:
    """(objectives,) non-negative multiples of 1/s that sum to 1, all such vectors alike likely (eq. 2)."""
    bars = np.sort(rng.choice(STEPS + objectives - 1, objectives - 1, replace=False))
    return (np.diff([-1, *bars, STEPS + objectives - 1]) - 1) / STEPS


def tchebycheff(losses: Vector, weight: Vector) -> Vector:
    """(n,) the augmented Tchebycheff loss of each row (eq. 1), objectives scaled to 0-1 over the rows.

    Args:
        losses: (n, objectives), finite.
        weight: (objectives,).
    """
    low = losses.min(axis=0)
    span = losses.max(axis=0) - low
    weighted = (losses - low) / np.where(span > 0, span, 1.0) * weight
    return np.asarray(weighted.max(axis=1) + SUM * weighted.sum(axis=1))
