"""Single Path One-Shot (Guo et al. 2020): uniform paths through shared weights, then a search among the subnets."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel

from engine.supernets.base import SearchedOptions, SupernetMethod

if TYPE_CHECKING:
    from engine.supernets.nets.learner import Learner, Setup


class Spos(SupernetMethod):
    """Trains the supernet on one uniformly drawn path a step, then searches by inherited accuracy.

    Section 3.1: the prior over paths is uniform, so that all of them are trained alike whatever the search looks for
    later; section 3.3: the search is evolutionary, each subnet measured on the validation split after its batch norms
    have taken their statistics anew on some of the training split; limits are enforced before a subnet is measured.

    Deviations: the paper trains ImageNet supernets with a learning rate of 0.5 and batches of 1,024; the defaults here
    are those of small images. The search is any ask/tell strategy; regularized evolution stands for the paper's.
    """

    name = "spos"
    summary = "Trains one supernet on random paths, then searches among its subnets."
    reference = "Guo et al. 2020, Single Path One-Shot Neural Architecture Search with Uniform Sampling"
    guide = (
        "Good where training one network is dear and the space is wide: hundreds are compared for the price of a few. "
        "Take a strategy that trains each network where a trial takes a minute or the trust panel says no."
    )
    searches: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = SearchedOptions

    @classmethod
    def learner(cls, setup: Setup) -> Learner:
        """Uniform paths."""
        from engine.supernets.nets.paths import PathLearner

        return PathLearner(setup)
