"""Simulated annealing: a chain of single changes that accepts worse ones less and less (Kirkpatrick et al. 1983)."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import exp, isfinite
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from engine.errors import NotOffered
from engine.history import TrialEntry, common_level
from engine.strategies._views import lines, scatter, thinned, view
from engine.strategies.base import TRIES, Context, Exhausted, Proposal, Strategy, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.evaluation.base import Report

#: changes of the present network that may lead to nothing new before one decision more is changed at once
REDRAWS = 40
#: steps of the chain that are kept for people
KEPT = 300
#: steps that a share of accepted ones is taken over
WINDOW = 20
#: trials that the spread may be taken from, where the random ones do not differ
SAMPLE = 50


class Options(BaseModel):
    """The schedule and the step."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    initial: int = Field(
        10, ge=1, le=10_000, description="Random networks: the chain starts at the best, their spread sets the scale."
    )
    start: float = Field(
        0.5, gt=0, le=100, description="Temperature at the start, in spreads of the random networks' results."
    )
    end: float = Field(0.01, gt=0, le=100, description="Temperature at the last trial of the budget, in the same unit.")
    cooling: Literal["geometric", "linear"] = Field(
        "geometric", description="geometric = each trial cools by the same factor; linear = by the same amount."
    )
    changes: int = Field(1, ge=1, le=100, description="Decisions a step draws anew.")


def temperature(options: Any, trial: int, trials: int) -> float:
    """Temperature at a trial, in spreads.

    Args:
        options: of the strategy.
        trial: its number.
        trials: of the budget; later ones stay at the end's temperature.
    """
    start: float = options.start
    end: float = options.end
    done: float = min(1.0, max(0.0, (trial - options.initial) / max(1, trials - options.initial)))
    if options.cooling == "linear":
        return start + (end - start) * done
    return float(start * (end / start) ** done)


def spread(values: NDArray[np.float64]) -> list[float]:
    """Of losses (n, m) per objective: quartiles' distance over that of a standard normal, else the standard deviation.

    Quartiles, because a few networks that did not train at all would set the scale otherwise.
    """
    out = []
    for column in values.T:
        finite = column[np.isfinite(column)]
        if not finite.size:
            out.append(0.0)
            continue
        low, high = np.quantile(finite, [0.25, 0.75])
        out.append(float((high - low) / 1.349) or float(finite.std()))
    return out


