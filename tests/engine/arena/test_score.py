"""Figures against hand-made cases and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from engine.arena import score
from engine.arena.race import Run

from .small import problem


def test_incumbent_report_recommendation_and_class_by_hand():
    p = problem()
    view = p.view(0)
    order = np.argsort(view.rewards)
    rows = [int(order[10]), int(order[200]), int(order[50]), int(order[-1]), int(order[3])]
    run = Run(0, rows, [1.0, 2.0, 3.0, 4.0, 5.0], {2: rows[2]})
    assert list(score.incumbents(p, run)) == [rows[0], rows[1], rows[1], rows[3], rows[3]]
    s = score.score(p, "x", [run], 5)
    assert s.at(3) == {0: view.reports[rows[1]]} and s.at(99) == s.at(5)
    assert s.row(2)["recommended"]["mean"] == view.reports[rows[2]] and s.row(3)["recommended"] is None
    assert [bool(f) for f in s.found[0]] == [False, False, False, True, True]
    costs, own = s.seconds
    assert own[0] == pytest.approx(np.cumsum([1, 2, 3, 4, 5]) / 1000) and s.ms[0] == 3
    assert costs[0, -1] == pytest.approx(p.seconds[rows].sum())


def test_a_run_that_ended_early_keeps_what_it_had():
    p = problem()
    s = score.score(p, "x", [Run(0, [3, 4], [1, 1]), Run(1, [5, 6, 7, 8], [1] * 4)], 4)
    assert s.reports.shape == (2, 4) and (s.reports[0, 1:] == s.reports[0, 1]).all()
    assert score.score(p, "x", [], 4) is None


def test_bounds_are_those_of_the_books():
    x = np.array([1.0, 2.0, 4.0, 7.0])
    spread = score.Spread.of(x)
    assert spread.lower == pytest.approx(stats.t.interval(0.90, 3, x.mean(), stats.sem(x))[0])
    assert score.share_lower(20, 20) == pytest.approx(0.05 ** (1 / 20)) and score.share_lower(0, 20) == 0
    low = score.share_lower(5, 20)
    assert stats.binom.sf(4, 20, low) == pytest.approx(0.05)


def test_paired_tests_need_shared_seeds_and_see_what_is_there():
    rng = np.random.default_rng(1)
    luck = rng.normal(0, 5, 30)
    a = {s: luck[s] + 0.5 + rng.normal(0, 0.1) for s in range(30)}
    b = {s: luck[s] for s in range(25)}
    p = score.paired(a, b)
    assert p.n == 25 and 0.4 < p.difference < 0.6 and p.lower > 0.4 and max(p.p_t, p.p_wilcoxon) < 1e-4
    same = score.paired(b, b)
    assert same.difference == 0 and same.p_t == same.p_wilcoxon == 1
    assert score.paired({0: 1.0}, {0: 2.0}) is None
    turned = score.paired(b, a)
    assert turned.difference == -p.difference and turned.p_wilcoxon == pytest.approx(p.p_wilcoxon)


def test_ceilings_stay_within_the_limits():
    p = problem(limit="n_macs<=p50")
    inside = np.flatnonzero(p.feasible)
    best = inside[np.argmax(p.rewards[inside, 0])]
    c = score.ceilings(p, range(3))
    assert c["best_reward"] == pytest.approx(p.reports[best, 0])
    assert c["best_report"] == pytest.approx(p.reports[inside, 0].max())
    means = [p.reports[inside][p.classes[inside] == k].mean() for k in set(p.classes[inside])]
    assert c["best_class"] == pytest.approx(max(means))


def test_ranks_share_equal_places():
    p = problem()
    order = [int(i) for i in np.argsort(p.reports[:, 0])]
    runs = {"low": order[0], "high": order[-1], "high too": order[-1]}
    scored = [score.score(p, name, [Run(s, [row], [0.0]) for s in range(3)], 1) for name, row in runs.items()]
    assert score.ranks(scored, 1) == {"low": 3, "high": 1.5, "high too": 1.5}
    assert math.isclose(score.ranks(scored[:1], 1)["low"], 1)
