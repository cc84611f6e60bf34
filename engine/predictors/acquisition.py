"""How much a candidate is worth trying, from mean and spread of its predicted loss. Larger is better, all of them.

Losses are minimized: with f* the smallest loss that counts, z = (f* - mean) / sd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr, ndtr

Vector = NDArray[np.float64]
Acquisition = Literal["ei", "ucb", "ts", "pi", "its"]
_ROOT = np.sqrt(2 * np.pi)


def log_expected_improvement(mean: Vector, sd: Vector, best: float) -> Vector:
    """log EI (Jones et al. 1998, eq. 15), stable where EI underflows (Ament et al. 2023, eq. 9).

    Args:
        mean, sd: (m,) predictions; sd = 0 is allowed.
        best: f*.
    """
    sd = np.maximum(sd, 1e-12)
    z = (best - mean) / sd
    near = z > -1.0
    out = np.empty_like(z)
    zn = z[near]
    out[near] = np.log(np.exp(-0.5 * zn**2) / _ROOT + zn * ndtr(zn))
    zf = z[~near]
    # phi(z) + z Phi(z) = phi(z) (1 + z sqrt(pi/2) erfcx(-z / sqrt 2)); the bracket tends to 1/z^2
    bracket = np.where(zf > -1e5, 1 + zf * np.sqrt(np.pi / 2) * erfcx(-zf / np.sqrt(2)), 0.0)
    tail = np.where(zf > -1e3, np.log(np.maximum(bracket, 1e-300)), -2 * np.log(np.abs(np.minimum(zf, -1.0))))
    out[~near] = -0.5 * zf**2 - np.log(_ROOT) + tail
    return np.asarray(out + np.log(sd))


def lower_confidence(mean: Vector, sd: Vector, beta: float) -> Vector:
    """GP-UCB for losses: -(mean - sqrt(beta) sd) (Srinivas et al. 2010, eq. 6)."""
    return np.asarray(np.sqrt(beta) * sd - mean)


def log_probability_of_improvement(mean: Vector, sd: Vector, best: float) -> Vector:
    """log P(f < f*)."""
    return np.asarray(log_ndtr((best - mean) / np.maximum(sd, 1e-12)))


def independent_thompson(mean: Vector, sd: Vector, rng: np.random.Generator) -> Vector:
    """One draw per candidate, independently (White et al. 2021, "ITS")."""
    return np.asarray(-(mean + sd * rng.standard_normal(len(mean))))


def expected_hypervolume_improvement(
    gains: Sequence[Callable[[Vector], Vector]], lower: Vector, upper: Vector
) -> Vector:
    """EHVI with independent losses, exact (Emmerich et al. 2006; in the form of Yang et al. 2019, eq. 13).

    The improvement of a point is the part of the boxes that it dominates; in each box the expectation is a product
    over objectives of differences of one-dimensional expected improvements.

    Args:
        gains: by objective, losses (a,) to E max(at - loss, 0) of each candidate, (m, a), 0 at -inf.
        lower, upper: (boxes, objectives) what the front leaves, from `engine.hypervolume.beyond`.
    """
    out: Vector | float = 1.0
    for j, gain in enumerate(gains):
        edges, place = np.unique(np.concatenate([lower[:, j], upper[:, j]]), return_inverse=True)
        places = place.reshape(2, -1)
        found = gain(edges)
        out = out * (found[:, places[1]] - found[:, places[0]])
    return np.asarray(np.sum(out, axis=1))


def improvement(mean: Vector, sd: Vector, at: Vector) -> Vector:
    """E max(at - loss, 0) of normal losses, (m, a) for (m,) and (a,); 0 at -inf. Where sd is 0 it is no expectation."""
    mean, sd = mean[:, None], sd[:, None]
    finite = np.where(np.isfinite(at), at, 0.0)
    spread = np.maximum(sd, 1e-12)
    z = (finite - mean) / spread
    found = np.where(sd > 0, spread * (z * ndtr(z) + np.exp(-0.5 * z**2) / _ROOT), np.maximum(finite - mean, 0.0))
    return np.asarray(np.where(np.isfinite(at), found, 0.0))
