"""ParEGO: each proposal follows one weighting of the objectives by expected improvement (Knowles 2006)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.objectives import ranking
from engine.predictors.acquisition import log_expected_improvement
from engine.strategies._candidates import Candidates
from engine.strategies._measured import common
from engine.strategies._plain import plain
from engine.strategies._scalarise import tchebycheff, weights
from engine.strategies.base import Context, Exhausted, Proposal, Strategy, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.predictors.gp import GaussianProcess

#: results in the model at most (the paper: 80 from the 25th iteration on)
MOST = 120


class Options(BaseModel):
    """How much is looked at."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    initial: int = Field(10, ge=2, le=10_000, description="Results from random networks before the model is asked.")
    candidates: int = Field(
        300, ge=10, le=20_000, description="Networks to choose among, where the space is too large to be listed."
    )
    sees: Literal["all", "features", "shape"] = Field(
        "features", description="What the process sees: live features (a Hamming kernel), a network's shape, or both."
    )
    steps: int = Field(10, ge=1, le=1000, description="Steps in which the model's scales are fitted per proposal.")


class ParEGO(Strategy):
    """Draw weights, make one loss of all objectives, fit a Gaussian process to it, take the best expected improvement.

    Symbols: lambda = the weights, multiples of 1/s with s = 10; rho = 0.05 (`_scalarise`). The process is
    `predictors.gp` with a Hamming length scale per live feature and a line in size, instead of DACE's on numbers.

    **Deviations**: at most 120 results are in the model, the better half under the weights drawn and an even choice of
    the others. Candidates are all classes of a small space, else mutants of the front and draws, where the paper runs a
    genetic algorithm. Trials under way count with the loss predicted for them.
    """

    name = "parego"
    summary = "Several objectives: a weighting drawn per proposal, a Gaussian process on it, expected improvement"
    reference = "Knowles 2006, ParEGO: A Hybrid Algorithm with On-Line Landscape Approximation"
    group = "bayesian"
    guide = (
        "Spreads a small budget evenly over the front and takes any number of objectives. "
        "From a hundred trials on `ehvi` fills the front better where some objectives are exact costs."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self._candidates: Candidates | None = None

    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """Random networks until enough results are in, then the best for weights drawn anew."""
        history = self.context.history
        level, measured = common(history)
        if level is None or len(measured) < self.options.initial:
            return self._random(rng, f"random, {len(measured)} of {self.options.initial} results to start with are in")
        values = np.array([e.values[level] for e in measured])
        weight = weights(values.shape[1], rng)
        losses = tchebycheff(values, weight)
        kept = np.arange(len(losses))
        if len(losses) > MOST:
            order = np.argsort(losses, kind="stable")
            rest = np.linspace(MOST // 2, len(order) - 1, MOST - MOST // 2).round().astype(np.intp)
            kept = np.sort(np.concatenate([order[: MOST // 2], order[rest]]))
        known = [measured[i].architecture for i in kept]
        model = self._fitted(known, losses[kept], rng)
        model.believe([e.architecture for e in history if not e.values and e.failure is None])
        if self._candidates is None:
            self._candidates = Candidates(self)
        leaders = [measured[i].architecture for i in ranking(values)[:20]]
        candidates = self._candidates.fresh(rng, leaders, self.options.candidates)
        if not candidates:
            return self._random(rng, "random: no candidate is left near the front")
        mean, sd = model.predict(candidates)
        worth = log_expected_improvement(mean, sd, float(losses.min()))
        at = int(np.argmax(worth))
        shown = ", ".join(f"{w:.1g} {o.metric}" for w, o in zip(weight, self.context.objectives, strict=True))
        return Proposal(candidates[at], why=f"EI {plain(float(np.exp(worth[at])))} for weights {shown}", by=self.name)

    def _fitted(
        self, known: list[Architecture], losses: NDArray[np.float64], rng: np.random.Generator
    ) -> GaussianProcess:
        """Tuned from the priors' means, so that nothing of the last weighting stays."""
        from engine.predictors.gp import GaussianProcess

        options = GaussianProcess.Options(sees=self.options.sees, steps=self.options.steps)
        model = GaussianProcess(options, self.context.space)
        model.fit(known, losses, rng)
        return model

    def _random(self, rng: np.random.Generator, why: str) -> Proposal | Exhausted:
        found = self.draw(rng)
        return self.nothing_new() if found is None else Proposal(found, why=why, by="random")

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "10 random networks, then 20 times the best for a weighting drawn anew"."""
        initial: int = getattr(options, "initial", 10)
        if budget.trials <= initial:
            return f"{budget.trials:,} random networks (the model would start after {initial:,})"
        return f"{initial:,} random networks, then {budget.trials - initial:,} times the best for weights drawn anew"
