"""Asynchronous successive halving, promotion variant (Li et al. 2020, ASHA, Algorithm 2)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from engine.schedules._rung import FrontsRung, Ranked, SortedRung
from engine.schedules.base import Schedule, Step


class Options(BaseModel):
    """eta, r and s of the paper; R is the search's epochs per trial."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    eta: float = Field(3.0, ge=1.5, le=16, description="Each rung has so many times the epochs of the one below.")
    min_epochs: int = Field(3, ge=1, le=100_000, description="No rung below this many epochs.")
    keep: float | None = Field(None, gt=0, lt=1, description="Share of a rung that goes on; empty = 1/eta.")


class SuccessiveHalving(Schedule):
    """Train a little, go on with the best share, repeat.

    Symbols: eta = `eta`, R = the maximum fidelity, r = the lowest rung. Rungs are counted from the top, R, ceil(R/eta),
    ceil(R/eta^2) ... down to `min_epochs`, so that the last one is exactly R.

    A free slot goes to the best paused trial that is among the best floor(keep * n) of the n in its rung, the highest
    rung first; otherwise a new trial starts (`get_job` of Algorithm 2).

    Deviations: `keep` may differ from 1/eta. When no further trial can reach a rung, at least one of it goes on, so
    that small searches end with a fully trained network too. A paused trial is ended as soon as its rank is worse
    than what could go on even if everything still to come were worse than it (ranks never improve), which frees its
    checkpoint.
    Several objectives rank by non-domination, then crowding (as Schmucker et al. 2021 do).
    """

    name = "successive_halving"
    summary = "Stop weak networks early"
    reference = "Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning (ASHA)"
    Options = Options

    def __init__(self, options: BaseModel, max_fidelity: int, n_objectives: int = 1) -> None:
        super().__init__(options, max_fidelity, n_objectives)
        self._rungs = self.ladder(self.options, max_fidelity)
        self.keep: float = self.options.keep if self.options.keep is not None else 1 / self.options.eta
        self._tables: list[Ranked] = [SortedRung() if n_objectives == 1 else FrontsRung() for _ in self._rungs]
        self._log: list[list[tuple[int, tuple[float, ...]]]] = [[] for _ in self._rungs]
        self._entered = [0] * len(self._rungs)  # trials ever sent to the rung
        self._lost = [0] * len(self._rungs)  # of those, failed or cancelled before they reported there
        self._expected = 0
        self._at: dict[int, int] = {}  # trial -> index of the rung it is at or on its way to
        self._reported: dict[int, int] = {}  # trial -> index of the last rung it reported at

    @staticmethod
    def ladder(options: Any, max_fidelity: int) -> tuple[int, ...]:
        """Rungs, ascending."""
        out, k = [max_fidelity], 1
        while True:
            # the small number keeps 27/3**3 at 1 where floats say 1.0000000000000002
            below = math.ceil(max_fidelity / options.eta**k - 1e-9)
            if below < options.min_epochs:
                return tuple(reversed(out))
            if below < out[-1]:
                out.append(below)
            if below == 1:
                return tuple(reversed(out))
            k += 1

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which trials rest."""
        return self._rungs

    def _quota(self, n: int) -> int:
        return math.floor(self.keep * n + 1e-9)

    def _capacity(self) -> list[tuple[int, int]]:
        """Per rung bounds: (how many will have reported there in the end, how many of those are still to come)."""
        out: list[tuple[int, int]] = []
        for at in range(len(self._rungs)):
            done = len(self._log[at])
            if at == 0:
                most = max(self._expected, self._entered[0]) - self._lost[0]
            else:
                below, to_come = out[-1]
                # each newcomer may be the best so far and go on at once, so all of them count; ranks never improve
                further = self._tables[at - 1].waiting_within(max(1, self._quota(below))) + to_come
                most = self._entered[at] - self._lost[at] + further
            out.append((most, most - done))
        return out

    def start(self, trial: int) -> int:
        """The lowest rung."""
        self._entered[0] += 1
        self._at[trial] = 0
        return self._rungs[0]

    def expect(self, trials: int) -> None:
        """Bounds what can still come into the lowest rung."""
        self._expected = trials

    def report(self, trial: int, fidelity: int, losses: tuple[float, ...]) -> Step:
        """Ranks it in its rung."""
        at = self._at[trial]
        self._tables[at].add(trial, losses)
        self._log[at].append((trial, losses))
        self._reported[trial] = at
        if at == len(self._rungs) - 1:
            self._forget(trial, at)
            return Step(trial, "complete")
        table = self._tables[at]
        return Step(trial, "pause", f"rank {table.rank(trial)} of {len(table)} at epoch {self._rungs[at]} so far")

    def _forget(self, trial: int, at: int) -> None:
        self._tables[at].take(trial)
        self._at.pop(trial, None)
        self._reported.pop(trial, None)

    def leave(self, trial: int) -> None:
        """Failed or cancelled on the way to a rung, or cancelled while it waited there."""
        at = self._at.get(trial)
        if at is None:
            return
        if self._reported.get(trial) != at:
            self._lost[at] += 1
        self._forget(trial, at)

    def promote(self) -> Step | None:
        """Best promotable trial of the highest rung that has one."""
        capacity = self._capacity()
        for at in reversed(range(len(self._rungs) - 1)):
            table = self._tables[at]
            trial = table.best_waiting()
            if trial is None:
                continue
            n, to_come = len(table), capacity[at][1]
            quota = self._quota(n) if to_come > 0 else max(1, self._quota(n))
            rank = table.rank(trial)
            if rank <= quota:
                table.take(trial)
                self._at[trial] = at + 1
                self._entered[at + 1] += 1
                return Step(trial, "promote", f"rank {rank} of {n} at epoch {self._rungs[at]}", self._rungs[at + 1])
        return None

    def sweep(self) -> list[Step]:
        """Ends trials whose rank can no longer be enough."""
        out: list[Step] = []
        for at in range(len(self._rungs) - 1):
            most, _ = self._capacity()[at]
            quota, table = max(1, self._quota(most)), self._tables[at]
            while (trial := table.worst_waiting()) is not None:
                rank = table.rank(trial)
                if rank <= quota:
                    break
                go = f"best {quota} go on" if quota > 1 else "the best goes on"
                out.append(Step(trial, "stop", f"rank {rank} of {len(table)} at epoch {self._rungs[at]}, {go}"))
                self._forget(trial, at)
        return out

    @classmethod
    def sentence(cls, options: BaseModel, max_fidelity: int) -> str:
        """E.g. "train 3 epochs, the best third goes on to 9, then 25"."""
        o: Any = options
        rungs = cls.ladder(o, max_fidelity)
        if len(rungs) == 1:
            return f"every network trains {max_fidelity:,} epochs (too few to stop any early)"
        share = 100 * (o.keep if o.keep is not None else 1 / o.eta)
        return f"train {rungs[0]} epochs, the best {share:.0f} % go on to {', then '.join(map(str, rungs[1:]))}"

    def state(self) -> dict[str, Any]:
        """Reports per rung in order, who waits, counts."""
        return {
            "log": [[[t, *(x if math.isfinite(x) else None for x in v)] for t, v in rung] for rung in self._log],
            "entered": self._entered,
            "lost": self._lost,
            "expected": self._expected,
            "at": [[t, at, self._reported.get(t, -1)] for t, at in self._at.items()],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Ranks are made again from the reports in order."""
        self._entered, self._lost = list(state["entered"]), list(state["lost"])
        self._expected = int(state["expected"])
        self._at = {int(t): int(at) for t, at, _ in state["at"]}
        self._reported = {int(t): int(last) for t, _, last in state["at"] if last >= 0}
        for at, rung in enumerate(state["log"]):
            self._log[at] = [(int(t), tuple(math.inf if x is None else float(x) for x in v)) for t, *v in rung]
            for trial, losses in self._log[at]:
                table = self._tables[at]
                table.add(trial, losses)
                if not (self._at.get(trial) == at and self._reported.get(trial) == at):
                    table.take(trial)

    def views(self) -> dict[str, dict[str, Any]]:
        """How full the rungs are."""
        rows = [
            [epochs, self._entered[at], len(self._log[at]), self._tables[at].waiting, self._lost[at]]
            for at, epochs in enumerate(self._rungs)
        ]
        columns = ["epochs", "sent", "measured", "waiting", "failed"]
        return {"rungs": {"title": "Rungs", "columns": columns, "rows": rows}}
