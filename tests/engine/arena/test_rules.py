"""The rules of a race: what counts as a query, what a run sees, who may skip what, and that nothing leaks."""

from __future__ import annotations

import numpy as np
import pytest

from engine.arena import entrants, race, score
from engine.arena.entrants import named, strategy
from engine.errors import DataError, InvalidConfig

from .small import problem

PEERS = ("optuna-tpe", "optuna-nsga2")
STRATEGIES = ("random", "regularized_evolution", "local_search", "largest_first")


@pytest.mark.parametrize("name", [*STRATEGIES, *entrants.ORDERS, *PEERS])
def test_each_query_is_another_row_within_the_limits_and_runs_repeat_exactly(name):
    limited = problem(limit="n_macs<=p50")
    first, second = (race.run(limited, named(name), 30, seed=3) for _ in range(2))
    assert first.rows == second.rows and len(first.ms) == len(first.rows) == 30
    assert len(set(first.rows)) == 30 and limited.feasible[first.rows].all()
    assert race.run(limited, named(name), 30, seed=4).rows != first.rows


@pytest.mark.parametrize("name", ["random", "optuna-tpe"])
def test_a_space_that_is_used_up_ends_the_run_with_its_reason(name):
    limited = problem(limit="n_macs<=p5")
    run = race.run(limited, named(name), 729, seed=0)
    assert sorted(run.rows) == list(np.flatnonzero(limited.feasible)) and run.ended


def test_rows_that_are_equal_networks_are_skipped_by_who_knows_them_to_be():
    p = problem()
    kinds = {d: race.run(p, strategy("random", {"duplicates": d}), 120, 1) for d in ("written", "canonical")}
    assert len(set(p.classes[kinds["written"].rows])) < 120
    assert len(set(p.classes[kinds["canonical"].rows])) == len(set(kinds["canonical"].rows))


def test_architectures_without_a_row_cost_nothing():
    from .small import rows

    some = problem(rows=rows()[::7])
    run = race.run(some, named("random"), 50, seed=0)
    assert len(set(run.rows)) == 50 and max(run.rows) < len(some)


def test_several_results_may_be_awaited_and_come_in_order_of_start():
    p = problem()
    assert race.run(p, named("random"), 40, 0, parallel=8).rows == race.run(p, named("random"), 40, 0).rows
    wide = race.run(p, named("optuna-tpe"), 40, 0, parallel=8)
    assert len(set(wide.rows)) == 40


def test_of_several_rewards_one_is_drawn_per_row_and_run_and_left_out_of_the_report():
    p = problem(reward=["a", "b", "c"], report=["a", "b", "c"])
    view = p.view(5)
    assert p.view(5) is view
    drawn = np.abs(p.rewards - view.rewards[:, None]).argmin(axis=1)
    assert set(drawn) == {0, 1, 2} and (p.view(6).rewards != view.rewards).any()
    rest = (p.rewards.sum(axis=1) - view.rewards) / 2
    assert view.reports == pytest.approx(rest)


def test_permuted_tables_keep_reward_and_report_together_and_costs_in_place():
    p, q = problem(), problem(permuted=True)
    seen = q.view(1)
    pairs = sorted(zip(p.rewards[:, 0], p.reports[:, 0], strict=True))
    assert sorted(zip(seen.rewards, seen.reports, strict=True)) == pairs
    assert (seen.rewards != p.view(1).rewards).any() and (q.costs["n_macs"] == p.costs["n_macs"]).all()
    assert (q.view(2).rewards != seen.rewards).any()


def test_equal_rewards_are_told_apart_by_the_seed_alone():
    from .small import rows

    flat = problem(rows=[{**r, "a": 50.0} for r in rows(1.0)])
    chosen = {int(score.incumbents(flat, race.Run(s, list(range(60)), [0.0] * 60))[-1]) for s in range(20)}
    assert len(chosen) > 5


def test_the_strategy_sees_the_reward_and_nothing_else():
    p = problem()
    conductor = race.conductor_of(p, named("random"), 5, 0)
    *_, run = race._search(p, conductor, 0, {5})
    for row, entry in zip(run.rows, conductor.history, strict=True):
        assert entry.reports[1].metrics == {"accuracy": pytest.approx(p.rewards[row, 0] / 100)}


def test_entrants_are_read_with_options_labels_and_reasons():
    space = problem().space
    text = 'random, fast=local_search:{"start": 5},regularized_evolution:{"sample":3,"duplicates":"canonical"}'
    found, refused = entrants.parse(text, space)
    assert [e.label for e in found] == ["random", "fast", "regularized_evolution+sample=3+duplicates=canonical"]
    assert found[1].options == {"start": 5} and found[2].duplicates == "canonical" and not refused
    everyone, refused = entrants.parse("all", space)
    assert {"random", "local_search"} <= {e.name for e in everyone}
    with pytest.raises(InvalidConfig, match="no strategy is called 'nobody'"):
        entrants.parse("nobody", space)
    with pytest.raises(DataError, match="JSON or @FILE"):
        entrants.parse("random:{bad}", space)
    with pytest.raises(InvalidConfig):
        race.run(problem(), strategy("local_search", {"no_such": 1}), 5, 0)
