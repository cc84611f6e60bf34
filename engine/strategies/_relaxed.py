"""Places of decisions in one vector of numbers, for strategies that move in a continuous space and read networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.architecture import Architecture, Option
from engine.spaces.base import Decision

if TYPE_CHECKING:
    from engine.spaces.base import SearchSpace

Vector = NDArray[np.float64]


class Slots:
    """Where each decision that can occur stands in the vector: one number per option, or one number for a scale.

    Args:
        space: bound.
        scales: whether an ordered decision of more than two options gets a single number.

    Attributes:
        decisions: all that can occur, in order.
        n: numbers in all.
        starts: (decisions,) where each begins.
        sizes: (decisions,) how many numbers each has.
    """

    def __init__(self, space: SearchSpace, *, scales: bool) -> None:
        self.space = space
        self.decisions = space.all_decisions()
        self.single = [scales and d.ordered and len(d.options) > 2 for d in self.decisions]
        widths = [1 if one else len(d.options) for d, one in zip(self.decisions, self.single, strict=True)]
        self.sizes = np.array(widths, dtype=np.intp)
        self.starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.intp)
        self.n = int(self.sizes.sum())
        self._index = {d.name: i for i, d in enumerate(self.decisions)}
        self._place = {d.name: {repr(o): j for j, o in enumerate(d.options)} for d in self.decisions}
        self._every = [np.arange(len(d.options), dtype=np.intp) for d in self.decisions]

    def index(self, name: str) -> int:
        """Number of a decision."""
        return self._index[name]

    def is_scale(self, decision: Decision) -> bool:
        """Whether a decision has a single number."""
        return self.single[self._index[decision.name]]

    def numbers(self, vector: Vector, decision: Decision) -> Vector:
        """Those of the vector (n,) that belong to a decision: one per option it offers now, or the single one."""
        i = self._index[decision.name]
        start = int(self.starts[i])
        if self.single[i]:
            return vector[start : start + 1]
        mine = vector[start : start + int(self.sizes[i])]
        return mine if len(decision.options) == len(mine) else mine[self.offered(decision)]

    def offered(self, decision: Decision) -> NDArray[np.intp]:
        """Places, among all options of a decision, of those it offers now."""
        i = self._index[decision.name]
        if len(decision.options) == len(self._every[i]):
            return self._every[i]
        places = self._place[decision.name]
        return np.array([places[repr(o)] for o in decision.options], dtype=np.intp)

    def position(self, name: str, option: Option) -> int:
        """Place in the vector of an option (not for a scale)."""
        return int(self.starts[self._index[name]]) + self._place[name][repr(option)]

    def read(self, choose: Callable[[Decision], int]) -> Architecture:
        """The architecture whose active decisions take the option of this place among those offered."""
        return self.space._walk(lambda d: d.options[choose(d)])

    def words(self, name: str, option: Option) -> str:
        """What people call an option of a decision."""
        return f"{self.space.title(name)}: {self.space.format(name, option)}"


def segments_normalized(values: Vector, starts: NDArray[np.intp], sizes: NDArray[np.intp]) -> Vector:
    """(..., n) not negative, each decision's numbers divided by their sum; uniform where all of them are zero."""
    sums = np.add.reduceat(values, starts, axis=-1)
    empty = sums <= 0
    whole = np.repeat(np.where(empty, 1.0, sums), sizes, axis=-1)
    uniform = np.repeat(1.0 / sizes, sizes)
    return np.where(np.repeat(empty, sizes, axis=-1), uniform, values / whole)
