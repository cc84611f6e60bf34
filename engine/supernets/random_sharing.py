"""Random search with weight sharing (Li & Talwalkar 2019): the baseline of all weight sharing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, Field

from engine.supernets.base import SupernetMethod, SupernetOptions

if TYPE_CHECKING:
    from engine.supernets.nets.learner import Learner, Setup


class Options(SupernetOptions):
    """How many subnets are drawn."""

    scores: int = Field(
        1000, ge=2, le=20_000, description="Subnets drawn at random and scored with the shared weights.",
        json_schema_extra={"label": "subnets scored"},
    )  # fmt: skip


class RandomSharing(SupernetMethod):
    """Trains shared weights on random networks, then ranks random networks by inherited accuracy.

    Section 3.2: each step samples one architecture and updates the weights that it uses; afterwards architectures are
    sampled at random, evaluated with the shared weights on the validation set, and the best are trained from scratch.

    Deviations: the paper evaluates 1,000 or more on a part of the validation set, and the best few of these on all of
    it; here each is scored on all of it, after its batch norms took their statistics anew (as in SPOS). The paper's
    final rounds train the best of several runs (`runs`, each ranked by its own supernet here) for longer and longer;
    here the search's own budget of trials and its schedule do that.
    """

    name = "random_sharing"
    summary = "Trains one supernet on random networks, then ranks random networks by inherited accuracy."
    reference = "Li & Talwalkar 2019, Random Search and Reproducibility for Neural Architecture Search"
    guide = (
        "Good as the yardstick of weight sharing: what it reaches is due to shared weights and to no cleverness. "
        "Take SPOS or FairNAS to search among the subnets instead of drawing them."
    )
    searches: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = Options

    def searched_by(self) -> str:
        """Nothing but chance."""
        return "random"

    @classmethod
    def learner(cls, setup: Setup) -> Learner:
        """Random paths."""
        from engine.supernets.nets.paths import PathLearner

        return PathLearner(setup)
