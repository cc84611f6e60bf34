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


def normalize(x: NDArray[Any], spec: DataSpec) -> NDArray[Any]:
    """Raw values (n, *input_shape) as the network's input: `(x / scale - mean) / std` per channel, in float32.

    Everything that feeds a network (training, export, `predict.py`) does exactly this, in this order, so that the
    same sample gives the same bits everywhere. Tokens stay what they are, as int64.
    """
    if spec.kind == "text":
        return x.astype(np.int64)
    per_channel = (1, -1) + (1,) * (x.ndim - 2)
    mean = np.asarray(spec.mean, dtype=np.float32).reshape(per_channel)
    std = np.asarray(spec.std, dtype=np.float32).reshape(per_channel)
    out = x.astype(np.float32)
    out /= np.float32(spec.scale)
    out -= mean
    out /= std
    return out


def example(spec: DataSpec, n: int, rng: np.random.Generator) -> NDArray[Any]:
    """Made-up inputs of a network for this data, (n, *input_shape), as `normalize` gives them.

    Normal values; codes below each column's number of categories; tokens with padding behind them.
    """
    if spec.kind == "text":
        tokens = rng.integers(1, spec.vocabulary, (n, *spec.input_shape))
        lengths = rng.integers(1, spec.input_shape[0] + 1, (n, 1))
        return np.where(np.arange(spec.input_shape[0]) < lengths, tokens, 0).astype(np.int64)
    out = rng.standard_normal((n, *spec.input_shape)).astype(np.float32)
    if spec.kind == "table":
        for column, categories in enumerate(spec.cardinalities):
            if categories:
                out[:, column] = rng.integers(0, categories, n)
    return out
