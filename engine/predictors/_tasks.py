"""Networks as a meta-learned surrogate sees them, and synthetic searches for it to learn from.

A vector has the standardized numbers of the network's shape and size (`_described`), which mean the same in every
space, then its live features hashed into `BUCKETS` signed places (Weinberger et al. 2009), so that its length does not
depend on the space either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.architecture import Architecture
from engine.errors import CannotBuild
from engine.network.structure import STRUCTURE
from engine.predictors._described import described
from engine.spaces._once import once_per_space

if TYPE_CHECKING:
    from engine.spaces.base import SearchSpace

Matrix = NDArray[np.float64]
BUCKETS = 64
#: length of a vector
WIDTH = len(STRUCTURE) + 1 + BUCKETS
#: architectures of the space that synthetic searches are made on
POOL = 256
#: vectors that are remembered
REMEMBERED = 30_000


class Vectors:
    """Reads architectures of a space; what was read is remembered."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.reader = described(space)
        self._known: dict[str, Matrix] = {}

    def read(self, architectures: Sequence[Architecture]) -> Matrix:
        """(n, WIDTH)."""
        if len(self._known) > REMEMBERED:
            self._known.clear()
        missing = [a for a in architectures if a.key not in self._known]
        rows = self.reader.read(missing)
        for i, architecture in enumerate(missing):
            out = np.zeros(WIDTH)
            out[: WIDTH - BUCKETS] = np.clip(rows.shape[i], -4, 4)
            for place, value in self._hashed(architecture, rows.numbers[i]):
                out[WIDTH - BUCKETS + place] += value
            self._known[architecture.key] = out
        return np.array([self._known[a.key] for a in architectures]).reshape(-1, WIDTH)

    def _hashed(self, architecture: Architecture, numbers: Matrix) -> list[tuple[int, float]]:
        try:
            features = self.space.features(architecture)
        except CannotBuild:
            return []
        out = []
        for j, name in enumerate(self.reader.names):
            value = features.get(name)
            if isinstance(value, str):
                out.append(_bucket(f"{name}={value}"))
            elif value is not None:
                place, sign = _bucket(name)
                out.append((place, sign * float(np.clip(numbers[j], -4, 4))))
        return out


@lru_cache(maxsize=1 << 14)
def _bucket(text: str) -> tuple[int, float]:
    number = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
    return number % BUCKETS, 1.0 if number >> 63 else -1.0


@once_per_space()
def vectors(space: SearchSpace) -> Vectors:
    """The reader of a space."""
    return Vectors(space)


@dataclass(frozen=True, eq=False)
class Task:
    """One search to learn from; equal where the content is.

    Attributes:
        rows: (n, WIDTH).
        losses: (n,) standardized.
        weight: how often it is drawn, relative to others.
    """

    rows: Matrix
    losses: Matrix
    weight: float = 1.0

    @cached_property
    def digest(self) -> str:
        """Of the content."""
        return blake2b(self.rows.tobytes() + self.losses.tobytes() + repr(self.weight).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Task) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def synthetic_tasks(space: SearchSpace, n: int) -> list[Task]:
    """Made-up searches on drawn architectures of a space.

    Losses are -(b . shape + w . features + c sin(v . all)) + noise, compressed where they are bad: b is normal around a
    gain with size, w normal, sin for what does not add up; the three weights and the noise are drawn anew for each.
    """
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(2 * POOL):
        architecture = space.sample(rng)
        try:
            space.costs(architecture)
        except CannotBuild:
            continue
        drawn.append(architecture)
    rows = vectors(space).read(drawn[:POOL])
    first = WIDTH - BUCKETS
    out = []
    for _ in range(n if len(rows) else 0):
        b = rng.normal(0, 0.4, first)
        b[-1] += rng.uniform(0, 1.2)
        parts = [
            rows[:, :first] @ b,
            rows[:, first:] @ rng.normal(size=BUCKETS),
            np.sin(rows @ rng.normal(0, 0.7, WIDTH) / 2 + rng.uniform(0, 6)),
        ]
        mixed = sum(rng.uniform(0.2, 1.0) * _standard(p) for p in parts)
        losses = np.logaddexp(0.0, -1.2 * _standard(np.asarray(mixed)))
        noise = rng.uniform(0.05, 0.4) * rng.standard_normal(len(rows))
        out.append(Task(rows, _standard(_standard(losses) + noise)))
    return out


def _standard(x: Matrix) -> Matrix:
    spread = float(x.std())
    return (x - x.mean()) / spread if spread > 1e-12 else x * 0.0
