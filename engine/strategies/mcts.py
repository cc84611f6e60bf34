"""Monte-Carlo tree search over partial architectures (AlphaX, Wang et al. 2019; Su et al. 2021)."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from math import inf, log, sqrt
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture, Option
from engine.history import Level, TrialEntry
from engine.spaces.base import Decision
from engine.strategies._search_tree import Node, Standing, backed_up
from engine.strategies._views import MOST_ROWS, bars, heat, view
from engine.strategies.base import TRIES, Context, Exhausted, Proposal, Strategy, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.evaluation.base import Report

#: share of the decisions of a rollout by values that are drawn at random
RANDOM = 0.1
#: branches of the upper two levels that are shown
BRANCHES = 40
#: (node, option): a branch of the tree within one call
_Branch = tuple[int, Option]


class Options(BaseModel):
    """Exploration, and how an architecture is completed below the tree."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    exploration: float = Field(
        0.4, ge=0, le=10, description="c of the upper confidence bound: larger = more evenly over all branches."
    )
    rollout: Literal["values", "random"] = Field(
        "values",
        description="Below the tree: values = each decision by what its options brought in all trials so far; "
        "random = uniformly.",
    )


class MonteCarloTreeSearch(Strategy):
    """A tree whose nodes are partial architectures, in the space's order of decisions, grown by one node a trial.

    Selection: from the root the option o with the largest Q(s, o) / N(s, o) + c sqrt(ln N(s) / N(s, o)) (UCT, as in
    both papers; AlphaX writes 2 c sqrt(2 ln N(s) / N(s, o))), an untried one first, by chance. Expansion: the first
    node that is missing is added. Simulation: the rest is completed by `rollout`. Back-propagation: the reward enters
    every node on the path. Q sums rewards, N counts trials, c = `exploration`. Trials under way count as visits with
    reward 0 (virtual loss), so that several asks spread. A branch all of whose architectures were tried is closed.

    Deviations: the reward is the share of trials so far that are not better (so Q / N lies between 0 and 1 whatever is
    measured, a few broken networks do not dwarf all differences, and old rewards are kept up to date); c = 0.4 is
    sqrt(2 Var) of such uniform rewards, as in UCB1-Tuned, where rewards of unknown spread get sqrt(2). AlphaX completes
    and scores by a learned network (meta-DNN) beside random simulation; `rollout` = "values" takes its place by what
    each option brought in all trials (upper bounds of the same kind, one decision in ten at random; "all moves as
    first", Gelly and Silver 2007). Su et al. train a supernet at the leaves; here a leaf is a trial. A trial is valued
    by its first result and counts as worst when it fails; with several objectives "better" means: dominates.
    """

    name = "mcts"
    summary = "A tree of partial networks: go down where results are good or few"
    reference = (
        "Wang et al. 2019, AlphaX; Su et al. 2021, Prioritized Architecture Sampling with Monto-Carlo Tree Search"
    )
    group = "baseline"
    guide = (
        "Good where the first decisions (depth, operations of the first stages) say most about a network. "
        "With fewer trials than options in the first few decisions take evolution or a model-based strategy."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.root = Node()
        self.standing = Standing(len(context.objectives))
        self._marginal: dict[str, dict[Option, array[int]]] = {}  # results by decision and option, anywhere
        self._scores: dict[str, dict[Option, float]] = {}  # of those, until the next result
        self._level: Level | None = None  # of the last result: a failure is placed among those
        self._seen = 0  # trials of the history that were looked at
        self._running: dict[int, None] = {}
        self._asked: list[Architecture] = []  # in this call of `ask`

    # -- selection, expansion, simulation ----------------------------------------------------------
    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """Down the tree, then to the end; again with a virtual loss where that is nothing new."""
        space = self.context.space
        taken = self._under_way()
        for _ in range(0 if self.root.closed else TRIES):
            partial, branches, node = self._select(taken, rng)
            depth = len(partial)
            while (decision := space.next(partial)) is not None:
                partial[decision.name] = self._rollout(decision, rng)
            architecture = Architecture.of(space.name, partial)
            if self.fresh(architecture) and not self.context.trials_of(architecture):
                self._asked.append(architecture)
                return Proposal(architecture, why=self._why(node, depth, len(partial)), by=self.name)
            taken.update(branches)
        found = self.draw(rng)
        if found is None:
            return self.nothing_new()
        self._asked.append(found)
        return Proposal(found, why="random: what the tree leads to was tried", by="random")

    def _select(
        self, taken: Mapping[_Branch, int], rng: np.random.Generator
    ) -> tuple[dict[str, Option], list[_Branch], Node]:
        """Choices down to the first branch that is not in the tree, the branches, and the last node that is."""
        space, node = self.context.space, self.root
        partial: dict[str, Option] = {}
        branches: list[_Branch] = []
        while (decision := space.next(partial)) is not None:
            option = self._choose(node, decision, taken, rng)
            branches.append((id(node), option))
            partial[decision.name] = option
            if option not in node.children:
                break
            node = node.children[option]
        return partial, branches, node

    def _choose(self, node: Node, decision: Decision, taken: Mapping[_Branch, int], rng: np.random.Generator) -> Option:
        """By the upper confidence bound; an untried option first; closed branches only where nothing else is left."""
        children, rewards = node.children, self.standing.rewards
        open_ = [o for o in decision.options if o not in children or not children[o].closed] or list(decision.options)
        visits = {o: taken.get((id(node), o), 0) + (len(children[o].results) if o in children else 0) for o in open_}
        untried = [o for o in open_ if not visits[o]]
        if untried:
            return untried[int(rng.integers(len(untried)))]
        total = log(max(2, sum(visits.values())))
        best, found = -inf, open_[0]
        for o in open_:
            q = children[o].sum(rewards) if o in children else 0.0
            bound = q / visits[o] + self.options.exploration * sqrt(total / visits[o])
            if bound > best:
                best, found = bound, o
        return found

    def _rollout(self, decision: Decision, rng: np.random.Generator) -> Option:
        options = decision.options
        if self.options.rollout == "random" or rng.random() < RANDOM:
            return options[int(rng.integers(len(options)))]
        scores = self._bounds(decision.name)
        best = max(scores.get(o, inf) for o in options)
        ties = [o for o in options if scores.get(o, inf) == best]
        return ties[int(rng.integers(len(ties)))]

    def _bounds(self, name: str) -> dict[Option, float]:
        """Upper confidence bounds of a decision's options over all trials, wherever they stand in the tree."""
        if name not in self._scores:
            results, rewards = self._marginal.get(name, {}), self.standing.rewards
            total = log(max(2, sum(map(len, results.values()))))
            self._scores[name] = {
                option: float(rewards[np.frombuffer(places, dtype=np.int64)].mean())
                + self.options.exploration * sqrt(total / len(places))
                for option, places in results.items()
            }
        return self._scores[name]

    def _under_way(self) -> Counter[_Branch]:
        """Virtual visits: the branches that trials without a result pass, those of this call included."""
        history = self.context.history
        while self._seen < len(history):
            self._seen += 1
            entry = history[self._seen]
            if not entry.values and entry.failure is None:
                self._running[entry.number] = None
        if not self._batch:
            self._asked.clear()
        taken: Counter[_Branch] = Counter()
        for architecture in [*(history[n].architecture for n in self._running), *self._asked]:
            node = self.root
            for decision in self.context.space.decisions(architecture):
                option = architecture[decision.name]
                taken[id(node), option] += 1
                if option not in node.children:
                    break
                node = node.children[option]
        return taken

    def _why(self, node: Node, depth: int, decisions: int) -> str:
        if not node.results:
            return "the tree begins: nothing is known yet"
        value = node.sum(self.standing.rewards) / len(node.results)
        below = "by their values" if self.options.rollout == "values" else "at random"
        return (
            f"tree {depth} of {decisions} decisions deep, Q {value:.2f} over {len(node.results)} trials there; "
            f"the rest {below}"
        )

    # -- back-propagation --------------------------------------------------------------------------
    def tell(self, entry: TrialEntry, report: Report) -> None:
        """The first result (or failure) of a trial enters the nodes on its path."""
        first = len(entry.reports) == 1 if report.failure is None else not entry.values
        if first:
            self._running.pop(entry.number, None)
            self._enter(entry)

    def _enter(self, entry: TrialEntry) -> None:
        place: int | None = None
        if entry.values:
            self._level, losses = next(iter(entry.values.items()))
            place = self.standing.add(losses, self._level)
        elif entry.failure is not None and entry.failure.kind != "cancelled":
            place = self.standing.add([inf] * len(self.context.objectives), self._level)
        backed_up(self.root, self.context.space, entry.architecture, place)
        if place is not None:
            for name, option in entry.architecture.items:
                self._marginal.setdefault(name, {}).setdefault(option, array("q")).append(place)
            self._scores.clear()

    def load(self, state: Mapping[str, Any]) -> None:
        """Enters the history again, in the order it was told: the tree follows from it."""
        super().load(state)
        history = self.context.history
        for number in history.told:
            self._enter(history[number])

    # -- about it ----------------------------------------------------------------------------------
    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "30 times down a tree of decisions that grows by one node a trial"."""
        rest = "by their values" if getattr(options, "rollout", "values") == "values" else "at random"
        return (
            f"{budget.trials:,} times down a tree of decisions that grows by one node a trial, the rest chosen {rest}"
        )

    def views(self) -> dict[str, dict[str, Any]]:
        """Q values along the most visited path, and the branches of the upper two levels."""
        space, rewards = self.context.space, self.standing.rewards
        if not self.standing.n:
            return {}
        path: list[list[Any]] = []
        node, partial = self.root, dict[str, Option]()
        while node.children and len(path) < MOST_ROWS and (decision := space.next(partial)) is not None:
            for option in decision.options:
                q, visits = self._valued(node.children.get(option))
                path.append([space.title(decision.name), space.format(decision.name, option), q, visits])
            partial[decision.name], node = max(
                node.children.items(), key=lambda c: (len(c[1].results), -decision.options.index(c[0]))
            )
        upper: list[list[Any]] = []
        for words, below in self._branches(self.root, {}, ""):
            q, visits = self._valued(below[1])
            upper.append([words, visits, q])
            for longer, (_, deeper) in self._branches(below[1], below[0], f"{words}, "):
                q, visits = self._valued(deeper)
                upper.append([longer, visits, q])
        upper.sort(key=lambda row: -row[1])
        note = f"mean reward of the trials beneath (0 worst, 1 best) among {len(rewards):,}"
        return {
            "q": view(
                "Q values along the most visited path", ["decision", "option", "Q", "visits"], path[:MOST_ROWS],
                chart=heat("option", "decision", "Q"), note=note,
            ),
            "visits": view(
                "Upper branches of the tree, by visits", ["branch", "visits", "Q"], upper[:BRANCHES],
                chart=bars("branch", "visits"), note="the first two decisions",
            ),
        }  # fmt: skip

    def _valued(self, node: Node | None) -> tuple[float | None, int]:
        """(Q / N, N) of a branch."""
        if node is None or not node.results:
            return None, 0
        return node.sum(self.standing.rewards) / len(node.results), len(node.results)

    def _branches(
        self, node: Node, partial: Mapping[str, Option], before: str
    ) -> list[tuple[str, tuple[dict[str, Option], Node]]]:
        """Words, choices and node of each branch that was tried."""
        space = self.context.space
        decision = space.next(partial)
        if decision is None:
            return []
        return [
            (
                f"{before}{space.title(decision.name)} {space.format(decision.name, option)}",
                ({**partial, decision.name: option}, node.children[option]),
            )
            for option in decision.options
            if option in node.children
        ]
