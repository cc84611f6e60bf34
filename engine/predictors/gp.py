"""Gaussian process over what a network is: the shape of its ways, its live features, its size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.linalg import cho_solve, solve_triangular
from scipy.special import ndtr

from engine.architecture import Architecture
from engine.network.structure import STRUCTURE
from engine.predictors._described import Rows, described
from engine.predictors._kernel import JITTER, Kernel, Matrix, Parts
from engine.predictors._solved import BLOCK, Solved
from engine.predictors.base import Predictor, Vector

if TYPE_CHECKING:
    from engine.spaces.base import SearchSpace

#: architectures that parameters are tuned on at most; the posterior stands on all that are given
TUNED = 150


class Options(BaseModel):
    """What of the kernel is in use."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sees: Literal["all", "features", "shape"] = Field(
        "all",
        description="The network's shape and its live features, the features alone (a Hamming kernel with one length "
        "scale per decision), or the shape alone.",
    )
    size: bool = Field(True, description="A line in the logarithm of live multiply-adds.")
    steps: int = Field(20, ge=1, le=500, description="Steps of tuning the parameters.")


class GaussianProcess(Predictor):
    """Exact posterior under the kernel of `_kernel`, tuned by marginal likelihood and priors.

    Losses worse than their median are compressed by a logarithm (networks that do not train at all would otherwise
    be all that is seen), then standardized: u = (loss - median) / s with s = 1.4826 times the median absolute
    deviation of the better half, and log(1 + u) for u > 0. Predictions are on that scale, undone by the affine part
    alone: exact for what is better than the median, an understatement for the rest, which `losses` makes good.

    `fit` tunes and conditions. `condition` keeps the parameters; `theta` carries them from one object to another.
    """

    name = "gp"
    summary = "Gaussian process over shape, live features and size of a network"
    reference = "Rasmussen and Williams 2006; kernel over shape and decisions: ours"
    Options = Options

    def __init__(self, options: BaseModel, space: SearchSpace, theta: Matrix | None = None) -> None:
        super().__init__(options, space)
        #: keeps what was worked out of candidates from one process to the next, where they will be asked about again
        self.solved: Solved | None = None
        self.reader = described(space)
        n = len(STRUCTURE)
        features = tuple(range(len(self.reader.names)))
        sees = self.options.sees
        self.kernel = Kernel(
            Parts(
                shape=tuple(range(n)) if sees != "features" else (),
                features=features if sees != "shape" else (),
                size=self.options.size,
            )
        )
        self.theta: Matrix | None = theta
        self._centre, self._scale = 0.0, 1.0
        self._median, self._spread = 0.0, 1.0
        self._rows = self.reader.read([])
        self._lower: Matrix = np.zeros((0, 0))
        self._inverse: Matrix = np.zeros((0, 0))
        self._alpha: Matrix = np.zeros(0)
        self._targets: Matrix = np.zeros(0)
        self._counts: Matrix = np.ones(0)
        self._fitted: Matrix = np.zeros(0)

    # -- fitted --------------------------------------------------------------------------------------
    def fit(
        self, architectures: Sequence[Architecture], losses: Vector, rng: np.random.Generator, *,
        counts: Vector | None = None,
    ) -> None:  # fmt: skip
        """Tunes the parameters (from `theta`, if there are some), then conditions. Nothing is left to chance.

        Args:
            architectures: n of them.
            losses: (n,) measured.
            rng: not used.
            counts: (n,) measurements whose mean each loss is; one each where it is not given.
        """
        rows = self.reader.read(architectures)
        targets = self._standardized(losses)
        counts = np.ones(len(losses)) if counts is None else counts
        if len(losses) > TUNED:  # the best half as many, and an even choice of the others
            order = np.argsort(losses, kind="stable")
            rest = order[TUNED // 2 :]
            chosen = np.sort(
                np.r_[order[: TUNED // 2], rest[np.linspace(0, len(rest) - 1, TUNED - TUNED // 2).astype(int)]]
            )
            self.theta = self.kernel.tune(
                rows.at(chosen), targets[chosen], counts[chosen], self.theta, self.options.steps
            )
        else:
            self.theta = self.kernel.tune(rows, targets, counts, self.theta, self.options.steps)
        self._condition(rows, targets, counts)

    def condition(self, architectures: Sequence[Architecture], losses: Vector, *, counts: Vector | None = None) -> None:
        """The posterior under the parameters there are (the prior's, without any)."""
        counts = np.ones(len(losses)) if counts is None else counts
        self._condition(self.reader.read(architectures), self._standardized(losses), counts)

    def believe(self, architectures: Sequence[Architecture]) -> None:
        """Adds architectures as if they had given what is expected of them (Ginsbourger et al. 2010)."""
        if architectures:
            rows = self.reader.read(architectures)
            mean = self.kernel.between(self._theta, rows, self._rows) @ self._alpha
            self._condition(
                self._rows.joined(rows), np.r_[self._targets, mean], np.r_[self._counts, np.ones(len(mean))]
            )

    def _standardized(self, losses: Vector) -> Matrix:
        centre = float(np.median(losses))
        spread = 1.4826 * float(np.median(np.abs(losses[losses <= centre] - centre)))
        spread = spread or float(np.std(losses)) or 1.0
        u = (losses - centre) / spread
        warped = np.where(u > 0, np.log1p(np.maximum(u, 0.0)), u)
        middle, deviation = float(warped.mean()), float(warped.std()) or 1.0
        self._centre, self._scale = centre + spread * middle, spread * deviation
        self._median, self._spread = centre, spread
        return np.asarray((warped - middle) / deviation)

    @property
    def _theta(self) -> Matrix:
        return self.kernel.prior if self.theta is None else self.theta

    def _condition(self, rows: Rows, targets: Matrix, counts: Matrix) -> None:
        self._rows, self._targets, self._counts = rows, targets, counts
        covariance = self.kernel.between(self._theta, rows, rows)
        noisy = covariance.copy()
        noisy[np.diag_indices(len(rows))] += self.kernel.noise(self._theta) / counts + JITTER
        self._lower = np.asarray(np.linalg.cholesky(noisy), dtype=np.float64)
        # of the triangle, once: a product with it takes a third of the time of solving for thousands of candidates
        self._inverse = solve_triangular(self._lower, np.eye(len(rows)), lower=True)
        self._alpha = cho_solve((self._lower, True), targets)
        self._fitted = covariance @ self._alpha

    # -- asked ---------------------------------------------------------------------------------------
    def losses(self, predicted: Vector) -> Vector:
        """Losses of what is predicted: the compression of those worse than the median undone, any shape."""
        u = (predicted - self._median) / self._spread
        return np.asarray(np.where(u > 0, self._median + self._spread * np.expm1(np.minimum(u, 50.0)), predicted))

    def below(self, mean: Vector, sd: Vector, at: Vector) -> Vector:
        """E max(at - loss, 0), exact: (m, a) for m predictions, whose sd may hold noise, and a losses; 0 at -inf.

        With u(w) = w for w <= 0, else e^w - 1, and w normal, the part above 0 is that of a lognormal.
        """
        mu, s = (mean[:, None] - self._median) / self._spread, np.maximum(sd[:, None] / self._spread, 1e-12)
        level = (np.where(np.isfinite(at), at, 0.0) - self._median) / self._spread
        top = np.where(level > 0, np.log1p(np.maximum(level, 0.0)), level)
        z, z0 = (top - mu) / s, -mu / s
        plain = s * (z * ndtr(z) + _density(z))
        upper = ndtr(z) - ndtr(z0)
        grown = np.exp(np.minimum(mu + 0.5 * s**2, 50.0)) * (ndtr(z - s) - ndtr(z0 - s))
        bent = (level - mu) * ndtr(z0) + s * _density(z0) + (level + 1) * upper - grown
        found = self._spread * np.where(level > 0, np.maximum(bent, 0.0), plain)
        return np.asarray(np.where(np.isfinite(at), found, 0.0))

    @property
    def measured(self) -> Vector:
        """(n,) posterior mean of the loss of what it was conditioned on."""
        return np.asarray(self._centre + self._scale * self._fitted)

    @property
    def noise(self) -> float:
        """Standard deviation of measuring a loss."""
        return self._scale * float(np.sqrt(self.kernel.noise(self._theta)))

    @property
    def targets(self) -> Vector:
        """(n,) standardized losses of what it was conditioned on."""
        return self._targets

    def left_out(self) -> tuple[Vector, Vector]:
        """(n,) mean and standard deviation of each measured one by all others (Rasmussen & Williams 2006, eq. 5.12).

        On the scale of `targets`, noise included.
        """
        inverse = cho_solve((self._lower, True), np.eye(len(self._targets)))
        precision = np.diag(inverse)
        return self._targets - self._alpha / precision, np.sqrt(1 / precision)

    def predict(self, architectures: Sequence[Architecture]) -> tuple[Vector, Vector]:
        """Mean and standard deviation of the loss, noise not included."""
        return self.predict_rows(self.reader.read(architectures))

    def predict_rows(self, rows: Rows) -> tuple[Vector, Vector]:
        """`predict` of what the reader made of architectures."""
        same = rows.filling == self._rows.filling and rows.places is not None and self._rows.places is not None
        if self.solved is not None and same:
            v = self.solved.rows(self.kernel, self._theta, self._rows, self._lower, rows)
            half = solve_triangular(self._lower, self._targets, lower=True)
            left = self.kernel.variance(self._theta, rows) - np.einsum("ij,ij->i", v, v)
            return self._centre + self._scale * (v @ half), self._scale * np.sqrt(np.maximum(left, 1e-10))
        mean, variance = np.empty(len(rows)), np.empty(len(rows))
        for start in range(0, len(rows), BLOCK):
            at = np.arange(start, min(start + BLOCK, len(rows)))
            some = rows.at(at)
            cross = self.kernel.between(self._theta, some, self._rows)
            mean[at] = cross @ self._alpha
            solved = cross @ self._inverse.T
            variance[at] = self.kernel.variance(self._theta, some) - np.einsum("ij,ij->i", solved, solved)
        return self._centre + self._scale * mean, self._scale * np.sqrt(np.maximum(variance, 1e-10))

    def draw(self, rows: Rows, rng: np.random.Generator) -> Vector:
        """One function drawn from the posterior, at so many places (a few thousand at most): Thompson sampling."""
        cross = self.kernel.between(self._theta, rows, self._rows)
        solved = solve_triangular(self._lower, cross.T, lower=True)
        covariance = self.kernel.between(self._theta, rows, rows) - solved.T @ solved
        covariance[np.diag_indices(len(rows))] += 1e-6
        root = np.linalg.cholesky(covariance + 1e-6 * np.eye(len(rows)))
        return np.asarray(self._centre + self._scale * (cross @ self._alpha + root @ rng.standard_normal(len(rows))))


def _density(z: Matrix) -> Matrix:
    return np.asarray(np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi))
