"""The arrays of a data set in memory, and the one rule by which raw values become the network's input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data.spec import DataSpec

#: told what is being fetched or read: `{"kind": "phase", "phase": "data"}` or `{"kind": "log", ...}`
Tell = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Split:
    """Raw samples and their classes.

    Attributes:
        x: (n, *input_shape), uint8 or float32, not normalized.
        y: (n,) int64.
    """

    x: NDArray[Any]
    y: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Arrays:
    """What a search may look at: the training and the validation split. The test split is not here."""

    spec: DataSpec
    train: Split
    validation: Split


def normalize(x: NDArray[Any], spec: DataSpec) -> NDArray[np.float32]:
    """Raw values (n, *input_shape) as the network's input: `(x / scale - mean) / std` per channel, in float32.

    Everything that feeds a network (training, export, `predict.py`) does exactly this, in this order, so that the
    same sample gives the same bits everywhere.
    """
    per_channel = (1, -1) + (1,) * (x.ndim - 2)
    mean = np.asarray(spec.mean, dtype=np.float32).reshape(per_channel)
    std = np.asarray(spec.std, dtype=np.float32).reshape(per_channel)
    out = x.astype(np.float32)
    out /= np.float32(spec.scale)
    out -= mean
    out /= std
    return out
