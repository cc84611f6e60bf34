"""Covariances of architectures, and the log marginal likelihood with its gradient. Plain NumPy.

With s the numbers of a network's shape, f its features and m the standardized log of its live multiply-adds,

    k(a, b) = s1 S + s2 S F + l m_a m_b + c
    S = exp(-sum_i u_i (s_ai - s_bi)^2 / 2)
    F = exp(-sum_j w_j d_j(a, b))

d_j is 1 where category (or presence) of feature j differs, else half the squared difference of its standardized
numbers. Two networks of one shape share the first term whatever stands where in them: the second says how much more
the places matter. The third is a line in size. All parameters are logarithms with normal priors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve

from engine.predictors._described import Rows

Matrix = NDArray[np.float64]
#: variance of the constant, of standardized losses
CONSTANT = 1.0
#: standard deviations of the prior that a parameter may lie off: a step of the tuning must not leave the numbers
WITHIN = 8.0
#: added to the diagonal beside the noise
JITTER = 1e-6


@dataclass(frozen=True)
class Parts:
    """What of the kernel is in use.

    Attributes:
        shape: columns of `Rows.shape` in S; none makes S = 1.
        features: columns in F; none leaves the second term out.
        size: whether there is a line in size.
    """

    shape: tuple[int, ...]
    features: tuple[int, ...]
    size: bool


class Kernel:
    """The covariance above for some parts, with parameters `theta`: (u..., w..., s1, s2, noise, l), logarithms."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.n_shape, self.n_features = len(parts.shape), len(parts.features)
        n = self.n_shape + self.n_features
        shape = np.full(self.n_shape, np.log(1.0 / max(1, self.n_shape)))
        features = np.full(self.n_features, np.log(1.5 / max(1, self.n_features)))
        both = self.n_shape and self.n_features
        # prior: together the shape's numbers and the features each halve a covariance or so over one standard
        # deviation; most of what is not linear in size is the shape's; noise a twentieth
        s1, s2 = (0.5, 0.3) if both else (0.8, 0.8)
        self.prior: Matrix = np.concatenate([shape, features, np.log([s1, s2, 0.05, 0.5])])
        self.spread: Matrix = np.concatenate([np.full(n, 1.0), [0.7, 0.7, 1.0, 0.7]])

    def _terms(self, theta: Matrix) -> tuple[float, float, float, float]:
        """s1, s2, noise, l; those out of use are 0."""
        s1, s2, noise, line = np.exp(theta[-4:])
        return (
            float(s1) if self.n_shape else 0.0,
            float(s2) if self.n_features else 0.0,
            float(noise),
            float(line) if self.parts.size else 0.0,
        )

    def between(self, theta: Matrix, a: Rows, b: Rows) -> Matrix:
        """(n, m) covariances, without noise."""
        s1, s2, _, line = self._terms(theta)
        weights = np.exp(theta[:-4])
        x = a.shape[:, self.parts.shape] * np.sqrt(weights[: self.n_shape])
        y = b.shape[:, self.parts.shape] * np.sqrt(weights[: self.n_shape])
        apart = 0.5 * ((x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1)[None, :]) - x @ y.T
        np.maximum(apart, 0.0, out=apart)
        shape = np.exp(np.negative(apart, out=apart), out=apart)
        out = np.outer(line * a.shape[:, -1], b.shape[:, -1])
        out += CONSTANT
        if not s2:
            out += s1 * shape
            return np.asarray(out)
        differ = np.zeros_like(shape)
        for j, w in zip(self.parts.features, weights[self.n_shape :], strict=True):
            differ -= w * _apart(a, b, j)
        within = np.exp(differ, out=differ)
        within *= s2
        within += s1  # s1 S + s2 S F = S (s1 + s2 F)
        within *= shape
        out += within
        return np.asarray(out)

    def variance(self, theta: Matrix, a: Rows) -> Matrix:
        """(n,) prior variances."""
        s1, s2, _, line = self._terms(theta)
        return np.asarray(s1 + s2 + line * a.shape[:, -1] ** 2 + CONSTANT)

    def noise(self, theta: Matrix) -> float:
        """Variance of measuring once, of standardized losses."""
        return self._terms(theta)[2]

    def tune(self, rows: Rows, targets: Matrix, counts: Matrix, start: Matrix | None, steps: int) -> Matrix:
        """Parameters of the highest posterior density, from `start` or the prior, by so many steps of L-BFGS.

        Args:
            rows, targets: n of them.
            counts: (n,) measurements whose mean each target is.
            start, steps: where it begins, and how long it goes on.
        """
        from scipy.optimize import minimize

        problem = _Likelihood(self, rows, targets, counts)
        low, high = self.prior - WITHIN * self.spread, self.prior + WITHIN * self.spread
        first = np.clip(self.prior if start is None else start, low, high)
        found = minimize(
            problem, first, jac=True, method="L-BFGS-B", bounds=list(zip(low, high, strict=True)),
            options={"maxiter": steps},
        )  # fmt: skip
        best: Matrix = np.asarray(found.x, dtype=np.float64)
        return best if np.isfinite(best).all() else self.prior.copy()


