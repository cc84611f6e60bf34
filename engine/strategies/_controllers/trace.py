"""Numbers over time, in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Trace:
    """Rows of numbers, evenly thinned: when there are more than `most`, every second is dropped, and from then on only
    every second of those added is kept.

    Args:
        most: rows kept.
        width: numbers in a row.
    """

    def __init__(self, most: int, width: int) -> None:
        self.most, self.width = most, width
        self._rows: list[NDArray[np.float32]] = []
        self._stride, self._added = 1, 0

    def add(self, row: ArrayLike) -> None:
        """Adds a row, if its turn has come."""
        if self._added % self._stride == 0:
            self._rows.append(np.asarray(row, dtype=np.float32))
            if len(self._rows) > self.most:
                self._rows, self._stride = self._rows[::2], 2 * self._stride
        self._added += 1

    @property
    def rows(self) -> NDArray[np.float32]:
        """(rows, width), oldest first."""
        return np.array(self._rows, dtype=np.float32).reshape(-1, self.width)

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """What a snapshot keeps, by names that begin with `name`."""
        return {name: self.rows, f"{name}_turns": np.array([self._stride, self._added], dtype=np.int64)}

    def load(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Takes up what `arrays` gave under this name."""
        self._rows = [row.copy() for row in arrays[name]]
        self._stride, self._added = (int(n) for n in arrays[f"{name}_turns"])