class SimulatedAnnealing(Strategy):
    """A chain: change the present network a little; move if that is better, or with probability exp(-dE / T) if not.

    Metropolis' rule and the annealing of Kirkpatrick et al. 1983: E = the loss, T = `start` to `end` over the budget.
    T is counted in spreads s of the random networks' losses, so that one setting serves accuracies and errors, and
    falls geometrically with the number of the trial (their "T_n = (T_1 / T_0)^n T_0"): it scales with the budget.

    Deviations: published schedules hold each temperature until equilibrium, for thousands of steps; here each trial has
    a temperature of its own. The chain starts at the best of `initial` random networks. A step to a network whose
    result is known is decided at once and costs nothing; when `REDRAWS` changes lead to nothing new, one decision more
    is changed at once. Trials in parallel are steps from the network that was present when they were proposed, and are
    judged against the one that is present when they end, as people's proposals are. A trial is judged by its first
    result. With several objectives dE / s is the mean over objectives (Serafini 1994, scalar product rule with equal
    weights); the front is that of all trials, not of the chain.
    """

    name = "simulated_annealing"
    summary = "A chain of small changes that accepts worse ones less and less"
    reference = "Kirkpatrick, Gelatt and Vecchi 1983, Optimization by Simulated Annealing"
    group = "baseline"
    guide = (
        "Leaves local optima behind that stop a climb, in spaces of any size. "
        "With many workers, or fewer than fifty trials, take evolution or a model-based strategy."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.left = self.options.initial
        self.sample: list[int] = []  # trials told that the spread is taken from
        self.scale: list[float] | None = None  # s, one per objective
        self.present: int | None = None  # the trial the chain is at
        self.steps: deque[tuple[int, bool]] = deque(maxlen=KEPT)  # (trial, accepted), for people

    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """A random point to start with, then steps from the present network."""
        if self.left > 0:
            of = self.options.initial
            start = f"random, {of - self.left + 1} of {of} to start with"
            return self._random(rng, start if self.left <= of else "random")
        if self.present is None:
            if self.under_way:
                return Wait(f"the chain starts at the best random network; {self.under_way} have no result yet")
            best = self.rank([self.context.history[n] for n in self.sample])
            if not best:  # all of them failed
                return self._random(rng, "random: none of the others gave a result")
            self.present = best[0].number
            self._measure()
        return self._stepped(number, rng)

    def _random(self, rng: np.random.Generator, why: str) -> Proposal | Exhausted:
        found = self.draw(rng)
        if found is None:
            return self.nothing_new()
        self.left = max(0, self.left - 1)
        return Proposal(found, why=why, by="random")

    def _stepped(self, number: int, rng: np.random.Generator) -> Proposal | Exhausted:
        space, history = self.context.space, self.context.history
        t = self._temperature(number)
        for attempt in range(TRIES):
            assert self.present is not None
            present = history[self.present]
            try:
                child = space.mutate(present.architecture, self.options.changes + attempt // REDRAWS, rng)
            except NotOffered:  # a single architecture
                break
            known = [history[n] for n in self.context.trials_of(child)]
            if known:
                entry = known[-1]
                if entry.number != self.present and entry.values and rng.random() < self._chance(entry, present, t):
                    self.present = entry.number
            elif self.fresh(child):
                change = space.describe_change(present.architecture, child)
                why = f"#{self.present}: {change}; temperature {t:.2g}"[:190]
                return Proposal(child, parents=(self.present,), why=why, by=self.name)
        return self._random(rng, "random: nothing new around the present network")

    def _temperature(self, trial: int) -> float:
        return temperature(self.options, trial, self.context.budget.trials)

    def _chance(self, to: TrialEntry, present: TrialEntry, t: float) -> float:
        """Metropolis' probability of a step, by the values at the highest level both have."""
        level = common_level([to, present])
        if level is None or self.scale is None:
            return 0.0
        there, here = to.values[level], present.values[level]
        if not all(map(isfinite, here)):
            return 1.0
        if not all(map(isfinite, there)):
            return 0.0
        steps = [(x - y) / max(s, 1e-12) for x, y, s in zip(there, here, self.scale, strict=True)]
        rise = sum(steps) / len(steps)
        return 1.0 if rise <= 0 else exp(-min(rise / t, 700.0))

    def _measure(self) -> None:
        """The scale, from the losses of the sample at their common level."""
        entries = [self.context.history[n] for n in self.sample]
        level = common_level(entries)
        if level is not None:
            self.scale = spread(np.array([e.values[level] for e in entries], dtype=float))
        elif self.scale is None:
            self.scale = [0.0] * len(self.context.objectives)

    def tell(self, entry: TrialEntry, report: Report) -> None:
        """The first result of a trial is judged by Metropolis' rule; its chance is drawn from (seed, trial)."""
        if report.failure is not None or len(entry.reports) != 1:
            return
        if self.present is None:
            self.sample.append(entry.number)
            return
        if self.scale is not None and not all(self.scale) and len(self.sample) < SAMPLE:
            self.sample.append(entry.number)
            self._measure()
        chance = self._chance(entry, self.context.history[self.present], self._temperature(entry.number))
        accepted = bool(np.random.default_rng([self.context.seed, 3, entry.number]).random() < chance)
        if accepted:
            self.present = entry.number
        self.steps.append((entry.number, accepted))

    # -- about it ----------------------------------------------------------------------------------
    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "10 random networks, then a chain of 20 changes that cools from 0.5 to 0.01 spreads"."""
        initial: int = getattr(options, "initial", 10)
        if budget.trials <= initial:
            return f"{budget.trials:,} random networks (the chain would start after {initial:,})"
        return (
            f"{initial:,} random networks, then a chain of {budget.trials - initial:,} changes that cools from "
            f"{getattr(options, 'start', 0.5):g} to {getattr(options, 'end', 0.01):g} of their results' spread"
        )

    def state(self) -> dict[str, Any]:
        """Where the chain is, its scale, and its last steps."""
        return {
            **super().state(),
            "left": self.left,
            "sample": self.sample,
            "scale": self.scale,
            "present": self.present,
            "steps": [trial for trial, _ in self.steps],
            "accepted": "".join("01"[accepted] for _, accepted in self.steps),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        super().load(state)
        self.left, self.sample, self.scale = int(state["left"]), list(state["sample"]), state["scale"]
        self.present = state["present"]
        self.steps.extend(zip(state["steps"], (c == "1" for c in state["accepted"]), strict=True))

    def views(self) -> dict[str, dict[str, Any]]:
        """Temperature and share of accepted steps over time, and the steps themselves."""
        if not self.steps:
            return {}
        history, metric = self.context.history, self.context.objectives[0].metric
        steps = list(self.steps)
        shares, points = [], []
        for i, (trial, accepted) in enumerate(steps):
            last = steps[max(0, i + 1 - WINDOW) : i + 1]
            shares.append([trial, "accepted, share", sum(a for _, a in last) / len(last)])
            value = history[trial].metrics().get(metric)
            points.append([trial, value, "accepted" if accepted else "rejected"])
        cooling = [[trial, "temperature", self._temperature(trial)] for trial, _ in thinned(steps, 100)]
        note = f"accepted among the last {WINDOW} steps; temperature in spreads"
        if self.scale and self.scale[0]:
            note += f" (one spread = {self.scale[0]:.3g} {metric})"
        chart = lines("trial", "value", series="what")
        return {
            "annealing": view(
                "Temperature and acceptance", ["trial", "what", "value"], [*thinned(shares, 300), *cooling],
                chart=chart, note=note,
            ),
            "chain": view(
                "Steps of the chain", ["trial", metric, "step"], points,
                chart=scatter("trial", metric, label="trial", group="step"), note=f"it is at #{self.present}",
            ),
        }  # fmt: skip