def _apart(a: Rows, b: Rows, j: int) -> Matrix:
    """d_j."""
    other = (a.codes[:, j, None] != b.codes[None, :, j]).astype(np.float64)
    x, y = a.numbers[:, j], b.numbers[:, j]
    if x.any() or y.any():
        other += 0.5 * (1.0 - other) * (x[:, None] - y[None, :]) ** 2
    return np.asarray(other)


class _Likelihood:
    """Negative log posterior of `theta` and its gradient (Rasmussen & Williams 2006, eqs. 5.8 and 5.9)."""

    def __init__(self, kernel: Kernel, rows: Rows, targets: Matrix, counts: Matrix) -> None:
        self.kernel, self.targets, self.counts = kernel, targets, counts
        s = rows.shape[:, kernel.parts.shape].T
        self.shape = 0.5 * (s[:, :, None] - s[:, None, :]) ** 2
        self.features = np.array([_apart(rows, rows, j) for j in kernel.parts.features]).reshape(-1, *(len(rows),) * 2)
        self.line = np.outer(rows.shape[:, -1], rows.shape[:, -1])

    def __call__(self, theta: Matrix) -> tuple[float, Matrix]:
        k, n = self.kernel, len(self.targets)
        s1, s2, noise, line = k._terms(theta)
        weights = np.exp(theta[:-4])
        u, w = weights[: k.n_shape], weights[k.n_shape :]
        shape = np.exp(-np.tensordot(u, self.shape, 1))
        first, second = s1 * shape, s2 * shape * np.exp(-np.tensordot(w, self.features, 1))
        whole = first + second + line * self.line + CONSTANT
        whole[np.diag_indices(n)] += noise / self.counts + JITTER
        try:
            lower = np.linalg.cholesky(whole)
        except np.linalg.LinAlgError:
            return 1e6, np.zeros_like(theta)
        inverse = cho_solve((lower, True), np.eye(n))
        alpha = inverse @ self.targets
        off = (theta - k.prior) / k.spread
        value = 0.5 * self.targets @ alpha + np.log(np.diag(lower)).sum() + 0.5 * off @ off
        slope: Any = np.outer(alpha, alpha) - inverse
        gradient = np.empty_like(theta)
        gradient[: k.n_shape] = 0.5 * u * np.tensordot(self.shape, slope * (first + second), 2)
        gradient[k.n_shape : -4] = 0.5 * w * np.tensordot(self.features, slope * second, 2)
        gradient[-4] = -0.5 * (slope * first).sum()
        gradient[-3] = -0.5 * (slope * second).sum()
        gradient[-2] = -0.5 * noise * (np.diag(slope) / self.counts).sum()
        gradient[-1] = -0.5 * line * (slope * self.line).sum()
        return float(value), gradient + off / k.spread
