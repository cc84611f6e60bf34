"""Greedy coordinate-wise search: one decision after the other to its best option, the others fixed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.history import TrialEntry
from engine.spaces.base import Decision
from engine.strategies._climb import Climb
from engine.strategies._views import heat, view
from engine.strategies.base import Context, Proposal, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.evaluation.base import Report

#: options tried that are kept for people
KEPT = 200


class Options(BaseModel):
    """Where to begin, and in which order decisions have their turn."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    initial: int = Field(10, ge=1, le=10_000, description="Random networks; the best of them is improved.")
    order: Literal["shuffled", "written"] = Field(
        "shuffled", description="Order of the decisions: drawn anew for each sweep, or as the space has them."
    )
    ahead: bool = Field(
        True,
        description="Workers that would wait for the last options of a decision try those of the next ones meanwhile.",
    )
    restart: int = Field(1, ge=1, le=10_000, description="Random networks to start again from, when nothing improves.")


class Greedy(Climb):
    """Tries every option of one decision with all others as in the best so far, keeps the best, goes to the next one.

    Cyclic coordinate descent with exact minimisation along each coordinate (Wright 2015; a coordinate is a
    decision, its line the options on offer). A sweep gives each decision that acts in the centre its turn once,
    those that become active in between included. After a sweep without any improvement no single change makes the
    centre better: start again from the best of `restart` random points. A known result is used and not paid for again.

    Deviations: decisions that become active by a change take their first option and have their turn later. With
    `ahead`, when trials run in parallel, options of later decisions are tried before the present one is settled; if it
    moves the centre, those were tried around the old one. Any better result counts as the best so far, also such a one
    or a person's proposal. With several objectives "better" means: dominates.
    """

    name = "greedy"
    summary = "One decision after the other: try all its options, keep the best"
    reference = "Wright 2015, Coordinate Descent Algorithms"
    group = "baseline"
    guide = (
        "Shows what each decision is worth, and is strong where decisions matter independently of each other. "
        "Where they hang together, or have many options, take one that changes several at once."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.sweep = 0  # since the start of the search
        self.settled: list[str] = []  # decisions that had their turn in this sweep
        self.moved = False  # whether this sweep improved anything
        self.tried: dict[str, int] = {}  # options of each decision that were looked at around this centre
        self.better: int | None = None  # the best result better than the centre, not moved to yet
        self.recent: deque[int] = deque(maxlen=KEPT)  # own trials told, for people
        self._names: tuple[int, list[str]] | None = None
        self._acting: tuple[int, dict[str, Decision]] | None = None

    # -- whose turn it is ------------------------------------------------------------------------
    def _order(self) -> list[str]:
        """Names of all decisions in this sweep's order."""
        if self._names is None or self._names[0] != self.sweep:
            names = [d.name for d in self.context.space.all_decisions()]
            if self.options.order == "shuffled":
                order = np.random.default_rng([self.context.seed, 2, self.sweep]).permutation(len(names))
                names = [names[i] for i in order]
            self._names = (self.sweep, names)
        return self._names[1]

    def _decisions(self) -> dict[str, Decision]:
        """Those that act in the centre."""
        assert self.centre is not None
        if self._acting is None or self._acting[0] != self.centre:
            found = self.context.space.decisions(self.context.history[self.centre].architecture)
            self._acting = (self.centre, {d.name: d for d in found})
        return self._acting[1]

    def _turns(self) -> list[Decision]:
        """Decisions of the centre that are to come in this sweep."""
        acting, settled = self._decisions(), set(self.settled)
        return [acting[name] for name in self._order() if name in acting and name not in settled]

    # -- around the centre -----------------------------------------------------------------------
    def _around(self, number: int, seen: set[int]) -> Proposal | Wait | None:
        """The next option of the decision whose turn it is; moves to the best when all are known."""
        while True:
            assert self.centre is not None
            seen.add(self.centre)
            turns = self._turns()
            if not turns:
                if not self.moved:
                    return None
                self._begin_sweep()
                continue
            now = turns[0]
            found = self._untried(now, seen)
            if found is not None:
                return found
            if self._pending(now):
                for later in turns[1:] if self.options.ahead else ():
                    if (found := self._untried(later, seen)) is not None:
                        return found
                title = self.context.space.title(now.name)
                return Wait(f"options of {title} around #{self.centre} have no result yet")
            self.settled.append(now.name)
            if self.better is not None and self.better not in seen:
                self._move(self.better, number)
                self.moved = True
            self.better = None

    def _untried(self, decision: Decision, seen: set[int]) -> Proposal | None:
        """The next option of a decision that has no trial; known better ones are noted on the way."""
        space, history = self.context.space, self.context.history
        assert self.centre is not None
        centre = history[self.centre]
        for i in range(self.tried.get(decision.name, 0), len(decision.options)):
            self.tried[decision.name] = i + 1
            if decision.options[i] == centre.architecture[decision.name]:
                continue
            architecture = space.moved(centre.architecture, decision.name, decision.options[i])
            known = self._known(architecture)
            for entry in known:
                if entry.number not in seen and self._better(entry, centre):
                    self._improved(entry)
            if not known and architecture != centre.architecture and self.fresh(architecture):
                return self._step(architecture)
        return None

    def _pending(self, decision: Decision) -> bool:
        """Whether a result of one of its options is still to come."""
        assert self.centre is not None
        centre = self.context.history[self.centre].architecture
        for option in decision.options:
            architecture = self.context.space.moved(centre, decision.name, option)
            if self._batch and self.context.identity(architecture) in self._batch:
                return True
            if any(not e.values and e.failure is None for e in self._known(architecture)):
                return True
        return False

    def _begin_sweep(self) -> None:
        self.sweep += 1
        self.settled, self.moved = [], False

    def _move(self, trial: int, number: int) -> None:
        if self.centre is None:  # a new climb
            self._begin_sweep()
        super()._move(trial, number)
        self.tried, self.better = {}, None

    def _improved(self, entry: TrialEntry) -> None:
        if self.better is None or self._better(entry, self.context.history[self.better]):
            self.better = entry.number

    def tell(self, entry: TrialEntry, report: Report) -> None:
        """A better result waits until all options of the decision are known."""
        super().tell(entry, report)
        first = len(entry.reports) == (report.failure is None)
        if first and entry.proposal.by == self.name:
            self.recent.append(entry.number)

    # -- about it ----------------------------------------------------------------------------------
    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "10 random networks, then 20 times another option of one decision after the other, keeping the best"."""
        initial: int = getattr(options, "initial", 10)
        if budget.trials <= initial:
            return f"{budget.trials:,} random networks (the sweeps would start after {initial:,})"
        networks = "network" if initial == 1 else "networks"
        return (
            f"{initial:,} random {networks}, then {budget.trials - initial:,} times another option of one decision "
            "after the other, keeping the best, starting again when nothing improves"
        )

    def state(self) -> dict[str, Any]:
        """Beside the climb's: whose turn it is, and which of its options were looked at."""
        return {
            **super().state(),
            "sweep": self.sweep,
            "settled": self.settled,
            "moved": self.moved,
            "tried": self.tried,
            "better": self.better,
            "recent": list(self.recent),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        super().load(state)
        self.sweep, self.settled, self.moved = int(state["sweep"]), list(state["settled"]), bool(state["moved"])
        self.tried, self.better = {str(k): int(v) for k, v in state["tried"].items()}, state["better"]
        self.recent.extend(int(n) for n in state["recent"])

    def views(self) -> dict[str, dict[str, Any]]:
        """The options tried last, decision by decision, and the climbs."""
        history, space = self.context.history, self.context.space
        metric = self.context.objectives[0].metric
        latest: dict[tuple[str, str], list[Any]] = {}  # one row a cell of the picture
        for number in self.recent:
            entry = history[number]
            (parent,) = entry.proposal.parents
            decision, was, option = space.difference(history[parent].architecture, entry.architecture)[0]
            value = entry.metrics().get(metric) if entry.values else None
            latest.pop((decision, option), None)
            latest[decision, option] = [decision, option, value, number, parent, was]
        if not latest:
            return super().views()
        columns = ["decision", "option", metric, "trial", "around", "instead of"]
        note = f"sweep {self.sweep:,}; the latest trial of each option"
        chart = heat("option", "decision", metric)
        table = view("Options tried", columns, list(latest.values()), chart=chart, note=note)
        return {"options": table, **super().views()}
