"""What climbs share: random points to start from, a centre that moves to what is better, local optima, starts again.

A file of a climb says what is tried around a centre (`_around`) and what a better result means (`_improved`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel

from engine.architecture import Architecture
from engine.history import TrialEntry, common_level, dominates
from engine.strategies._views import lines, view
from engine.strategies.base import Context, Exhausted, Proposal, Strategy, Wait

if TYPE_CHECKING:
    from engine.evaluation.base import Report

#: steps of the climbs that are kept for people
STEPS = 300


class Climb(Strategy):
    """From the best of `options.initial` random points, again and again from `options.restart` new ones.

    Before a (re)start is chosen, and before a local optimum is declared, it waits for what is under way. With several
    objectives "better" means: dominates, at the highest level that both trials have.

    Attributes:
        centre: the trial that is climbed from; None = the random points of a round are under way.
        optima: local optima, in the order they were declared.
        steps: (climb, centre) of the last moves, for people.
    """

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.left = self.options.initial  # random points still to propose in this round
        self.of = self.options.initial
        self.round: list[int] = []  # trials told since the round began
        self.centre: int | None = None
        self.optima: list[int] = []
        self.steps: deque[tuple[int, int]] = deque(maxlen=STEPS)

    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """A random point of this round, or what is tried around the centre."""
        history = self.context.history
        seen: set[int] = set()  # centres of this call: known results at different fidelities must not go in circles
        while True:
            if self.left > 0:
                return self._random(rng)
            if self.centre is None:
                if self.under_way:
                    return Wait(
                        f"the climb starts from the best of {self.of} random networks; {self.under_way} have no "
                        "result yet"
                    )
                best = self.rank([history[n] for n in self.round])
                if not best:  # all of them failed
                    self.left = self.of = 1
                    continue
                self._move(best[0].number, number)
            found = self._around(number, seen)
            if found is not None:
                return found
            assert self.centre is not None
            self.optima.append(self.centre)
            self.left = self.of = self.options.restart
            self.round, self.centre = [], None

    @abstractmethod
    def _around(self, number: int, seen: set[int]) -> Proposal | Wait | None:
        """The next one to try around the centre; moves to known better ones that are not in `seen`. None = optimum."""

    @abstractmethod
    def _improved(self, entry: TrialEntry) -> None:
        """A result better than the centre came."""

    def _random(self, rng: np.random.Generator) -> Proposal | Exhausted:
        found = self.draw(rng)
        if found is None:
            return self.nothing_new()
        self.left -= 1
        again = f" again, after {len(self.optima)} local {'optimum' if len(self.optima) == 1 else 'optima'}"
        why = f"random, {self.of - self.left} of {self.of} to start{again if self.optima else ''}"
        return Proposal(found, why=why, by="random")

    def _move(self, trial: int, number: int) -> None:
        """Makes a trial the centre, at the time of proposal `number`."""
        self.centre = trial
        self.steps.append((len(self.optima) + 1, trial))

    def _step(self, architecture: Architecture) -> Proposal:
        """The proposal of one change to the centre."""
        assert self.centre is not None
        change = self.context.space.describe_change(self.context.history[self.centre].architecture, architecture)
        return Proposal(architecture, parents=(self.centre,), why=f"#{self.centre}: {change}", by=self.name)

    def _known(self, architecture: Architecture) -> list[TrialEntry]:
        """Trials of it, the centre left out."""
        history = self.context.history
        return [history[n] for n in self.context.trials_of(architecture) if n != self.centre]

    @staticmethod
    def _better(a: TrialEntry, b: TrialEntry) -> bool:
        level = common_level([a, b])
        return level is not None and dominates(a.values[level], b.values[level])

    def tell(self, entry: TrialEntry, report: Report) -> None:
        """Gathers the random points of a round; tells `_improved` of what is better than the centre."""
        if report.failure is not None:
            return
        if self.centre is None:
            if len(entry.reports) == 1:
                self.round.append(entry.number)
        elif entry.number != self.centre and self._better(entry, self.context.history[self.centre]):
            self._improved(entry)

    def state(self) -> dict[str, Any]:
        """Round, centre, optima, and the last steps."""
        return {
            **super().state(),
            "left": self.left,
            "of": self.of,
            "round": self.round,
            "centre": self.centre,
            "optima": self.optima,
            "steps": [list(step) for step in self.steps],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        super().load(state)
        self.left, self.of, self.round = int(state["left"]), int(state["of"]), list(state["round"])
        self.centre, self.optima = state["centre"], list(state["optima"])
        self.steps.extend((int(climb), int(trial)) for climb, trial in state["steps"])

    def views(self) -> dict[str, dict[str, Any]]:
        """The last climbs, step by step."""
        history, metric = self.context.history, self.context.objectives[0].metric
        if not self.steps:
            return {}
        ends = set(self.optima[-STEPS:])
        rows = [
            [
                f"climb {climb}",
                trial,
                history[trial].metrics().get(metric),
                "local optimum" if trial in ends else "centre" if trial == self.centre else "step",
            ]
            for climb, trial in list(self.steps)
            if climb > self.steps[-1][0] - 8  # more are not told apart
        ]
        note = f"{len(self.optima):,} local optima so far"
        chart = lines("trial", metric, series="climb")
        return {"climb": view("Climbs", ["climb", "trial", metric, "what"], rows, chart=chart, note=note)}
