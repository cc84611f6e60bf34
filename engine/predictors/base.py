"""What a predictor is: fitted to architectures and losses, it says mean and spread of others. Torch-free to import.

A predictor holds no history: strategies fit it to what they choose. Same data, same generator: same predictions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from engine.architecture import Architecture

if TYPE_CHECKING:
    from engine.spaces.base import SearchSpace

Vector = NDArray[np.float64]


class Predictor(ABC):
    """Predicts one loss (smaller is better, any scale) of architectures of one space.

    Args:
        options: an instance of the class's `Options`.
        space: bound to data.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str] = ""
    Options: ClassVar[type[BaseModel]]

    def __init__(self, options: BaseModel, space: SearchSpace) -> None:
        self.options: Any = options
        self.space = space

    @abstractmethod
    def fit(self, architectures: Sequence[Architecture], losses: Vector, rng: np.random.Generator) -> None:
        """Learns from scratch; `losses` (n,) finite, n >= 1."""

    @abstractmethod
    def predict(self, architectures: Sequence[Architecture]) -> tuple[Vector, Vector]:
        """Mean (m,) and standard deviation (m,) of the loss each would have, without noise of measuring."""
