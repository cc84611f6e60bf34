"""Hill climbing with network morphisms (Elsken, Metzen and Hutter 2018, Algorithm 1; Chen et al. 2016, Net2Net)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.analysis.genealogy import ancestors
from engine.architecture import Architecture
from engine.evaluation.inherited import morphed
from engine.history import TrialEntry
from engine.network.morphism import Morphism
from engine.strategies._population import best_first
from engine.strategies._starts import smallest_of
from engine.strategies._views import lines, scatter, thinned, tree, view
from engine.strategies.base import Context, Exhausted, Proposal, Strategy, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.evaluation.base import Report
    from engine.objectives import Objective
    from engine.spaces.base import SearchSpace

#: walks of several morphisms that may end at a network that is not fresh before single ones are gone through
WALKS = 4
#: trials of one round that are kept apart; of more (told by others) the best half stays
MOST = 64


class Options(BaseModel):
    """Where to begin, how wide and how far to look, when to begin again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    initial: int = Field(
        3, ge=1, le=1_000, description="Random networks for each climb, which starts from the best of them."
    )
    small: int = Field(
        3, ge=1, le=100, description="Draws for each of these: the smallest is tried, since the climb only grows."
    )
    children: int | None = Field(
        None, ge=1, le=1_000, description="Networks per step of the climb; empty = a fifth of the trials, 2 to 8."
    )
    changes: int = Field(1, ge=1, le=20, description="Morphisms between a parent and its child.")
    patience: int = Field(
        5, ge=1, le=1_000, description="Steps without a better network until the climb begins again elsewhere."
    )
    inherit: bool = Field(
        True, description="Children begin with the function of their parent, instead of random weights."
    )


