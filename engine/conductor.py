"""The conductor: owns strategy, schedule and budget of one search, and decides what happens next.

It is told the decision log, one entry at a time, and asked for actions after each: `observe(entry)`, then
`next_actions()`. It has no clock and does no I/O, so the actions after entry k are a pure function of the entries 1..k.
The in-process loop and the services drive this same class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine import snapshot, waits
from engine.by_hand import ByHand
from engine.errors import EngineError, StrategyFailed, named
from engine.evaluation.base import Report
from engine.history import ENDED, TrialEntry, TrialState
from engine.log import (
    Action,
    Edit,
    Entry,
    Finish,
    Launch,
    PieceDone,
    Promote,
    Refuse,
    Result,
    Start,
    Stop,
    entry_from_json,
)  # fmt: skip
from engine.parts import parts
from engine.replicates import measured_again
from engine.schedules.base import Schedule
from engine.strategies.base import Arrays, Context, Exhausted, Proposal, Strategy, Wait
from engine.training.seeds import training_seed

if TYPE_CHECKING:
    from engine.config import SearchConfig
    from engine.data.spec import DataSpec
    from engine.experience import Experience

__all__ = [
    "Action", "Conductor", "Edit", "Entry", "Finish", "Launch", "PieceDone", "Promote", "Refuse", "Result", "Start",
    "Stop", "entry_from_json", "training_seed",
]  # fmt: skip

#: proposals in a row that may be refused before the space counts as exhausted
REFUSALS = 200


class Conductor:
    """Decides; see the module. Made by `from_config`.

    Attributes:
        config: the search.
        context: what the strategy sees, with the history.
        finish: the Finish action once it was issued, else None.
        n_entries: entries of the log observed so far.
    """

    def __init__(self, config: SearchConfig, context: Context, strategy: Strategy, schedule: Schedule) -> None:
        self.config, self.context, self.strategy, self.schedule = config, context, strategy, schedule
        self.history = context.history
        self.finish: Finish | None = None
        self.n_entries = 0
        self._running: dict[int, int] = {}  # trial -> fidelity under way, in order of Start or Promote
        self._pieces: set[int] = set()  # of work that is no trial, under way
        self._paused_trials: dict[int, None] = {}
        self._started = self._paused = self._dirty = False
        self._budget = config.budget.trials
        self._exhausted: str | None = None
        self._wait = ""
        self._ending: Finish | None = None
        self._stops: list[Stop] = []
        self._by_hand = ByHand(context)
        self._since_better = 0
        self._failed = 0
        self._succeeded = 0
        self._last_failure = ""
        self._ignored: list[int] = []
        schedule.expect(self._budget)

    @classmethod
    def from_config(cls, config: SearchConfig, data: DataSpec, experience: Sequence[Experience] = ()) -> Conductor:
        """Makes space, strategy and schedule of a search.

        Args:
            config: the search.
            data: what it is for.
            experience: of the earlier searches that the config names.

        Raises:
            InvalidConfig: the strategy does not serve this space or these objectives, or cannot work with its options;
                or results that the config names are not among `experience`.
        """
        return cls(config, *parts(config, data, experience))

    # -- told ------------------------------------------------------------------------------------
    def observe(self, entry: Entry) -> None:
        """Takes the next entry of the decision log; `next_actions` comes after each.

        Raises:
            StrategyFailed: the strategy or schedule raised; the search has failed.
            EngineError: the log speaks of a trial that does not exist.
        """
        self.n_entries += 1
        self._dirty = True
        if isinstance(entry, Result):
            if entry.trial not in self.history:
                raise EngineError(f"a result for trial {entry.trial}, but {len(self.history)} were started")
            if self.finish is not None or self._running.get(entry.trial) != entry.fidelity:
                self._ignored.append(self.n_entries)  # it came after the trial was ended
            else:
                self._result(self.history[entry.trial], entry.fidelity, entry.report)
        elif isinstance(entry, PieceDone):
            if self.finish is not None or entry.piece not in self._pieces:
                self._ignored.append(self.n_entries)
            else:
                self._pieces.remove(entry.piece)
                with named(self.strategy.name):
                    self.strategy.told_piece(entry.piece, entry.report)
        elif self.finish is None:
            self._edit(entry)

    def _result(self, entry: TrialEntry, fidelity: int, report: Report) -> None:
        del self._running[entry.number]
        improved = self.history.record(entry.number, fidelity, report)
        if report.failure is not None:
            self._failed += 1
            self._since_better += 1
            self._last_failure = report.failure.message
            self._end(entry, "failed", report)
            if self._failed >= max(5, 2 * self.config.parallelism) and not self._succeeded:
                self._ending = Finish(f"every trial failed: {self._last_failure}", failed=True)
            self._check_patience()
            return
        self._succeeded += 1
        with named(self.strategy.name):
            self.strategy.tell(entry, report)
        with named(self.schedule.name):
            step = self.schedule.report(entry.number, fidelity, entry.values[(report.source, fidelity)])
        if step.kind == "complete":
            entry.state = "completed"
            self._since_better += 1
        else:
            entry.state = "paused"
            self._paused_trials[entry.number] = None
        if improved:
            self._since_better = 0
        self._check_goal(entry, fidelity, report)

    def _check_goal(self, entry: TrialEntry, fidelity: int, report: Report) -> None:
        """Target (at the maximum fidelity only: a quick score does not end a search), then patience."""
        target, first = self.config.budget.target, self.config.objectives[0]
        if target is not None and fidelity >= self.context.max_fidelity:
            value = entry.metrics(fidelity).get(first.metric)
            if value is not None and not first.better(target, value):
                self._ending = Finish(f"target reached: {first.metric} {value:.6g} (#{entry.number})")
        self._check_patience()

    def _check_patience(self) -> None:
        patience = self.config.budget.patience
        if self._ending is None and patience is not None and self._since_better >= patience:
            self._ending = Finish(f"no better trial among the last {patience:,}")

    def _end(self, entry: TrialEntry, state: TrialState, report: Report) -> None:
        """A trial is over without (further) result; schedule and strategy learn it."""
        entry.state = state
        self._running.pop(entry.number, None)
        self._paused_trials.pop(entry.number, None)
        with named(self.schedule.name):
            self.schedule.leave(entry.number)
        with named(self.strategy.name):
            self.strategy.tell(entry, report)

    def _edit(self, edit: Edit) -> None:
        match edit.kind:
            case "start":
                self._started = True
            case "pause":
                self._paused = True
            case "resume":
                self._paused = False
            case "finish":
                self._ending = Finish("finished by a person")
            case "cancel":
                self._ending = Finish("cancelled by a person", cancelled=True)
            case "deadline":
                minutes = self.config.budget.minutes
                self._ending = self._ending or Finish(f"time is up ({minutes:g} minutes)" if minutes else "time is up")
            case "extend":
                self._budget += int(edit.payload["trials"])
                self.strategy.budgeted(self._budget)
                self._expect()
            case "cancel_trial":
                self._cancel_trial(int(edit.payload["trial"]))
            case "propose":
                self._by_hand.propose(self.n_entries, edit.payload, self._budget)

    def _cancel_trial(self, number: int) -> None:
        if number not in self.history or self.history[number].state in ENDED:
            self._ignored.append(self.n_entries)  # it ended while the person was pressing the button
            return
        entry = self.history[number]
        report = snapshot.cancelled(self._running.get(number, entry.fidelity))
        self._stops.append(Stop(number, "cancelled by a person"))
        self.history.record(number, report.fidelity, report)
        self._end(entry, "cancelled", report)

    def _expect(self) -> None:
        self.schedule.expect(len(self.history) if self._exhausted is not None else self._budget)

    # -- asked -----------------------------------------------------------------------------------
    def next_actions(self) -> list[Action]:
        """What should happen now. Empty until something was observed since the last call.

        Raises:
            StrategyFailed: see `observe`.
        """
        if not self._dirty or self.finish is not None:
            return []
        self._dirty = False
        actions: list[Action] = [*self._stops]
        self._stops.clear()
        self._wait = ""
        if self._ending is None and self._started and not self._paused:
            self._fill(actions)
        if self._ending is not None:
            self._close(actions, self._ending)
        return [*self._by_hand.answers(), *actions]

    def _fill(self, actions: list[Action]) -> None:
        """Pieces first, promotions, then new trials, until no slot is free; ends when nothing is left to do."""
        self._launch(actions)
        while self.n_running < self.config.parallelism:
            with named(self.schedule.name):
                step = self.schedule.promote()
            if step is not None:
                del self._paused_trials[step.trial]
                self._running[step.trial] = step.fidelity
                self.history[step.trial].state = "running"
                actions.append(Promote(step.trial, step.fidelity))
            elif (own := self._by_hand.next(self._budget)) is not None:
                actions.append(self._start(own))
                self._expect()
            elif self._exhausted is None and len(self.history) < self._budget:
                with named(self.strategy.name):
                    again = measured_again(self.config, self.context, self.strategy, self._budget - len(self.history))
                answer = again or self._propose()
                if isinstance(answer, Wait):
                    self._wait = answer.reason
                    self._launch(actions)  # it may have seen only now that it needs another piece
                    break
                if isinstance(answer, Exhausted):
                    self._exhausted = answer.reason
                    self._expect()  # rungs may close now: look for promotions once more
                    continue
                actions.append(self._start(answer))
            else:
                break
        with named(self.schedule.name):
            steps = self.schedule.sweep()
        for step in steps:
            self._paused_trials.pop(step.trial, None)
            self.history[step.trial].state = "pruned"
            self._since_better += 1
            actions.append(Stop(step.trial, step.reason, pruned=True))
        self._check_patience()
        if not self.n_running and self._ending is None:
            if self._wait:
                raise StrategyFailed(f"{self.strategy.name} waits, but nothing is under way: {self._wait}")
            if self._exhausted is not None or len(self.history) >= self._budget:
                self._ending = self._natural_end()

    def _launch(self, actions: list[Action]) -> None:
        with named(self.strategy.name):
            launches = self.strategy.launches()
        self._pieces.update(launch.piece for launch in launches)
        actions += launches

    def _natural_end(self) -> Finish:
        n = len(self.history)
        if not self._succeeded:
            if self._failed:
                return Finish(f"every trial failed: {self._last_failure}", failed=True)
            return Finish(self._exhausted or "no trial gave a result", failed=True)
        if self._exhausted is not None:
            return Finish(f"the search space is exhausted: {self._exhausted}")
        return Finish(f"all {n:,} trials of the budget are done" if n > 1 else "the one trial of the budget is done")

    def _propose(self) -> Proposal | Wait | Exhausted:
        refused: Counter[str] = Counter()
        for _ in range(REFUSALS):
            with named(self.strategy.name):
                answer = self.strategy.ask(1)
            if isinstance(answer, Wait | Exhausted):
                return answer
            (proposal,) = answer
            why_not = self.context.why_not(proposal.architecture)
            if why_not is None or (proposal.replicate and why_not.startswith("duplicate")):
                return proposal
            refused[why_not.split(" of #")[0].split(":")[0]] += 1
        counts = ", ".join(f"{n} {what}" for what, n in refused.most_common())
        return Exhausted(f"{REFUSALS} proposals in a row were refused ({counts}); the last: {why_not}")

    def _start(self, proposal: Proposal) -> Start:
        entry = self.history.add(proposal, self.context.costs)
        entry.identity = self.context.identity(proposal.architecture)
        self.context.register(entry.number, entry.identity)
        with named(self.schedule.name):
            fidelity = self.schedule.start(entry.number)
        self._running[entry.number] = fidelity
        return Start(entry.number, proposal, fidelity)

    def _close(self, actions: list[Action], end: Finish) -> None:
        reason = end.reason
        for number in [*self._running, *self._paused_trials]:
            self.history[number].state = "cancelled"
            actions.append(Stop(number, f"the search ended: {reason}"))
        self._running.clear()
        self._pieces.clear()
        self._paused_trials.clear()
        self._by_hand.close(reason)
        winners = () if end.failed or end.cancelled else tuple(self._winners())
        self.finish = Finish(reason, winners, end.failed, end.cancelled)
        actions.append(self.finish)

    def _winners(self) -> list[int]:
        best = self.best()
        if best is not None and self.config.replicates and (led := self.strategy.recommend(1)):
            best = self.history[led[0]]  # measured more than once: not the luckiest value
        asked = [*self.strategy.winners(), *self.front()]
        return [] if best is None else list(dict.fromkeys([best.number, *asked]))

    # -- looked at -------------------------------------------------------------------------------
    def best(self) -> TrialEntry | None:
        """The best trial by the first objective, among equal source and fidelity; None before there is a result."""
        return self.history.best()

    def front(self) -> list[int]:
        """Trials on the Pareto front (with one objective: the best), by the first objective."""
        return self.history.front()

    @property
    def n_running(self) -> int:
        """Rungs and pieces under way."""
        return len(self._running) + len(self._pieces)

    @property
    def budget_trials(self) -> int:
        """Trials of the budget, extensions included."""
        return self._budget

    def views(self) -> dict[str, dict[str, Any]]:
        """Small tables of strategy and schedule, of bounded size; those of the schedule are marked `by`."""
        return {**self.strategy.views(), **{name: {**v, "by": "schedule"} for name, v in self.schedule.views().items()}}

    def waiting(self) -> list[dict[str, str]]:
        """What does not go on at this moment, and why."""
        return waits.words(self)

    # -- kept ------------------------------------------------------------------------------------
    def keeps(self) -> frozenset[int]:
        """Ended trials whose weights must stay: a later proposal, or a trial under way, may begin with them."""
        if self.finish is not None:
            return frozenset()
        needed = (parent for n in self._running for parent in self.history[n].proposal.depends_on)
        return frozenset((*self.strategy.keeps(), *needed))

    def state(self) -> dict[str, Any]:
        """JSON from which `restore` continues; proposals and reports are not in it (trials and log have them).

        Take it between `next_actions` and the next `observe`, or anywhere else: both continue alike.
        """
        return snapshot.take(self)

    def arrays(self) -> Arrays:
        """Arrays that belong to `state`: the strategy's."""
        return self.strategy.arrays()

    def restore(
        self, state: Mapping[str, Any], entries: Sequence[Entry], proposals: Mapping[int, Proposal],
        arrays: Arrays | None = None,
    ) -> None:  # fmt: skip
        """Brings a new conductor of the same config to where `state` was taken, without asking or telling anybody.

        Args:
            state: made by `state`.
            entries: the first `state["n_entries"]` entries of the log; the tail is replayed by the caller as usual.
            proposals: by trial number, for all trials started until then.
            arrays: made by `arrays` at the same moment.

        Raises:
            EngineError: entries or proposals do not belong to this state; the conductor is unusable then.
        """
        snapshot.put_back(self, state, entries, proposals, arrays or {})
