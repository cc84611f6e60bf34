"""The search of everything that writes architectures by a policy and learns it from rewards."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel

from engine.architecture import Architecture
from engine.history import TrialEntry
from engine.strategies._controllers.rewards import WORST, Rewards
from engine.strategies._controllers.sequences import Draft, Grammar, entropy
from engine.strategies._controllers.trace import Trace
from engine.strategies._views import MOST_ROWS, View, bars, heat, lines, view
from engine.strategies.base import Arrays, Context, Exhausted, Proposal, Strategy, Wait

if TYPE_CHECKING:
    from engine.evaluation.base import Report

#: temperatures of the drafts after those, if none was fresh, and how many drafts at each
FLATTER, AT_EACH = (1.5, 2.0, 4.0, 8.0), 8
#: snapshots of the probabilities, and rows of progress, that are kept
SNAPSHOTS, PROGRESS = 40, 90
#: tokens that the picture of the probabilities shows
SHOWN = 40
#: share of each new probability in the averages that people see
SMOOTHING = 0.3


class PolicySearch(Strategy):
    """Draws from a policy, tells it what came.

    A draft that is no fresh architecture costs nothing. Where its result is known (the same network was measured, or
    it must not be tried: over a limit, not buildable, which counts as `WORST`) the policy learns from it as from a
    trial of its own, up to `tries` drafts a proposal. A policy that has settled on what was measured is then drawn from
    at ever higher temperatures, without learning, and at last the prior decides. Trials of people and of other
    strategies are learned from as if the policy had written them.

    What a subclass brings: how drafts are made, and how one is learned from. It must be a function of what it was told
    and of the passed generators.
    """

    #: drafts of one proposal that are learned from where they are not fresh, and how many are made at a time
    tries, together = 16, 1

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.grammar = Grammar(context.space)
        self.rewards = Rewards()
        self.baseline = 0.0  # rewards are ranks from -1 to 1
        self.results = 0  # learned from: trials
        self.repeats = 0  # learned from: drafts whose result was known
        self.entropy = 1.0  # of the last draft's choices, a share of the most
        #: probability of each token when it was offered last, smoothed; [0] is unused
        self.met = np.zeros(self.grammar.n_tokens + 1)
        for first, decision in zip(self.grammar.first, self.grammar.decisions, strict=True):
            self.met[first : first + len(decision.options)] = 1 / len(decision.options)
        self._snapshots = Trace(SNAPSHOTS, len(self.met))
        self._progress = Trace(PROGRESS, 4)

    # -- for subclasses --------------------------------------------------------------------------
    @abstractmethod
    def _drafts(self, rng: np.random.Generator, n: int, temperature: float) -> Sequence[Draft]:
        """`n` architectures of the policy, flattened by a temperature >= 1."""

    @abstractmethod
    def _learn(self, architecture: Architecture, reward: float) -> None:
        """Takes in one reward, from -1 to 1."""

    def _advantage(self, reward: float) -> float:
        """Reward minus the moving average of those before, which then takes it in."""
        advantage = reward - self.baseline
        self.baseline += (1 - self.options.baseline) * advantage
        return advantage

    def _why(self, draft: Draft) -> str:
        """What speaks for a draft: how much likelier than by chance it was, and its surest choice."""
        p = [float(p[s.chosen]) for s, p in zip(draft.steps, draft.probabilities, strict=True)]
        open_ = [i for i, s in enumerate(draft.steps) if len(s.offered) > 1]
        if not open_:
            return "drawn by the policy; there is nothing to choose"
        times = float(np.exp(np.clip(draft.times_chance, -50, 50)))
        surest = max(open_, key=lambda i: p[i])
        decision, option = self.grammar.words(draft.steps[surest].token)
        return f"drawn by the policy, {times:.3g} times as likely as by chance; {decision}: {option} at {p[surest]:.0%}"

    # -- asked and told --------------------------------------------------------------------------
    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """The first fresh draft; those before it are learned from."""
        drawn = 0
        while drawn < self.tries:
            # the first is fresh as a rule: more than one is written only when it was not
            n = min(self.together if drawn else 1, self.tries - drawn)
            for draft in self._drafts(rng, n, 1.0):
                if self.fresh(draft.architecture):
                    return self._taken(number, draft, self._why(draft))
                if (reward := self._known(draft.architecture)) is not None:
                    self.repeats += 1
                    self._learn(draft.architecture, reward)
            drawn += n
        for temperature in FLATTER:
            for draft in self._drafts(rng, AT_EACH, temperature):
                if self.fresh(draft.architecture):
                    why = f"all that the policy drew is known; drawn with its probabilities flattened {temperature:g}×"
                    return self._taken(number, draft, why)
        found = self.draw(rng)
        if found is None:
            return self.nothing_new()
        return Proposal(found, why="random: what the policy would write is used up", by="random")

    def _taken(self, number: int, draft: Draft, why: str) -> Proposal:
        entropies = []
        for step, p in zip(draft.steps, draft.probabilities, strict=True):
            self.met[step.offered] += SMOOTHING * (p - self.met[step.offered])
            if len(p) > 1:
                entropies.append(entropy(p))
        self.entropy = float(np.mean(entropies)) if entropies else 0.0
        self._snapshots.add([number, *self.met[1:]])
        return Proposal(draft.architecture, why=why, by=self.name)

    def _known(self, architecture: Architecture) -> float | None:
        """The reward of something that is not fresh, None while it is under way."""
        trials = self.context.trials_of(architecture)
        if not trials:
            return None if self.context.fresh(architecture) else WORST
        known = (self.rewards.of(self.context.history[n]) for n in trials)
        return next((reward for reward in known if reward is not None), None)

    def tell(self, entry: TrialEntry, report: Report) -> None:
        """The first result of a trial, or its failure without one, is learned from; later rungs are not."""
        if entry.values and (report.failure is not None or len(entry.reports) > 1):
            return
        reward = self.rewards.add(entry)
        if reward is None:
            return
        self.results += 1
        self._learn(entry.architecture, reward)
        self._progress.add([self.results, reward, self.baseline, self.entropy])

    # -- kept ------------------------------------------------------------------------------------
    def state(self) -> dict[str, Any]:
        """Counts, baseline."""
        return {
            **super().state(),
            "baseline": self.baseline,
            "results": self.results,
            "repeats": self.repeats,
            "entropy": self.entropy,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`; the windows of the rewards follow from the history."""
        super().load(state)
        self.baseline, self.entropy = float(state["baseline"]), float(state["entropy"])
        self.results, self.repeats = int(state["results"]), int(state["repeats"])
        history = self.context.history
        self.rewards.rebuild(history[n] for n in history.told)

    def arrays(self) -> Arrays:
        """What people see over time."""
        return {"met": self.met, **self._snapshots.arrays("snapshots"), **self._progress.arrays("progress")}

    def load_arrays(self, arrays: Arrays) -> None:
        """Takes up what `arrays` gave."""
        self.met = np.array(arrays["met"])
        self._snapshots.load("snapshots", arrays)
        self._progress.load("progress", arrays)

    # -- looked at -------------------------------------------------------------------------------
    def views(self) -> dict[str, View]:
        """Probabilities over time and now, and how learning goes."""
        out: dict[str, View] = {}
        shown = self._shown()
        snapshots = self._snapshots.rows
        if shown and len(snapshots):
            keep = np.unique(np.linspace(0, len(snapshots) - 1, max(1, MOST_ROWS // len(shown))).round().astype(int))
            rows = [
                [int(row[0]), ": ".join(self.grammar.words(token)), round(float(row[token]), 4)]
                for token in shown
                for row in snapshots[keep]
            ][:MOST_ROWS]
            n = len({self.grammar.words(t)[0] for t in shown})
            few = f"; the {n} most decided of {len(self.grammar.decisions)}" if n < len(self.grammar.decisions) else ""
            out["probabilities"] = view(
                "Probability of each option over time", ["proposal", "option", "probability"], rows,
                chart=heat("proposal", "option", "probability"), note=f"where it was offered, smoothed{few}",
            )  # fmt: skip
            out["preferred"] = self._preferred()
        progress = [
            [int(at), series, round(float(value), 4)]
            for at, *values in self._progress.rows
            for series, value in zip(("reward", "baseline", "entropy"), values, strict=True)
        ]
        if progress:
            out["learning"] = view(
                "How learning goes", ["result", "series", "value"], progress,
                chart=lines("result", "value", series="series"),
                note=f"rewards are ranks from −1 to 1; entropy is a share of equal chances; {self.repeats:,} known "
                "networks were learned from at no cost",
            )  # fmt: skip
        return out

    def _shown(self) -> list[int]:
        """Tokens of the most decided decisions that fit into one picture, in the order of the space."""
        spans = [
            range(int(first), int(first) + len(d.options))
            for first, d in zip(self.grammar.first, self.grammar.decisions, strict=True)
            if len(d.options) > 1
        ]
        spans.sort(key=lambda s: entropy(self.met[s.start : s.stop] / self.met[s.start : s.stop].sum()))
        chosen: list[int] = []
        for span in spans:
            if len(chosen) + len(span) <= SHOWN:
                chosen.extend(span)
        return sorted(chosen)

    def _preferred(self) -> View:
        rows: list[tuple[str, float]] = []
        for first, d in zip(self.grammar.first, self.grammar.decisions, strict=True):
            if len(d.options) > 1:
                best = int(first) + int(np.argmax(self.met[first : first + len(d.options)]))
                rows.append((": ".join(self.grammar.words(best)), round(float(self.met[best]), 4)))
        rows.sort(key=lambda row: -row[1])
        return view(
            "What the policy prefers", ["option", "probability"], rows[:60],
            chart=bars("option", "probability"), note="the likeliest option of each decision, surest first",
        )  # fmt: skip
