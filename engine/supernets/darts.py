"""DARTS (Liu, Simonyan & Yang 2019): architecture parameters by gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel

from engine.supernets._gradient import GradientOptions
from engine.supernets.base import SupernetMethod

if TYPE_CHECKING:
    from engine.supernets.nets.learner import Learner, Setup


class Darts(SupernetMethod):
    """Weighs all options of every edge by a softmax of its architecture parameters."""

    name = "darts"
    summary = "Weighs all operations side by side and follows the gradient of the held-out loss."
    reference = "Liu, Simonyan & Yang 2019, DARTS: Differentiable Architecture Search"
    group = "gradient"
    mixes: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = GradientOptions

    @classmethod
    def learner(cls, setup: Setup) -> Learner:
        """All options, weighted."""
        from engine.supernets.nets.mixed import MixedLearner

        return MixedLearner(setup)
