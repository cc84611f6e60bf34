"""FBNet (Wu et al. 2019): all options weighed by a relaxed sample, latency as a factor of the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, Field

from engine.supernets._hardware import HardwareOptions
from engine.supernets.base import SupernetMethod

if TYPE_CHECKING:
    from engine.supernets.nets.learner import Learner, Setup


class FbnetOptions(HardwareOptions):
    """Temperature of the samples, and how latency enters the loss."""

    #: high enough for any number of steps
    published: ClassVar[tuple[float, int]] = (0.01, 0)

    alpha_decay: float = Field(5e-4, ge=0, le=1, description="Weight decay of the architecture parameters.")
    temperature: float = Field(5.0, gt=0, le=1000, description="Temperature of the Gumbel softmax in the first epoch.")
    annealing: float | None = Field(
        None, gt=0, le=1,
        description="Factor of the temperature from epoch to epoch; empty = 0.956, scaled from 90 epochs to these.",
    )  # fmt: skip
    latency_scale: float = Field(
        0.2, gt=0, le=1000, description="Factor of the architecture parameters' loss (alpha of the paper); their Adam "
        "hardly minds it, so that it weighs the loss against their decay alone.",
    )  # fmt: skip
    latency_weight: float = Field(
        0.6, ge=0, le=20,
        description="Power of the logarithm of the latency (beta of the paper); 0 = it is not measured.",
    )  # fmt: skip
    samples: int = Field(
        5, ge=0, le=199, description="Networks drawn by their probabilities and handed over behind the most probable."
    )


class Fbnet(SupernetMethod):
    """Weighs all options of each block by a Gumbel softmax, and lets the temperature fall.

    The search algorithm: P(b_l = b_l,i) = softmax(theta_l)_i; a block gives sum_i m_l,i b_l,i(x), m_l,i the Gumbel
    softmax exp((theta_l,i + g_l,i) / tau) / sum. The latency-aware loss: cross-entropy times alpha log(LAT)^beta, LAT
    the sum over a table of measured operations, in the supernet weighed by the same m. On ImageNet alpha = 0.2,
    beta = 0.6; tau begins at 5 and falls by the factor exp(-0.045) = 0.956 an epoch; theta begins to learn after 10 of
    90 epochs, by Adam with rate 0.01 and decay 5e-4. As in the paper networks are drawn from P; the most probable one
    (the strongest option of each block) comes first here, then `samples` drawn ones.

    **Deviations.** The two parts of the training split are halves and take turns step by step; the paper trains weights
    on 80 % and then theta on 20 % of it each epoch. Weights descend the cross-entropy alone: the paper's loss has the
    latency's factor for them, too, which does no more than scale their gradient. LAT is in microseconds, at least e, so
    that the logarithm is at least 1. The factor 0.956 and the 10 epochs scale with the number of epochs: the
    temperature ends where it ended after 90. Weights have a rate of 0.025 and a decay of 3e-4, not 0.1 and 1e-4; Adam's
    betas are those of DARTS. Norms have no scale and shift, as for all methods that weigh options. A recurrent cell is
    measured whole, not by operation: its latency is the same whatever is chosen inside.
    """

    name = "fbnet"
    summary = "Weighs all operations by a relaxed sample that hardens, with measured latency as a factor of the loss."
    reference = (
        "Wu et al. 2019, FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable Neural Architecture Search"
    )
    group = "gradient"
    guide = (
        "Good for networks that must be fast on the workers' device: every step hears from all options, which is quick "
        "and steady. Take ProxylessNAS where all options side by side do not fit into memory, and DARTS for recurrent "
        "cells, whose latency is measured as a whole and prefers nothing inside."
    )
    mixes: ClassVar[bool] = True
    measures: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = FbnetOptions

    def needs_latency(self) -> bool:
        """Only where it is weighed."""
        return bool(self.options.latency_weight)

    @classmethod
    def learner(cls, setup: Setup) -> Learner:
        """All options, weighed by relaxed samples."""
        from engine.supernets.nets.relaxed import RelaxedLearner

        return RelaxedLearner(setup)
