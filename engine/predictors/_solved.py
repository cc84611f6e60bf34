"""What a Gaussian process has worked out of candidates that are asked about again after every result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from engine.predictors._described import Rows

if TYPE_CHECKING:
    from engine.predictors._kernel import Kernel

Matrix = NDArray[np.float64]
#: candidates whose covariances are computed at once
BLOCK = 4_096


class Solved:
    """V = K L^-T of all candidates that were ever asked about, for one process after the other.

    With K (candidates, known) the covariances and L the Cholesky factor of the known ones' covariance, mean and
    variance of a candidate are its row of V times L^-1 y, and its prior variance less the row's squares. As long as the
    parameters stay, a further result is a further column: the first columns hold whatever comes behind them. So an ask
    over 5,000 candidates with 300 results costs one column instead of 300.
    """

    def __init__(self) -> None:
        self._theta: Matrix | None = None
        self._filling = -1
        self._known: NDArray[np.intp] = np.zeros(0, dtype=np.intp)  # places of the results that the columns stand for
        self._slot: NDArray[np.intp] = np.full(0, -1, dtype=np.intp)  # by place: row of V
        self._rows: Rows | None = None  # of the rows of V
        self._v: Matrix = np.zeros((0, 0))  # (rows, at least as many columns as are known)

    def rows(self, kernel: Kernel, theta: Matrix, known: Rows, lower: Matrix, asked: Rows) -> Matrix:
        """V of some candidates, (asked, known).

        Args:
            kernel, theta: with all parameters.
            known: results the process stands on, with places.
            lower: L.
            asked: candidates, with places of the same filling.
        """
        assert known.places is not None and asked.places is not None
        if self._theta is None or asked.filling != self._filling or not np.array_equal(theta, self._theta):
            self._theta, self._filling = theta.copy(), asked.filling
            self._known = self._known[:0]
            if self._rows is not None and self._rows.filling != asked.filling:
                self._rows, self._slot = None, self._slot[:0]
        n = min(len(known.places), len(self._known))
        differ = np.flatnonzero(known.places[:n] != self._known[:n])
        kept = int(differ[0]) if len(differ) else n
        self._known = known.places
        if self._rows is not None:
            self._extend(kernel, theta, known, lower, kept)
        self._admit(kernel, theta, known, lower, asked)
        return np.asarray(self._v[self._slot[asked.places], : len(known)])

    def _extend(self, kernel: Kernel, theta: Matrix, known: Rows, lower: Matrix, kept: int) -> None:
        """The columns behind the first `kept`, of all rows."""
        assert self._rows is not None
        n = len(known)
        if self._v.shape[1] < n:
            wider = np.empty((len(self._v), max(n, 2 * self._v.shape[1])))
            wider[:, :kept] = self._v[:, :kept]
            self._v = wider
        if kept < n:
            new = known.at(np.arange(kept, n))
            for start in range(0, len(self._rows), BLOCK):
                at = slice(start, start + BLOCK)
                cross = kernel.between(theta, self._rows.at(np.arange(len(self._rows))[at]), new)
                cross -= self._v[at, :kept] @ lower[kept:, :kept].T
                self._v[at, kept:n] = _divided(cross, lower[kept:, kept:])

    def _admit(self, kernel: Kernel, theta: Matrix, known: Rows, lower: Matrix, asked: Rows) -> None:
        """Rows of those candidates that have none."""
        assert asked.places is not None
        if asked.places.size and (most := int(asked.places.max())) >= len(self._slot):
            self._slot = np.r_[self._slot, np.full(most + 1 - len(self._slot), -1, dtype=np.intp)]
        fresh = np.flatnonzero(self._slot[asked.places] < 0)
        _, first = np.unique(asked.places[fresh], return_index=True)
        fresh = fresh[first]
        if not len(fresh):
            return
        before = 0 if self._rows is None else len(self._rows)
        added = asked.at(fresh)
        self._slot[asked.places[fresh]] = before + np.arange(len(fresh))
        self._rows = added if self._rows is None else self._rows.joined(added)
        v = np.empty((len(self._rows), max(self._v.shape[1], len(known))))
        v[:before, : self._v.shape[1]] = self._v[:before]
        for start in range(0, len(added), BLOCK):
            at = np.arange(start, min(start + BLOCK, len(added)))
            v[before + at, : len(known)] = _divided(kernel.between(theta, added.at(at), known), lower)
        self._v = v


def _divided(cross: Matrix, lower: Matrix) -> Matrix:
    """cross L^-T."""
    if lower.shape == (1, 1):
        return np.asarray(cross / lower[0, 0])
    # a product with the inverse takes a third of the time of solving for thousands of candidates
    return np.asarray(cross @ solve_triangular(lower, np.eye(len(lower)), lower=True).T)
