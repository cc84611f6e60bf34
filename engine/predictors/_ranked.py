"""A Gaussian process that also listens to those of earlier searches, as far as they rank what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.architecture import Architecture
from engine.predictors._described import Rows
from engine.predictors.base import Vector
from engine.predictors.gp import GaussianProcess

if TYPE_CHECKING:
    from engine.spaces.base import SearchSpace

Matrix = NDArray[np.float64]
#: draws from each posterior that say how often it ranks best
DRAWS = 200
#: trials that the relatedness known beforehand counts as
BEFOREHAND = 3.0
#: a source whose median ranking loss is above this quantile of our own says nothing (Feurer et al. 2018, section 4.2)
DILUTION = 0.95


class RankWeighted(GaussianProcess):
    """Ranking-weighted ensemble of Gaussian processes (RGPE, Feurer, Letham and Bakshy 2018).

    Mean sum_i w_i mu_i and variance sum_i w_i^2 sigma_i^2 (eq. 3), each process on the scale of its own standardized
    losses: orders carry over from one data set to another, values do not. w_i is how often, over draws from the
    posteriors at what was measured here, process i misranks the fewest pairs; our own speaks with each point left out.

    **Deviations**: the weights are mixed with those known beforehand, which count as `BEFOREHAND` trials, so that the
    first choices follow the most related search. Left-out predictions of our own are in closed form.

    Attributes:
        weights: (sources + 1,), our own last; of the last `fit` or `condition`.

    Args:
        sources: fitted processes of the same space.
        related: (sources,) from 0 to 1.
    """

    def __init__(
        self, options: Any, space: SearchSpace, theta: Matrix | None = None, *,
        sources: Sequence[GaussianProcess] = (), related: Sequence[float] = (),
    ) -> None:  # fmt: skip
        super().__init__(options, space, theta)
        self.sources = tuple(sources)
        best = max(related, default=0.0)
        self.beforehand = np.array([*(r / sum(related) * best for r in related), 1 - best])
        self.weights = self.beforehand

    def fit(
        self, architectures: Sequence[Architecture], losses: Vector, rng: np.random.Generator, *,
        counts: Vector | None = None,
    ) -> None:  # fmt: skip
        """As the process does; then the weights."""
        super().fit(architectures, losses, rng, counts=counts)
        self._weigh()

    def condition(self, architectures: Sequence[Architecture], losses: Vector, *, counts: Vector | None = None) -> None:
        """As the process does; then the weights."""
        super().condition(architectures, losses, counts=counts)
        self._weigh()

    def _weigh(self) -> None:
        n = len(self.targets)
        counted = self.beforehand
        if n >= 3 and self.sources:
            rng = np.random.default_rng(n)  # of the number alone: asked twice, it says the same
            losses = [self._misranked(*_standard(s, self._rows), rng) for s in self.sources]
            losses.append(self._misranked(*self.left_out(), rng))
            counted = ranking_weights(np.array(losses))
        before = BEFOREHAND / (BEFOREHAND + n)
        self.weights = before * self.beforehand + (1 - before) * counted

    def _misranked(self, mean: Matrix, sd: Matrix, rng: np.random.Generator) -> Matrix:
        """(DRAWS,) pairs of what was measured that a draw puts in the other order."""
        drawn = mean + sd * rng.standard_normal((DRAWS, len(mean)))
        truth = self.targets[:, None] < self.targets[None, :]
        return np.asarray([((d[:, None] < d[None, :]) ^ truth).sum() for d in drawn], dtype=np.float64)

    # -- asked ---------------------------------------------------------------------------------------
    @property
    def measured(self) -> Vector:
        """(n,) mean of the ensemble at what it was conditioned on."""
        return self.predict_rows(self._rows)[0]

    def predict_rows(self, rows: Rows) -> tuple[Vector, Vector]:
        """Mean and standard deviation, on the scale of the losses here."""
        mean, sd = super().predict_rows(rows)
        own = self.weights[-1]
        total, variance = own * (mean - self._centre) / self._scale, (own * sd / self._scale) ** 2
        for source, w in zip(self.sources, self.weights[:-1], strict=True):
            if w > 0:
                theirs, spread = _standard(source, rows)
                total, variance = total + w * theirs, variance + (w * spread) ** 2
        return self._centre + self._scale * total, self._scale * np.sqrt(variance)

    def draw(self, rows: Rows, rng: np.random.Generator) -> Vector:
        """One function drawn from each posterior, weighed."""
        total = self.weights[-1] * (super().draw(rows, rng) - self._centre) / self._scale
        for source, w in zip(self.sources, self.weights[:-1], strict=True):
            if w > 0:
                total = total + w * (source.draw(rows, rng) - source._centre) / source._scale
        return np.asarray(self._centre + self._scale * total)


def ranking_weights(losses: Matrix) -> Matrix:
    """(processes,) how often each has the fewest misranked pairs; ties are shared.

    Args:
        losses: (processes, draws) of the sources, our own in the last row. A source that is clearly worse than our own
            (see `DILUTION`) gets nothing.
    """
    clearly = np.median(losses, axis=1) > np.quantile(losses[-1], DILUTION)
    clearly[-1] = False
    kept = np.where(clearly[:, None], np.inf, losses)
    best = kept == kept.min(axis=0)
    return np.asarray((best / best.sum(axis=0)).mean(axis=1))


def _standard(process: GaussianProcess, rows: Rows) -> tuple[Matrix, Matrix]:
    """What a process says, on the scale of its own standardized losses."""
    mean, sd = process.predict_rows(rows)
    return (mean - process._centre) / process._scale, sd / process._scale
