"""Losses on a scale that networks learn well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
#: losses so many robust standard deviations above the median count as that bad and no worse
WORST = 4.0


@dataclass(frozen=True)
class Scale:
    """Median 0, robust standard deviation 1, the long tail of failures cut off.

    Attributes:
        centre: median.
        spread: (median - first decile) / 1.28, so that the good half counts: networks that learned nothing would
            otherwise set the scale.
    """

    centre: float
    spread: float

    @classmethod
    def of(cls, losses: Vector) -> Scale:
        """The scale of (n,) finite losses."""
        centre = float(np.median(losses))
        spread = (centre - float(np.quantile(losses, 0.1))) / 1.2816
        if spread <= 0:
            spread = float(losses.std())
        return cls(centre, spread if spread > 0 else 1.0)

    def to(self, losses: Vector) -> Vector:
        """Scaled, at most `WORST`."""
        return np.minimum((losses - self.centre) / self.spread, WORST)

    def back(self, mean: Vector, sd: Vector) -> tuple[Vector, Vector]:
        """Mean and standard deviation in units of the losses."""
        return mean * self.spread + self.centre, sd * self.spread


def parts(members: int, n: int, rng: np.random.Generator) -> Vector:
    """(members, n) weights of each loss for each member, rows adding up to 1: each leaves out another share.

    Below twice as many losses as members all see all.
    """
    kept = (np.arange(members)[:, None] - rng.permutation(n)[None, :]) % members > 0
    weight = np.where(kept, 1.0, 0.0) if n >= 2 * members else np.ones((members, n))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))
