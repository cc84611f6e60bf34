"""Strategies: what to try next.

A strategy is one file with one class. It is asked for proposals and told results; it never sees a clock, a worker
or the schedule. The conductor feeds it in recorded order, so everything it answers is a function of the log.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from engine.architecture import Architecture
from engine.errors import CannotBuild
from engine.history import History, TrialEntry, common_level
from engine.objectives import Objective, ranking
from engine.strategies.proposal import Exhausted as Exhausted
from engine.strategies.proposal import Proposal as Proposal
from engine.strategies.proposal import Wait as Wait

if TYPE_CHECKING:
    from engine.config import Budget, SearchConfig
    from engine.evaluation.base import Report
    from engine.experience import Experience
    from engine.log import Entry, Launch
    from engine.spaces.base import SearchSpace

Group = Literal[
    "automatic", "baseline", "evolution", "reinforcement", "bayesian", "model", "across", "sharing", "gradient", "other"
]
#: families of strategies in the order people see them, with their titles
GROUPS: dict[Group, str] = {
    "automatic": "Automatic",
    "baseline": "Baselines",
    "evolution": "Evolution",
    "reinforcement": "Reinforcement learning",
    "bayesian": "Bayesian optimization",
    "model": "Predictor-guided",
    "across": "Learning across searches",
    "sharing": "Weight sharing",
    "gradient": "Gradient-based",
    "other": "Others",
}
#: arrays that a snapshot carries, by name
Arrays = Mapping[str, NDArray[Any]]
#: draws before a strategy gives up on finding something new by chance
TRIES = 200
#: architectures that cannot be built which are remembered
UNBUILDABLE = 1_000
#: spaces up to this size are walked through when chance finds nothing new any more
ENUMERABLE = 50_000


class NoOptions(BaseModel):
    """Options of a plug-in that has none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Context:
    """What a strategy has for free: the space, exact costs, the history, and what is still fresh.

    Args:
        space: bound to the data.
        objectives, limits, budget, parallelism, seed: of the search.
        max_fidelity: epochs of a trial that goes all the way.
        duplicates: what counts as the same architecture ("canonical", "written", "allowed").
        experience: frozen results of earlier searches, the ones a config names by digest.

    Attributes:
        unbuildable: architectures that were refused because they cannot be built, and why; the first `UNBUILDABLE`
            since this object was made, for people, never a base of decisions.
    """

    def __init__(
        self,
        *,
        space: SearchSpace,
        objectives: Sequence[Objective],
        limits: Mapping[str, float],
        budget: Budget,
        parallelism: int,
        seed: int,
        max_fidelity: int,
        duplicates: Literal["canonical", "written", "allowed"] = "canonical",
        experience: Sequence[Experience] = (),
    ) -> None:
        self.space, self.objectives, self.limits = space, tuple(objectives), dict(limits)
        self.budget, self.parallelism, self.seed = budget, parallelism, seed
        self.max_fidelity, self.duplicates = max_fidelity, duplicates
        self.experience = tuple(experience)
        self.history = History(objectives)
        self.unbuildable: dict[Architecture, str] = {}
        self._trials: dict[str, list[int]] = {}
        self.costs: Callable[[Architecture], dict[str, float]] = lru_cache(maxsize=8192)(self._costs)
        self.identity: Callable[[Architecture], str] = lru_cache(maxsize=8192)(self._identity)

    def _costs(self, architecture: Architecture) -> dict[str, float]:
        return dict(self.space.costs(architecture).as_metrics())

    def _identity(self, architecture: Architecture) -> str:
        if self.duplicates != "canonical":
            return architecture.key
        try:
            text = self.space.canonical_key(architecture)
        except CannotBuild:  # `why_not` refuses it; asking who it is must not end the search
            return architecture.key
        return hashlib.sha256(text.encode()).hexdigest()[:16]  # 64 bits: short, for snapshots

    def register(self, number: int, identity: str) -> None:
        """Notes that a trial of an architecture of this identity exists (the conductor does, at its start)."""
        self._trials.setdefault(identity, []).append(number)

    def trials_of(self, architecture: Architecture) -> Sequence[int]:
        """Trials of the same architecture (in the sense of `duplicates`), oldest first."""
        return self._trials.get(self.identity(architecture), ())

    def why_not(self, architecture: Architecture, upto: int | None = None) -> str | None:
        """Why this must not become a trial (over a limit, cannot be built, a duplicate), or None.

        Args:
            architecture: that is meant.
            upto: the last trial that it can be a duplicate of, for what was decided before there were more.
        """
        try:
            same = self.trials_of(architecture) if self.duplicates != "allowed" else ()
            if same and (upto is None or same[0] <= upto):
                return f"duplicate of #{same[0]}"
            costs = self.costs(architecture)
        except CannotBuild as e:
            if len(self.unbuildable) < UNBUILDABLE:
                self.unbuildable.setdefault(architecture, str(e))
            return f"cannot be built: {e}"
        for name, limit in self.limits.items():
            if costs[name] > limit:
                return f"over the limit: {name} {costs[name]:,.0f} > {limit:,.0f}"
        return None

    def fresh(self, architecture: Architecture) -> bool:
        """Whether it may become a trial: no duplicate, within the limits, buildable."""
        return self.why_not(architecture) is None


