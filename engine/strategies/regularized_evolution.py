"""Regularized (aging) evolution (Real, Aggarwal, Huang and Le 2019, Algorithm 1)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.analysis.genealogy import ancestors
from engine.history import TrialEntry
from engine.strategies._views import MOST_ROWS, scatter, tree, view
from engine.strategies.base import TRIES, Context, Exhausted, Proposal, Strategy, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.evaluation.base import Report

#: mutations of one parent that may turn out not fresh before another tournament is held
REDRAWS = 40


class Options(BaseModel):
    """P and S of the paper, and the mutation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    population: int | None = Field(
        None, ge=2, le=10_000, description="Networks alive at a time; empty = a quarter of the trials, 8 to 100."
    )
    sample: int | None = Field(
        None, ge=1, le=10_000, description="Drawn per tournament; empty = a quarter of the population, at least 4."
    )
    changes: int = Field(1, ge=1, le=100, description="Decisions a child draws anew.")


def sizes(options: Any, trials: int) -> tuple[int, int]:
    """Population P and sample S for a budget."""
    population: int = options.population or min(100, max(8, trials // 4))
    sample: int = options.sample or max(4, round(population / 4))
    return population, min(sample, population)


class RegularizedEvolution(Strategy):
    """P random networks, then always: draw S of the population, change the best of them a little; the oldest one dies.

    Symbols: P = `population`, S = `sample`. A trial enters the population when its first result is told, so that with
    several in parallel its age is the order of results.

    Deviations: the S are distinct (Algorithm 1 does not say they are; at P = S = 10 that is worth 0.1 points after 20
    queries of NAS-Bench-201). P and S, published for 20,000 trials as 100 and 25, scale with the budget when left
    empty. A child that is no fresh architecture (tried before, under way at this moment, over a limit) is drawn again
    from its parent, then from another one, and last of all from the prior. There is no identity mutation. With several
    objectives the tournament's best is by non-domination, then crowding, in the population. A failed trial never
    enters it.
    """

    name = "regularized_evolution"
    summary = "Evolution by age: change the best of a few, let the oldest die"
    reference = "Real et al. 2019, Regularized Evolution for Image Classifier Architecture Search"
    group = "evolution"
    guide = (
        "Robust in spaces of any size and with many workers. "
        "Below a hundred trials a model-based strategy is ahead of it."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.size, self.sample = sizes(self.options, context.budget.trials)
        self.population: deque[int] = deque(maxlen=self.size)
        self.born = 0  # trials that ever entered
        self._order: dict[int, int] | None = None  # trial -> position among the population, several objectives

    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """The first P at random, then children."""
        if number <= self.size or not self.population:
            found = self.draw(rng)
            if found is None:
                return self.nothing_new()
            start = (
                f"random, {number} of {self.size} to start with" if number <= self.size else "random, nobody is alive"
            )
            return Proposal(found, why=start, by="random")
        for _ in range(TRIES // REDRAWS):
            parent = self._tournament(rng)
            for _ in range(REDRAWS):
                child = self.context.space.mutate(parent.architecture, self.options.changes, rng)
                if self.fresh(child):
                    change = self.context.space.describe_change(parent.architecture, child)
                    why = f"#{parent.number}: {change}"
                    return Proposal(child, parents=(parent.number,), why=why, by=self.name)
        found = self.draw(rng)
        if found is None:
            return self.nothing_new()
        return Proposal(found, why="random: the neighbourhood of the population is used up", by="random")

    def _tournament(self, rng: np.random.Generator) -> TrialEntry:
        drawn = rng.permutation(len(self.population))[: self.sample]
        history = self.context.history
        entries = [history[self.population[i]] for i in sorted(drawn.tolist())]
        if len(self.context.objectives) == 1:
            ranked = self.rank(entries)
            return ranked[0] if ranked else entries[int(rng.integers(len(entries)))]
        if self._order is None:
            everybody = self.rank([history[n] for n in self.population])
            self._order = {e.number: i for i, e in enumerate(everybody)}
        if not self._order:  # no level in common (results of different sources): chance decides
            return entries[int(rng.integers(len(entries)))]
        return min(entries, key=lambda e: (self._order or {})[e.number])

    def tell(self, entry: TrialEntry, report: Report) -> None:
        """The first result of a trial lets it in and, in a full population, the oldest out."""
        self._order = None
        if report.failure is None and len(entry.reports) == 1:
            self.population.append(entry.number)
            self.born += 1

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "8 random networks, then 22 times one change to the best of 4 drawn from the last 8"."""
        population, sample = sizes(options, budget.trials)
        if budget.trials <= population:
            return f"{budget.trials:,} random networks (evolution would start after {population:,})"
        changes: int = getattr(options, "changes", 1)
        what = "one change" if changes == 1 else f"{changes} changes"
        return (
            f"{population:,} random networks, then {budget.trials - population:,} times {what} to the best of "
            f"{sample} drawn from the last {population:,}"
        )

    def state(self) -> dict[str, Any]:
        """Who is alive, oldest first."""
        return {**super().state(), "population": list(self.population), "born": self.born}

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        super().load(state)
        self.population.extend(int(n) for n in state["population"])
        self.born = int(state["born"])

    def views(self) -> dict[str, dict[str, Any]]:
        """The population, youngest first, and where it came from."""
        history = self.context.history
        metric = self.context.objectives[0].metric
        rows: list[list[Any]] = []
        for age, number in enumerate(list(reversed(self.population))[:MOST_ROWS]):
            entry = history[number]
            rows.append(
                [number, age, entry.metrics().get(metric), entry.fidelity, *(entry.proposal.parents[:1] or (None,))]
            )
        edges = ancestors(history, list(self.population), limit=MOST_ROWS)
        return {
            "population": view(
                f"Population: the last {self.size}", ["trial", "age", metric, "epochs", "parent"], rows,
                chart=scatter("age", metric, label="trial"), note="age: how many came in later",
            ),
            "genealogy": view(
                "Where the population came from", ["trial", "parent"], edges, chart=tree("trial", "parent")
            ),
        }  # fmt: skip
