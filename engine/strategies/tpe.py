"""Tree-structured Parzen estimator (Bergstra et al. 2011; multivariate: Falkner et al. 2018), by Optuna."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture, Option
from engine.history import Level, TrialEntry
from engine.strategies._measured import common
from engine.strategies._views import bars, thinned, view
from engine.strategies.base import Context, Exhausted, Proposal, Strategy, Wait

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study

    from engine.config import Budget
    from engine.spaces._decision import Decision

#: suggestions of one proposal that may turn out not fresh before the prior is drawn from
SUGGESTIONS = 20
#: the sampler's own: at most so many trials are "good" (several objectives: no bound)
MOST_GOOD = 25


class Options(BaseModel):
    """When the model takes over, and how hard it looks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    initial: int = Field(10, ge=1, le=10_000, description="Results from random networks before the model is asked.")
    candidates: int = Field(
        24, ge=1, le=10_000, description="Networks drawn from the good ones' density per suggestion; the best is taken."
    )


@dataclass
class _Mirror:
    """An Optuna study that holds what the history holds.

    Attributes:
        study: trials in the order of the history, and behind them drafts that were told as failed: no sampler looks
            at those.
        places: for each trial of the history, in order, its number in the study.
        told: of each, the values told; () = failed, None = without a result.
    """

    study: Study
    places: list[int] = field(default_factory=list)
    told: list[tuple[float, ...] | None] = field(default_factory=list)


