"""FairNAS (Chu et al. 2021): every option of every decision is trained equally often."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, Field

from engine.supernets.base import SearchedOptions, SupernetMethod

if TYPE_CHECKING:
    from engine.supernets.nets.learner import Learner, Setup


class Options(SearchedOptions):
    """Fewer epochs than with one path a step: each step trains a path for every option."""

    epochs: int = Field(
        20, ge=1, le=10_000,
        description="Epochs of the supernet; each step trains as many paths as the widest decision has options.",
        json_schema_extra={"label": "supernet epochs"},
    )  # fmt: skip


class FairNas(SupernetMethod):
    """Strict fairness: each step trains m paths in which every option occurs once, then the weights change once.

    With uniform single paths, options are trained equally often in expectation only ("expectation fairness"); the
    difference between two of them grows with the square root of the steps, and rankings follow who was trained more.
    Strict fairness, Algorithm 1: for each batch, a permutation of the m options of every layer is drawn (uniformly,
    without putting back), the k-th path takes the k-th of each, and the gradients of the m paths on that batch are
    added up before one update.

    Deviations: where decisions have differently many options, or exist only under others, the paper says nothing; the
    nearest fair scheme is used (see `nets.paths.FairLearner`): least trained options first. The search is any ask/tell
    strategy in place of NSGA-II with a reinforced mutation; batch norms are recalibrated for each subnet, as in SPOS.
    The reported loss is the mean over the paths; the gradient, as in the paper, is their sum.
    """

    name = "fairnas"
    summary = "Trains all options equally often, several paths a step, then searches among the subnets."
    reference = "Chu, Zhang & Xu 2021, FairNAS: Rethinking Evaluation Fairness of Weight Sharing NAS"
    guide = (
        "Good where the ranking of subnets matters more than the time of a step: all options get the same training. "
        "Take SPOS where decisions have very many options, since each step costs as many paths."
    )
    searches: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = Options

    @classmethod
    def learner(cls, setup: Setup) -> Learner:
        """Fair paths."""
        from engine.supernets.nets.paths import FairLearner

        return FairLearner(setup)