class Strategy(ABC):
    """Decides what to try.

    Life of an object: constructed once per search; then `ask` whenever a slot is free, `tell` once per completed rung
    of every trial (of its own and of others; failed and cancelled ones too, with `report.failure` set). `tell` comes
    before the next `ask`. `state`/`load` carry what cannot be recomputed from the history; `load` (then `load_arrays`)
    is called on a new object whose context holds the history up to the snapshot, instead of telling it again. What is
    fitted to results must come out alike after that: either it is a function of the history as it stands at each `ask`,
    or it (or the numbers it was fitted to) is among the arrays.

    Attributes:
        inherits: its proposals may start from the weights of earlier trials (`Proposal.init_from`): the checkpoints of
            trials are kept at their end then, as long as `keeps` names them.
        learns: it makes use of `Context.experience`, so that people are asked which earlier searches to learn from.
        group: family, for the form and the docs.
        guide: two sentences for people: what it is good for, and when to take another one; from the benchmarks.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str] = ""
    group: ClassVar[Group] = "other"
    guide: ClassVar[str] = ""
    inherits: ClassVar[bool] = False
    learns: ClassVar[bool] = False
    Options: ClassVar[type[BaseModel]] = NoOptions

    def __init__(self, options: BaseModel, context: Context) -> None:
        self.options: Any = options
        self.context = context
        self.asked = 0
        self._batch: set[str] = set()
        self._pool: list[Architecture] | None = None
        self._pool_next = 0

    # -- asked and told ------------------------------------------------------------------------
    def ask(self, n: int) -> list[Proposal] | Wait | Exhausted:
        """Up to `n` proposals; fewer only when waiting or exhausted. The i-th of a search draws from (seed, i)."""
        out: list[Proposal] = []
        for _ in range(n):
            number = self.asked + 1
            answer = self.propose(number, np.random.default_rng([self.context.seed, number]))
            if not isinstance(answer, Proposal):
                self._batch.clear()
                return out or answer
            self.asked = number
            out.append(answer)
            self._batch.add(self.context.identity(answer.architecture))
        self._batch.clear()
        return out

    @abstractmethod
    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """The `number`-th proposal of this search (from 1), with its own generator."""

    def tell(self, entry: TrialEntry, report: Report) -> None:  # noqa: B027 - optional hook
        """A rung is done (or failed); `entry` holds it already."""

    def launches(self) -> list[Launch]:
        """Pieces of work that are no trials and should begin now; each comes back through `told_piece`."""
        return []

    def told_piece(self, piece: int, report: Report) -> None:  # noqa: B027 - optional hook
        """A piece is done (or failed)."""

    def budgeted(self, trials: int) -> None:  # noqa: B027 - optional hook
        """The budget was extended to so many trials."""

    def relive(self, entries: Sequence[Entry]) -> None:  # noqa: B027 - optional hook
        """The log up to a snapshot, before `load`: for what follows from the pieces in it."""

    def recommend(self, k: int) -> list[int]:
        """The `k` trials it would hand over now, best first: by default the best measured ones.

        With one objective and replicates, by posterior mean: not by the luckiest value.
        """
        level = self.context.history.top
        entries = [e for e in self.context.history if level is not None and level in e.values]
        if level is not None and len(self.context.objectives) == 1 and any(e.proposal.replicate for e in entries):
            from engine.replicates import by_posterior

            return by_posterior(entries, level)[:k]
        return [e.number for e in self.rank(entries)[:k]]

    def winners(self) -> list[int]:
        """Trials that a search was asked to find beside the best one, e.g. the best within each of several limits."""
        return []

    def keeps(self) -> Collection[int]:
        """Trials whose weights a proposal to come may start from; of a bounded number, since they fill the storage."""
        return ()

    @property
    def under_way(self) -> int:
        """Trials without a result yet, those proposed in this call of `ask` included."""
        return len(self.context.history) - len(self.context.history.told) + len(self._batch)

    # -- for its file ----------------------------------------------------------------------------
    def delegate(self, inner: Strategy, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """What another strategy on the same context proposes now, with this proposal's generator.

        `tell`, `state` and `keeps` of the inner one are the caller's business.
        """
        inner._batch = self._batch  # nothing twice in one call of `ask`
        answer = inner.propose(inner.asked + 1, rng)
        if isinstance(answer, Proposal):
            inner.asked += 1
        return answer

    def fresh(self, architecture: Architecture) -> bool:
        """`Context.fresh`, and neither proposed in the same call of `ask` nor under way at this moment."""
        if not self.context.fresh(architecture):
            return False
        if self._batch and self.context.identity(architecture) in self._batch:
            return False
        history = self.context.history  # only where duplicates are allowed is there anything to look at
        return not any(history[n].state == "running" for n in self.context.trials_of(architecture)[-1:])

    def draw(
        self, rng: np.random.Generator, how: Callable[[np.random.Generator], Architecture] | None = None
    ) -> Architecture | None:
        """A fresh architecture from the prior (or from `how`), None if there seems to be none left.

        After `TRIES` draws without luck, spaces of at most `ENUMERABLE` architectures are walked through in an order
        shuffled by the seed, so that small spaces are exhausted exactly and never by guessing.
        """
        how = how or self.context.space.sample
        for _ in range(TRIES):
            architecture = how(rng)
            if self.fresh(architecture):
                return architecture
        if self._pool is None:
            if self.context.space.size() > ENUMERABLE:
                return None
            everything = list(self.context.space.enumerate())
            order = np.random.default_rng([self.context.seed, 0]).permutation(len(everything))
            self._pool = [everything[i] for i in order]
        while self._pool_next < len(self._pool):
            architecture = self._pool[self._pool_next]
            self._pool_next += 1
            if self.fresh(architecture):
                return architecture
        return None

    def rank(self, entries: Sequence[TrialEntry]) -> list[TrialEntry]:
        """Best first at the highest level that all of them have: by non-domination, then crowding, then number."""
        level = common_level(entries)
        if level is None:
            return []
        ordered = sorted(entries, key=lambda e: e.number)
        values = np.array([e.values[level] for e in ordered], dtype=float)
        return [ordered[i] for i in ranking(values)]

    def nothing_new(self) -> Exhausted:
        """The answer when `draw` found nothing."""
        limits = " within the limits" if self.context.limits else ""
        unbuildable = list(self.context.unbuildable.values())
        why = f"; {len(unbuildable):,} cannot be built, e.g. {unbuildable[0]}" if unbuildable else ""
        return Exhausted(f"no architecture{limits} is left that was not tried; {len(self.context.history):,} were{why}")

    # -- about it --------------------------------------------------------------------------------
    @classmethod
    def supports(cls, space: SearchSpace, objectives: Sequence[Objective]) -> str | None:
        """None, or the reason why it cannot serve this space with these objectives."""
        return None

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """What it will do with this budget, in one sentence without a full stop."""
        return cls.summary

    @classmethod
    def plan(cls, config: SearchConfig, *, earlier: int) -> str:
        """What it will do in one whole search, in one sentence without a full stop; differs from `sentence` where the
        objectives or the earlier searches that it learns from decide.

        Args:
            earlier: searches that it is given to learn from; a form knows how many before the config names them.
        """
        return cls.sentence(config.options("strategy"), config.budget)

    def state(self) -> dict[str, Any]:
        """Small JSON; subclasses add to it."""
        return {"asked": self.asked, "pool_next": self._pool_next}

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        self.asked = int(state["asked"])
        self._pool_next = int(state["pool_next"])

    def arrays(self) -> Arrays:
        """What a snapshot keeps beside `state`: weights, optimizers, numbers fitted to. Few and small (megabytes)."""
        return {}

    def load_arrays(self, arrays: Arrays) -> None:  # noqa: B027 - optional hook
        """Takes up what `arrays` gave, bit for bit; called after `load`, before anything is asked or told."""

    def views(self) -> dict[str, dict[str, Any]]:
        """Small tables for pages, by name; made with `engine.strategies._views`. A function of the state alone."""
        return {}
