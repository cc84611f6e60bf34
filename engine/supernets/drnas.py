"""DrNAS (Chen et al. 2021): mixing weights drawn from a Dirichlet whose concentration is learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, Field

from engine.supernets._gradient import GradientOptions
from engine.supernets.base import SupernetMethod

if TYPE_CHECKING:
    from engine.supernets.nets.learner import Learner, Setup


class DrNasOptions(GradientOptions):
    """The distribution's anchor, and progressive stages."""

    alpha_decay: float = Field(
        0.0, ge=0, le=1, description="Weight decay of the architecture parameters, beside the anchor."
    )
    anchor: Literal["l2", "kl"] = Field(
        "l2", description="Distance to the uniform Dirichlet: l2 = of the concentrations from 1; kl = Kullback-Leibler."
    )
    anchor_weight: float = Field(
        1e-3, ge=0, le=100, description="Weight of that distance in the loss (the paper's lambda)."
    )
    progressive: bool = Field(
        False,
        description="Two stages: a small part of the channels and all operations, then a larger part and 3/5 of them.",
    )
    partial: int = Field(
        4, ge=1, le=64,
        description="Progressive: operations see 1 / partial of the channels in the first stage, twice that in the "
        "second, as far as the channels can be divided so.",
    )  # fmt: skip
    frozen: float = Field(
        0.4, ge=0, lt=1,
        description="Progressive: share of each stage's epochs, from its start, in which only weights are trained.",
    )  # fmt: skip


class DrNas(SupernetMethod):
    """Draws the weights of an edge's operations from Dir(beta), and learns beta by the pathwise gradient.

    The mixing weights theta of an edge are random, theta ~ Dir(beta) with beta = elu(alpha) + 1, and
    E[L_val] is minimized over beta with the pathwise derivative of the sample (torch's `rsample`); a distance between
    beta and the anchor 1, the uniform distribution over the simplex, is added with weight lambda, so that samples
    neither crowd in the corners nor around the middle. Every pass has a sample of its own, for all cells
    of a kind. The option with the largest mean beta / sum beta is derived. Progressive learning: the first stage has
    1 / K of the channels and all operations; then the weakest operations of each edge are dropped and the channels
    widened (K = 6 to 4 and 7 to 4 operations on CIFAR-10, 4 to 2 and 5 to 3 on NAS-Bench-201). Widened weights are
    copied in the way of Net2Net (Chen, Goodfellow & Shlens 2016), with their momentum; alphas and their optimizer go
    on. Alphas stay as they are for the first 10 epochs of each stage, which has 25 (50 on NAS-Bench-201).

    The published code has the l2 distance as a weight decay of alpha, 1e-3: its gradient where alpha >= 0, and near it
    below; here it is lambda / 2 times the squared distance of beta from 1. With kl, it has no weight decay, as here.
    It drops operations by alpha, here by the mean of the distribution: the same order.

    **Deviations.** 50 epochs in all, as published for the cells of DARTS; NAS-Bench-201 has 100 there. A learning rate
    of 0.025, as published for NAS-Bench-201; the cells of DARTS have 0.1, and alphas 6e-4 instead of 3e-4. Progressive
    stages are an option and off: they save memory, which small networks have enough of. In the second stage 3/5 of the
    operations stay, rounded, at least 2. `frozen` is a share of a stage, 10 of 25, whatever its length.
    """

    name = "drnas"
    summary = "Draws the operations' weights from a Dirichlet distribution and learns its concentration."
    reference = "Chen et al. 2021, DrNAS: Dirichlet Neural Architecture Search"
    group = "gradient"
    guide = (
        "Good where DARTS settles on the first operation that leads: samples keep all of them in play. "
        "Take GDAS where all operations side by side do not fit into memory."
    )
    mixes: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = DrNasOptions

    @classmethod
    def learner(cls, setup: Setup) -> Learner:
        """Sampled mixing weights."""
        from engine.supernets.nets.dirichlet import DirichletLearner

        return DirichletLearner(setup)
