"""Local search: change one decision, move to what is better (White et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Option
from engine.history import TrialEntry
from engine.strategies._climb import Climb
from engine.strategies.base import Context, Proposal, Wait

if TYPE_CHECKING:
    from engine.config import Budget


class Options(BaseModel):
    """Where to begin, when to move, and where to begin again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    initial: int = Field(10, ge=1, le=10_000, description="Random networks; the climb starts from the best of them.")
    move: Literal["first", "best"] = Field(
        "first",
        description="first = to the first better neighbour; best = to the best one, once all neighbours are known.",
    )
    restart: int = Field(1, ge=1, le=10_000, description="Random networks to start again from, after a local optimum.")


class LocalSearch(Climb):
    """From the best of some random points, try the neighbours in random order and move to a better one.

    White et al. 2021: with `move` = "first" it queries until there is an improvement (their
    "query until lower"), with "best" the full neighbourhood, and moves to the best of it. When all
    neighbours of the centre were tried and none is better, it is a local optimum: start again from the best of
    `restart` new random points. A neighbour that was tried before is not tried again; its known value counts (a better
    one is moved to at no cost).

    Deviations: several neighbours are under way at a time when trials run in parallel, and any result better than the
    centre, also of an earlier centre's neighbour or of a person's proposal, moves it (or, with "best", takes part in
    the choice). Before a (re)start, and before a local optimum is declared, it waits for what is under way. With
    several objectives "better" means: dominates. Neighbours are made one at a time: a wide space has thousands.
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
        self.order_seed = 0
        self.position = 0
        self.better: int | None = None  # the best result better than the centre, not moved to yet
        self._moves: tuple[int, list[tuple[str, Option]]] | None = None

    def _around(self, number: int, seen: set[int]) -> Proposal | Wait | None:
        """The next untried neighbour; known better ones are moved to on the way."""
        while True:
            found = self._next_neighbour(number, seen)
            if found is not None:
                return found
            if self.under_way:
                return Wait(
                    f"#{self.centre} may be a local optimum; {self.under_way} of its neighbours have no result yet"
                    if self.better is None
                    else f"the best neighbour of #{self.centre} comes next; {self.under_way} have no result yet"
                )
            if self.better is None or self.better in seen:
                return None
            self._move(self.better, number)

    def _move(self, trial: int, number: int) -> None:
        super()._move(trial, number)
        self.order_seed, self.position, self.better = number, 0, None
        self._moves = None

    def _ordered(self) -> list[tuple[str, Option]]:
        """Moves from the centre in this visit's random order."""
        assert self.centre is not None
        if self._moves is None or self._moves[0] != self.centre:
            moves = self.context.space.moves(self.context.history[self.centre].architecture)
            order = np.random.default_rng([self.context.seed, 1, self.order_seed, self.centre]).permutation(len(moves))
            self._moves = (self.centre, [moves[i] for i in order])
        return self._moves[1]

    def _next_neighbour(self, number: int, seen: set[int]) -> Proposal | None:
        space, history = self.context.space, self.context.history
        while self.position < len(self._ordered()):
            assert self.centre is not None
            seen.add(self.centre)
            centre = history[self.centre]
            architecture = space.moved(centre.architecture, *self._ordered()[self.position])
            self.position += 1
            if architecture == centre.architecture:
                continue
            known = self._known(architecture)
            better = next((e for e in known if e.number not in seen and self._better(e, centre)), None)
            if better is not None:
                self._gained(better, number)
            elif not known and self.fresh(architecture):
                return self._step(architecture)
        return None

    def _gained(self, entry: TrialEntry, number: int) -> None:
        """Moves at once, or remembers the best for the end of the neighbourhood."""
        if self.options.move == "first":
            self._move(entry.number, number)
        elif self.better is None or self._better(entry, self.context.history[self.better]):
            self.better = entry.number

    def _improved(self, entry: TrialEntry) -> None:
        self._gained(entry, self.asked)

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "10 random networks, then change one decision of the best at a time, 20 times"."""
        initial: int = getattr(options, "initial", 10)
        if budget.trials <= initial:
            return f"{budget.trials:,} random networks (the climb would start after {initial:,})"
        moving = ", moving once all of them are known" if getattr(options, "move", "first") == "best" else ""
        return (
            f"{initial:,} random networks, then {budget.trials - initial:,} times one change to the best so far"
            f"{moving}, starting again at a local optimum"
        )

    def state(self) -> dict[str, Any]:
        """Beside the climb's: how far the neighbours of the centre were tried."""
        return {
            **super().state(),
            "order_seed": self.order_seed,
            "position": self.position,
            "better": self.better,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        super().load(state)
        self.order_seed, self.position, self.better = int(state["order_seed"]), int(state["position"]), state["better"]
