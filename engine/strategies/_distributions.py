"""Normal distributions that learn from ranks: CMA-ES through the library `cma`, and SNES.

Both are functions of what they were told and of the generators passed to `sample`: told the same again, they are the
same to the last bit. Deviations and means have shape (n,).
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


class Distribution(ABC):
    """Gives samples and is moved towards the better ones."""

    @property
    @abstractmethod
    def mean(self) -> Vector:
        """(n,)."""

    @property
    @abstractmethod
    def deviations(self) -> Vector:
        """(n,) standard deviation of each number."""

    @property
    @abstractmethod
    def scale(self) -> float:
        """The step size: one number for how wide it is."""

    @abstractmethod
    def sample(self, rng: np.random.Generator) -> Vector:
        """One sample (n,)."""

    @abstractmethod
    def tell(self, samples: Sequence[Vector], ranks: Sequence[float]) -> None:
        """Moves it: as many samples as it was made for, smaller ranks are better, equal ones allowed."""


class _Normal:
    """Stands in for `numpy.random.randn` in `cma`, which would draw from the global generator."""

    rng: np.random.Generator

    def __call__(self, *shape: int) -> NDArray[np.float64]:
        return self.rng.standard_normal(shape)


class Cma(Distribution):
    """CMA-ES with cumulative step-size adaptation and the library's own constants.

    Args:
        n: numbers, at least 2.
        spread: standard deviation at the start.
        samples: of a generation.
        separable: learn the diagonal of C alone (Ros and Hansen 2008), with its faster learning rates.
    """

    def __init__(self, n: int, spread: float, samples: int, *, separable: bool) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on import: that matplotlib is not there
            import cma
            from cma.sigma_adaptation import CMAAdaptSigmaCSA

        self._normal = _Normal()
        options = {
            "randn": self._normal, "seed": np.nan, "popsize": samples, "CMA_diagonal": separable,
            # mirrors (few samples) and two-point adaptation (many numbers) need samples of whole generations
            "AdaptSigma": CMAAdaptSigmaCSA, "CMA_mirrors": 0, "verbose": -9, "verb_log": 0,
        }  # fmt: skip
        self._es: Any = cma.CMAEvolutionStrategy(n * [0.0], spread, options)
        self._settle()

    def _settle(self) -> None:
        """Brings the decomposition of C up to date, which `cma` does with a generation's first sample."""
        self.sample(np.random.default_rng(0))

    @property
    def mean(self) -> Vector:
        """m."""
        return np.array(self._es.mean, dtype=float)

    @property
    def deviations(self) -> Vector:
        """s times the root of the diagonal of C."""
        return np.array(self._es.stds, dtype=float) * np.ones(len(self._es.mean))

    @property
    def scale(self) -> float:
        """s."""
        return float(self._es.sigma)

    def sample(self, rng: np.random.Generator) -> Vector:
        """m + s N(0, C)."""
        self._normal.rng = rng
        return np.array(self._es.ask(1)[0], dtype=float)

    def tell(self, samples: Sequence[Vector], ranks: Sequence[float]) -> None:
        """One generation; samples of earlier ones are taken as they are."""
        self._es.tell(list(samples), list(ranks), check_points=False)
        self._settle()


class Snes(Distribution):
    """Separable natural evolution strategy (Schaul, Glasmachers and Schmidhuber 2011, Algorithm 1 and Table 1).

    With s_k = (x_k - mu) / sigma and utilities u_k by rank: mu <- mu + eta_mu sigma sum u_k s_k,
    sigma <- sigma exp(eta_sigma / 2 sum u_k (s_k^2 - 1)), eta_mu = 1, eta_sigma = (3 + ln n) / (5 sqrt n).

    Args:
        n: numbers.
        spread: standard deviation at the start.
    """

    def __init__(self, n: int, spread: float) -> None:
        self._mean, self._sigma = np.zeros(n), np.full(n, float(spread))
        self.rate = (3 + np.log(n)) / (5 * np.sqrt(n))

    @property
    def mean(self) -> Vector:
        """mu."""
        return self._mean

    @property
    def deviations(self) -> Vector:
        """sigma."""
        return self._sigma

    @property
    def scale(self) -> float:
        """Geometric mean of sigma."""
        return float(np.exp(np.log(self._sigma).mean()))

    def sample(self, rng: np.random.Generator) -> Vector:
        """mu + sigma N(0, I)."""
        drawn: Vector = self._mean + self._sigma * rng.standard_normal(len(self._mean))
        return drawn

    def tell(self, samples: Sequence[Vector], ranks: Sequence[float]) -> None:
        """One generation; equal ranks share the mean of their utilities."""
        s = (np.stack(samples) - self._mean) / self._sigma  # (samples, n)
        u = shared_utilities(np.asarray(ranks, dtype=float))
        self._mean = self._mean + self._sigma * (u @ s)
        self._sigma = self._sigma * np.exp(self.rate / 2 * (u @ (s**2 - 1)))


def utilities(n: int) -> Vector:
    """(n,) u_k of the k-th best: max(0, ln(n/2 + 1) - ln k), divided by their sum, minus 1/n."""
    raw = np.maximum(0.0, np.log(n / 2 + 1) - np.log(np.arange(1, n + 1)))
    out: Vector = raw / raw.sum() - 1 / n
    return out


def shared_utilities(ranks: Vector) -> Vector:
    """(n,) `utilities` by rank, smaller is better; the mean of their places for equal ones."""
    order = np.argsort(ranks, kind="stable")
    placed = utilities(len(ranks))
    _, group = np.unique(ranks, return_inverse=True)
    mean = np.bincount(group[order], weights=placed) / np.bincount(group)
    out: Vector = mean[group]
    return out


def make(update: str, n: int, spread: float, samples: int) -> Distribution:
    """The distribution of an option `update`; one number alone is learned by SNES, since `cma` wants two."""
    if update == "natural" or n < 2:
        return Snes(n, spread)
    return Cma(n, spread, samples, separable=update == "separable")
