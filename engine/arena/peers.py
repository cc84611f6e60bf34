"""Optuna's samplers on the same problem by the same rules: what our strategies have to be ahead of.

Rows within the limits that were not queried count; a repeat of a row is told its value and costs nothing, at most
`REPEATS` times in a row: then a fresh row drawn at random is told instead. A proposal over a limit is told as failed,
and a random row within the limits is told in its place (as one would with a constraint that is cheap to compute).
Nothing else of the space is passed on: decisions are categorical, those of a scale too.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.architecture import Architecture, Option
from engine.arena.problem import Problem
from engine.arena.race import Run

if TYPE_CHECKING:
    import optuna

#: repeats in a row that are told again before a fresh row is drawn
REPEATS = 20


def sampler(name: str, seed: int, parallel: int) -> Any:
    """A sampler of Optuna with its own settings, and what its documentation advises for our case.

    Raises:
        ValueError: no such peer.
    """
    import optuna

    match name:
        case "optuna-tpe":
            return optuna.samplers.TPESampler(multivariate=True, constant_liar=parallel > 1, seed=seed)
        case "optuna-gp":
            import torch

            torch.set_num_threads(1)
            return optuna.samplers.GPSampler(seed=seed)
        case "optuna-nsga2":
            return optuna.samplers.NSGAIISampler(population_size=20, seed=seed)
    raise ValueError(f"no peer is called {name!r}; there are optuna-tpe, optuna-gp and optuna-nsga2")


def steps(problem: Problem, name: str, budget: int, seed: int, parallel: int = 1) -> Iterator[Run]:
    """One run of a peer, a query at a time; its own recommendation is its best value."""
    import warnings

    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these samplers are marked as experimental
        study = optuna.create_study(direction="maximize", sampler=sampler(name, seed, parallel))
    yield from _Race(problem, study, budget, seed, parallel).steps()


class _Race:
    """Asks and tells; see the module."""

    def __init__(self, problem: Problem, study: optuna.Study, budget: int, seed: int, parallel: int) -> None:
        self.problem, self.study, self.budget, self.parallel = problem, study, budget, parallel
        self.rewards = problem.view(seed).rewards
        self.out = Run(seed)
        self.seen: set[int] = set()
        self.repeats = 0
        rng = np.random.default_rng([seed, 0x0B7])
        allowed = np.flatnonzero(problem.feasible)
        self.draws = deque(int(i) for i in allowed[rng.permutation(allowed.size)])

    def steps(self) -> Iterator[Run]:
        """Until the budget or every row is spent."""
        flying: deque[tuple[Any, int]] = deque()
        while True:
            began = time.thread_time()
            while len(flying) < self.parallel and len(self.out.rows) + len(flying) < self.budget:
                asked = self._ask()
                if asked is None:
                    break
                flying.append(asked)
            if not flying:
                break
            trial, row = flying.popleft()
            if trial is None:
                self._add(row)
            else:
                self.study.tell(trial, float(self.rewards[row]))
            self.out.took(1000 * (time.thread_time() - began))
            self.out.rows.append(row)
            yield self.out
        if len(self.out.rows) < self.budget:
            self.out.ended = "every row within the limits was queried"
            yield self.out

    def _ask(self) -> tuple[Any, int] | None:
        """A trial and its fresh row; (None, row) for one drawn at random; None when all rows are spent."""
        import optuna

        while self.repeats < REPEATS:
            trial = self.study.ask()
            row = self.problem.row_of.get(self._architecture(trial).key)
            if row is None or not self.problem.feasible[row]:
                self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
                break
            if row not in self.seen:
                self.repeats = 0
                self.seen.add(row)
                return trial, row
            self.study.tell(trial, float(self.rewards[row]))
            self.repeats += 1
        self.repeats = 0
        while self.draws:
            row = self.draws.popleft()
            if row not in self.seen:
                self.seen.add(row)
                return None, row
        return None

    def _architecture(self, trial: Any) -> Architecture:
        space, partial = self.problem.space, dict[str, Option]()
        while (decision := space.next(partial)) is not None:
            texts = {f"{type(o).__name__} {o}": o for o in decision.options}
            partial[decision.name] = texts[trial.suggest_categorical(decision.name, list(texts))]
        return Architecture.of(space.name, partial)

    def _add(self, row: int) -> None:
        """Tells a row nobody asked for."""
        import optuna

        arch = self.problem.architectures[row]
        decisions = {d.name: d for d in self.problem.space.decisions(arch)}
        distributions: dict[str, Any] = {
            name: optuna.distributions.CategoricalDistribution([f"{type(o).__name__} {o}" for o in d.options])
            for name, d in decisions.items()
        }
        params = {name: f"{type(o).__name__} {o}" for name, o in arch.items}
        self.study.add_trial(
            optuna.trial.create_trial(params=params, distributions=distributions, value=float(self.rewards[row]))
        )
