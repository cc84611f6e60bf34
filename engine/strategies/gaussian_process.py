"""Bayesian optimization with a Gaussian process over what a network is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.objectives import EXACT_COSTS, ranking
from engine.predictors import acquisition as acquisitions
from engine.predictors._solved import Solved
from engine.strategies._candidates import Candidates
from engine.strategies._guided import LEADERS, Guided, Matrix
from engine.strategies._measured import lifted
from engine.strategies.base import Arrays, Context, Exhausted, Group, Proposal, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.predictors.gp import GaussianProcess

#: trials the posterior stands on at most: the best half as many, and an even choice of the others
MOST = 300
#: share of networks that count as large, and draws to find one where a space is not listed
LARGE, DRAWS = 0.1, 100
#: candidates that one function is drawn for (Thompson sampling); its cost grows with the cube
DRAWN = 800


class Options(BaseModel):
    """What the process sees, and what makes a candidate worth trying."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    initial: int = Field(6, ge=2, le=1000, description="Networks to start with, before anything is predicted.")
    extremes: int = Field(
        2, ge=0, le=100, description="Of these, from the largest tenth within the limits; the rest is random."
    )
    acquisition: Literal["ei", "ucb", "ts"] = Field(
        "ei",
        description="Expected improvement (ei), upper confidence bound (ucb), or the best of one function drawn from "
        "the posterior (ts, Thompson sampling).",
    )
    beta: float = Field(2.0, ge=0, le=100, description="Weight of the variance in the upper confidence bound.")
    sees: Literal["all", "features", "shape"] = Field(
        "all",
        description="The network's shape (depth of its ways, their number, poolings) and its live features; the "
        "features alone, with one length scale each; or the shape alone.",
    )
    size: bool = Field(True, description="A line in the logarithm of live multiply-adds.")
    candidates: int = Field(
        100, ge=10, le=10_000, description="Networks to choose among in spaces too large to be listed."
    )
    changes: int = Field(2, ge=1, le=20, description="Most decisions in which a mutant differs from its parent.")


