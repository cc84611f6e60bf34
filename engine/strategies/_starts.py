"""Small networks to begin with, for strategies that let networks grow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.architecture import Architecture
from engine.errors import CannotBuild
from engine.spaces.base import SearchSpace


def smallest_of(space: SearchSpace, draws: int) -> Callable[[np.random.Generator], Architecture]:
    """Draws so many architectures from the prior and gives the one with the fewest multiply-adds; for `draw`.

    One that cannot be built counts as the largest.
    """

    def size(architecture: Architecture) -> float:
        try:
            return float(space.costs(architecture).n_macs)
        except CannotBuild:
            return float("inf")

    def how(rng: np.random.Generator) -> Architecture:
        return min((space.sample(rng) for _ in range(draws)), key=size) if draws > 1 else space.sample(rng)

    return how
