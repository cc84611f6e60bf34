"""What strategies with a population share: who is better, children that are new, who is alive, and the pictures of it.

A population is a list of trial numbers, oldest first. A trial enters when its first result is told, whoever proposed
it; failed trials never do. Nobody waits: a free worker gets a child of whoever is alive at that moment.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.analysis.genealogy import ancestors
from engine.architecture import Architecture
from engine.history import Level, TrialEntry, level_order
from engine.objectives import front_numbers, ranking
from engine.strategies._views import scatter, tree, view
from engine.strategies.base import TRIES, Context, Exhausted, Proposal, Strategy, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.evaluation.base import Report
    from engine.spaces.base import SearchSpace

#: children of the same parents that may turn out not fresh before others are chosen
REDRAWS = 40
#: after so many of them in vain one more decision is drawn anew
PATIENCE = 4
#: rows of a view of people's size
ROWS = 200


def levels_of(entries: Sequence[TrialEntry]) -> list[Level | None]:
    """For each trial the level it is compared at: of those it has the one that most of these trials have.

    Where all have a level in common that is the highest common one; else (brackets that begin at different
    fidelities) it lets each be compared with as many as possible.
    """
    if len({tuple(e.values) for e in entries}) == 1:  # the usual case: all went equally far
        return [max(entries[0].values, key=level_order, default=None)] * len(entries)
    counts = Counter(level for entry in entries for level in entry.values)
    return [max(e.values, key=lambda v: (counts[v], level_order(v)), default=None) for e in entries]


def best_first(entries: Iterable[TrialEntry]) -> list[TrialEntry]:
    """By non-domination, then crowding, then number (Deb et al. 2002's crowded comparison; one objective: by value).

    Trials of several levels are ranked each among its own (`levels_of`) and merged by the share that is better.
    """
    ordered = sorted(entries, key=lambda e: e.number)
    groups: dict[Level | None, list[TrialEntry]] = {}
    for entry, level in zip(ordered, levels_of(ordered), strict=True):
        groups.setdefault(level, []).append(entry)
    placed: list[tuple[float, int, TrialEntry]] = []
    for level, members in groups.items():
        if level is None:
            placed += [(1.0, e.number, e) for e in members]
            continue
        order = ranking(np.array([e.values[level] for e in members], dtype=float))
        placed += [((i + 0.5) / len(order), members[k].number, members[k]) for i, k in enumerate(order.tolist())]
    return [entry for *_, entry in sorted(placed, key=lambda p: p[:2])]


def fronts(entries: Sequence[TrialEntry]) -> dict[int, int]:
    """Trial -> number of its front (0 = nobody here is better in everything), each at its level."""
    out: dict[int, int] = {}
    levels = levels_of(entries)
    for level in dict.fromkeys(levels):
        members = [e for e, at in zip(entries, levels, strict=True) if at == level]
        if level is None:
            out |= {e.number: len(entries) for e in members}
        else:
            numbers = front_numbers(np.array([e.values[level] for e in members], dtype=float))
            out |= {e.number: int(k) for e, k in zip(members, numbers, strict=True)}
    return out


def mutated(
    space: SearchSpace, arch: Architecture, rate: float | None, least: int, rng: np.random.Generator
) -> Architecture:
    """Each active decision drawn anew with probability `rate` (None: one over their number), at least `least`."""
    n = len(arch.items)
    changes = max(least, int(rng.binomial(n, min(1.0, 1 / n if rate is None else rate))) if n else 0)
    return space.mutate(arch, changes, rng) if changes else arch


class Population(Strategy):
    """The first `size` at random, then children of chosen parents.

    Subclasses set `size` and say who the parents are (`choose`), what becomes of them (`vary`), and who makes room
    (`enter`).
    """

    def __init__(self, options: Any, context: Context, size: int) -> None:
        super().__init__(options, context)
        self.size = size
        self.population: list[int] = []
        self._order: dict[int, int] | None = None  # trial -> place among those who may be parents

    # -- proposing -------------------------------------------------------------------------------
    @property
    def breeding(self) -> Sequence[int]:
        """Those who may be parents."""
        return self.population

    @abstractmethod
    def choose(self, rng: np.random.Generator) -> tuple[TrialEntry, ...]:
        """One or two parents."""

    @abstractmethod
    def vary(self, parents: tuple[TrialEntry, ...], least: int, rng: np.random.Generator) -> Architecture:
        """A child; `least` decisions at least are drawn anew (it rises as children turn out not fresh)."""

    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """At random until as many were proposed as live at a time, then children."""
        if number <= self.size or not self.breeding:
            found = self.draw(rng)
            if found is None:
                return self.nothing_new()
            some = f"random, {number} of {self.size} to start with"
            return Proposal(found, why=some if number <= self.size else "random, nobody is alive", by="random")
        for _ in range(TRIES // REDRAWS):
            parents = self.choose(rng)
            for vain in range(REDRAWS):
                child = self.vary(parents, vain // PATIENCE, rng)
                if self.fresh(child):
                    return Proposal(
                        child, parents=tuple(p.number for p in parents), why=self._why(parents, child), by=self.name
                    )
        found = self.draw(rng)
        if found is None:
            return self.nothing_new()
        return Proposal(found, why="random: the neighbourhood of the population is used up", by="random")

    def _why(self, parents: tuple[TrialEntry, ...], child: Architecture) -> str:
        change = self.context.space.describe_change(parents[0].architecture, child)
        who = " × ".join(f"#{p.number}" for p in parents)
        text = f"{who}: {change}"
        if len(text) > 160:
            n = len(self.context.space.difference(parents[0].architecture, child))
            text = f"{who}: {n} decisions unlike #{parents[0].number}"
        return text

    def place(self, number: int) -> int:
        """Place of one who may be a parent, 0 = the best."""
        if self._order is None:
            ranked = best_first([self.context.history[n] for n in self.breeding])
            self._order = {e.number: i for i, e in enumerate(ranked)}
        return self._order[number]

    def tournament(self, size: int, rng: np.random.Generator, besides: int | None = None) -> TrialEntry:
        """The best of `size` distinct ones drawn among those who may be parents, `besides` one of them."""
        among = [n for n in self.breeding if n != besides] or list(self.breeding)
        drawn = rng.permutation(len(among))[:size].tolist()
        return self.context.history[min((among[i] for i in drawn), key=self.place)]

    # -- told ------------------------------------------------------------------------------------
    @abstractmethod
    def enter(self, entry: TrialEntry) -> None:
        """A trial has its first result."""

    def tell(self, entry: TrialEntry, report: Report) -> None:
        """The first result of a trial lets it in; a later one may change who is better."""
        self._order = None
        if report.failure is None and len(entry.reports) == 1:
            self.enter(entry)

    # -- about it --------------------------------------------------------------------------------
    @classmethod
    def _sentence(cls, size: int, budget: Budget, then: str) -> str:
        """The sentence of most of them; `then` says what happens to each trial after the random ones."""
        if budget.trials <= size:
            return f"{budget.trials:,} random networks (evolution would start after {size:,})"
        return f"{size:,} random networks, then {budget.trials - size:,} times {then}"

    def state(self) -> dict[str, Any]:
        """Who is alive, oldest first."""
        return {**super().state(), "population": list(self.population)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        super().load(state)
        self.population = [int(n) for n in state["population"]]
        self._order = None

    def views(self) -> dict[str, dict[str, Any]]:
        """Who is alive: age, rank and value; and where they came from."""
        history, metric = self.context.history, self.context.objectives[0].metric
        members = [history[n] for n in self.breeding]
        rank = {e.number: i for i, e in enumerate(best_first(members), start=1)}
        front = fronts(members) if len(self.context.objectives) > 1 else {}
        columns = ["trial", "age", "rank", *(["front"] if front else []), metric, "epochs", "parent"]
        rows = [
            [
                e.number, age, rank[e.number], *([front[e.number] + 1] if front else []), e.metrics().get(metric),
                e.fidelity, *(e.proposal.parents[:1] or (None,)),
            ]
            for age, e in enumerate(reversed(members))
        ]  # fmt: skip
        edges = ancestors(history, list(self.breeding), limit=2 * ROWS)
        return {
            "population": view(
                "Population", columns, rows[:ROWS], chart=scatter("age", metric, label="trial"),
                note="age: how many came in later",
            ),
            "genealogy": view(
                "Where the population came from", ["trial", "parent"], edges, chart=tree("trial", "parent")
            ),
        }  # fmt: skip


class Generations(Population):
    """A population that is replaced as a whole each time that `size` results came in.

    Deviation of all its subclasses: nobody waits for a generation to be complete. While its last children train, the
    next ones are bred from the parents as they are, so that with w workers up to w - 1 children of a generation are
    bred one generation early; with one worker it is the published order. Before the first generation is complete
    those that came in so far are parents.
    """

    def __init__(self, options: Any, context: Context, size: int) -> None:
        super().__init__(options, context, size)
        self.offspring: list[int] = []
        self.generation = 0

    @property
    def breeding(self) -> Sequence[int]:
        """The parents; in the first generation those that came in so far."""
        return self.population or self.offspring

    @abstractmethod
    def survivors(self, parents: Sequence[TrialEntry], children: Sequence[TrialEntry]) -> list[TrialEntry]:
        """The next parents, `size` of them; `parents` is empty at the end of the first generation."""

    def enter(self, entry: TrialEntry) -> None:
        """One more child; as many as are alive make the next generation."""
        self.offspring.append(entry.number)
        if len(self.offspring) >= self.size:
            history = self.context.history
            kept = self.survivors([history[n] for n in self.population], [history[n] for n in self.offspring])
            self.population, self.offspring = sorted(e.number for e in kept), []
            self.generation += 1

    def state(self) -> dict[str, Any]:
        """Parents, children so far, and the generation."""
        return {**super().state(), "offspring": list(self.offspring), "generation": self.generation}

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        super().load(state)
        self.offspring, self.generation = [int(n) for n in state["offspring"]], int(state["generation"])