class GaussianProcessSearch(Guided):
    """A few networks to start with, then always the one with the best acquisition of all that are fresh.

    The process, its kernel and how losses are compressed: `engine.predictors.gp`. Expected improvement (Jones et al.
    1998) is over the best posterior mean of what was measured, since losses are noisy; GP-UCB as in Srinivas et al.
    2010, eq. 6 with a constant beta. Spaces of at most 20,000 architectures are listed: every network is one
    candidate, in its writing with the fewest multiply-adds; else mutants of the best and random ones are.

    Parameters are tuned again when a tenth more is known; the posterior takes every result at once. What is under way
    counts as if it had given what is expected of it (Ginsbourger et al. 2010, "kriging believer"). Trials that reached
    lower fidelities only are lifted (`_measured.lifted`).

    **Deviations**: the posterior stands on at most 300 trials and a tenth more. With several objectives there is a
    process for each that is no exact cost, and each proposal draws a weighting of its own (see `Guided`). The kernel is
    plain NumPy: botorch's joint posterior over 15,625 cells runs out of memory.
    """

    name = "gaussian_process"
    summary = "Bayesian optimization: a Gaussian process over the network's shape, features and size"
    reference = "Jones et al. 1998; Srinivas et al. 2010; Rasmussen and Williams 2006"
    group: ClassVar[Group] = "bayesian"
    guide = (
        "The best choice up to some hundred trials, also under limits, since it learns from each of them. "
        "With thousands of short trials evolution decides as well and much faster."
    )
    Options: ClassVar[type[BaseModel]] = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.initial = min(self.options.initial, max(2, context.budget.trials // 3))
        self.theta: dict[int, Matrix] = {}  # objective -> parameters
        self.tuned = 0  # results when the parameters were tuned
        self.chosen = 0  # trials with a result when those were chosen that the posterior stands on
        self._believed: tuple[int, ...] = ()
        self._solved: dict[int, Solved] = {}  # objective -> what is known of a listed space's networks
        self._function: NDArray[np.float64] | None = None  # drawn for the candidates of this moment

    # -- asked -------------------------------------------------------------------------------------
    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """Extremes of size and random ones first, then the candidate that is worth most."""
        if number <= self.initial and len(self.context.history) < self.initial:
            return self._start(number, rng)
        if not self._learn(number):
            return self._random(rng, f"random: {self.results} results to learn from")
        return self._best(self._candidates(rng), rng) or self._random(rng, "random: nothing new near the best")

    def _start(self, number: int, rng: np.random.Generator) -> Proposal | Exhausted:
        if number <= self.options.extremes and (found := self._largest(rng)) is not None:
            return Proposal(found, why="among the largest tenth within the limits, to start with", by=self.name)
        candidates = self._listed()
        if candidates.listed is not None and len(places := candidates.places()):
            found = candidates.architectures[places[int(rng.integers(len(places)))]]
        else:
            found = self.draw(rng)
        if found is None:
            return self.nothing_new()
        return Proposal(found, why=f"random, {number} of {self.initial} to start with", by="random")

    def _largest(self, rng: np.random.Generator) -> Architecture | None:
        """One of the largest tenth of what is fresh, by live multiply-adds: of all, or of some draws.

        Not the very largest: it is often no good one, and the line in size would hang on it.
        """
        candidates, space = self._listed(), self.context.space
        if candidates.listed is not None:
            fresh: list[Architecture] = [candidates.architectures[i] for i in candidates.places()]
        else:
            fresh = [a for a in (space.sample(rng) for _ in range(DRAWS)) if self.fresh(a)]
        if not fresh:
            return None
        sizes = np.array([space.live_costs(a)[1] for a in fresh])
        largest = np.flatnonzero(sizes >= np.quantile(sizes, 1 - LARGE))
        return fresh[int(largest[int(rng.integers(len(largest)))])]

    def _listed(self) -> Candidates:
        if self._all is None:
            self._all = Candidates(self)
        return self._all

    def _candidates(self, rng: np.random.Generator) -> list[Architecture]:
        best = ranking(self.losses)[:LEADERS]
        leaders = [self.context.history[int(self.fitted[i])].architecture for i in best]
        o = self.options
        return self._listed().fresh(rng, leaders, o.candidates, o.changes, certain=False)

    def _learn(self, number: int) -> bool:
        """Takes every result at once; tunes the parameters when a tenth more is known."""
        if self.results > self.learned:
            numbers, losses = lifted(self.context.history, self.context.history.top)
            if len(numbers) >= 2:
                self.learned, self.fitted_at = self.results, number
                chosen = self._stood_on(np.array(numbers, dtype=np.int64), losses)
                self.fitted, self.losses = np.array(numbers, dtype=np.int64)[chosen], losses[chosen]
                self._models = None
        going = tuple(e.number for e in self._going())
        if going != self._believed:
            self._believed, self._models = going, None
        if len(self.fitted) < 2:
            return False
        if self._models is None:
            due = self.learned - self.tuned > self.tuned // 10
            models = self._made(tune=due)
            if due:
                self.tuned = self.learned
                self.theta = {j: m.theta for j, m in models.items() if m.theta is not None}
            self._models = dict(models)
        return True

    def _stood_on(self, numbers: NDArray[np.int64], losses: Matrix) -> NDArray[np.intp]:
        """Places of the trials that the posterior stands on: chosen whenever parameters are tuned, then what comes."""
        told = self.context.history.told
        if self.chosen == 0 or self.learned - self.tuned > self.tuned // 10:
            self.chosen = len(told)
            return _chosen(losses, MOST)
        return np.flatnonzero(np.isin(numbers, self.fitted) | np.isin(numbers, told[self.chosen :]))

    def _made(self, *, tune: bool) -> dict[int, GaussianProcess]:
        """A process for each objective that is no exact cost."""
        known, losses, counts = self._known()
        going = [self.context.history[n].architecture for n in self._believed]
        rng = np.random.default_rng(0)
        models: dict[int, GaussianProcess] = {}
        for j, objective in enumerate(self.context.objectives):
            if objective.metric in EXACT_COSTS:
                continue
            model = self.process(j)
            model.theta = self.theta.get(j)
            if self._listed().listed is not None:
                model.solved = self._solved.setdefault(j, Solved())
            if tune:
                model.fit(known, losses[:, j], rng, counts=counts)
            else:
                model.condition(known, losses[:, j], counts=counts)
            model.believe(going)
            models[j] = model
        return models

    def _known(self) -> tuple[list[Architecture], Matrix, Matrix | None]:
        """What the processes stand on: n networks, (n, objectives) losses, (n,) measurements of each."""
        return [self.context.history[int(n)].architecture for n in self.fitted], self.losses, None

    def _undone(self, losses: Matrix) -> Matrix:
        out = losses.copy()
        for j in self._models or {}:
            out[..., j] = self._process(j).losses(losses[..., j])
        return out

    def predictor(self) -> GaussianProcess:
        """A process with these options."""
        from engine.predictors.gp import GaussianProcess

        o = self.options
        return GaussianProcess(GaussianProcess.Options(sees=o.sees, size=o.size), self.context.space)

    def process(self, objective: int) -> GaussianProcess:
        """A new one for an objective; strategies that know more of it lay it in here."""
        return self.predictor()

    def _worth(self, mean: Matrix, sd: Matrix, rng: np.random.Generator) -> NDArray[np.float64]:
        """The acquisition; improvement counts from the best posterior mean of what was measured."""
        if mean.shape[1] > 1:
            return super()._worth(mean, sd, rng)
        if self._function is not None:
            return -self._function
        measured = self._process(0).measured[: len(self.fitted)]
        return self._acquisition(mean[:, 0], sd[:, 0], float(measured.min()), rng)

    def _process(self, objective: int) -> GaussianProcess:
        from engine.predictors.gp import GaussianProcess

        assert self._models is not None
        model = self._models[objective]
        assert isinstance(model, GaussianProcess)
        return model

    def _acquisition(
        self, mean: NDArray[np.float64], sd: NDArray[np.float64], best: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        match self.options.acquisition:
            case "ei":
                return acquisitions.log_expected_improvement(mean, sd, best)
            case "ucb":
                return acquisitions.lower_confidence(mean, sd, self.options.beta)
            case _:  # of a scalarized loss; with one objective a function is drawn instead, see `_best`
                return acquisitions.independent_thompson(mean, sd, rng)

    def _best(self, candidates: Sequence[Architecture], rng: np.random.Generator) -> Proposal | None:
        """Thompson sampling draws one function over some candidates: half the most promising, half at random."""
        if self.options.acquisition != "ts" or len(self.context.objectives) > 1 or not candidates:
            return super()._best(candidates, rng)
        if len(candidates) > DRAWN:
            mean, sd = self.predicted(candidates)
            order = np.argsort(mean[:, 0] - 2 * sd[:, 0], kind="stable")
            others = order[DRAWN // 2 :]
            kept = np.r_[order[: DRAWN // 2], others[rng.permutation(len(others))[: DRAWN - DRAWN // 2]]]
            candidates = [candidates[i] for i in kept]
        process = self._process(0)
        self._function = process.draw(process.reader.read(candidates), rng)
        try:
            return super()._best(candidates, rng)
        finally:
            self._function = None

    @property
    def _called(self) -> str:
        return {"ei": "EI", "ucb": "UCB", "ts": "Thompson draw"}[self.options.acquisition]

    def _apart(self, candidates: Sequence[Architecture], order: NDArray[np.intp]) -> int | None:
        """The first fresh one: what is under way is believed to be known, so that its like are worth little."""
        if self._listed().listed is not None:
            return int(order[0])
        return next((int(place) for place in order if self.fresh(candidates[place])), None)

    # -- what it would hand over ---------------------------------------------------------------------
    def recommend(self, k: int) -> list[int]:
        """Those of the best measured ones with the best posterior mean; with several objectives as measured."""
        if len(self.context.objectives) > 1:
            return super().recommend(k)
        level = self.context.history.top
        numbers, losses = lifted(self.context.history, level)
        if len(numbers) < 3 or level is None:
            return super().recommend(k)
        chosen = _chosen(losses, MOST)
        model = self.process(0)
        model.theta = self.theta.get(0)  # asked by people at any time: nothing may be tuned by it
        history = self.context.history
        model.condition([history[numbers[i]].architecture for i in chosen], losses[chosen, 0])
        order = np.argsort(model.measured, kind="stable")
        found: dict[str, int] = {}  # one trial of each network, also where it was measured more than once
        for i in order:
            entry = history[numbers[chosen[i]]]
            if level in entry.values:
                found.setdefault(entry.identity or entry.architecture.key, entry.number)
        return list(found.values())[:k]

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "6 networks to start with, then 24 times the one with the best expected improvement"."""
        initial = min(getattr(options, "initial", 6), max(2, budget.trials // 3))
        if budget.trials <= initial:
            return f"{budget.trials:,} networks, random and large ones (the process would start after {initial:,})"
        rule: str = getattr(options, "acquisition", "ei")
        what = {"ei": "expected improvement", "ucb": "upper confidence bound", "ts": "draw from the posterior"}[rule]
        return (
            f"{initial:,} networks to start with, then {budget.trials - initial:,} times the one with the best {what}"
        )

    def state(self) -> dict[str, Any]:
        """When the parameters were tuned, and trials chosen."""
        return {**super().state(), "tuned": self.tuned, "chosen": self.chosen}

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        super().load(state)
        self.tuned, self.chosen = int(state["tuned"]), int(state.get("chosen", 0))

    def arrays(self) -> Arrays:
        """The parameters, too."""
        return {**super().arrays(), **{f"theta{j}": theta for j, theta in self.theta.items()}}

    def load_arrays(self, arrays: Arrays) -> None:
        """Takes up what `arrays` gave."""
        super().load_arrays(arrays)
        self.theta = {int(name[5:]): a.copy() for name, a in arrays.items() if name.startswith("theta")}


def _chosen(losses: Matrix, most: int) -> NDArray[np.intp]:
    """Places of at most so many rows, in order: the best half as many, and an even choice of the others."""
    if len(losses) <= most:
        return np.arange(len(losses))
    order = ranking(losses)
    rest = order[most // 2 :]
    even = rest[np.linspace(0, len(rest) - 1, most - most // 2).astype(int)]
    return np.sort(np.r_[order[: most // 2], even])
