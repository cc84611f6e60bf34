"""Leaders measured again at the end of the budget, and posterior means instead of the luckiest value."""

from __future__ import annotations

import numpy as np
import pytest

from engine.conductor import Start
from engine.evaluation.base import Report
from engine.replicates import LEADERS, by_posterior
from tests.engine.driving import conductor_of, config, replayed, started, wild


@pytest.mark.parametrize("strategy", ["random", "regularized_evolution", "gaussian_process"])
def test_the_last_trials_measure_the_best_again(strategy):
    driver = started(strategy=strategy, replicates=2, parallelism=1, budget={"trials": 26})
    recorded = driver.all()
    starts = recorded.of(Start)
    assert len(starts) == 26
    again = [a for a in starts if a.proposal.replicate]
    assert [a.trial for a in again] == list(range(21, 27))
    assert {a.proposal.replicate for a in again} == {1, 2}
    assert len({a.proposal.architecture for a in again}) <= LEADERS + 1  # a leader may change on the way
    assert recorded.finish.winners[0] == recorded.conductor.strategy.recommend(1)[0]


def test_a_log_with_replicates_is_replayed():
    settings = config(strategy="regularized_evolution", replicates=1)
    recorded = wild(settings, seed=8)
    assert any(a.proposal.replicate for a in recorded.of(Start))
    assert replayed(settings, recorded.entries) == recorded.actions


def test_one_lucky_value_does_not_lead():
    """Two measured three times at 0.90, one measured three times with one lucky 0.93 and two of 0.86."""
    context = conductor_of(config(duplicates="allowed")).context
    rng = np.random.default_rng(0)
    values = [[0.90, 0.91, 0.89], [0.93, 0.86, 0.86], [0.80], [0.85]]
    from engine.strategies.base import Proposal

    for group in values:
        arch = context.space.sample(rng)
        for nth, value in enumerate(group):
            entry = context.history.add(Proposal(arch, replicate=nth), context.costs)
            entry.identity = arch.key
            context.history.record(entry.number, 1, Report({"accuracy": value}, 1, "table"))
    assert context.history.best().number == 4
    order = by_posterior(list(context.history), ("table", 1))
    assert order[0] == 1 and set(order) == {1, 4, 7, 8}


def test_without_replicates_the_order_is_that_of_the_losses():
    recorded = started(strategy="random").all()
    history = recorded.conductor.history
    order = by_posterior(list(history), history.top)
    assert [history[n].values[history.top][0] for n in order] == sorted(e.values[history.top][0] for e in history)
