"""R-DARTS (Zela et al. 2020): several runs of DARTS, each more regularized."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, Field

from engine.supernets._gradient import BilevelOptions
from engine.supernets.base import SupernetMethod

if TYPE_CHECKING:
    from engine.supernets.nets.learner import Learner, Setup


class RDartsOptions(BilevelOptions):
    """What the runs differ in."""

    regularization: Literal["weight_decay", "drop_path"] = Field(
        "weight_decay", description="Weight decay tripled from run to run, or dropped paths: 0, 0.2, 0.4, 0.6."
    )
    runs: int = Field(4, ge=1, le=20, description="Supernets trained, each more regularized; a fifth begins again.")
    weight_decay: float = Field(
        3e-4, ge=0, le=1, description="Of the shared weights; of the first run, where runs differ in it."
    )


class RDarts(SupernetMethod):
    """DARTS with four strengths of regularization of the weights; the derived networks compete trained alone.

    Section 5: stronger regularization of the inner objective keeps the curvature small. Section 5.3, R-DARTS(L2): runs
    with weight decay 3e-4, 9e-4, 27e-4, 81e-4; R-DARTS(DP): runs whose dropped paths rise over the training to 0, 0.2,
    0.4, 0.6; the best of the four by validation accuracy of the networks trained alone is handed over. Skip
    connections are not dropped, nor are zeros.

    **Deviations.** A run whose network is already derived adds the architectures of its earlier epochs. The published
    drop-path runs strengthen the augmentation of the data along with it; here that follows the search's recipe.
    """

    name = "r_darts"
    summary = "Four runs of DARTS with stronger and stronger weight decay or dropped paths; the best is kept."
    reference = "Zela et al. 2020, Understanding and Robustifying Differentiable Architecture Search"
    guide = (
        "Good where it is not known how much regularization the supernet needs and four trainings are affordable. "
        "Take early stopping (DARTS-ES) or DARTS- where they are not."
    )
    group = "gradient"
    mixes: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = RDartsOptions

    @classmethod
    def learner(cls, setup: Setup) -> Learner:
        """DARTS, regularized as its run says."""
        from engine.supernets.nets.remedies import RegularizedLearner

        return RegularizedLearner(setup)
