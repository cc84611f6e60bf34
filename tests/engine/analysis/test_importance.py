"""Accuracy by option of each decision."""

from __future__ import annotations

import math

import pytest

from engine.analysis.importance import by_option


def test_means_extremes_and_shares():
    """A decides everything, b nothing."""
    trials = [
        (1, {"a": 3, "b": "x"}, 0.2),
        (2, {"a": 3, "b": "y"}, 0.2),
        (3, {"a": 5, "b": "x"}, 0.6),
        (4, {"a": 5, "b": "y"}, 0.6),
    ]
    a, b = by_option(trials)
    assert (a.decision, b.decision) == ("a", "b")
    assert a.share == pytest.approx(1.0) and b.share == pytest.approx(0.0)
    assert [(o.option, o.count, o.mean) for o in a.options] == [(3, 2, 0.2), (5, 2, 0.6)]
    assert [(o.low, o.high, o.best) for o in b.options] == [(0.2, 0.6, 3), (0.2, 0.6, 4)]
    assert b.options[0].sd == pytest.approx(math.sqrt(0.08))


def test_inactive_decisions_are_a_group_of_their_own():
    """A decision that is not there is not the option None."""
    trials = [(1, {"skip": None}, 0.5), (2, {}, 0.7), (3, {"skip": None}, 0.6)]
    (row,) = by_option(trials)
    assert [(o.active, o.option, o.count) for o in row.options] == [(True, None, 2), (False, None, 1)]


def test_the_order_given_is_kept_and_what_was_not_seen_is_left_out():
    """Options in the space's order; minimized values have the smallest as best."""
    trials = [(1, {"k": 5}, 0.5), (2, {"k": 1}, 0.4), (3, {"k": 1}, math.nan), (4, {"k": 1}, 0.3)]
    (row,) = by_option(trials, {"k": [1, 3, 5], "never": [0]}, maximize=False)
    assert [o.option for o in row.options] == [1, 5]
    assert row.options[0].best == 4 and row.options[0].count == 2


def test_a_single_option_explains_nothing_and_comes_last():
    """Its share is unknown, not zero or one."""
    rows = by_option([(1, {"one": 1, "two": 1}, 0.1), (2, {"one": 1, "two": 2}, 0.9)])
    assert [r.decision for r in rows] == ["two", "one"]
    assert math.isnan(rows[1].share)
    assert by_option([]) == []