class TPE(Strategy):
    """Densities over decisions of the good trials, l, and of the others, g; the draw from l with the largest l/g.

    Symbols (Bergstra et al. 2011, sec. 4; Watanabe 2023): n initial = `initial`, n candidates of EI = `candidates`;
    gamma, the share of good trials, is Optuna's: a tenth, at most 25. The densities are joint over all decisions that
    occur together (`multivariate`, `group`), so that conditional decisions have densities of their own. Trials under
    way count as bad ones (`constant_liar`): no copies of one idea in flight. With several objectives the good ones are
    the first fronts, of the last front those that cover the most hypervolume (Ozaki et al. 2022).

    A decision is an integer where its options are a scale, else a category. Results of people's own trials count like
    any other; failed trials are left out of both densities.

    **Deviations**: the first points come from the space's prior, not uniformly over parameters. A suggestion that is
    not fresh (tried, under way, over a limit, or unbuildable) is asked for again up to 20 times, then comes a random
    network: Optuna itself would evaluate the same network again. An option that earlier choices have closed is replaced
    by the nearest one of a scale, or by a draw from the open ones. Trials are compared at the level that most have.
    """

    name = "tpe"
    summary = "Tree-structured Parzen estimator: draw where good networks are denser than bad ones"
    reference = "Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization; Akiba et al. 2019, Optuna"
    group = "bayesian"
    guide = (
        "Takes conditional decisions and scales as they come and stays quick with thousands of trials. "
        "A Gaussian process learns more from the first hundred trials."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self._mirror: _Mirror | None = None
        self._every = {d.name: d for d in context.space.all_decisions()}
        self._place = {name: {repr(o): i for i, o in enumerate(d.options)} for name, d in self._every.items()}

    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """Random networks until enough results are in, then suggestions of the sampler."""
        level, measured = common(self.context.history)
        if len(measured) < self.options.initial:
            return self._random(rng, f"random, {len(measured)} of {self.options.initial} results to start with are in")
        with _quiet():
            study = self._synced(level)
            study.sampler = self._sampler(rng)
            for tries in range(1, SUGGESTIONS + 1):
                found = self._suggest(study, rng)
                if self.fresh(found):
                    again = f", suggestion {tries}" if tries > 1 else ""
                    good = self._good(len(measured))
                    why = f"denser among the best {good} than among the other {len(measured) - good}{again}"
                    return Proposal(found, why=why, by=self.name)
        return self._random(rng, f"random: {SUGGESTIONS} suggestions were not new")

    def _random(self, rng: np.random.Generator, why: str) -> Proposal | Exhausted:
        found = self.draw(rng)
        return self.nothing_new() if found is None else Proposal(found, why=why, by="random")

    def _good(self, n: int) -> int:
        """How many of `n` results the sampler calls good."""
        share = ceil(0.1 * n)
        return share if len(self.context.objectives) > 1 else min(share, MOST_GOOD)

    # -- Optuna ------------------------------------------------------------------------------------
    def _sampler(self, rng: np.random.Generator) -> Any:
        """A new one per proposal: all it knows is the study and its seed."""
        from optuna.samplers import TPESampler

        return TPESampler(
            n_startup_trials=1, n_ei_candidates=self.options.candidates, seed=int(rng.integers(2**31)),
            multivariate=True, group=True, constant_liar=True,
        )  # fmt: skip

    def _synced(self, level: Level | None) -> Study:
        """The study, brought to what the history holds; made anew where a told value is another one now."""
        import optuna

        history = self.context.history
        values = [self._values(e, level) for e in history]
        mirror = self._mirror
        if mirror is None or any(old is not None and old != new for old, new in zip(mirror.told, values, strict=False)):
            directions = [optuna.study.StudyDirection.MINIMIZE] * len(self.context.objectives)  # losses
            mirror = self._mirror = _Mirror(optuna.create_study(study_name=self.name, directions=directions))
        for i, (entry, value) in enumerate(zip(history, values, strict=True)):
            if i == len(mirror.places):
                mirror.places.append(len(mirror.study.get_trials(deepcopy=False)))
                mirror.told.append(None)
                mirror.study.add_trial(self._trial(entry.architecture))
            if mirror.told[i] is None and value is not None:
                failed = optuna.trial.TrialState.FAIL
                mirror.study.tell(mirror.places[i], list(value) or None, state=None if value else failed)
                mirror.told[i] = value
        return mirror.study

    @staticmethod
    def _values(entry: TrialEntry, level: Level | None) -> tuple[float, ...] | None:
        """Losses; () where none will come that could be compared; None while it is under way."""
        values = entry.values.get(level) if level is not None else None
        if values is not None:
            return values if all(np.isfinite(values)) else ()
        return None if entry.failure is None and entry.state == "running" else ()

    def _trial(self, architecture: Architecture) -> Any:
        from optuna.trial import TrialState, create_trial

        places = {name: self._place[name][repr(option)] for name, option in architecture.items}
        distributions = {name: self._distribution(self._every[name]) for name in places}
        return create_trial(state=TrialState.RUNNING, params=places, distributions=distributions)

    @staticmethod
    def _distribution(decision: Decision) -> BaseDistribution:
        """Over the places of a decision's options."""
        from optuna.distributions import CategoricalDistribution, IntDistribution

        n = len(decision.options)
        return IntDistribution(0, n - 1) if decision.ordered else CategoricalDistribution(tuple(range(n)))

    def _suggest(self, study: Study, rng: np.random.Generator) -> Architecture:
        """One architecture, decision by decision; its draft is told as failed, so that nothing of it stays."""
        from optuna.trial import TrialState

        draft = study.ask()

        def choose(decision: Decision) -> Option:
            every = self._every[decision.name]
            if every.ordered:
                place = draft.suggest_int(decision.name, 0, len(every.options) - 1)
            else:
                place = draft.suggest_categorical(decision.name, tuple(range(len(every.options))))
            option = every.options[place]
            offered = {repr(o): o for o in decision.options}
            if repr(option) in offered:
                return offered[repr(option)]
            if every.ordered:
                at = self._place[decision.name]
                return min(decision.options, key=lambda o: abs(at[repr(o)] - place))
            return decision.options[int(rng.integers(len(decision.options)))]

        found = self.context.space._walk(choose)
        study.tell(draft, state=TrialState.FAIL)
        return found

    # -- about it ------------------------------------------------------------------------------------
    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "10 random networks, then 20 where the best tenth is denser than the rest"."""
        initial: int = getattr(options, "initial", 10)
        if budget.trials <= initial:
            return f"{budget.trials:,} random networks (the model would start after {initial:,})"
        return f"{initial:,} random networks, then {budget.trials - initial:,} where the best tenth is denser"

    def views(self) -> dict[str, dict[str, Any]]:
        """Where good and other trials differ most."""
        _, measured = common(self.context.history)
        if len(measured) < 2:
            return {}
        good = self._good(len(measured))
        ranked = self.rank(measured)
        counts = [
            Counter(item for e in part for item in e.architecture.items) for part in (ranked[:good], ranked[good:])
        ]
        sizes = (good, max(1, len(ranked) - good))
        space = self.context.space
        rows: list[tuple[str, float, float]] = []
        for d in self._every.values():
            for option in d.options:
                best, other = (c[d.name, option] / n for c, n in zip(counts, sizes, strict=True))
                if best or other:
                    name = f"{space.title(d.name)}: {space.format(d.name, option)}"
                    rows.append((name, round(best, 4), round(other, 4)))
        rows.sort(key=lambda r: (-abs(r[1] - r[2]), r[0]))
        parts = [[name, part, n] for name, best, other in rows[:20] for part, n in (("best", best), ("others", other))]
        return {
            "densities": view(
                "Which choices are more frequent among the best", ["choice", "trials", "share"], thinned(parts),
                chart=bars("choice", "share", series="trials"), note=f"best {good} of {len(ranked)} trials",
            )
        }  # fmt: skip


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna without its log lines and its warnings that something is experimental; only inside, not everywhere."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
