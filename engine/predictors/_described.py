"""Architectures as a Gaussian process sees them: the network's shape, what acts in it, and how large it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.architecture import Architecture
from engine.errors import CannotBuild
from engine.network.structure import STRUCTURE
from engine.spaces._once import once_per_space

if TYPE_CHECKING:
    from engine.spaces.base import SearchSpace

Matrix = NDArray[np.float64]
#: draws from the prior that say how widely a number is spread in a space
REFERENCE = 256
#: share of the draws at either end that does not count for centre and scale, and how far from the centre anything is
TAIL, FAR = 0.05, 5.0
#: architectures whose description is remembered
REMEMBERED = 30_000


@dataclass(frozen=True)
class Rows:
    """n architectures for a kernel.

    Attributes:
        shape: (n, s) standardized numbers of the network's shape, the last one log10 of live multiply-adds.
        codes: (n, f) category of each feature; 0 where it is a number, -1 where it does not act.
        numbers: (n, f) standardized value of each feature that is a number, else 0.
        places: (n,) where the reader keeps each of them, or None; equal places of one `filling` are equal rows.
        filling: how often the reader had forgotten all when they were read.
    """

    shape: Matrix
    codes: NDArray[np.int64]
    numbers: Matrix
    places: NDArray[np.intp] | None = None
    filling: int = 0

    def __len__(self) -> int:
        return len(self.shape)

    def at(self, places: NDArray[np.intp]) -> Rows:
        """Some of them."""
        kept = None if self.places is None else self.places[places]
        return Rows(self.shape[places], self.codes[places], self.numbers[places], kept, self.filling)

    def joined(self, other: Rows) -> Rows:
        """Both, one behind the other."""
        places = None
        if self.places is not None and other.places is not None and self.filling == other.filling:
            places = np.concatenate([self.places, other.places])
        return Rows(
            np.concatenate([self.shape, other.shape]),
            np.concatenate([self.codes, other.codes]),
            np.concatenate([self.numbers, other.numbers]),
            places,
            self.filling,
        )


class Described:
    """Reads architectures of a space; what was read is shared by all equal spaces of a process.

    Numbers are standardized over `REFERENCE` draws from the prior. A feature that none of them has is no column. A
    network without a way from input to output counts as large as the smallest of the draws.

    Attributes:
        names: of the features, in the order of the columns.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        rng = np.random.default_rng(0)
        found = []
        for _ in range(REFERENCE):
            try:
                found.append(self._look(space.sample(rng)))
            except CannotBuild:
                continue
        shapes = np.array([shape for shape, _ in found]).reshape(-1, len(STRUCTURE) + 1)
        sizes = shapes[:, -1][np.isfinite(shapes[:, -1])]
        self._smallest = float(sizes.min()) if len(sizes) else 0.0
        shapes[~np.isfinite(shapes)] = self._smallest
        if found:  # a few networks without a way to their output must not set the scale
            shapes = np.clip(shapes, *np.quantile(shapes, (TAIL, 1 - TAIL), axis=0))
        self._centre = shapes.mean(axis=0) if found else np.zeros(len(STRUCTURE) + 1)
        self._scale = shapes.std(axis=0) if found else np.ones(len(STRUCTURE) + 1)
        self._scale[self._scale < 1e-9] = 1.0
        self.names = sorted({name for _, values in found for name in values})
        self._spread: dict[str, tuple[float, float]] = {}
        for name in self.names:
            numbers = [v for _, values in found if not isinstance(v := values.get(name), str) and v is not None]
            if numbers:
                self._spread[name] = (float(np.mean(numbers)), float(np.std(numbers)) or 1.0)
        self._categories: dict[tuple[str, str], int] = {}
        self._guard = Lock()
        self._filling = 0
        self._empty()

    def _empty(self) -> None:
        self._filling += 1
        self._place: dict[str, int] = {}
        n, f = 256, len(self.names)
        self._rows = Rows(np.zeros((n, len(STRUCTURE) + 1)), np.full((n, f), -1, dtype=np.int64), np.zeros((n, f)))

    def _look(self, architecture: Architecture) -> tuple[Matrix, dict[str, float | str]]:
        shape = self.space.structure(architecture)
        _, n_macs = self.space.live_costs(architecture)
        # nothing is live without a way from input to output: no size, which the line in size must not be drawn through
        size = np.log10(n_macs) if n_macs > 0 else -np.inf
        numbers = np.array([*(shape[name] for name in STRUCTURE), size])
        # sizes and paths stand among the numbers of the shape already
        features = {
            name: value
            for name, value in self.space.features(architecture).items()
            if not name.startswith("log10_") and name not in ("paths", "longest_path")
        }
        return numbers, features

    def read(self, architectures: Sequence[Architecture]) -> Rows:
        """Rows of these; one that cannot be built has the mean's shape and no features."""
        with self._guard:
            if len(self._place) > REMEMBERED:
                self._empty()
            places = np.array([self._known(a) for a in architectures], dtype=np.intp)
            return replace(self._rows.at(places), places=places, filling=self._filling)

    def _known(self, architecture: Architecture) -> int:
        place = self._place.get(architecture.key)
        if place is not None:
            return place
        place = len(self._place)
        if place == len(self._rows):
            self._rows = self._rows.joined(self._rows)  # twice as long; what stands in the new half is overwritten
        self._place[architecture.key] = place
        shape, codes, numbers = self._rows.shape[place], self._rows.codes[place], self._rows.numbers[place]
        shape[:], codes[:], numbers[:] = 0.0, -1, 0.0
        try:
            at, features = self._look(architecture)
        except CannotBuild:
            return place
        at[-1] = at[-1] if np.isfinite(at[-1]) else self._smallest
        shape[:] = np.clip((at - self._centre) / self._scale, -FAR, FAR)
        for j, name in enumerate(self.names):
            value = features.get(name)
            if isinstance(value, str):
                codes[j] = self._categories.setdefault((name, value), len(self._categories) + 1)
            elif value is not None:
                mean, sd = self._spread.get(name, (0.0, 1.0))
                codes[j], numbers[j] = 0, (value - mean) / sd
        return place


@once_per_space()
def described(space: SearchSpace) -> Described:
    """The reader of a space."""
    return Described(space)
