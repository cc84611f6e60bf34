"""Bayesian optimization that begins where related earlier searches ended."""

from __future__ import annotations

from collections import deque
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, Field

from engine.predictors._ranked import RankWeighted
from engine.strategies import gaussian_process
from engine.strategies._related import Source, best_of, sources_of
from engine.strategies._views import bars, lines, thinned, view
from engine.strategies.base import Arrays, Context, Exhausted, Proposal, Wait
from engine.strategies.gaussian_process import GaussianProcessSearch

if TYPE_CHECKING:
    from engine.config import Budget

#: weights over time that are kept for people
KEPT = 400


class Options(gaussian_process.Options):
    """What is taken from earlier searches; the rest as for the Gaussian process."""

    repeats: int = Field(
        5, ge=1, le=1000, description="Best networks of related searches to start with, in place of the initial ones."
    )


class Transfer(GaussianProcessSearch):
    """Starts with the best networks of related searches; then their surrogates have a say, as long as they rank well.

    How much an earlier search counts beforehand (AutoTransfer's idea, Cao et al. 2023, without its bank of trained
    models): how alike the data are by their specs, what share of its trials exists in this space, and how well its
    results follow from its networks (`_related`). Its best networks by posterior mean, not by their luckiest value,
    open the search, several searches in turn by their relatedness. From then on every candidate is judged by the
    ranking-weighted ensemble of their Gaussian processes and this search's own (`engine.predictors._ranked`, RGPE,
    Feurer et al. 2018): what ranks the trials of this search no better than chance loses its weight.

    **Deviations**: AutoTransfer measures relatedness by how sensitive trained models are on the task; here specs say it
    beforehand and agreement of ranks afterwards. Trials of a space with other options are moved to the nearest
    architecture here; those of another kind of space are not used. With several objectives each has its own ensemble;
    the repeats follow the first. Without experience that helps it is the strategy `gaussian_process`.

    Symbols: w_i of Feurer et al. = `weights`; lambda_i, the posterior draws' ranking losses, stay inside `_ranked`.
    """

    name = "transfer"
    summary = "Begin where related earlier searches ended; trust them as far as they rank well here"
    reference = "Cao et al. 2023, AutoTransfer; Feurer, Letham and Bakshy 2018, Practical Transfer Learning (RGPE)"
    group = "across"
    learns = True
    guide = (
        "Take it when you have searched the same or a similar space on similar data: twenty trials then go a long way. "
        "Without such a search it is the Gaussian process."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.weights: deque[tuple[float, ...]] = deque(maxlen=KEPT)  # (trials, own, sources...) of objective 0

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """Earlier searches for the first objective; fitted when first asked for."""
        return self._sources(0)

    def _sources(self, objective: int) -> tuple[Source, ...]:
        cache = self.__dict__.setdefault("_by_objective", {})
        if objective not in cache:
            cache[objective] = sources_of(self.context, objective)
        found: tuple[Source, ...] = cache[objective]
        return found

    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """The best of related searches first, then the candidate that is worth most."""
        if self.sources:
            self.initial = min(self.options.repeats, max(2, self.context.budget.trials // 3))
        return super().propose(number, rng)

    def _start(self, number: int, rng: np.random.Generator) -> Proposal | Exhausted:
        if (found := best_of(self.sources, number, self.fresh)) is not None:
            return Proposal(found[0], why=found[1], by=self.name)
        return super()._start(number, rng)

    def process(self, objective: int) -> RankWeighted:
        """The ensemble of the earlier searches' processes and a new one."""
        o, sources = self.options, self._sources(objective)
        return RankWeighted(
            RankWeighted.Options(sees=o.sees, size=o.size),
            self.context.space,
            sources=[s.process for s in sources],
            related=[s.related for s in sources],
        )

    def _made(self, *, tune: bool) -> dict[int, Any]:
        made = super()._made(tune=tune)
        if self.sources and 0 in made and (not self.weights or self.weights[-1][0] != self.results):
            weights = made[0].weights  # type: ignore[attr-defined]
            self.weights.append((float(self.results), float(weights[-1]), *map(float, weights[:-1])))
        return made

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "5 networks that did best in related searches, then 25 times the one with the best ..."."""
        repeats = min(getattr(options, "repeats", 5), max(2, budget.trials // 3))
        return (
            f"the {repeats} best networks of related searches, then {max(0, budget.trials - repeats):,} times the most "
            "promising one by what they and this search teach"
        )

    def arrays(self) -> Arrays:
        """The weights, too."""
        return {**super().arrays(), "weights": np.array(self.weights).reshape(len(self.weights), 2 + len(self.sources))}

    def load_arrays(self, arrays: Arrays) -> None:
        """Takes up what `arrays` gave."""
        super().load_arrays(arrays)
        self.weights.extend(tuple(map(float, row)) for row in arrays["weights"])

    def views(self) -> dict[str, dict[str, Any]]:
        """Also: whose word counted how much over time, and how related the earlier searches are."""
        out = super().views()
        if not self.sources:
            return out
        names = ["this search", *(s.name[:40] for s in self.sources)]
        rows = thinned(list(self.weights), 400 // len(names))
        if rows:
            out["weights"] = view(
                "Whose word counts", ["results", "weight", "search"],
                [[int(row[0]), round(w, 4), name] for row in rows for name, w in zip(names, row[1:], strict=True)],
                chart=lines("results", "weight", series="search"),
                note="how often a search ranks what was measured here best",
            )  # fmt: skip
        out["related"] = view(
            "Earlier searches", ["search", "relatedness", "trials"],
            [[s.name[:40], round(s.related, 3), len(s.losses)] for s in self.sources],
            chart=bars("search", "relatedness"), note="before anything was measured here",
        )  # fmt: skip
        return out
