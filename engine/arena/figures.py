"""A race as plain JSON: what its pages and plots draw, without the table it was run on.

    {"unit", "budget", "seeds", "ceilings", "marks": [10, 20, ...],
     "curves": [{"label", "seeds", "ms", "queries": {"x", "mean", "low", "high"}, "cost": {the same, x in seconds},
                 "rank": {"x", "y"}, "rows": {mark: report, recommended, reward, found}}, ...]  best first,
     "paired": [{"a", "b", "at", "difference", "se", "lower", "p_t", "p_wilcoxon", "n"}, ...]  a is never behind b}

Curves are of regret: the best report there is (within the limits) minus the incumbent's, so that 0 is perfect. Bands
are 95 % intervals of the mean over seeds (Student's t).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np

from engine.arena import score
from engine.arena.problem import Floats, Problem
from engine.arena.race import Run
from engine.arena.score import Scored

#: points of a curve
POINTS = 60
#: numbers of queries that tables speak of, as far as the budget goes
MARKS = (10, 20, 50, 100, 200, 500, 1000)


def figures(problem: Problem, runs: Mapping[str, Sequence[Run]], budget: int) -> dict[str, Any]:
    """Everything about the runs so far; empty curves before there is one.

    Args:
        problem: what was raced on.
        runs: by label, in the order in which entrants were named.
        budget: queries of a run.
    """
    scored = [s for label, found in runs.items() if (s := score.score(problem, label, found, budget)) is not None]
    seeds = sorted({seed for s in scored for seed in s.seeds})
    marks = [*(m for m in MARKS if m < budget), budget]
    best = {seed: float(problem.view(seed).reports[problem.feasible].max()) for seed in seeds}
    curves = [_curve(s, np.array([best[seed] for seed in s.seeds]), marks) for s in scored]
    ranks = _ranks(scored, budget)
    for curve, rank in zip(curves, ranks, strict=True):
        curve["rank"] = rank
    curves.sort(key=lambda c: -c["rows"][budget]["report"]["mean"])
    return {
        "unit": problem.unit, "budget": budget, "seeds": len(seeds), "marks": marks,
        "ceilings": score.ceilings(problem, seeds) if seeds else {}, "curves": curves,
        "paired": _pairs(scored, [c["label"] for c in curves], marks),
    }  # fmt: skip


def _curve(s: Scored, best: Floats, marks: Sequence[int]) -> dict[str, Any]:
    regret = best[:, None] - s.reports  # (seeds, queries)
    at = np.unique(np.geomspace(1, regret.shape[1], POINTS).round().astype(int))
    total = s.seconds[0] + s.seconds[1]
    # from where every seed has a result to where the first one has spent its budget: no band is of fewer seeds
    grid = np.geomspace(max(float(total[:, 0].max()), 1e-3), max(float(total[:, -1].min()), 2e-3), POINTS)
    place = np.stack([np.clip(np.searchsorted(row, grid, side="right") - 1, 0, None) for row in total])
    return {
        "label": s.label,
        "seeds": len(s.seeds),
        "ms": round(float(s.ms.mean()), 3),
        "queries": {"x": [int(x) for x in at], **_band(regret[:, at - 1])},
        "cost": {"x": _rounded(grid), **_band(np.take_along_axis(regret, place, axis=1))},
        "rows": {m: s.row(m) for m in marks},
    }


def _band(values: Floats) -> dict[str, list[float]]:
    """Mean over seeds with its 95 % interval, of (seeds, points)."""
    from scipy import stats

    n, mean = len(values), values.mean(axis=0)
    half = np.zeros_like(mean)
    if n > 1:
        half = float(stats.t.ppf(0.975, n - 1)) * values.std(axis=0, ddof=1) / np.sqrt(n)
    return {"mean": _rounded(mean), "low": _rounded(np.maximum(mean - half, 0)), "high": _rounded(mean + half)}


def _rounded(values: Floats) -> list[float]:
    return [float(f"{v:.5g}") for v in values]


def _ranks(scored: Sequence[Scored], budget: int) -> list[dict[str, list[float]]]:
    """Average rank of each after so many queries, on the seeds that all have."""
    at = sorted({int(x) for x in np.geomspace(1, budget, 24).round()})
    by_point = [score.ranks(scored, x) for x in at]
    out = []
    for s in scored:
        known = [(float(x), round(r[s.label], 3)) for x, r in zip(at, by_point, strict=True) if s.label in r]
        out.append({"x": [x for x, _ in known], "y": [y for _, y in known]})
    return out


def _pairs(scored: Sequence[Scored], order: Sequence[str], marks: Sequence[int]) -> list[dict[str, Any]]:
    by_label = {s.label: s for s in scored}
    out = []
    for a, b in combinations(order, 2):
        for mark in marks:
            values = [by_label[label].at(mark) for label in (a, b)]
            found = score.paired(*values)
            if found is not None and found.difference < 0:
                found = score.paired(*reversed(values))
                pair = (b, a)
            else:
                pair = (a, b)
            if found is not None:
                numbers = {k: float(f"{v:.6g}") for k, v in asdict(found).items() if k != "n"}
                out.append({"a": pair[0], "b": pair[1], "at": mark, **numbers, "n": found.n})
    return out
