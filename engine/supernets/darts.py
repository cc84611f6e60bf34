"""DARTS (Liu, Simonyan & Yang 2019): architecture parameters by gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, Field

from engine.supernets._gradient import BilevelOptions
from engine.supernets.base import SupernetMethod

if TYPE_CHECKING:
    from engine.supernets.nets.learner import Learner, Setup


class DartsOptions(BilevelOptions):
    """What is watched and regularized, too."""

    eigenvalue: bool = Field(
        False, description="Measure the dominant eigenvalue of the held-out loss's Hessian every epoch."
    )
    drop_path: float = Field(
        0.0, ge=0, lt=1, description="Share of paths dropped in the supernet at the end of its training, rising from 0."
    )


class Darts(SupernetMethod):
    """Weighs all options of every edge by a softmax of its architecture parameters.

    Section 2.2: the output of an edge is the sum of all operations weighted by the softmax of its alphas. Section 2.3,
    Algorithm 1: each step descends the held-out loss in the alphas, then the training loss in the weights, on the two
    halves of the training split. First order: the weights as they are (xi = 0). Second order: through one step of the
    weights with learning rate xi (equations 6 to 8, `nets.bilevel`), momentum and weight decay included. Alphas: Adam,
    3e-4, betas (0.5, 0.999), weight decay 1e-3; weights: SGD, 0.025 along a cosine, momentum 0.9, weight decay 3e-4,
    gradients clipped at 5 (appendix A.1.1).

    Deviations: the step ahead is never clipped, while the weights' own step is, as published. Batch norms follow the
    weights' own passes alone. The architecture of every epoch is derived, so that a search can be watched; the last
    one's is handed over, where the paper takes the best of four runs by validation (`runs` trains several).
    """

    name = "darts"
    summary = "Weighs all operations side by side and follows the gradient of the held-out loss."
    reference = "Liu, Simonyan & Yang 2019, DARTS: Differentiable Architecture Search"
    guide = (
        "Good as the yardstick of gradient-based search: a cell after a single training. "
        "Take one of its remedies where the alarm reports skip connections, which is where it ends on many spaces."
    )
    group = "gradient"
    mixes: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = DartsOptions

    @classmethod
    def learner(cls, setup: Setup) -> Learner:
        """All options, weighted."""
        from engine.supernets.nets.darts import DartsLearner

        return DartsLearner(setup)
