"""NASBOT: a Gaussian process over networks compared by optimal transport of their layers (Kandasamy et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.history import TrialEntry
from engine.predictors import otmann_gp
from engine.predictors.acquisition import log_expected_improvement
from engine.strategies._measured import common
from engine.strategies._plain import foretold, plain
from engine.strategies._scalarise import tchebycheff, weights
from engine.strategies._views import scatter, thinned, view
from engine.strategies.base import Context, Exhausted, Proposal, Strategy, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.evaluation.base import Report

#: mutations that may be in vain, in candidates wanted
VAIN = 8
#: of the candidates, how many are mutants of the measured ones; the rest are mutants of the best candidates
FIRST = 2 / 3
#: predictions kept for the picture
KEPT = 60


class Options(BaseModel):
    """How much it compares."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    initial: int = Field(10, ge=2, le=10_000, description="Results from random networks before the model is asked.")
    candidates: int = Field(
        30, ge=4, le=1_000, description="Networks whose expected improvement is computed per proposal; each costs."
    )
    trials: int = Field(
        150, ge=10, le=1_000, description="Most results in the model: the better half and an even choice of the others."
    )


class Nasbot(Strategy):
    """Expected improvement under a Gaussian process on graph distances, looked for by mutation of the leaders.

    `engine.predictors.otmann_gp` holds the process, `engine.predictors._otmann` the distance OTMANN with the symbols of
    the paper. The acquisition is maximized by an evolution as in the paper (sec. 4.2): mutants of measured networks, of
    which better ones are parents more often, then mutants of the best of those. Trials under way count with their
    predicted means.

    **Deviations**: mutations are the space's own (a decision or two drawn anew), not the paper's eight changes of
    graphs, so that every candidate is of the space. Far fewer candidates are compared (30 instead of hundreds), and at
    most `trials` results. Starting networks are random ones of the space. With several objectives each proposal
    follows one number, as ParEGO does. Networks that differ in nothing but how they are trained have no distance.
    """

    name = "nasbot"
    summary = "Gaussian process over graphs: networks are near when their layers can be matched cheaply"
    reference = "Kandasamy et al. 2018, Neural Architecture Search with Bayesian Optimisation and Optimal Transport"
    group = "bayesian"
    guide = (
        "Compares networks as graphs, whatever their decisions are called; for small budgets in spaces of free shape. "
        "Where decisions describe networks well, a Gaussian process on decisions is quicker and better."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.model = otmann_gp.OtmannGP(otmann_gp.Options(), context.space)
        self.predicted: dict[int, tuple[float, float]] = {}  # trial -> mean and deviation of its first loss

    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """Random networks until enough results are in, then the candidate with the largest expected improvement."""
        level, measured = common(self.context.history)
        if level is None or len(measured) < self.options.initial:
            return self._random(rng, f"random, {len(measured)} of {self.options.initial} results to start with are in")
        values = np.array([e.values[level] for e in measured])
        several = values.shape[1] > 1
        losses = tchebycheff(values, weights(values.shape[1], rng)) if several else values[:, 0]
        places = self._chosen(losses)
        kept, y = [measured[i] for i in places], losses[places]
        self.model.fit([e.architecture for e in kept], y, rng)
        best = float(y.min())
        self.model.believe([e.architecture for e in self.context.history if not e.values and e.failure is None][-40:])
        found = self._search([kept[i] for i in np.argsort(y, kind="stable")], best, rng)
        if found is None:
            return self._random(rng, "random: the neighbourhood of the leaders is used up")
        architecture, parent, mean, sd, value = found
        self.predicted[len(self.context.history) + 1] = (mean, sd)
        told = f"predicted {self._shown(mean, sd)}" if not several else "for weights drawn anew"
        why = f"EI {plain(float(np.exp(value)))}, {told}"
        return Proposal(architecture, parents=(parent,) if parent else (), why=why, by=self.name)

    def _random(self, rng: np.random.Generator, why: str) -> Proposal | Exhausted:
        found = self.draw(rng)
        return self.nothing_new() if found is None else Proposal(found, why=why, by="random")

    def _shown(self, mean: float, sd: float) -> str:
        sign = -1 if self.context.objectives[0].direction == "maximize" else 1
        return foretold(self.context.objectives[0].metric, sign * mean, sd)

    def _chosen(self, losses: NDArray[np.float64]) -> NDArray[np.intp]:
        """Places of the results in the model, in order: the better half and an even choice of the others."""
        most = self.options.trials
        if len(losses) <= most:
            return np.arange(len(losses))
        order = np.argsort(losses, kind="stable")
        better = most // 2
        rest = np.linspace(better, len(order) - 1, most - better).round().astype(np.intp)
        return np.sort(np.concatenate([order[:better], order[rest]]))

    # -- the acquisition ---------------------------------------------------------------------------
    def _search(
        self, leaders: Sequence[TrialEntry], best: float, rng: np.random.Generator
    ) -> tuple[Architecture, int | None, float, float, float] | None:
        """(architecture, trial it comes from, mean, deviation, log EI) of the best candidate."""
        n = self.options.candidates
        pool: list[tuple[Architecture, int | None]] = []
        seen: set[str] = set()
        parents: Sequence[tuple[Architecture, int | None]] = [(e.architecture, e.number) for e in leaders]
        self._mutants(parents, max(1, round(FIRST * n)), pool, seen, rng)
        if not pool:
            return None
        mean, sd = self.model.predict([a for a, _ in pool])
        value = log_expected_improvement(mean, sd, best)
        parents = [pool[i] for i in np.argsort(-value, kind="stable")[: max(2, n // 6)]]
        first = len(pool)
        self._mutants(parents, n, pool, seen, rng)
        if len(pool) > first:
            more, spread = self.model.predict([a for a, _ in pool[first:]])
            mean, sd = np.append(mean, more), np.append(sd, spread)
            value = np.append(value, log_expected_improvement(more, spread, best))
        at = int(np.argmax(value))
        return (*pool[at], float(mean[at]), float(sd[at]), float(value[at]))

    def _mutants(
        self,
        parents: Sequence[tuple[Architecture, int | None]],
        n: int,
        pool: list[tuple[Architecture, int | None]],
        seen: set[str],
        rng: np.random.Generator,
    ) -> None:
        """Fills the pool up to `n` with fresh mutants; one in ten is drawn from the prior."""
        space = self.context.space
        for _ in range(VAIN * n):
            if len(pool) >= n:
                return
            if rng.random() < 0.1:
                child, parent = space.sample(rng), None
            else:
                architecture, parent = parents[min(int(rng.exponential(4.0)), len(parents) - 1)]
                child = space.mutate(architecture, 1 + int(rng.integers(2)), rng)
            identity = self.context.identity(child)
            if identity not in seen and self.fresh(child):
                seen.add(identity)
                pool.append((child, parent))

    # -- about it ------------------------------------------------------------------------------------
    def tell(self, entry: TrialEntry, report: Report) -> None:
        """Old predictions are let go."""
        while len(self.predicted) > KEPT:
            del self.predicted[min(self.predicted)]

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "10 random networks, then 20 times the most promising of 30 mutants"."""
        initial: int = getattr(options, "initial", 10)
        candidates: int = getattr(options, "candidates", 30)
        if budget.trials <= initial:
            return f"{budget.trials:,} random networks (the model would start after {initial:,})"
        return (
            f"{initial:,} random networks, then {budget.trials - initial:,} times the most promising of "
            f"{candidates:,} mutants"
        )

    def state(self) -> dict[str, Any]:
        """Predictions, for the picture."""
        return {**super().state(), "predicted": {str(n): list(p) for n, p in self.predicted.items()}}

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        super().load(state)
        self.predicted = {int(n): (float(p[0]), float(p[1])) for n, p in state["predicted"].items()}

    def views(self) -> dict[str, dict[str, Any]]:
        """What was predicted of trials, and what came."""
        if len(self.context.objectives) > 1:
            return {}
        history, objective = self.context.history, self.context.objectives[0]
        level = common(history)[0]
        sign = -1 if objective.direction == "maximize" else 1
        rows = [
            [n, sign * mean, sd, sign * history[n].values[level][0]]
            for n, (mean, sd) in sorted(self.predicted.items())
            if level is not None and n in history and level in history[n].values
        ]
        if not rows:
            return {}
        title, predicted = f"Predicted {objective.metric} against what came", f"predicted {objective.metric}"
        columns = ["trial", predicted, "spread", measured := f"measured {objective.metric}"]
        chart = scatter(predicted, measured, spread="spread", label="trial", diagonal=True)
        return {"predictions": view(title, columns, thinned(rows), chart=chart, note=f"the last {len(rows)} of them")}
