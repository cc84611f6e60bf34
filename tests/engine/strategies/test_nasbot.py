"""NASBOT: what it compares, what it tells, and how several objectives become one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from engine.conductor import Start
from engine.strategies._scalarise import STEPS, SUM, tchebycheff, weights
from tests.engine.driving import Driver, Edit, conductor_of, config

QUICK = {"name": "nasbot", "initial": 8, "candidates": 10}


def test_proposals_are_mutants_of_what_was_measured():
    """Children differ from their parent in at most two decisions that were drawn and what follows from them."""
    driver = Driver(config(strategy=QUICK, parallelism=1, budget={"trials": 18}))
    driver.tell(Edit("start"))
    recorded = driver.all()
    own = [a.proposal for a in recorded.of(Start) if a.proposal.by == "nasbot"]
    assert len(own) == 10
    history, space = recorded.conductor.history, recorded.conductor.context.space
    for proposal in own:
        assert proposal.why.startswith("EI ") and "±" in proposal.why
        for parent in proposal.parents:
            assert len(space.difference(history[parent].architecture, proposal.architecture)) <= 4
    view = recorded.conductor.views()["predictions"]
    assert len(view["rows"]) == 10 and view["chart"]["diagonal"]


def test_the_model_holds_the_better_half_and_an_even_choice():
    c = conductor_of(config(strategy={**QUICK, "trials": 10}))
    losses = np.random.default_rng(0).permutation(100).astype(float)
    kept = sorted(losses[c.strategy._chosen(losses)].tolist())
    assert kept[:5] == [0, 1, 2, 3, 4] and kept[-1] == 99 and len(kept) == 10
    assert c.strategy._chosen(losses[:10]).tolist() == list(range(10))


def test_weights_are_all_compositions_alike_likely():
    rng = np.random.default_rng(0)
    two = Counter(tuple(weights(2, rng)) for _ in range(2200))
    assert len(two) == STEPS + 1 and min(two.values()) > 130
    three = {tuple(weights(3, rng)) for _ in range(2000)}
    assert len(three) == (STEPS + 2) * (STEPS + 1) // 2
    assert all(sum(w) == pytest.approx(1) and min(w) >= 0 for w in three)
    assert weights(1, rng).tolist() == [1.0]


def test_tchebycheff_by_hand():
    """Scaled to 0-1: (0, 1), (1, 0), (0.5, 0.5)."""
    values = np.array([[10.0, 3.0], [20.0, 1.0], [15.0, 2.0]])
    found = tchebycheff(values, np.array([0.8, 0.2]))
    assert found == pytest.approx([0.2 + SUM * 0.2, 0.8 + SUM * 0.8, 0.4 + SUM * 0.5])
    assert tchebycheff(np.ones((2, 2)), np.array([0.5, 0.5])).tolist() == [0.0, 0.0]
