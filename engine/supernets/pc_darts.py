"""PC-DARTS (Xu et al. 2020): operations see a part of the channels; edges into a node are weighed, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, Field

from engine.supernets._gradient import GradientOptions
from engine.supernets.base import SupernetMethod

if TYPE_CHECKING:
    from engine.supernets.nets.learner import Learner, Setup


class PcDartsOptions(GradientOptions):
    """Partial channels, and the weights' head start."""

    #: 35 of 50 epochs in batches of 256
    published: ClassVar[tuple[float, int]] = (6e-4, 3_430)

    partial: int = Field(
        4, ge=1, le=64,
        description="Operations see 1 / partial of the channels (the paper's K); where the channels cannot be divided "
        "so, the largest number below that divides them.",
    )  # fmt: skip
    frozen: float = Field(
        0.3, ge=0, lt=1, description="Share of the epochs, from the start, in which only weights are trained."
    )


class PcDarts(SupernetMethod):
    """DARTS on the first 1 / K of the channels of each edge, with normalized edges.

    Partial channel connections: an edge sends a masked part S of its input, 1 / K of the channels, through the
    weighted operations and hands the rest on as it is; both are joined, and the channels shuffled, so that later edges
    see others first. Edge normalization: node j is the sum over its edges of softmax(beta)_ij times the edge's output,
    so that what a part of the channels says of an edge is steadied by a parameter that all passes share. An option
    counts softmax(alpha) x softmax(beta) when an architecture is derived. On CIFAR-10, K = 4; alpha and beta stay as
    they are for the first 15 of 50 epochs; Adam with 6e-4, betas (0.5, 0.999) and weight decay 1e-3.

    The method's S is random; its experiments, as here, take the first channels instead and shuffle to make up for it.
    Of an edge that halves the image, the channels that pass by are halved by max pooling, as in the published code.

    **Deviations.** Batches of 64 and a learning rate of 0.025 instead of 256 and 0.1: the same ratio, for data of
    thousands of images. Channels are shuffled behind each edge, as in the published code; the paper says behind each
    node. Where all edges of a cell stay, as in NAS-Bench-201's, beta weighs them in the supernet and decides nothing
    when the operations are derived.
    """

    name = "pc_darts"
    summary = "Weighs operations on a part of the channels, and the edges into a node against each other."
    reference = "Xu et al. 2020, PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search"
    group = "gradient"
    guide = (
        "Good where DARTS drifts into skip connections or is too large: a quarter of its memory, and parameter-free "
        "operations gain less. Take DARTS itself where channels are so few that a part of them says nothing."
    )
    mixes: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = PcDartsOptions

    @classmethod
    def learner(cls, setup: Setup) -> Learner:
        """Partial channels and normalized edges."""
        from engine.supernets.nets.partial import PartialLearner

        return PartialLearner(setup)
