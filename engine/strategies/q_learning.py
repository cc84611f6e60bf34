"""Q-learning over partial architectures (Baker, Gupta, Naik and Raskar 2017, MetaQNN)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.encodings import Vector
from engine.history import TrialEntry
from engine.strategies._controllers.policy import PolicySearch
from engine.strategies._controllers.sequences import Draft, Pen, Step, Tokens, pick
from engine.strategies._views import MOST_ROWS, View, heat, view
from engine.strategies.base import Arrays, Context, Exhausted, Proposal, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.evaluation.base import Report

#: epsilon below 1 and for how many of the paper's 2,700 models it holds (Table 2); the other 1,500 are at 1
SCHEDULE = (
    (0.9, 100), (0.8, 100), (0.7, 100), (0.6, 150), (0.5, 150), (0.4, 150), (0.3, 150), (0.2, 150), (0.1, 150),
)  # fmt: skip
#: value of what was never tried, rewards being from 0 to 1
INITIAL = 0.5
#: learning rate times trials where the rate is left open: the paper's 0.01 for 2,700; and the largest
ALPHA_TRIALS, ALPHA_MOST = 27.0, 0.1
#: choices in the results that are replayed after one: long ones are replayed less often
MOST_REPLAYED = 3_000
#: name of the numbers that replay draws from
_REPLAY = 0x5152


#: values of the states on the way to an architecture (lists of the table), and the place of what was chosen in each
Path = list[tuple[list[float], int]]


class Options(BaseModel):
    """The learner, its states and its exploration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alpha: float | None = Field(
        None, gt=0, le=1, description="Learning rate of a value; empty = 0.01 for 2,700 trials, up to 0.1 for fewer."
    )
    replay: int = Field(100, ge=0, le=10_000, description="Results learned from again after each new one.")
    memory: int | None = Field(
        1, ge=1, le=1000, description="Last choices that a state remembers; empty = all of them."
    )
    exploration: float = Field(
        0.25, ge=0, le=1, description="Share of the trials at random, before epsilon begins to fall; published: 0.56."
    )
    shaping: bool = Field(
        True, description="Every choice earns an equal part of the reward, not the last one all of it."
    )
    baseline: float = Field(0.9, ge=0, lt=1, description="Memory of the average reward that people see.")


def epsilon(number: int, trials: int, exploration: float) -> float:
    """Chance of a random choice at the `number`-th proposal (from 1).

    Args:
        number: of the proposal.
        trials: of the budget.
        exploration: share of them at epsilon 1; the rest of the paper's schedule is stretched over the others.
    """
    done = (number - 1) / max(1, trials)
    if done < exploration:
        return 1.0
    at = (done - exploration) / max(1e-9, 1 - exploration) * sum(models for _, models in SCHEDULE)
    for value, models in SCHEDULE:
        if at < models:
            return value
        at -= models
    return SCHEDULE[-1][0]


def learning_rate(alpha: float | None, trials: int) -> float:
    """The rate given, or the paper's, larger for smaller budgets."""
    return alpha if alpha is not None else min(ALPHA_MOST, max(0.01, ALPHA_TRIALS / trials))


