"""Figures of a race: what was found after so many queries, how sure that is, and who is ahead of whom."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.arena.problem import Floats, Problem
from engine.arena.race import Run


def incumbents(problem: Problem, run: Run) -> NDArray[np.intp]:
    """Row with the best reward after each query, shape (queries,); of equal rewards the one the seed's ties prefer."""
    view = problem.view(run.seed)
    out = np.empty(len(run.rows), dtype=np.intp)
    best = -1
    for i, row in enumerate(run.rows):
        if best < 0 or (view.rewards[row], view.ties[row]) > (view.rewards[best], view.ties[best]):
            best = row
        out[i] = best
    return out


@dataclass(frozen=True)
class Spread:
    """A mean over seeds.

    Attributes:
        mean: of the seeds.
        se: standard error of the mean (0 for one seed).
        lower: one-sided 95 % lower bound of the mean (Student's t).
        n: seeds.
    """

    mean: float
    se: float
    lower: float
    n: int

    @classmethod
    def of(cls, values: Floats) -> Spread:
        """Of one value per seed."""
        from scipy import stats

        n = len(values)
        mean = float(values.mean())
        if n < 2:
            return cls(mean, 0.0, mean, n)
        se = float(values.std(ddof=1)) / math.sqrt(n)
        return cls(mean, se, mean - float(stats.t.ppf(0.95, n - 1)) * se, n)


def share_lower(hits: int, n: int) -> float:
    """One-sided 95 % lower bound of a share (Clopper & Pearson 1934)."""
    from scipy import stats

    return 0.0 if not hits else float(stats.beta.ppf(0.05, hits, n - hits + 1))


@dataclass(frozen=True)
class Paired:
    """a against b on the same seeds.

    Attributes:
        difference: mean of a - b.
        se: its standard error.
        lower: one-sided 95 % lower bound of the difference.
        p_t, p_wilcoxon: two-sided p values (paired t; signed rank, zeros split: Pratt 1959).
        n: seeds of both.
    """

    difference: float
    se: float
    lower: float
    p_t: float
    p_wilcoxon: float
    n: int


def paired(a: Mapping[int, float], b: Mapping[int, float]) -> Paired | None:
    """Compares values by seed; None with fewer than two seeds in common."""
    from scipy import stats

    seeds = sorted(a.keys() & b.keys())
    if len(seeds) < 2:
        return None
    gaps = np.array([a[s] - b[s] for s in seeds])
    spread = Spread.of(gaps)
    if np.ptp(gaps) == 0:
        p = 1.0 if not gaps[0] else 0.0
        return Paired(spread.mean, 0.0, spread.mean, p, 1.0 if not gaps[0] else _signed_rank(gaps), len(seeds))
    p = float(stats.ttest_1samp(gaps, 0).pvalue)
    return Paired(spread.mean, spread.se, spread.lower, p, _signed_rank(gaps), len(seeds))


def _signed_rank(gaps: Floats) -> float:
    from scipy import stats

    return float(stats.wilcoxon(gaps, zero_method="zsplit").pvalue)


@dataclass
class Scored:
    """One entrant's runs, scored.

    Attributes:
        label: who.
        seeds: in order.
        reports, rewards: (seeds, queries) of the incumbent after each query; runs that ended early keep their last.
        recommended: report of the recommendation by budget, (seeds,); NaN where it was not asked.
        found: (seeds, queries) whether a row of the optimum's class was queried.
        seconds: (seconds of the queries, seconds of the strategy) so far, (seeds, queries) each.
        ms: milliseconds per ask and tell, (seeds,).
    """

    label: str
    seeds: list[int]
    reports: Floats
    rewards: Floats
    recommended: dict[int, Floats]
    found: NDArray[np.bool_]
    seconds: tuple[Floats, Floats]
    ms: Floats

    def at(self, budget: int) -> dict[int, float]:
        """Report of the incumbent after so many queries, by seed."""
        i = min(budget, self.reports.shape[1]) - 1
        return {s: float(v) for s, v in zip(self.seeds, self.reports[:, i], strict=True)}

    def row(self, budget: int) -> dict[str, Any]:
        """Everything said about one budget."""
        i = min(budget, self.reports.shape[1]) - 1
        hits, n = int(self.found[:, i].sum()), len(self.seeds)
        handed = self.recommended.get(budget)
        known = handed is not None and bool(np.isfinite(handed).all())
        return {
            "report": asdict(Spread.of(self.reports[:, i])),
            "recommended": asdict(Spread.of(handed)) if known and handed is not None else None,
            "reward": asdict(Spread.of(self.rewards[:, i])),
            "found": {"share": hits / n, "lower": share_lower(hits, n), "n": n},
        }


