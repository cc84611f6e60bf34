"""What predictor-guided strategies share: fit, choose among candidates, remember what was predicted."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.history import TrialEntry
from engine.objectives import EXACT_COSTS, ranking
from engine.predictors import acquisition as acquisitions
from engine.strategies._candidates import Candidates
from engine.strategies._foretold import MEANING, WORDS, agreement, foretold_views
from engine.strategies._measured import lifted
from engine.strategies._plain import foretold, plain
from engine.strategies.base import Arrays, Context, Exhausted, Proposal, Strategy, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.evaluation.base import Report
    from engine.predictors.base import Predictor
    from engine.spaces.base import SearchSpace

Matrix = NDArray[np.float64]
Rule = Literal["its", "ei", "ucb", "pi"]
#: "mean" = the predicted loss alone
Worth = Literal[Rule, "mean"]
#: results below which each new one is learned at once; above it each new tenth
EVERY = 50
#: best measured trials that are mutated
LEADERS = 20
#: predictions that are kept to be compared with what came
KEPT = 400
#: draws of several objectives from which mean and spread of their scalarization come
DRAWS = 64
#: best candidates among which one is sought that is no near copy of what is under way
APART = 30
#: predictions that must have met their results, and their rank correlation, before the model speaks in `recommend`
TRUSTED = (10, 0.4)


class ChoiceOptions(BaseModel):
    """How the search goes on from a predictor."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    acquisition: Rule = Field(
        "its",
        description="What makes a candidate worth trying: independent Thompson sampling (its), expected improvement "
        "(ei), upper confidence bound (ucb), probability of improvement (pi).",
    )
    beta: float = Field(1.0, ge=0, le=100, description="Weight of the squared spread in the upper confidence bound.")
    candidates: int = Field(200, ge=10, le=10_000, description="Networks to choose among, mutants and random ones.")
    changes: int = Field(2, ge=1, le=20, description="Most decisions in which a mutant differs from its parent.")
    steps: int | None = Field(None, ge=5, le=2000, description="Training steps; empty = the predictor's own.")


class GuidedOptions(ChoiceOptions):
    """How it begins, and goes on from a predictor."""

    initial: int | None = Field(
        None, ge=2, le=1000, description="Random networks to start with; empty = a tenth of the trials, 5 to 10."
    )