def children_of(options: BaseModel, trials: int) -> int:
    """Networks per step, for a budget."""
    given: int | None = getattr(options, "children", None)
    return given or min(8, max(2, trials // 5))


class MorphismClimb(Strategy):
    """From the best network so far, several children by random function-preserving changes; the best goes on.

    A child begins as exactly the function its parent had learned and is trained on from there, so that a step costs a
    few epochs where a network from random weights would need many. The changes are the space's own (`morphisms`):
    deeper, wider, larger windows, new branches that begin as zero.

    Symbols of Algorithm 1: n_neigh = `children`, n_NM = `changes`, n_steps follows from the budget, epoch_neigh = the
    epochs of a trial.

    Deviations: the unchanged parent is not trained on as one more child, because that would pay twice for one network;
    it stays the best with the value it has until a child is better. n_neigh, published for 40 networks as 8, scales
    with the budget when left empty; `changes` is 1 instead of 5, since spaces end where the published one has no end.
    The climb begins with the best of some small random networks, where the paper takes one given network. It can only
    grow, so when no child is fresh (the space or a limit ends there), or after `patience` steps without a better
    network (the paper never gives up), it begins again elsewhere. With several objectives the best of a step is so by
    non-domination, then crowding. Several children train at a time, and a step ends when all of them have a first
    result.
    """

    name = "morphism_climb"
    summary = "Climb by growing: children compute what their parent does, the best one goes on"
    reference = "Elsken, Metzen and Hutter 2018, Simple and Efficient Architecture Search for Convolutional Networks"
    group = "evolution"
    guide = (
        "Finds a good trained network with few epochs per trial, since nothing that was learned is lost. "
        "Where the final network is trained from scratch anyway, or numbers come from a table, take another strategy."
    )
    inherits = True
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.children = children_of(options, context.budget.trials)
        self.left: int = self.options.initial  # random networks this climb still begins with
        self.to_make = 0  # children this step still makes
        self.parent: int | None = None
        self.round: list[int] = []  # results since the step began
        self.idle = 0  # steps without a better network
        self.dry = False  # no child of the parent is fresh
        self.steps: list[tuple[int, int]] = []  # (climb, parent) in order
        self.climb = 1
        self._offered: tuple[int, list[Morphism]] | None = None

    # -- proposing -------------------------------------------------------------------------------
    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """A network to begin with, or a child of the best."""
        while True:
            if self.left > 0:
                return self._beginning(rng)
            if self.to_make > 0:
                found = self._child(rng)
                if found is not None:
                    self.to_make -= 1
                    return found
                self.to_make, self.dry = 0, True
            if under_way := self.under_way:
                return Wait(f"the best of this step becomes the next parent; {under_way} have no result yet")
            self._step()

    def _beginning(self, rng: np.random.Generator) -> Proposal | Exhausted:
        found = self.draw(rng, smallest_of(self.context.space, self.options.small))
        if found is None:
            return self.nothing_new()
        self.left -= 1
        of = self.options.initial
        again = f" again (climb {self.climb})" if self.climb > 1 else ""
        return Proposal(found, why=f"random, {max(1, of - self.left)} of {of} to start{again}", by="random")

    def _step(self) -> None:
        """The step is over: the best goes on, or the climb begins again."""
        history = self.context.history
        known = [history[n] for n in self.round if n != self.parent]
        known += [history[self.parent]] if self.parent is not None else []
        self.round = []
        if not known:  # all of them failed
            self.left = 1
            return
        best = best_first(known)[0].number
        self.idle = self.idle + 1 if best == self.parent else 0
        if self.idle >= self.options.patience or (self.idle and self.dry):
            self.parent, self.idle, self.left = None, 0, self.options.initial
            self.climb += 1
        else:
            if best != self.parent:
                self.steps.append((self.climb, best))
            self.parent, self.to_make = best, self.children
        self.dry = False

    def _morphisms(self) -> list[Morphism]:
        """Those of the parent; making them costs more than all the rest."""
        assert self.parent is not None
        if self._offered is None or self._offered[0] != self.parent:
            space = self.context.space
            self._offered = (self.parent, space.morphisms(self.context.history[self.parent].architecture))
        return self._offered[1]

    def _child(self, rng: np.random.Generator) -> Proposal | None:
        """A fresh child: by a random walk of morphisms, else by any single one; None where there is none."""
        first = self._morphisms()
        if not first:
            return None
        if self.options.changes > 1:
            for _ in range(WALKS):
                index = int(rng.integers(len(first)))
                walk = [(index, first[index])]
                while len(walk) < self.options.changes:
                    further = self.context.space.morphisms(walk[-1][1].child)
                    if not further:
                        break
                    index = int(rng.integers(len(further)))
                    walk.append((index, further[index]))
                if self.fresh(walk[-1][1].child):
                    return self._proposal(walk)
        for index in rng.permutation(len(first)).tolist():
            if self.fresh(first[index].child):
                return self._proposal([(index, first[index])])
        return None

    def _proposal(self, walk: Sequence[tuple[int, Morphism]]) -> Proposal:
        assert self.parent is not None
        child: Architecture = walk[-1][1].child
        what = "; ".join(m.what for _, m in walk)
        what = what if len(what) <= 160 else f"{len(walk)} morphisms, the last: {walk[-1][1].what[:100]}"
        return Proposal(
            child,
            init_from=morphed(self.parent, [(i, m.what) for i, m in walk]) if self.options.inherit else None,
            depends_on=(self.parent,) if self.options.inherit else (),
            parents=(self.parent,),
            why=f"#{self.parent}: {what}",
            by=self.name,
        )

    # -- told ------------------------------------------------------------------------------------
    def tell(self, entry: TrialEntry, report: Report) -> None:
        """The first result of a trial takes part in this step, whoever proposed it."""
        if report.failure is not None or len(entry.reports) != 1:
            return
        self.round.append(entry.number)
        if len(self.round) > MOST:
            best = best_first([self.context.history[n] for n in self.round])[: MOST // 2]
            self.round = sorted(e.number for e in best)

    def keeps(self) -> Collection[int]:
        """The parent, and those of whom one may be the next."""
        if not self.options.inherit:
            return ()
        return self.round if self.parent is None else [self.parent, *self.round]

    # -- about it --------------------------------------------------------------------------------
    @classmethod
    def supports(cls, space: SearchSpace, objectives: Sequence[Objective]) -> str | None:
        """Spaces that know function-preserving changes."""
        return space.unavailable.get("morphisms")

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "from the best of 3 small random networks, 5 steps of 6 children that begin with its function"."""
        initial: int = getattr(options, "initial", 3)
        left = budget.trials - initial
        if left <= 0:
            return f"{budget.trials:,} random networks (the climb would start after {initial:,})"
        each = min(children_of(options, budget.trials), left)
        steps = left // each
        weights = " that begin with its function" if getattr(options, "inherit", True) else ""
        return (
            f"from the best of {initial:,} small random networks {steps:,} {'step' if steps == 1 else 'steps'} of "
            f"{each:,} {'child' if each == 1 else 'children'}{weights}, each time from the best so far"
        )

    def state(self) -> dict[str, Any]:
        """Where the climb stands, and the last of its way."""
        return {
            **super().state(), "left": self.left, "to_make": self.to_make, "parent": self.parent, "idle": self.idle,
            "round": list(self.round), "dry": self.dry, "climb": self.climb, "steps": self.steps[-200:],
        }  # fmt: skip

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        super().load(state)
        self.left, self.to_make, self.idle = int(state["left"]), int(state["to_make"]), int(state["idle"])
        self.parent = None if state["parent"] is None else int(state["parent"])
        self.round, self.dry, self.climb = [int(n) for n in state["round"]], bool(state["dry"]), int(state["climb"])
        self.steps = [(int(climb), int(trial)) for climb, trial in state["steps"]]

    def views(self) -> dict[str, dict[str, Any]]:
        """The way up, who is compared now, and where they came from."""
        history, metric = self.context.history, self.context.objectives[0].metric
        way = [
            [i, history[n].metrics().get(metric), f"climb {climb}", n]
            for i, (climb, n) in enumerate(self.steps[-200:], start=1)
        ]
        now = [n for n in (self.parent, *self.round) if n is not None]
        rows = [
            [
                n,
                history[n].metrics()["n_macs"],
                history[n].metrics().get(metric),
                "parent" if n == self.parent else "child",
            ]
            for n in dict.fromkeys(now)
        ]
        edges = ancestors(history, sorted({*now, *(n for _, n in self.steps[-20:])}), limit=400)
        return {
            "climb": view(
                "The climb", ["step", metric, "climb", "trial"], thinned(way),
                chart=lines("step", metric, series="climb"),
            ),
            "population": view(
                "Compared in this step", ["trial", "n_macs", metric, "who"], rows,
                chart=scatter("n_macs", metric, label="trial", group="who"),
            ),
            "genealogy": view("Where they came from", ["trial", "parent"], edges, chart=tree("trial", "parent")),
        }  # fmt: skip