def score(problem: Problem, label: str, runs: Sequence[Run], budget: int) -> Scored | None:
    """Scores an entrant's runs; None without any."""
    runs = sorted((r for r in runs if r.rows), key=lambda r: r.seed)
    if not runs:
        return None
    shape = (len(runs), budget)
    reports, rewards, costs, own = (np.empty(shape) for _ in range(4))
    found = np.zeros(shape, dtype=bool)
    marks = sorted({m for r in runs for m in r.recommended})
    recommended = {m: np.full(len(runs), np.nan) for m in marks}
    ms = np.empty(len(runs))
    for i, r in enumerate(runs):
        view, best = problem.view(r.seed), incumbents(problem, r)
        n = min(len(best), budget)
        last = np.minimum(np.arange(budget), n - 1)
        reports[i], rewards[i] = view.reports[best][last], view.rewards[best][last]
        hit = np.isin(problem.classes[r.rows], problem.classes[view.optima])
        found[i] = np.maximum.accumulate(hit)[last]
        costs[i] = np.cumsum(problem.seconds[r.rows])[last]
        own[i] = np.cumsum(np.array(r.ms) / 1000)[last]
        ms[i] = float(np.mean(r.ms[:n]))
        for m, row in r.recommended.items():
            recommended[m][i] = view.reports[row]
        if not r.recommended:  # who has no say of its own hands over its best
            for m in range(1, budget + 1):
                recommended.setdefault(m, np.full(len(runs), np.nan))[i] = reports[i, m - 1]
    return Scored(label, [r.seed for r in runs], reports, rewards, recommended, found, (costs, own), ms)


def ceilings(problem: Problem, seeds: Sequence[int]) -> dict[str, float]:
    """What nobody can know: means over seeds, within the limits.

    Returns:
        "best_reward" (report of the highest reward, equal ones averaged), "best_report", and "best_class": the highest
        mean report of a class.
    """
    inside = np.flatnonzero(problem.feasible)
    classes = problem.classes[inside]
    counts = np.bincount(classes)
    out = np.zeros((len(seeds), 3))
    for i, seed in enumerate(seeds):
        view = problem.view(seed)
        reports = view.reports[inside]
        means = np.bincount(classes, weights=reports) / np.maximum(counts, 1)
        out[i] = view.reports[view.optima].mean(), reports.max(), means[counts > 0].max()
    return dict(zip(("best_reward", "best_report", "best_class"), map(float, out.mean(axis=0)), strict=True))


def ranks(scored: Sequence[Scored], budget: int) -> dict[str, float]:
    """Average rank by the incumbent's report on the seeds that all have, 1 = best, equal ones share."""
    from scipy import stats

    shared = sorted(set.intersection(*(set(s.seeds) for s in scored))) if scored else []
    if not shared:
        return {}
    values = np.array([[s.at(budget)[seed] for s in scored] for seed in shared])  # (seeds, entrants)
    mean = stats.rankdata(-values, axis=1).mean(axis=0)
    return {s.label: float(r) for s, r in zip(scored, mean, strict=True)}