class QLearning(PolicySearch):
    """A table of values, one for each option of each state; epsilon-greedy drafts, experience replay.

    Symbols: s = the decision to take and what came before, u = option, alpha = `alpha`, gamma = 1, T = choices. After a
    result with reward r, and then for each of `replay` earlier ones drawn at random, from the last choice to the first:
    Q(s_i, u_i) <- (1 - alpha) Q(s_i, u_i) + alpha (r_i + max_u Q(s_(i+1), u)), without the maximum at the last one.
    As published r_T = r and all others are 0; with `shaping` each r_i = r / T (Zhong et al. 2018, BlockQNN), by which
    early choices are credited within hundreds of trials. What was never tried is worth half the rewards still to come.

    States: the paper's holds the last layer with its type, depth and sizes, not the whole path. Here it is the decision
    (its place says the depth), what it offers, and the last `memory` choices.

    Deviations: the schedule of epsilon, published for 2,700 models of which 1,500 are random, is stretched to the
    budget with a random quarter: of two hundred trials more than half would be spent before anything is learned.
    Rewards are ranks among the last results, from 0 to 1, as they stand when they are replayed; results of others are
    replayed too. Of results of more than 30 choices fewer are replayed, 3,000 choices in all. A known network drawn
    again is learned from once, without replay (`PolicySearch`); when all drafts are known, epsilon rises.
    """

    name = "q_learning"
    summary = "A table of values of half-written architectures, learned from replayed results"
    reference = "Baker et al. 2017, Designing Neural Network Architectures Using Reinforcement Learning (MetaQNN)"
    group = "reinforcement"
    guide = (
        "For chains of decisions and two hundred trials or more, with values that can be read option by option. "
        "With less it is no better than random: take evolution or a model-based strategy."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.alpha = learning_rate(self.options.alpha, context.budget.trials)
        self.epsilon = 1.0
        self._q: dict[int, list[float]] = {}  # state -> value of each option offered, in order
        self._experience: list[tuple[int, Path]] = []  # trials with a reward
        self._last: Path = []  # what was learned from last

    # -- the table -------------------------------------------------------------------------------
    def values(self, decision: int, offered: Tokens, before: Sequence[int]) -> list[float]:
        """Values of the options that a decision offers after these tokens; the table's own list."""
        kept = before if self.options.memory is None else before[max(0, len(before) - self.options.memory) :]
        name = np.array([decision, len(offered), *offered, *kept], dtype=np.int32).tobytes()
        state = int.from_bytes(blake2b(name, digest_size=8).digest(), "little")
        if state not in self._q:
            n = len(self.grammar.decisions)
            self._q[state] = [INITIAL * ((n - decision) / n if self.options.shaping else 1.0)] * len(offered)
        return self._q[state]

    def path(self, steps: Sequence[Step]) -> Path:
        """The values of each state on the way, and the place of what was chosen."""
        tokens = [s.token for s in steps]
        return [(self.values(s.decision, s.offered, tokens[:i]), s.chosen) for i, s in enumerate(steps)]

    def update(self, path: Path, reward: float) -> None:
        """The paper's update in reversed order; the reward is from 0 to 1."""
        alpha, keep = self.alpha, 1 - self.alpha
        at_each, target = (reward / max(1, len(path)), 0.0) if self.options.shaping else (0.0, reward)
        for values, chosen in reversed(path):
            values[chosen] = keep * values[chosen] + alpha * (at_each + target)
            target = max(values)

    # -- the policy ------------------------------------------------------------------------------
    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """Epsilon-greedy, with the epsilon of this proposal."""
        self.epsilon = epsilon(number, self.context.budget.trials, self.options.exploration)
        return super().propose(number, rng)

    def _drafts(self, rng: np.random.Generator, n: int, temperature: float) -> Sequence[Draft]:
        chance = 1 - (1 - self.epsilon) / temperature
        out = []
        for _ in range(n):
            pen, tokens = Pen(self.grammar), list[int]()
            while pen.decision is not None:
                values = self.values(self.grammar.index(pen.decision), pen.offered, tokens)
                p = greedy(values, chance)
                pen.choose(pick(p, rng.random()), p)
                tokens.append(pen.steps[-1].token)
            out.append(pen.draft())
        return out

    def _why(self, draft: Draft) -> str:
        """How much of it is greedy, and what it is expected to be worth."""
        path = self.path(draft.steps)
        open_ = [(values, chosen) for values, chosen in path if len(values) > 1]
        best = sum(values[chosen] == max(values) for values, chosen in open_)
        worth = f"; value {path[-1][0][path[-1][1]]:.2f}" if path else ""
        return f"ε {self.epsilon:.1f}: {best} of {len(open_)} choices are the best known{worth}"

    def _learn(self, architecture: Architecture, reward: float) -> None:
        self._advantage(reward)
        self._last = self.path(self.grammar.read(architecture))
        self.update(self._last, (reward + 1) / 2)

    def tell(self, entry: TrialEntry, report: Report) -> None:
        """Learns from it, then from some of all results so far."""
        before = self.results
        super().tell(entry, report)
        if self.results == before:
            return
        self._experience.append((entry.number, self._last))
        rng = np.random.default_rng([self.context.seed, _REPLAY, self.results])
        history = self.context.history
        replayed = min(self.options.replay, MOST_REPLAYED // max(1, len(self._last)))
        for at in rng.integers(len(self._experience), size=replayed).tolist():
            trial, path = self._experience[at]
            reward = self.rewards.of(history[trial])
            if reward is not None:
                self.update(path, (reward + 1) / 2)

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "200 networks, the first 50 at random, then more and more by the values learned"."""
        share: float = getattr(options, "exploration", 0.25)
        first = sum(epsilon(n, budget.trials, share) == 1 for n in range(1, budget.trials + 1))
        return f"{budget.trials:,} networks, the first {first:,} at random, then more and more by the values learned"

    # -- kept ------------------------------------------------------------------------------------
    def state(self) -> dict[str, Any]:
        """Epsilon; the table is among the arrays."""
        return {**super().state(), "epsilon": self.epsilon}

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        super().load(state)
        self.epsilon = float(state["epsilon"])

    def arrays(self) -> Arrays:
        """The table: states, how many options each offers, and their values."""
        return {
            **super().arrays(),
            "states": np.array(list(self._q), dtype=np.uint64),
            "offers": np.array([len(v) for v in self._q.values()], dtype=np.int64),
            "values": np.array([x for v in self._q.values() for x in v], dtype=np.float64),
        }

    def load_arrays(self, arrays: Arrays) -> None:
        """Takes up what `arrays` gave; what is replayed follows from the history."""
        super().load_arrays(arrays)
        rows = np.split(arrays["values"], np.cumsum(arrays["offers"])[:-1]) if len(arrays["offers"]) else []
        self._q = {int(s): row.tolist() for s, row in zip(arrays["states"], rows, strict=True)}
        history = self.context.history
        self._experience = [
            (n, self.path(self.grammar.read(history[n].architecture)))
            for n in history.told
            if self.rewards.of(history[n]) is not None
        ]

    def views(self) -> dict[str, View]:
        """The values along the best path, and how learning goes."""
        rows: list[list[Any]] = []
        pen, tokens = Pen(self.grammar), list[int]()
        while pen.decision is not None:
            values = self._known_values(pen, tokens)
            for token, value in zip(pen.offered, values, strict=True):
                rows.append([*self.grammar.words(int(token)), round(value, 4)])
            pen.choose(int(np.argmax(values)), greedy(values, 0.0))
            tokens.append(pen.steps[-1].token)
        worth = "ranks from 0 to 1" + (", the part still to come" if self.options.shaping else "")
        table = view(
            "Values along the best path", ["decision", "option", "Q"], rows[:MOST_ROWS],
            chart=heat("option", "decision", "Q"),
            note=f"{worth}; {len(self._q):,} states are known, ε is {self.epsilon:g}",
        )  # fmt: skip
        return {**({"values": table} if rows else {}), **super().views()}

    def _known_values(self, pen: Pen, tokens: Sequence[int]) -> list[float]:
        """`values` without making the state known: looking changes nothing."""
        known = len(self._q)
        assert pen.decision is not None
        values = self.values(self.grammar.index(pen.decision), pen.offered, tokens)
        if len(self._q) > known:
            self._q.popitem()
        return values


def greedy(values: Sequence[float], chance: float) -> Vector:
    """Probabilities: `chance` spread over all, the rest over the best ones."""
    at = np.array(values)
    best = at == at.max()
    out: Vector = chance / len(at) + (1 - chance) * best / best.sum()
    return out
