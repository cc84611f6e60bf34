"""Weight sharing where a strategy would stand: a supernet is trained, subnets are scored with its weights, and what is
derived is trained alone beside random networks of the same cost.

The order of things, each a piece of work or a trial that the decision log records:

1. measure: what each operation takes on the worker's device, for methods that weigh latency;
2. supernet: trained once a run, each with a seed of its own;
3. score: an ask/tell strategy searches among the subnets by inherited accuracy, or the method says what it derives;
4. score: what is to be trained alone and the random networks beside it, so that there is something to trust or not;
5. trials: each derived network, then its random partner, then both again with other seeds where that is wanted;
   where the budget was extended, 4 and 5 again with what is left of the derived networks.

Inherited accuracy never becomes a trial's: it stays in `inherited`, and trials are compared with trials.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel

from engine.architecture import Architecture
from engine.errors import InvalidArchitecture, StrategyFailed
from engine.strategies.base import Context, Exhausted, Group, Proposal, Strategy, Wait
from engine.supernets._alone import Item, Round, pairs_of
from engine.supernets._inner import Inner
from engine.supernets._tiers import Tier, by_turns
from engine.supernets.options import SearchedOptions as SearchedOptions
from engine.supernets.options import SupernetOptions as SupernetOptions

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.evaluation.base import Report
    from engine.log import Entry, Launch, PieceDone
    from engine.objectives import Objective
    from engine.spaces.base import SearchSpace
    from engine.supernets.nets.learner import Learner, Setup

#: subnets of one piece of work
SCORED_AT_ONCE = 64
#: derived networks that are ranked
RANKED = 200


class SupernetMethod(Strategy):
    """A weight-sharing method, as the conductor sees it; what it trains is its `learner`.

    Attributes:
        searches: subnets are searched by inherited accuracy; otherwise the learner says what is derived.
        measures: it needs the latency of operations on the worker's device.
        mixes: it needs `SearchSpace.mixture`: all options side by side.
        inherited: accuracy under shared weights by `Context.identity`, of the last score of each.
    """

    group: ClassVar[Group] = "sharing"
    searches: ClassVar[bool] = False
    measures: ClassVar[bool] = False
    mixes: ClassVar[bool] = False
    Options: ClassVar[type[BaseModel]] = SupernetOptions

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.stage: Literal["measure", "supernet", "score", "partners", "trials"] = (
            "measure" if self.needs_latency() else "supernet"
        )
        self.flying: Launch | None = None
        self.n_pieces = 0
        self.latency: int | None = None
        self.supernets: list[int] = []
        self.found: list[Architecture] = []
        self.inherited: dict[str, float] = {}
        self._unscorable: set[str] = set()
        self._asked: list[Architecture] = []  # being scored, and what the supernets so far say of them
        self._told: list[Sequence[Mapping[str, Any]]] = []
        self._asking = ""
        self._inners = [
            Inner(self.searched_by(), self.options.scores, context, tier.limits)
            for tier in (self.tiers() if self.searches else ())
        ]
        self._tier = 0  # whose subnets are scored
        self._best_within: dict[str, str] = {}
        self._items: list[Item] = []
        self._rounds: list[Round] = []  # what of them was planned after extensions of the budget
        self._budget = context.budget.trials
        self._at = 0
        self._paired_at: int | None = None  # trials there were when it was decided what is trained alone
        self._lived: list[PieceDone] = []
        self.partner_of: dict[int, int] = {}
        self._trial_of: dict[tuple[int, int], int] = {}

    # -- the torch side -------------------------------------------------------------------------
    @classmethod
    @abstractmethod
    def learner(cls, setup: Setup) -> Learner:
        """What trains; imported inside, in the child of a job."""

    def needs_latency(self) -> bool:
        """Whether operations are measured first."""
        return self.measures

    def searched_by(self) -> str:
        """Name of the strategy that searches among the subnets, of methods with `searches`."""
        return str(self.options.search)

    def tiers(self) -> list[Tier]:
        """Limits for each of which subnets are searched by themselves."""
        return [Tier()]

    def supernet_epochs(self) -> int:
        """Epochs of one supernet, all stages together."""
        return int(self.options.epochs)

    # -- pieces of work -------------------------------------------------------------------------
    def launches(self) -> list[Launch]:
        """The next piece of work; none while one is under way or trials are what is left."""
        from engine.log import Launch

        if self.flying is not None:
            return []
        payload: dict[str, Any] | None = None
        kind: Literal["supernet", "score", "measure"] = "score"
        why = ""
        if self.stage == "measure":
            kind, payload, why = "measure", {}, "latency of each operation on this worker's device"
        elif self.stage == "supernet":
            run = len(self.supernets) + 1
            kind, payload = "supernet", {"epochs": self.supernet_epochs(), "run": run, "start": self.options.start}
            if self.latency is not None:
                payload["latency"] = self.latency
            why = f"{self.supernet_epochs():,} epochs"
            if self.options.runs > 1:
                why += f", supernet {run} of {self.options.runs}"
        elif self._asked or self._ask():
            # each batch by every supernet in turn: what counts is the mean
            architectures = [dict(a.choices) for a in self._asked]
            payload = {"supernet": self.supernets[len(self._told)], "architectures": architectures}
            why = self._asking
        if payload is None:
            return []
        self.n_pieces += 1
        seed = piece_seed(self.context.seed, int(payload.get("run", 1)))
        self.flying = Launch(self.n_pieces, kind, {"seed": seed, **payload}, why)
        return [self.flying]

    def _ask(self) -> bool:
        """Decides which subnets are scored next; False when it is the trials' turn."""
        if self.stage == "score":
            tiers = self.tiers()
            while self._tier < len(tiers):
                if asked := self._inners[self._tier].ask(SCORED_AT_ONCE):
                    within = f" within {tiers[self._tier].words}" if tiers[self._tier].words else ""
                    self._asked = asked
                    self._asking = f"{len(asked)} subnets{within} by {self.searched_by().replace('_', ' ')}"
                    return True
                self._tier += 1
            ranked = [inner.ranked(RANKED) for inner in self._inners]
            self.found, self._best_within = by_turns(ranked, tiers, self.context.identity)
            self._pair()
        if self.stage == "partners":
            if asked := self._unscored()[:SCORED_AT_ONCE]:
                self._asked, self._asking = asked, f"{len(asked)} networks that are about to be trained alone"
                return True
            self.stage = "trials"
        return False

    def told_piece(self, piece: int, report: Report) -> None:
        """A piece is done.

        Raises:
            StrategyFailed: it failed; without it nothing goes on. Scores of pairs that an extension added may fail
                (the weights of the supernet may be gone by then): they are trained alone without.
        """
        launch, self.flying = self.flying, None
        if launch is None or launch.piece != piece:
            raise StrategyFailed(f"{self.name}: a result for piece {piece}, which is not under way")
        if report.failure is not None and launch.kind == "score" and self._rounds:
            self._unscorable.update(self.context.identity(a) for a in self._unscored())
            self._asked, self._told = [], []
            return
        if report.failure is not None:
            what = {"measure": "the operations could not be measured", "score": "the subnets could not be scored"}
            raise StrategyFailed(f"{what.get(launch.kind, 'the supernet')}: {report.failure.message}")
        if launch.kind == "measure":
            self.latency, self.stage = piece, "supernet"
        elif launch.kind == "supernet":
            self.supernets.append(piece)
            self._derived(report)
            if len(self.supernets) >= self.options.runs:
                self.stage = "score"
                if not self.searches:
                    self._pair()
        else:
            self._told.append(report.rows)
            if len(self._told) == len(self.supernets):
                self._scored()

    def _derived(self, report: Report) -> None:
        """What a supernet handed over: the last epoch's first, then what it would have been earlier."""
        mine: list[Architecture] = []
        for row in reversed(report.rows):
            for choices in [*row.get("choices", ()), *([row["derived"]] if row.get("derived") else [])]:
                try:
                    mine.append(self.context.space.validate(choices))
                except InvalidArchitecture as e:
                    raise StrategyFailed(f"{self.name} derived what is no architecture of the space: {e}") from e
        known = {self.context.identity(a) for a in self.found}
        fresh: list[Architecture] = []
        for a in mine:
            if (identity := self.context.identity(a)) not in known:
                known.add(identity)
                fresh.append(a)
        # the last of each run come before the earlier ones of any
        n = len(self.supernets) - 1
        self.found = [*self.found[:n], *fresh[:1], *self.found[n:], *fresh[1:]][:RANKED]

    def _scored(self) -> None:
        """A batch has its scores by every supernet."""
        rows = [mean_row(each) for each in zip(*self._told, strict=True)]
        for a, row in zip(self._asked, rows, strict=True):
            if "accuracy" in row:
                self.inherited[self.context.identity(a)] = float(row["accuracy"])
            else:
                self._unscorable.add(self.context.identity(a))
        self._asked, self._told = [], []
        if self.stage == "score" and self._inners:
            self._inners[self._tier].tell(rows)

    # -- networks trained alone -----------------------------------------------------------------
    def _pair(self) -> None:
        """What is trained alone: derived networks within the limits, each beside a random one of its cost."""
        self.stage = "partners"
        if self._paired_at is None:
            self._paired_at = len(self.context.history)
        number = max(1, self.context.budget.trials // (2 * (1 + self.options.repeats)))
        why_not = [self.context.why_not(a, self._paired_at) for a in self.found]
        good = [a for a, reason in zip(self.found, why_not, strict=True) if reason is None]
        if not good:
            why = why_not[0] if why_not else "there is none"
            raise StrategyFailed(f"{self.name}: no derived network can be trained alone: {why}")
        self._items = self._planned(good[:number], self._paired_at)

    def _planned(self, derived: Sequence[Architecture], upto: int | None) -> list[Item]:
        return pairs_of(self.context, derived, self._items, upto=upto, repeats=self.options.repeats, why=self._why)

    def _plan_more(self) -> bool:
        """More pairs, where the (extended) budget has room for them and something derived is left; scored first."""
        room = (self._budget - len(self.context.history)) // (2 * (1 + self.options.repeats))
        if room < 1:
            return False
        known = {self.context.identity(item.architecture) for item in self._items}
        left = [a for a in self.found if self.context.identity(a) not in known and self.context.fresh(a)]
        if left:
            self._add(Round(self.n_pieces, self._planned(left[:room], None)))
        return bool(left)

    def _add(self, more: Round) -> None:
        self._rounds.append(more)
        self._items += more.items
        if self._unscored():
            self.stage = "partners"

    def budgeted(self, trials: int) -> None:
        """More pairs may follow."""
        self._budget = trials

    def _why(self, a: Architecture, place: int) -> str:
        accuracy = self.inherited.get(self.context.identity(a))
        if (words := self._best_within.get(self.context.identity(a))) and accuracy is not None:
            return f"best within {words} by shared weights: {100 * accuracy:.1f} % there"
        if accuracy is not None and self.searches:
            return f"number {place} by shared weights: {100 * accuracy:.1f} % there"
        return "derived" if place == 1 else f"derived, number {place}"

    def _unscored(self) -> list[Architecture]:
        """Of what is trained alone, what has no inherited accuracy yet."""
        out: dict[str, Architecture] = {}
        for item in self._items:
            identity = self.context.identity(item.architecture)
            if identity not in self.inherited and identity not in self._unscorable:
                out.setdefault(identity, item.architecture)
        return list(out.values())

    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """The next network to be trained alone."""
        while self.stage == "trials":
            if self._at == len(self._items):
                if not self._plan_more():
                    return Exhausted("every derived network and its random partner were trained")
                continue
            item = self._items[self._at]
            self._at += 1
            before = self._trial_of.get((item.pair, item.derived))
            if item.replicate and before is None:  # it never became a trial
                continue
            if not item.replicate and not self.context.fresh(item.architecture):
                continue  # somebody proposed it by hand meanwhile
            n = len(self.context.history) + 1
            if not item.replicate:
                self._trial_of[item.pair, item.derived] = n
                if not item.derived and (partner := self._trial_of.get((item.pair, True))) is not None:
                    self.partner_of[n] = partner
            beside = None if item.derived else self._trial_of.get((item.pair, True))
            return Proposal(
                item.architecture, replicate=item.replicate, why=item.why, by=self.name if item.derived else "random",
                beside=beside,
            )  # fmt: skip
        return Wait(self._waiting())

    def _waiting(self) -> str:
        what = {"measure": "operations are being measured", "supernet": "the supernet is being trained"}
        return what.get(self.stage, "subnets are being scored with the shared weights")

    # -- about it -------------------------------------------------------------------------------
    @classmethod
    def supports(cls, space: SearchSpace, objectives: Sequence[Objective]) -> str | None:
        """Spaces whose networks share parts; mixtures where the method weighs options against each other."""
        if reason := space.unavailable.get("supernet"):
            return reason
        return space.unmixed() if cls.mixes else None

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """What it will do with this budget."""
        o: Any = options
        pairs = max(1, budget.trials // (2 * (1 + o.repeats)))
        what = "one supernet" if o.runs == 1 else f"{o.runs} supernets"
        text = f"trains {what} for {o.epochs} epochs"
        if cls.searches:
            text += f", scores {o.scores:,} subnets with its weights"
        trained = "the best network" if pairs == 1 else f"up to {pairs} networks"
        return f"{text}, then trains {trained} alone, each beside a random one of the same cost"

    def relive(self, entries: Sequence[Entry]) -> None:
        """Takes the pieces of the log, which `load` goes through again: a snapshot does not repeat them."""
        from engine.log import PieceDone

        self._lived = [entry for entry in entries if isinstance(entry, PieceDone)]

    def state(self) -> dict[str, Any]:
        """How far the trials are; the rest follows from the log."""
        trials = [[pair, derived, n] for (pair, derived), n in self._trial_of.items()]
        return {**super().state(), "at": self._at, "trials": trials, "launched": self.n_pieces, "stage": self.stage,
                "paired_at": self._paired_at, "rounds": [r.to_json() for r in self._rounds]}  # fmt: skip

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state, after `relive`."""
        super().load(state)
        self._at = int(state["at"])
        self._trial_of = {(int(p), bool(d)): int(n) for p, d, n in state["trials"]}
        for (pair, derived), n in self._trial_of.items():
            if not derived and (partner := self._trial_of.get((pair, True))) is not None:
                self.partner_of[n] = partner
        self._paired_at = state["paired_at"]
        # snapshots of before extensions were scored have none
        rounds = [Round.from_json(value, self.context.space) for value in state.get("rounds", ())]

        def launched() -> None:
            while not self.launches() and self.flying is None and rounds and rounds[0].after == self.n_pieces:
                self._add(rounds.pop(0))

        for entry in self._lived:
            launched()
            self.told_piece(entry.piece, entry.report)
        if rounds or self.n_pieces < int(state["launched"]) or self.stage != state["stage"]:
            launched()


def mean_row(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """One subnet's score over several supernets; the first row that has none, where there is one."""
    if failed := [row for row in rows if "accuracy" not in row]:
        return failed[0]
    return {name: float(np.mean([row[name] for row in rows])) for name in ("accuracy", "loss") if name in rows[0]}


def piece_seed(seed: int, run: int) -> int:
    """Seed of the pieces of a run, below 2**31."""
    return int(np.random.SeedSequence([seed, 0x5E7, run]).generate_state(1)[0]) >> 1
