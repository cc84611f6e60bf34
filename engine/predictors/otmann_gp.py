"""A Gaussian process over networks by OTMANN distances: the surrogate of NASBOT (Kandasamy et al. 2018, sec. 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from engine.architecture import Architecture
from engine.errors import CannotBuild
from engine.predictors._otmann import STRUCTURE, Distances, Layers, Parcels, layers, unit_of
from engine.predictors.base import Predictor, Vector

if TYPE_CHECKING:
    from engine.spaces.base import SearchSpace

#: architectures whose usual mass is the unit's base, and draws to find them
USUAL, DRAWS = 40, 400
#: pairs remembered; made anew when there are more
MOST_PAIRS = 200_000
#: of the logarithms of alpha, alpha-bar, each beta, each beta-bar, and noise: mean and deviation of the prior
_PRIOR = np.array(
    [(-0.7, 1.0), (-0.7, 1.0), *[(-0.7, 1.0)] * len(STRUCTURE), *[(-0.7, 1.0)] * len(STRUCTURE), (-3.0, 1.5)]
)
_JITTER = 1e-6


class Options(BaseModel):
    """None: scales are fitted."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OtmannGP(Predictor):
    """k = alpha exp(-sum_s beta_s d_s) + alpha-bar exp(-sum_s beta-bar_s d-bar_s^2), s over two structural weights.

    d is the distance in mass, d-bar the same divided by the mass of both networks; each is scaled by its median among
    what was fitted. Amplitudes, scales and noise maximize the posterior density under log-normal priors (L-BFGS from
    the priors' means).

    **Deviations**: see `engine.predictors._otmann` for the distance. The paper averages over posterior samples of the
    hyperparameters; here is one. A kernel of transport distances need not be positive definite: scales at which the
    matrix is not are refused, with a jitter of 1e-6.
    """

    name = "otmann_gp"
    summary = "Gaussian process over optimal-transport distances between networks"
    reference = "Kandasamy et al. 2018, Neural Architecture Search with Bayesian Optimisation and Optimal Transport"
    Options = Options

    def __init__(self, options: BaseModel, space: SearchSpace) -> None:
        super().__init__(options, space)
        self._unit = 0.0
        self._distances: Distances | None = None
        self._parcels: dict[str, Parcels] = {}
        self._pairs: dict[tuple[str, str], Vector] = {}
        self.theta = _PRIOR[:, 0].copy()
        self._fitted: list[Architecture] = []

    # -- distances ---------------------------------------------------------------------------------
    def _layers(self, architecture: Architecture) -> Layers:
        return layers(self.space.planned(architecture))

    def _begin(self) -> Distances:
        """Empty tables; the unit of mass is a matter of the space alone."""
        if not self._unit:
            rng, found = np.random.default_rng(0), []
            for _ in range(DRAWS):
                try:
                    found.append(self._layers(self.space.sample(rng)))
                except CannotBuild:
                    continue
                if len(found) == USUAL:
                    break
            self._unit = unit_of(found) if found else 1.0
        self._parcels.clear()
        self._pairs.clear()
        return Distances(self._unit)

    def distances(self, ones: Sequence[Architecture], others: Sequence[Architecture]) -> NDArray[np.float64]:
        """(ones, others, structural weights, 2): d and d-bar of each pair, remembered."""
        if self._distances is None or self._distances.full or len(self._pairs) > MOST_PAIRS:
            self._distances = self._begin()
        for a in (*ones, *others):
            if a.key not in self._parcels:
                self._parcels[a.key] = self._distances.parcels(self._layers(a))
        out = np.zeros((len(ones), len(others), len(STRUCTURE), 2))
        for i, a in enumerate(ones):
            pairs = [(min(a.key, b.key), max(a.key, b.key)) for b in others]
            new = [j for j, pair in enumerate(pairs) if pair not in self._pairs and pair[0] != pair[1]]
            found = self._distances.between(self._parcels[a.key], [self._parcels[others[j].key] for j in new])
            for j, value in zip(new, found, strict=True):
                self._pairs[pairs[j]] = value
            for j, pair in enumerate(pairs):
                if pair[0] != pair[1]:
                    out[i, j] = self._pairs[pair]
        return out

    # -- the process -------------------------------------------------------------------------------
    def _parts(self, distances: NDArray[np.float64], theta: Vector) -> tuple[Vector, Vector]:
        """The two terms of k; distances (n, m, s, 2)."""
        s = len(STRUCTURE)
        scaled = distances / self._scales
        first = np.exp(theta[0] - scaled[..., 0] @ np.exp(theta[2 : 2 + s]))
        second = np.exp(theta[1] - scaled[..., 1] ** 2 @ np.exp(theta[2 + s : 2 + 2 * s]))
        return first, second

    def _objective(self, theta: Vector, distances: NDArray[np.float64], y: Vector) -> tuple[float, Vector]:
        """Negative log posterior density of the hyperparameters, and its gradient."""
        from scipy.linalg import cho_solve, lapack

        n, s = len(y), len(STRUCTURE)
        first, second = self._parts(distances, theta)
        k = first + second
        k[np.diag_indices(n)] += np.exp(theta[-1]) + _JITTER
        factor, failed = lapack.dpotrf(k, lower=1, clean=1)
        if failed:
            return 1e10, np.zeros_like(theta)
        inverse = cho_solve((factor, True), np.eye(n))
        weights = inverse @ y
        outer = inverse - np.outer(weights, weights)
        slopes = [first, second]
        scaled = distances / self._scales
        slopes += [-first * scaled[..., i, 0] * np.exp(theta[2 + i]) for i in range(s)]
        slopes += [-second * scaled[..., i, 1] ** 2 * np.exp(theta[2 + s + i]) for i in range(s)]
        gradient = np.array([0.5 * float(np.sum(outer * slope)) for slope in slopes])
        gradient = np.append(gradient, 0.5 * float(np.trace(outer)) * np.exp(theta[-1]))
        z = (theta - _PRIOR[:, 0]) / _PRIOR[:, 1]
        value = 0.5 * float(y @ weights) + float(np.log(np.diag(factor)).sum()) + 0.5 * float(z @ z)
        return value, gradient + z / _PRIOR[:, 1]

    def fit(self, architectures: Sequence[Architecture], losses: Vector, rng: np.random.Generator) -> None:
        """Fits scales, then conditions on all; nothing is drawn."""
        from scipy.optimize import minimize

        self._fitted = list(architectures)
        self._centre, self._spread = float(losses.mean()), float(losses.std()) or 1.0
        y = (losses - self._centre) / self._spread
        distances = self.distances(self._fitted, self._fitted)
        apart = distances[np.triu_indices(len(y), 1)]
        self._scales = np.median(apart, axis=0) if len(apart) else np.ones(distances.shape[2:])
        self._scales = np.where(self._scales > 0, self._scales, 1.0)
        bounds = [(m - 4 * sd, m + 4 * sd) for m, sd in _PRIOR]
        found = minimize(
            self._objective, _PRIOR[:, 0], args=(distances, y), jac=True, method="L-BFGS-B", bounds=bounds,
            options={"maxiter": 30},
        )  # fmt: skip
        self.theta = np.asarray(found.x, dtype=np.float64)
        self._among = distances
        self._condition(y)

    def believe(self, architectures: Sequence[Architecture]) -> None:
        """Takes the predicted means of these for results: trials under way are not proposed twice."""
        if architectures:
            mean, _ = self.predict(architectures)
            across = self.distances(architectures, self._fitted)
            below = np.concatenate([across, self.distances(architectures, architectures)], axis=1)
            above = np.concatenate([self._among, across.swapaxes(0, 1)], axis=1)
            self._among = np.concatenate([above, below])
            self._fitted = [*self._fitted, *architectures]
            self._condition(np.append(self._y, (mean - self._centre) / self._spread))

    def _condition(self, y: Vector) -> None:
        from scipy.linalg import cho_solve, lapack

        first, second = self._parts(self._among, self.theta)
        k = first + second
        noise = np.exp(self.theta[-1]) + _JITTER
        for _ in range(12):  # each next one four times the noise: in the end it dominates
            factor, failed = lapack.dpotrf(k + noise * np.eye(len(y)), lower=1, clean=1)
            if not failed:
                break
            noise *= 4
        self._factor, self._y = factor, y
        self._weights = cho_solve((factor, True), y)

    def predict(self, architectures: Sequence[Architecture]) -> tuple[Vector, Vector]:
        """Posterior of the function, without noise."""
        from scipy.linalg import solve_triangular

        first, second = self._parts(self.distances(architectures, self._fitted), self.theta)
        k = first + second
        explained = solve_triangular(self._factor, k.T, lower=True)
        variance = np.exp(self.theta[0]) + np.exp(self.theta[1]) - (explained**2).sum(0)
        mean = self._centre + self._spread * (k @ self._weights)
        return mean, self._spread * np.sqrt(np.maximum(variance, 1e-12))
