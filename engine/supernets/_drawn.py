"""Draws networks until one can be built, and leads them within limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from engine.architecture import Architecture
from engine.errors import CannotBuild, NotOffered
from engine.spaces.base import SearchSpace

#: draws until one can be built
TRIES = 50
#: changes of one decision on the way to the limits
CHANGES = 1000


def buildable(space: SearchSpace, draw: Callable[[], Architecture]) -> Architecture:
    """What `draw` gives first that can be built.

    Raises:
        CannotBuild: none of `TRIES` can.
    """
    for left in reversed(range(TRIES)):
        architecture = draw()
        try:
            space.planned(architecture)
        except CannotBuild:
            if not left:
                raise
        else:
            return architecture
    raise AssertionError("unreachable")


def overrun(space: SearchSpace, limits: Mapping[str, float], architecture: Architecture) -> float:
    """By what share of a limit it is exceeded, of the one that is exceeded most; 0 within all limits.

    Raises:
        CannotBuild: no network can be made of it.
    """
    costs = space.costs(architecture).as_metrics() if limits else {}
    return max((costs[name] / most - 1 for name, most in limits.items() if costs[name] > most), default=0.0)


def within(
    space: SearchSpace, limits: Mapping[str, float], begin: Architecture, rng: np.random.Generator
) -> Architecture:
    """A network within the limits that is near to `begin`: it changes one decision at a time, never away from them.

    Args:
        space: of the network.
        limits: on exact costs; {} gives `begin` itself.
        begin: can be built.
        rng: of the changes.

    Raises:
        CannotBuild: `CHANGES` of them did not lead there.
    """
    best, off = begin, overrun(space, limits, begin)
    for _ in range(CHANGES):
        if not off:
            return best
        try:
            other = space.mutate(best, 1, rng)
            space.planned(other)
            now = overrun(space, limits, other)
        except CannotBuild:
            continue
        except NotOffered:  # the space holds a single architecture
            break
        if now <= off:
            best, off = other, now
    if not off:
        return best
    costs = space.costs(best).as_metrics()
    said = ", ".join(f"{name} at most {most:,.0f}, this one {costs[name]:,.0f}" for name, most in limits.items())
    raise CannotBuild(f"no network within the limits was found, the nearest is {space.short_name(best)}: {said}")
