"""Local search: change one decision, move at the first improvement (White et al. 2021, "query until lower")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.history import TrialEntry, common_level, dominates
from engine.strategies.base import Context, Exhausted, Proposal, Strategy, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.evaluation.base import Report


class Options(BaseModel):
    """Where to begin, and again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    initial: int = Field(10, ge=1, le=10_000, description="Random networks; the climb starts from the best of them.")
    restart: int = Field(1, ge=1, le=10_000, description="Random networks to start again from, after a local optimum.")


class LocalSearch(Strategy):
    """From the best of some random points, try the neighbours in random order and move to the first better one.

    When all neighbours of the centre were tried and none is better, it is a local optimum: start again from the best of
    `restart` new random points. A neighbour that was tried before is not tried again; its known value counts (a better
    one is moved to at no cost).

    Deviations: several neighbours are under way at a time when trials run in parallel, and any result better than the
    centre, also of an earlier centre's neighbour, moves it. Before a (re)start, and before a local optimum is declared,
    it waits for what is under way. With several objectives "better" means: dominates.
    """

    name = "local_search"
    summary = "Climb: change one decision at a time, keep what is better"
    reference = "White, Nolen and Savani 2021, Exploring the Loss Landscape in Neural Architecture Search"
    group = "baseline"
    guide = (
        "Strong from a hundred trials on in spaces where one change matters little. "
        "With fewer trials a model-based strategy finds good networks sooner."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.left = self.options.initial  # random points still to propose in this round
        self.of = self.options.initial
        self.round: list[int] = []  # trials told since the round began
        self.centre: int | None = None
        self.order_seed = 0
        self.position = 0
        self.optima: list[int] = []
        self._neighbours: tuple[int, list[Architecture]] | None = None

    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """A random point of this round, or the next untried neighbour of the centre."""
        history = self.context.history
        while True:
            if self.left > 0:
                return self._random(rng)
            under_way = self.under_way
            if self.centre is None:
                if under_way:
                    return Wait(
                        f"the climb starts from the best of {self.of} random networks; {under_way} have no result yet"
                    )
                best = self.rank([history[n] for n in self.round])
                if not best:  # all of them failed
                    self.left = self.of = 1
                    continue
                self._move(best[0].number, number)
            found = self._next_neighbour(number)
            if found is not None:
                return found
            if under_way:
                return Wait(f"#{self.centre} may be a local optimum; {under_way} of its neighbours have no result yet")
            assert self.centre is not None
            self.optima.append(self.centre)
            self.left = self.of = self.options.restart
            self.round, self.centre = [], None

    def _random(self, rng: np.random.Generator) -> Proposal | Exhausted:
        found = self.draw(rng)
        if found is None:
            return self.nothing_new()
        self.left -= 1
        again = f" again, after {len(self.optima)} local {'optimum' if len(self.optima) == 1 else 'optima'}"
        why = f"random, {self.of - self.left} of {self.of} to start{again if self.optima else ''}"
        return Proposal(found, why=why, by="random")

    def _move(self, trial: int, order_seed: int) -> None:
        self.centre, self.order_seed, self.position = trial, order_seed, 0
        self._neighbours = None

    def _ordered(self) -> list[Architecture]:
        """Neighbours of the centre in this visit's random order."""
        assert self.centre is not None
        if self._neighbours is None or self._neighbours[0] != self.centre:
            around = self.context.space.neighbours(self.context.history[self.centre].architecture)
            order = np.random.default_rng([self.context.seed, 1, self.order_seed, self.centre]).permutation(len(around))
            self._neighbours = (self.centre, [around[i] for i in order])
        return self._neighbours[1]

    def _next_neighbour(self, number: int) -> Proposal | None:
        """The next untried neighbour; known better ones are moved to on the way."""
        history = self.context.history
        while self.position < len(self._ordered()):
            assert self.centre is not None
            architecture = self._ordered()[self.position]
            self.position += 1
            known = [history[n] for n in self.context.trials_of(architecture) if n != self.centre]
            better = next((e for e in known if self._better(e, history[self.centre])), None)
            if better is not None:
                self._move(better.number, number)
            elif not known and self.fresh(architecture):
                change = self.context.space.describe_change(history[self.centre].architecture, architecture)
                return Proposal(architecture, parents=(self.centre,), why=f"#{self.centre}: {change}", by=self.name)
        return None

    @staticmethod
    def _better(a: TrialEntry, b: TrialEntry) -> bool:
        level = common_level([a, b])
        return level is not None and dominates(a.values[level], b.values[level])

    def tell(self, entry: TrialEntry, report: Report) -> None:
        """A better one becomes the centre."""
        if report.failure is not None:
            return
        if self.centre is None:
            if len(entry.reports) == 1:
                self.round.append(entry.number)
        elif entry.number != self.centre and self._better(entry, self.context.history[self.centre]):
            self._move(entry.number, self.asked)

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "10 random networks, then change one decision of the best at a time, 20 times"."""
        initial: int = getattr(options, "initial", 10)
        if budget.trials <= initial:
            return f"{budget.trials:,} random networks (the climb would start after {initial:,})"
        return (
            f"{initial:,} random networks, then {budget.trials - initial:,} times one change to the best so far, "
            "starting again at a local optimum"
        )

    def state(self) -> dict[str, Any]:
        """Round, centre, and how far its neighbours were tried."""
        return {
            **super().state(),
            "left": self.left,
            "of": self.of,
            "round": self.round,
            "centre": self.centre,
            "order_seed": self.order_seed,
            "position": self.position,
            "optima": self.optima,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        super().load(state)
        self.left, self.of, self.round = int(state["left"]), int(state["of"]), list(state["round"])
        self.centre, self.order_seed, self.position = state["centre"], int(state["order_seed"]), int(state["position"])
        self.optima = list(state["optima"])

    def views(self) -> dict[str, dict[str, Any]]:
        """The centre and the last local optima."""
        history, metric = self.context.history, self.context.objectives[0].metric
        rows: list[list[Any]] = [["local optimum", n, history[n].metrics().get(metric)] for n in self.optima[-50:]]
        if self.centre is not None:
            rows.append(["centre", self.centre, history[self.centre].metrics().get(metric)])
        return {"climb": {"title": "Climbs", "columns": ["what", "trial", metric], "rows": rows}}
