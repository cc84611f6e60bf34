"""Search guided by a surrogate that learned over earlier searches how to learn from few trials."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import BaseModel, Field

from engine.architecture import Architecture
from engine.objectives import ranking
from engine.predictors._meta import Learned, MetaPredictor
from engine.predictors._meta import Options as MetaOptions
from engine.predictors._tasks import Task, vectors
from engine.strategies._candidates import Candidates
from engine.strategies._guided import LEADERS, Guided, GuidedOptions, Rule
from engine.strategies._related import Source, best_of, sources_of
from engine.strategies.base import Arrays, Context, Exhausted, Group, Proposal, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.predictors.base import Predictor

#: how much more often an earlier search that is wholly related is learned from than a made-up one
REAL = 8.0


class Options(GuidedOptions):
    """How it begins and learns."""

    acquisition: Rule = Field(
        "ei",
        description="What makes a candidate worth trying: independent Thompson sampling (its), expected improvement "
        "(ei), upper confidence bound (ucb), probability of improvement (pi).",
    )
    initial: int | None = Field(
        5, ge=2, le=1000, description="Random networks to start with, where nothing is related."
    )
    repeats: int = Field(5, ge=1, le=1000, description="Best networks of related searches to start with instead.")
    steps: int | None = Field(150, ge=5, le=2000, description="Outer steps of learning over searches, once.")
    inner: int = Field(3, ge=1, le=50, description="Gradient steps on the trials of this search.")


class MetaSurrogate(Guided):
    """A few networks to start with, then always the best candidate in the eyes of a meta-learned surrogate.

    Before the first choice the surrogate (`engine.predictors._meta`) learns over searches: the related earlier ones,
    and made-up ones on the same space (`_tasks.synthetic_tasks`), 24 in all at least. Meta-SGD (Li et al. 2017,
    Algorithm 1) gives it first weights theta and a step size alpha for every weight, so that a few gradient steps on
    the trials of this search suffice. Both are kept with the search. Where an earlier search is related its best
    networks open this one (`_related`).

    **Deviations**: Adam takes the outer step; its searches are regressions with 6 to 48 known trials; the last layer
    goes on by Bayesian regression, which is also where the spread comes from. Experience whose results do not follow
    from its networks is not learned from. Every objective that is no exact cost has a surrogate with the same first
    weights.
    """

    name = "meta_surrogate"
    summary = "A surrogate that learned over earlier and made-up searches to learn from few trials"
    reference = "Li et al. 2017, Meta-SGD: Learning to Learn Quickly for Few-Shot Learning"
    group: ClassVar[Group] = "across"
    learns = True
    guide = (
        "Take it when you have searched on similar data and can afford some twenty trials only. "
        "Alone and with more trials a Gaussian process is ahead of it."
    )
    Options: ClassVar[type[BaseModel]] = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.knows: Learned | None = None

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """Earlier searches for the first objective; looked through when first asked for."""
        return sources_of(self.context)

    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """The best of related searches or random networks first, then what the surrogate thinks best of."""
        if self.sources:
            self.initial = min(self.options.repeats, max(2, self.context.budget.trials // 3))
            if number <= self.initial and (found := best_of(self.sources, number, self.fresh)) is not None:
                return Proposal(found[0], why=found[1], by=self.name)
        return super().propose(number, rng)

    def _candidates(self, rng: np.random.Generator) -> list[Architecture]:
        if self._all is None:
            self._all = Candidates(self)
        leaders = [self.context.history[int(self.fitted[i])].architecture for i in ranking(self.losses)[:LEADERS]]
        return self._all.fresh(rng, leaders, self.options.candidates, self.options.changes)

    def predictor(self) -> Predictor:
        """The surrogate, with what it learned over searches; that is done when it is first needed."""
        from engine.predictors._meta import learned

        o = self.options
        settings = MetaOptions(**{k: v for k, v in {"outer": o.steps, "inner": o.inner}.items() if v is not None})
        if self.knows is None:
            self.knows = learned(self.context.space, self._tasks(), settings)
        return MetaPredictor(settings, self.context.space, self.knows)

    def _tasks(self) -> tuple[Task, ...]:
        read = vectors(self.context.space).read
        return tuple(Task(read(s.architectures), s.process.targets, REAL * s.related) for s in self.sources)

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "5 networks to start with, then 25 times the most promising one ..."."""
        initial: int = getattr(options, "initial", None) or 5
        rest = max(0, budget.trials - initial)
        return (
            f"{min(initial, budget.trials):,} networks to start with, then {rest:,} times the most promising one to a "
            "surrogate that learned over earlier searches"
        )

    def arrays(self) -> Arrays:
        """What was learned over searches, too."""
        more = {} if self.knows is None else {"theta": self.knows.theta, "alpha": self.knows.alpha}
        return {**super().arrays(), **more}

    def load_arrays(self, arrays: Arrays) -> None:
        """Takes up what `arrays` gave."""
        super().load_arrays(arrays)
        if "theta" in arrays:
            self.knows = Learned(arrays["theta"].copy(), arrays["alpha"].copy())