def started(options: Any, trials: int) -> int:
    """Random networks to start with, for a budget."""
    initial: int | None = getattr(options, "initial", None)
    return initial or min(10, max(5, trials // 10))


class Guided(Strategy):
    """Random networks, then always the best of many candidates in the eyes of a predictor.

    The predictor learns every result anew below 50, then whenever a tenth more is known; the numbers it was fitted to
    are among the arrays, so that a restart learns the same again. Trials that reached lower fidelities only are learned
    too, lifted by the mean difference of those that have both (`_measured.lifted`). With several objectives there is a
    predictor for each that is no exact cost, and each proposal draws a weighting of its own (augmented Chebyshev, as in
    ParEGO, Knowles 2006). What is under way is no candidate; except with Thompson sampling, whose draws differ anyhow,
    neither is what differs from it in one decision, where the thirty best hold anything else.
    """

    Options: ClassVar[type[BaseModel]] = GuidedOptions

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.initial = started(options, context.budget.trials)
        self.results = 0  # successful reports
        self.learned = 0  # of these when the predictor was fitted last
        self.fitted_at = 0  # proposal at which it was
        self.fitted: NDArray[np.int64] = np.zeros(0, dtype=np.int64)  # trials it was fitted to
        self.losses: Matrix = np.zeros((0, len(context.objectives)))
        self.records: deque[tuple[float, ...]] = deque(maxlen=KEPT)  # (trial, mean, sd, worth as told)
        self.pending: dict[str, tuple[float, ...]] = {}  # identity -> (mean, sd, worth) of what has no result yet
        self._models: dict[int, Predictor] | None = None
        self._all: Candidates | None = None

    @abstractmethod
    def predictor(self) -> Predictor:
        """A new one, for one objective."""

    def _make(self, cls: type[Predictor], **options: Any) -> Predictor:
        """A predictor with these of its options; None = its own default."""
        given = {"steps": self.options.steps, **options}
        return cls(cls.Options(**{k: v for k, v in given.items() if v is not None}), self.context.space)

    @property
    def rule(self) -> Worth:
        """What makes a candidate worth trying at this moment."""
        rule: Rule = self.options.acquisition
        return rule

    # -- asked -------------------------------------------------------------------------------------
    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """Random ones first, then the candidate that is worth most."""
        if number <= self.initial:
            return self._random(rng, f"random, {number} of {self.initial} to start with")
        if not self._learn(number):
            return self._random(rng, f"random: {self.results} results to learn from")
        return self._best(self._candidates(rng), rng) or self._random(rng, "random: nothing new near the best")

    def _random(self, rng: np.random.Generator, why: str) -> Proposal | Exhausted:
        found = self.draw(rng)
        return self.nothing_new() if found is None else Proposal(found, why=why, by="random")

    def _learn(self, number: int) -> bool:
        """Fits the predictor where enough is new; whether there is one."""
        due = self.learned + (self.learned // 10 if self.learned >= EVERY else 1)
        if self.results >= due:
            numbers, losses = lifted(self.context.history, self.context.history.top)
            if len(numbers) >= 2:
                self.learned, self.fitted_at = self.results, number
                self.fitted, self.losses = np.array(numbers, dtype=np.int64), losses
                self._models = None
        return self._ready()

    def _ready(self) -> bool:
        """Whether there is a predictor; after a restart it learns again what it had learned, nothing newer."""
        if len(self.fitted) < 2:
            return False
        if self._models is None:
            self._models = self._fit()
        return True

    def _fit(self) -> dict[int, Predictor]:
        """A predictor for each objective that is no exact cost, from the numbers that are kept."""
        known = [self.context.history[int(n)].architecture for n in self.fitted]
        rng = np.random.default_rng([self.context.seed, self.fitted_at, 1])
        models: dict[int, Predictor] = {}
        for j, objective in enumerate(self.context.objectives):
            if objective.metric not in EXACT_COSTS:
                models[j] = self.predictor()
                models[j].fit(known, self.losses[:, j], rng)
        return models

    def _candidates(self, rng: np.random.Generator) -> list[Architecture]:
        if self._all is None:
            self._all = Candidates(self, most=0)
        best = ranking(self.losses)[:LEADERS]
        leaders = [self.context.history[int(self.fitted[i])].architecture for i in best]
        return self._all.fresh(rng, leaders, self.options.candidates, self.options.changes)

    def predicted(self, architectures: Sequence[Architecture]) -> tuple[Matrix, Matrix]:
        """Mean and standard deviation of the losses, (n, m) each; exact costs are known."""
        assert self._models is not None
        mean = np.zeros((len(architectures), len(self.context.objectives)))
        sd = np.zeros_like(mean)
        for j, objective in enumerate(self.context.objectives):
            if j in self._models:
                mean[:, j], sd[:, j] = self._models[j].predict(self._stand_ins(architectures))
            else:
                sign = -1.0 if objective.direction == "maximize" else 1.0
                mean[:, j] = [sign * self.context.costs(a)[objective.metric] for a in architectures]
        return mean, sd

    def _undone(self, losses: Matrix) -> Matrix:
        """Losses (..., objectives) on the scale of what is measured, where the predictors see them on another one."""
        return losses

    def _stand_ins(self, architectures: Sequence[Architecture]) -> Sequence[Architecture]:
        """What the predictors are asked about in their place."""
        return architectures

    def _best(self, candidates: Sequence[Architecture], rng: np.random.Generator) -> Proposal | None:
        """The proposal of the candidate that is worth most."""
        if not candidates:
            return None
        mean, sd = self.predicted(candidates)
        worth = self._worth(mean, sd, rng)
        # equals in an order of chance; what differs by rounding alone is equal, or a restart might tell them apart
        mixed = rng.permutation(len(candidates))
        place = self._apart(candidates, mixed[np.argsort(-worth[mixed].astype(np.float32), kind="stable")])
        if place is None:
            return None
        found = candidates[place]
        shown = self._undone(mean[place] + sd[place] * np.array([[0.0], [-1.0], [1.0]]))[:, 0]
        told = self._told(float(worth[place]))
        at = tuple(float(f"{value:.6g}") for value in (shown[0], 0.5 * (shown[2] - shown[1]), told))
        self.pending[self.context.identity(found)] = at
        while len(self.pending) > KEPT:  # what never became a trial
            del self.pending[next(iter(self.pending))]
        objective = self.context.objectives[0]
        value = -at[0] if objective.direction == "maximize" else at[0]
        why = f"predicted {foretold(objective.metric, value, at[1])}, {self._words(at[2])}"
        parent = self._parent(found)
        if parent is None:
            return Proposal(found, why=f"drawn: {why}", by=self.name)
        change = self.context.space.describe_change(parent.architecture, found)
        return Proposal(found, parents=(parent.number,), why=f"#{parent.number}: {change[:80]}; {why}", by=self.name)

    @property
    def _called(self) -> str:
        """What people call the acquisition."""
        return WORDS[self.rule]

    @property
    def _meaning(self) -> str:
        """The same in a phrase."""
        return MEANING[self._called]

    def _told(self, worth: float) -> float:
        """The acquisition as people are told it: improvements and probabilities, not their logarithms."""
        return float(np.exp(worth)) if self._called in ("EI", "PI") else worth

    def _words(self, told: float) -> str:
        """The acquisition of what is proposed, for people."""
        return f"{self._called} {plain(told)}"

    def _worth(self, mean: Matrix, sd: Matrix, rng: np.random.Generator) -> NDArray[np.float64]:
        """The acquisition of each candidate, of one scalarized loss where there are several objectives."""
        if mean.shape[1] == 1:
            return self._acquisition(mean[:, 0], sd[:, 0], float(self.losses[:, 0].min()), rng)
        # no candidate may lie beyond the ideal point: going there would be worth nothing
        low = np.minimum(self.losses.min(axis=0), self._undone(mean - sd).min(axis=0))
        span = np.maximum(np.quantile(self.losses, 0.9, axis=0) - low, 1e-12)
        weights = rng.dirichlet(np.ones(mean.shape[1]))

        def one(losses: Matrix) -> Matrix:
            scaled = weights * (losses - low) / span
            return np.asarray(scaled.max(axis=-1) + 0.05 * scaled.sum(axis=-1))

        drawn = one(self._undone(mean + sd * rng.standard_normal((DRAWS, *mean.shape))))  # (draws, candidates)
        return self._acquisition(drawn.mean(axis=0), drawn.std(axis=0), float(one(self.losses).min()), rng)

    def _acquisition(
        self, mean: NDArray[np.float64], sd: NDArray[np.float64], best: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        match self.rule:
            case "its":
                return acquisitions.independent_thompson(mean, sd, rng)
            case "ei":
                return acquisitions.log_expected_improvement(mean, sd, best)
            case "pi":
                return acquisitions.log_probability_of_improvement(mean, sd, best)
            case "ucb":
                return acquisitions.lower_confidence(mean, sd, self.options.beta)
            case "mean":
                return -mean

    def _apart(self, candidates: Sequence[Architecture], order: NDArray[np.intp]) -> int | None:
        """The first in order that is no near copy of what is under way, else the very first."""
        if self.rule not in ("its", "mean") and self.under_way:
            going = [e.architecture for e in self._going()]
            for place in order[:APART]:
                if all(_differing(candidates[place], other) > 1 for other in going):
                    return int(place)
        return int(order[0])

    def _going(self) -> list[TrialEntry]:
        """Trials under way without a result; at most some two dozen of the youngest."""
        history = self.context.history
        youngest = range(len(history), max(0, len(history) - 100), -1)
        return [history[n] for n in youngest if history[n].state == "running" and not history[n].values][:24]

    def _parent(self, found: Architecture) -> TrialEntry | None:
        """The nearest of the leaders, where it is as near as a mutant."""
        best = ranking(self.losses)[:LEADERS]
        leaders = [self.context.history[int(self.fitted[i])] for i in best]
        near = [(_differing(e.architecture, found), i) for i, e in enumerate(leaders)]
        distance, i = min(near, default=(0, -1))
        return leaders[i] if i >= 0 and distance <= self.options.changes else None

    # -- told --------------------------------------------------------------------------------------
    def tell(self, entry: TrialEntry, report: Report) -> None:
        """Counts it, and puts what was predicted beside the trial."""
        at = self.pending.pop(entry.identity or self.context.identity(entry.architecture), None)
        if report.failure is None:
            self.results += 1
            if at is not None:
                self.records.append((float(entry.number), *at))

    def recommend(self, k: int) -> list[int]:
        """The best measured ones, by the mean of measured and predicted loss where the predictor proved good.

        Good: the predictions so far agree with what came (`TRUSTED`). With several objectives by measurement alone.
        """
        measured = super().recommend(max(k, LEADERS))
        if len(self.context.objectives) > 1 or not self._trusted() or not self._ready():
            return measured[:k]
        history, level = self.context.history, self.context.history.top
        assert level is not None
        mean, _ = self.predicted([history[n].architecture for n in measured])
        together = [0.5 * (history[n].values[level][0] + m) for n, m in zip(measured, mean[:, 0], strict=True)]
        return [measured[i] for i in np.argsort(together, kind="stable")][:k]

    def _trusted(self) -> bool:
        rows = self._met()
        enough, correlation = TRUSTED
        return len(rows) >= enough and agreement(rows) >= correlation

    def _met(self) -> list[tuple[int, float, float, float, float]]:
        """(trial, predicted, sd, came, worth) of predictions whose trial has a result at the top level; as losses."""
        history, level = self.context.history, self.context.history.top
        out = []
        for trial, mean, sd, worth in self.records:
            came = history[int(trial)].values.get(level) if level is not None else None
            if came is not None and np.isfinite(came[0]):
                out.append((int(trial), mean, sd, float(came[0]), worth))
        return out

    # -- about it ----------------------------------------------------------------------------------
    @classmethod
    def supports(cls, space: SearchSpace, objectives: Sequence[Any]) -> str | None:
        """Everything."""
        return None

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "10 random networks, then 20 times the most promising of 200 by what was learned"."""
        initial = started(options, budget.trials)
        if budget.trials <= initial:
            return f"{budget.trials:,} random networks (the predictor would start after {initial:,})"
        n = getattr(options, "candidates", 200)
        rest = budget.trials - initial
        return f"{initial:,} random networks, then {rest:,} times the most promising of {n:,} by what was learned"

    def state(self) -> dict[str, Any]:
        """Counters, and who has no result yet."""
        return {
            **super().state(),
            "results": self.results,
            "learned": self.learned,
            "fitted_at": self.fitted_at,
            "pending": list(self.pending),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        super().load(state)
        self.results, self.learned = int(state["results"]), int(state["learned"])
        self.fitted_at = int(state["fitted_at"])
        self.pending = {str(key): () for key in state["pending"]}

    def arrays(self) -> Arrays:
        """What the predictor was fitted to, and what it predicted."""
        return {
            "fitted": self.fitted,
            "losses": self.losses,
            "records": np.array(self.records, dtype=float).reshape(-1, 4),
            "pending": np.array(list(self.pending.values()), dtype=float).reshape(-1, 3),
        }

    def load_arrays(self, arrays: Arrays) -> None:
        """Takes up what `arrays` gave; the predictor is fitted again when it is needed."""
        self.fitted, self.losses = arrays["fitted"].copy(), arrays["losses"].copy()
        self.records.extend(tuple(map(float, row)) for row in arrays["records"])
        rows = arrays["pending"]
        self.pending = {key: tuple(map(float, row)) for key, row in zip(self.pending, rows, strict=True)}

    def views(self) -> dict[str, dict[str, Any]]:
        """Predictions against what came, how well they agree, and what the acquisition was worth."""
        return foretold_views(self._met(), self.context.objectives[0], self._called, self._meaning)


def _differing(a: Architecture, b: Architecture) -> int:
    """Decisions that differ, those that act in one of both only among them."""
    return len({name for name, _ in set(a.items) ^ set(b.items)})
