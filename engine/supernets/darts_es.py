"""DARTS-ES (Zela et al. 2020): early stopping on the dominant eigenvalue."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel

from engine.supernets._gradient import BilevelOptions
from engine.supernets.base import SupernetMethod

if TYPE_CHECKING:
    from engine.supernets.nets.learner import Learner, Setup


class DartsEs(SupernetMethod):
    """DARTS that ends where the held-out loss begins to bend sharply in the architecture parameters.

    Section 4.3: with lambda(i) the dominant eigenvalue of the held-out loss's Hessian in the alphas at epoch i,
    smoothed over 5 epochs, the search stops when lambda(i - k) / lambda(i) < 0.75 for k = 5, and hands over what epoch
    i - k derived.

    **Deviations.** The eigenvalue is measured every epoch by Lanczos's iteration with Hessian-vector products, on one
    batch of the held half, always the same and without augmentation, so that epochs are comparable; the paper takes the
    full Hessian of a random batch. The mean is that of the last 5 epochs, so that the first epoch that can stop is 10.
    """

    name = "darts_es"
    summary = "DARTS that stops when the curvature of the held-out loss rises, and goes back to before the rise."
    reference = "Zela et al. 2020, Understanding and Robustifying Differentiable Architecture Search"
    guide = (
        "Good where DARTS collapses late: it costs little more than DARTS and often less. "
        "Take DARTS- or selection by removal where skip connections lead from the first epochs on."
    )
    group = "gradient"
    mixes: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = BilevelOptions

    @classmethod
    def learner(cls, setup: Setup) -> Learner:
        """DARTS with its eye on the eigenvalue."""
        from engine.supernets.nets.remedies import EarlyStoppedLearner

        return EarlyStoppedLearner(setup)
