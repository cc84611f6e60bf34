"""The JSON that pages draw: curves of regret that only fall, bands around them, pairs in the right order."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.arena import race, score
from engine.arena.entrants import named
from engine.arena.figures import figures

from .small import problem


@pytest.fixture(scope="module")
def made():
    p = problem()
    runs = {n: [race.run(p, named(n), 60, s) for s in range(8)] for n in ("random", "local_search", "size-written")}
    return p, runs, figures(p, runs, 60)


def test_regret_falls_to_what_the_table_says(made):
    p, runs, found = made
    assert found["marks"] == [10, 20, 50, 60] and found["seeds"] == 8
    for curve in found["curves"]:
        for which in ("queries", "cost"):
            drawn = curve[which]
            assert (np.array(drawn["low"]) <= drawn["mean"]).all() and (drawn["mean"] <= np.array(drawn["high"])).all()
            assert (np.diff(drawn["x"]) > 0).all() and min(drawn["mean"]) >= 0
        last = score.score(p, "x", runs[curve["label"]], 60).reports[:, -1]
        assert curve["queries"]["mean"][-1] == pytest.approx((p.reports.max() - last).mean(), rel=1e-4)
        assert curve["rows"][60]["report"]["mean"] == pytest.approx(last.mean())


def test_the_cost_counts_queries_and_the_strategys_own_time():
    p = problem()
    runs = [race.run(p, named("random"), 20, s) for s in range(3)]
    slow = [race.Run(r.seed, r.rows, [1000 * 3600.0] * 20, r.recommended) for r in runs]
    quick, late = (figures(p, {"x": found}, 20)["curves"][0]["cost"]["x"] for found in (runs, slow))
    assert late[-1] == pytest.approx(quick[-1] + 20 * 3600, rel=0.01)
    assert quick[-1] < sum(sorted(p.seconds)[-20:])


def test_pairs_name_the_one_that_is_ahead_first(made):
    p, runs, found = made
    assert len(found["paired"]) == 3 * 4
    for pair in found["paired"]:
        assert pair["difference"] >= 0 and pair["n"] == 8
        a, b = (score.score(p, "x", runs[pair[k]], 60).at(pair["at"]) for k in ("a", "b"))
        assert pair["difference"] == pytest.approx(np.mean([a[s] - b[s] for s in a]), rel=1e-4, abs=1e-9)
    assert {c["label"] for c in found["curves"]} == set(runs)
    assert [c["rows"][60]["report"]["mean"] for c in found["curves"]] == sorted(
        (c["rows"][60]["report"]["mean"] for c in found["curves"]), reverse=True
    )


def test_it_is_json_also_while_there_is_little(made):
    p, runs, found = made
    json.dumps(found, allow_nan=False)
    json.dumps(figures(p, {"random": []}, 60), allow_nan=False)
    one = figures(p, {"random": runs["random"][:1], "local_search": runs["local_search"][1:2]}, 60)
    assert one["paired"] == [] and one["curves"][0]["rank"]["x"] == []
    json.dumps(one, allow_nan=False)


def test_a_run_goes_a_query_at_a_time_and_says_what_it_has():
    p = problem()
    for name in ("random", "optuna-nsga2"):
        seen = [(len(r.rows), len(r.ms)) for r in race.steps(p, named(name), 12, 0)]
        assert seen == [(i, i) for i in range(1, 13)]
