"""Single Path One-Shot (Guo et al. 2020): uniform paths through shared weights, then a search among the subnets."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, Field

from engine.supernets.base import SearchedOptions, SupernetMethod

if TYPE_CHECKING:
    from engine.supernets.nets.learner import Learner, Setup


class Options(SearchedOptions):
    """The paths, and what is searched for among them."""

    sizes: int = Field(
        1, ge=1, le=50,
        description="Ranges of multiply-adds, one of which is drawn before each path; 1 = paths of any size.",
    )  # fmt: skip


class Spos(SupernetMethod):
    """Trains the supernet on one uniformly drawn path a step, then searches by inherited accuracy.

    Symbols: A = the space, Gamma(A) = the prior over its paths, W_A = the shared weights. Section 3.1: W_A minimizes
    the expected loss of a path of Gamma(A), which is uniform and fixed, so that all paths are trained alike whatever
    the search looks for later; one path a step. Uniform *constraint* sampling, a range of sizes first and then a path
    within it, is the option `sizes`. The search is evolutionary, each subnet measured on the validation split after its
    batch norms have taken their statistics anew on some of the training split (`calibration`); limits are enforced
    before a subnet is measured, so that no proposal breaks one.

    Deviations: the paper trains ImageNet supernets with a learning rate of 0.5 and batches of 1,024, and recalibrates
    with 20,000 images; the defaults here are those of small images. Its evolution keeps the 10 best of all and makes 50
    children a generation for 20 generations, half of them by crossover; any ask/tell strategy may search here
    (`genetic` is nearest), over `scores` subnets in all. The paper uses uniform constraint sampling by default;
    here ranges are 1 unless asked for, since the prior is what other methods are compared under, and cover all sizes
    (`nets.paths.SizedPathLearner`).
    """

    name = "spos"
    summary = "Trains one supernet on random paths, then searches among its subnets."
    reference = "Guo et al. 2020, Single Path One-Shot Neural Architecture Search with Uniform Sampling"
    guide = (
        "Good where training one network is dear and the space is wide: hundreds are compared for the price of a few. "
        "Take a strategy that trains each network where a trial takes a minute or the trust panel says no."
    )
    searches: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = Options

    @classmethod
    def learner(cls, setup: Setup) -> Learner:
        """Uniform paths, or paths of a drawn size."""
        from engine.supernets.nets.paths import SizedPathLearner

        return SizedPathLearner(setup)
