"""Expected hypervolume improvement with a Gaussian process for each objective (Emmerich et al. 2006)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.errors import CannotBuild
from engine.hypervolume import beyond, hypervolume
from engine.predictors.acquisition import expected_hypervolume_improvement, improvement
from engine.strategies._candidates import LISTED
from engine.strategies._guided import Guided, Matrix
from engine.strategies._plain import plain
from engine.strategies._writings import Writings
from engine.strategies.base import Context, Proposal
from engine.strategies.gaussian_process import GaussianProcessSearch

if TYPE_CHECKING:
    from engine.config import Budget

#: random networks of which the reference point is a quantile, and draws to find them
TYPICAL, DRAWS = 200, 1_000
#: percent of the front's hypervolume above which a gain is not told exactly
DOUBLED = 100


class Options(BaseModel):
    """Where volume ends, and what is looked at."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    initial: int = Field(10, ge=2, le=1000, description="Networks to start with, before anything is predicted.")
    extremes: int = Field(
        1, ge=0, le=100, description="Of these, from the largest tenth within the limits; the rest is random."
    )
    reference: dict[str, float] = Field(
        {}, description="Worst value of interest by metric; objectives that are not named take the quantile below."
    )
    quantile: float = Field(
        0.7, gt=0, le=1, description="Reference point: what this share of random networks would be better than."
    )
    sees: Literal["all", "features", "shape"] = Field(
        "all", description="What the processes see: shape and live features of a network, or one of the two."
    )
    size: bool = Field(True, description="A line in the logarithm of live multiply-adds.")
    candidates: int = Field(
        200, ge=10, le=10_000, description="Networks to choose among in spaces too large to be listed."
    )
    changes: int = Field(2, ge=1, le=20, description="Most decisions in which a mutant differs from its parent.")


class EHVI(GaussianProcessSearch):
    """The candidate whose measurement is expected to add most hypervolume to the front.

    Processes, candidates, what is under way and lower fidelities are those of `gaussian_process`; each objective that
    has to be measured has a process, exact costs are known of every candidate. With independent posteriors the expected
    improvement is exact for any number of objectives: what the front leaves is cut into boxes
    (`engine.hypervolume.beyond`), over each of which it is a product (Yang et al. 2019). With one objective it is
    expected improvement. What a measurement adds includes its noise, as the front it is compared with does.

    Where rows count as written, a network that was measured stays a candidate with its next writing. The processes see
    the mean of its writings, with the noise of so many measurements; a further one of k is worth the k+1-th part, since
    it gives one of the values seen before or, one time in k+1, what the process says (Blackwell and MacQueen 1973).

    **Deviations**: the reference point is no worst case. Unless given it is what `quantile` of 200 random networks are
    better than in each objective, by their exact costs and as predicted: volume far out, of networks that are only tiny
    or only slow, would otherwise outweigh the rest of the front.
    """

    name = "ehvi"
    summary = "Several objectives: a Gaussian process each, then what adds most hypervolume to the front"
    reference = "Emmerich et al. 2006, Single- and Multi-Objective Evolutionary Optimization Assisted by GP Metamodels"
    group = "bayesian"
    guide = (
        "The fullest front from a few hundred trials, above all where sizes are among the objectives. "
        "With thousands of trials or five objectives take NSGA-II, which costs nothing to ask."
    )
    Options: ClassVar[type[BaseModel]] = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self._typical: list[Architecture] = []

    @cached_property
    def _writings(self) -> Writings | None:
        several = self.context.duplicates != "canonical" and self.context.space.size() <= LISTED
        return Writings(self) if several else None

    def _candidates(self, rng: np.random.Generator) -> list[Architecture]:
        return super()._candidates(rng) if self._writings is None else self._writings.fresh()

    def _worth(self, mean: Matrix, sd: Matrix, rng: np.random.Generator) -> NDArray[np.float64]:
        """Expected improvement of the hypervolume in percent of what the front has."""
        going, _ = self.predicted([self.context.history[n].architecture for n in self._believed])
        known, reference = np.vstack([self.losses, self._undone(going)]), self.reference_point()
        volume = hypervolume(known, reference) or float(np.prod(np.ptp(self.losses, axis=0))) or 1.0
        gains = []
        for j in range(mean.shape[1]):
            if j in (self._models or {}):
                below, spread = self._process(j).below, np.hypot(sd[:, j], self._process(j).noise)
            else:
                below, spread = improvement, sd[:, j]
            gains.append(partial(below, mean[:, j], spread))
        worth = 100 * expected_hypervolume_improvement(gains, *beyond(known, reference)) / volume
        if self._writings is not None:
            worth /= 1 + self._writings.tried[self._writings.places]
        return np.asarray(worth)

    def _known(self) -> tuple[list[Architecture], Matrix, Matrix | None]:
        """Every network once, with the mean of its writings.

        Tables give two writings the same value twice, which is no evidence that measuring has no noise.
        """
        known, losses, counts = super()._known()
        if self.context.duplicates == "canonical":
            return known, losses, counts
        found: dict[Architecture, list[int]] = {}
        for i, architecture in enumerate(self._stand_ins(known)):
            found.setdefault(architecture, []).append(i)
        means = np.array([losses[same].mean(axis=0) for same in found.values()])
        return list(found), means, np.array([float(len(same)) for same in found.values()])

    def _stand_ins(self, architectures: Sequence[Architecture]) -> Sequence[Architecture]:
        """One writing of each network: features tell apart what computes the same."""
        if self._writings is None:
            return architectures
        writings = self._writings
        places = [writings.place(a) for a in architectures]
        return [writings.all[p][0] if p >= 0 else a for a, p in zip(architectures, places, strict=True)]

    def reference_point(self) -> NDArray[np.float64]:
        """(objectives,) losses: as given, else a quantile of random networks as far as is known of them."""
        space = self.context.space
        if not self._typical:
            rng = np.random.default_rng([self.context.seed, 0])
            for _ in range(DRAWS):
                architecture = space.sample(rng)
                try:
                    space.costs(architecture)
                except CannotBuild:
                    continue
                self._typical.append(architecture)
                if len(self._typical) == TYPICAL:
                    break
        mean, _ = self.predicted(self._typical)
        found = np.quantile(self._undone(mean), self.options.quantile, axis=0)
        for j, objective in enumerate(self.context.objectives):
            if objective.metric in self.options.reference:
                given = self.options.reference[objective.metric]
                found[j] = -given if objective.direction == "maximize" else given
        return np.asarray(found)

    def _best(self, candidates: Sequence[Architecture], rng: np.random.Generator) -> Proposal | None:
        return Guided._best(self, candidates, rng)

    @property
    def _called(self) -> str:
        return "gain of hypervolume, %"

    @property
    def _meaning(self) -> str:
        return f"of what the front has; at {DOUBLED} it would at least double the front"

    def _told(self, worth: float) -> float:
        """At most `DOUBLED`: the first fronts are so small that hundreds of percent would flatten all that follows."""
        return min(worth, float(DOUBLED))

    def _words(self, told: float) -> str:
        return f"gain of hypervolume {f'over {DOUBLED}' if told >= DOUBLED else plain(told, 2)} %"

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "10 networks to start with, then 20 times the one expected to add most hypervolume"."""
        initial = min(getattr(options, "initial", 10), max(2, budget.trials // 3))
        if budget.trials <= initial:
            return f"{budget.trials:,} networks to start with (the processes would start after {initial:,})"
        rest = budget.trials - initial
        return f"{initial:,} networks to start with, then {rest:,} times the one expected to add most hypervolume"
