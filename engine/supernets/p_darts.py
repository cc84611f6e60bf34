"""P-DARTS (Chen et al. 2019): deeper search networks stage by stage, over fewer operations, with few skips."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, Field

from engine.supernets._gradient import GradientOptions
from engine.supernets.base import SupernetMethod

if TYPE_CHECKING:
    from engine.supernets.nets.learner import Learner, Setup


class PDartsOptions(GradientOptions):
    """Stages, and what holds skip connections back."""

    epochs: int = Field(75, ge=1, le=10_000, description="Epochs of the supernet, split among three stages.")
    learning_rate_end: float = Field(0.0, ge=0, le=1, description="Where the cosine of each stage ends.")
    #: three stages of 15 epochs in batches of 96
    published: ClassVar[tuple[float, int]] = (6e-4, 11_700)

    max_skips: int | None = Field(
        2, ge=0, le=1000, description="Skip connections that a derived normal cell may have; empty = any number."
    )
    frozen: float = Field(
        0.4, ge=0, lt=1, description="Share of each stage's epochs, from its start, in which only weights are trained."
    )
    dropout: float = Field(
        0.7, ge=0, lt=1,
        description="Dropout behind skip connections at the start of the third stage; the second has 4/7 of it, the "
        "first none.",
    )  # fmt: skip


class PDarts(SupernetMethod):
    """DARTS in three stages that close the depth gap between the search network and the final one.

    Search space approximation: the network grows (5, 11, 17 cells for a final 20) while each edge keeps fewer
    operations (8, 5, 3), those with the largest softmax(alpha); weights and alphas begin anew in each stage. Search
    space regularization: dropout behind each skip connection, which decays within a stage (from 0.0, 0.4, 0.7 in the
    three stages on CIFAR-10), and at most M = 2 skip connections in the final normal cell: the weakest beyond are
    taken away and the cell is derived anew (`engine.supernets.limits`). Each stage has 25 epochs, alphas stay as they
    are for the first 10; Adam with 6e-4, betas (0.5, 0.999), weight decay 1e-3; each stage has a cosine of its own,
    from 0.025 to 0.

    The published code says how dropout decays: linearly towards 0 over a stage's epochs while alphas stay, then from
    the full rate by exp(-0.2) an epoch, which is exp(-3) over its 15 epochs; here it is exp(-3) over however many
    there are. It spares skip connections of stride 2, which have weights; the paper says "each", as it is here. Its
    README begins the first stage with 0.1, the paper with 0.0, as here.

    **Deviations.** Depths are the paper's shares of the final network's, 0.25, 0.55 and 0.85 of the space's `layers`
    (`darts`) or `cells` (`nasbench201`: per stage of the network), at least what the space allows; where a space
    decides the depth itself, all stages have all of it. Operations kept are 5/8 and 3/8 of those there were, rounded,
    at least 2. Batches of 64, not 96. Gradients of alphas are not clipped (the published code: at 5). With fewer than
    three epochs there are as many stages as epochs.
    """

    name = "p_darts"
    summary = "Searches in three stages: deeper networks, fewer operations, skip connections held back."
    reference = "Chen et al. 2019, Progressive Differentiable Architecture Search: Bridging the Depth Gap"
    group = "gradient"
    guide = (
        "Good where the final network is much deeper than what fits into memory with all operations side by side. "
        "Take PC-DARTS or DrNAS where the network is shallow or epochs are few: each stage begins anew."
    )
    mixes: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = PDartsOptions

    @classmethod
    def learner(cls, setup: Setup) -> Learner:
        """Three stages."""
        from engine.supernets.nets.progressive import ProgressiveLearner

        return ProgressiveLearner(setup)
