"""Draws networks until one can be built."""

from __future__ import annotations

from collections.abc import Callable

from engine.architecture import Architecture
from engine.errors import CannotBuild
from engine.spaces.base import SearchSpace

#: draws until one can be built
TRIES = 50


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
