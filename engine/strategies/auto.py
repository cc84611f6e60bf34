"""The default: takes what the benchmarks say is best for this space, budget and goal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.catalog import in_words
from engine.objectives import EXACT_COSTS, Objective
from engine.strategies._delegating import Delegating, member
from engine.strategies._plain import count
from engine.strategies._views import view
from engine.strategies.base import Context, Exhausted, Proposal, Wait
from engine.strategies.ehvi import EHVI
from engine.strategies.transfer import Transfer

if TYPE_CHECKING:
    from engine.config import Budget, SearchConfig
    from engine.spaces.base import SearchSpace

#: trials from which evolution takes most turns: a posterior stands on 300 trials at most, and a fit takes its time
MANY = 1_000
#: of so many proposals behind that, one is the model's
TURN = 10
MODEL, SEVERAL, EXPERIENCED, EVOLUTION = "gaussian_process", EHVI.name, Transfer.name, "regularized_evolution"


class Options(BaseModel):
    """What may be said instead of being known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    experience: bool = Field(True, description="Learn from the earlier searches that the search names.")


def chosen(objectives: Sequence[Objective], experience: bool) -> str:
    """The strategy that models this search."""
    measured = [o for o in objectives if o.metric not in EXACT_COSTS]
    if len(objectives) > 1 and measured:
        return SEVERAL
    return EXPERIENCED if experience else MODEL


class Auto(Delegating):
    """Delegates to the strategy that the figures favour.

    One objective: a Gaussian process over shape, features and size with expected improvement, from two large
    networks and a few random ones. Several: expected hypervolume improvement on the same processes. Earlier searches
    that the config names: the same with what they teach (`transfer`). From 1,000 trials on nine of ten proposals are
    regularized evolution's, whose population has been told everything from the beginning.

    Why (benchmarks/RESULTS.md): on NAS-Bench-201, with a limit and without one, and on NAS-Bench-Macro the process is
    ahead of evolution, local search, largest first and Optuna's TPE at 20 and 50 queries, and of Optuna's GP but for
    Macro at 50, where they are level; with three objectives `ehvi` is ahead of Optuna's NSGA-II and MO-TPE at 100, 200
    and 500. Behind some hundred trials evolution comes near at a fraction of the overhead. The large networks cost two
    trials and show at once whether size decides. What the process sees was chosen on NAS-Bench-201 and looked at on the
    other tables; the kernel's priors are the same for all spaces.
    """

    name = "auto"
    summary = "Takes what the benchmarks say is best for this space, budget and goal"
    reference = "This product: measured figures"
    group = "automatic"
    learns = True
    guide = (
        "The default: level with the best on the benchmarks or ahead up to some hundred trials, limits or not. "
        "Take another one to study that method, or evolution for many thousand cheap trials."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.model = chosen(context.objectives, self.options.experience and bool(context.experience))
        self.members[self.model] = member(self.model, context)
        if context.budget.trials > MANY:
            self.members[EVOLUTION] = member(EVOLUTION, context)

    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """The model's proposal; in long searches evolution's."""
        many = EVOLUTION in self.members and len(self.context.history) >= MANY and number % TURN
        return self.delegate(self.members[EVOLUTION if many else self.model], rng)

    def recommend(self, k: int) -> list[int]:
        """What the model would hand over."""
        return self.members[self.model].recommend(k)

    @classmethod
    def supports(cls, space: SearchSpace, objectives: Sequence[Objective]) -> str | None:
        """Everything."""
        return None

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "6 networks to start with, two large ones among them, then 24 times the most promising one"."""
        first = min(6, max(2, budget.trials // 3))
        if budget.trials <= first:
            return f"{budget.trials:,} networks, random and large ones"
        words = f"{first} networks to start with, two large ones among them, then "
        if budget.trials <= MANY:
            return words + f"{budget.trials - first:,} times the most promising one by a model of all results"
        return (
            words + f"the most promising one by a model of all results; behind {MANY:,} of {budget.trials:,} trials "
            "mostly evolution"
        )

    @classmethod
    def plan(cls, config: SearchConfig, *, earlier: int) -> str:
        """As `sentence`; with several objectives what `ehvi` does, with searches to learn from what `transfer` does."""
        options: Any = config.options("strategy")
        model = chosen(config.objectives, options.experience and earlier > 0)
        if model == MODEL:
            return cls.sentence(options, config.budget)
        trials = config.budget.trials
        # evolution's turn comes then, whatever the model has learnt from
        modelled = config.budget.model_copy(update={"trials": min(trials, MANY)})
        if model == SEVERAL:
            words = EHVI.sentence(EHVI.Options(), modelled)
        else:
            words = f"{Transfer.sentence(Transfer.Options(), modelled)}; where none is related, as without them"
        return words if trials <= MANY else f"{words}; behind {MANY:,} of {trials:,} trials mostly evolution"

    def views(self) -> dict[str, dict[str, Any]]:
        """What was chosen and why, and what that believes."""
        c = self.context
        facts: list[list[Any]] = [
            ["architectures in the space", count(c.space.size())],
            ["trials", c.budget.trials],
            ["objectives", len(c.objectives)],
            ["limits", ", ".join(c.limits) or "none"],
            ["earlier searches", self._earlier()],
            ["so proposals come from", in_words(self.model)],
        ]
        if EVOLUTION in self.members:
            facts.append([f"behind {MANY:,} trials", f"mostly {in_words(EVOLUTION)}"])
        out = {"choice": view("What was chosen, and from what", ["what", "value"], facts)}
        return {**out, **self.members[self.model].views()}

    def _earlier(self) -> str:
        """How many the search names, and how many of them say something here."""
        named, model = len(self.context.experience), self.members[self.model]
        if not named:
            return "none"
        if not isinstance(model, Transfer):
            why = "not wished" if not self.options.experience else "several objectives are modelled without them"
            return f"none of {named}: {why}"
        used = len(model.sources)
        rest = "" if used == named else "; the rest is unrelated, or its results do not follow from its networks"
        return f"{used} of {named}{rest}"
