"""NSGA-II on architectures (Deb, Pratap, Agarwal and Meyarivan 2002; on networks: Lu et al. 2019, NSGA-Net)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.history import TrialEntry
from engine.strategies._population import Generations, best_first, fronts, mutated
from engine.strategies._views import MOST_ROWS, scatter, view
from engine.strategies.base import Context

if TYPE_CHECKING:
    from engine.config import Budget

#: generations whose front is kept for the picture, and members of each
SHOWN, SHOWN_MEMBERS = 12, 30


class Options(BaseModel):
    """N, p_c and p_m of the paper."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    population: int | None = Field(
        None, ge=4, le=1_000, description="Networks of a generation; empty = a tenth of the trials, 8 to 40."
    )
    crossover: float = Field(0.9, ge=0, le=1, description="Share of children with two parents.")
    mutation: float | None = Field(
        None, ge=0, le=1, description="Chance of each decision to be drawn anew; empty = one over their number."
    )


def size_of(options: BaseModel, trials: int) -> int:
    """N for a budget."""
    return getattr(options, "population", None) or min(40, max(8, trials // 10))


class Nsga2(Generations):
    """Generations of N: parents by binary tournament, crossover, mutation; the best N of parents and children go on.

    Symbols: N = `population`, p_c = `crossover`, p_m = `mutation` (1/n for n decisions). "Best" is the crowded
    comparison: the lower front, and within one front the larger crowding distance (III-B). The last front that does
    not fit whole is cut by crowding distance (III-C).

    Deviations: crossover is uniform over decisions (simulated binary crossover is for real numbers). Children that
    are no fresh architecture are drawn again, with one more changed decision after every four attempts; the paper
    measures them again. Ties of the crowded comparison go to the older one, not to chance. Limits on exact costs are
    met by every child, so the paper's constrained domination has nothing to do. N, published as 100 for 25,000
    evaluations (NSGA-Net: 40 for 1,200), scales with the budget when left empty. Nobody waits for a generation to be
    complete (see `Generations`). With one objective the fronts are the order of values, and it is an elitist
    (N + N) evolution.
    """

    name = "nsga2"
    summary = "Several objectives: keep the front, spread along it, cross and mutate"
    reference = "Deb et al. 2002, A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II"
    group = "evolution"
    guide = (
        "The known standard for several objectives, for a hundred trials and more. "
        "With fewer trials a model-based strategy covers the front sooner; with one objective take another one."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context, size_of(options, context.budget.trials))
        self.shown: list[tuple[int, list[int]]] = []  # (generation, some of its front)

    def choose(self, rng: np.random.Generator) -> tuple[TrialEntry, ...]:
        """One or two winners of binary tournaments."""
        first = self.tournament(2, rng)
        if len(self.breeding) < 2 or rng.random() >= self.options.crossover:
            return (first,)
        return (first, self.tournament(2, rng, besides=first.number))

    def vary(self, parents: tuple[TrialEntry, ...], least: int, rng: np.random.Generator) -> Architecture:
        """Each decision from either parent, then mutation."""
        space = self.context.space
        child = parents[0].architecture
        if len(parents) == 2:
            child = space.crossover(child, parents[1].architecture, rng)
        return mutated(space, child, self.options.mutation, least, rng)

    def survivors(self, parents: Sequence[TrialEntry], children: Sequence[TrialEntry]) -> list[TrialEntry]:
        """The best N of both."""
        kept = best_first([*parents, *children])[: self.size]
        front = fronts(kept)
        members = [e.number for e in kept if front[e.number] == 0]
        step = max(1, -(-len(members) // SHOWN_MEMBERS))
        self.shown.append((self.generation + 1, members[::step]))
        if len(self.shown) > SHOWN:  # every second one goes, the first and the last stay
            self.shown = [*self.shown[:-1:2], self.shown[-1]]
        return kept

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "8 random networks, then 22 times a child of two of the best 8"."""
        size = size_of(options, budget.trials)
        return cls._sentence(size, budget, f"a child of two of the best {size:,}, generation by generation")

    def state(self) -> dict[str, Any]:
        """The population, and the fronts of some generations."""
        return {**super().state(), "shown": [[g, list(members)] for g, members in self.shown]}

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        super().load(state)
        self.shown = [(int(g), [int(n) for n in members]) for g, members in state["shown"]]

    def views(self) -> dict[str, dict[str, Any]]:
        """The population, its genealogy, and the front by generation."""
        history, objectives = self.context.history, self.context.objectives
        if not self.shown:
            return super().views()
        names = [o.metric for o in objectives]
        y, x = names[0], names[1] if len(names) > 1 else "generation"
        rows = []
        for generation, members in self.shown:
            for number in members:
                metrics = history[number].metrics()
                rows.append([number, generation, *(metrics.get(name) for name in names)])
        front = view(
            "The front by generation", ["trial", "generation", *names], rows[:MOST_ROWS],
            chart=scatter(x, y, label="trial", group="generation"),
        )  # fmt: skip
        return {**super().views(), "front": front}
