"""Lineages, children, ancestors."""

from __future__ import annotations

from engine.analysis.genealogy import ancestors, children, lineage
from engine.evaluation.base import Report
from engine.strategies.base import Proposal
from tests.engine.driving import conductor_of, config


def family():
    """1 -> 2 -> 4, 1 -> 3; 5 alone. Trial 4 was measured at another fidelity."""
    c = conductor_of(config())
    space, history = c.context.space, c.history
    first = space.from_digits("123412")
    second, third = space.from_digits("123413"), space.from_digits("023412")
    fourth, fifth = space.from_digits("123313"), space.from_digits("444444")
    for architecture, parents in [(first, ()), (second, (1,)), (third, (1,)), (fourth, (2,)), (fifth, ())]:
        history.add(Proposal(architecture, parents=parents), c.context.costs)
    for number, fidelity, accuracy in [(1, 27, 0.5), (2, 27, 0.625), (4, 9, 0.9)]:
        history.record(number, fidelity, Report({"accuracy": accuracy}, fidelity, "table"))
    return history, space


def test_lineage_from_the_first_ancestor():
    """What changed, and what it gained where that can be said."""
    history, space = family()
    first, second, fourth = lineage(history, 4, space)
    assert (first.trial, first.parent, first.change, first.accuracy) == (1, None, "", 0.5)
    assert (second.trial, second.parent, second.gain) == (2, 1, 0.125)
    assert "conv 3×3" in second.change
    assert fourth.accuracy == 0.9 and fourth.gain is None  # other fidelity
    assert [g.trial for g in lineage(history, 5, space)] == [5]
    assert lineage(history, 3, space)[-1].accuracy is None


def test_children_and_ancestors():
    """Edges of the family tree, bounded."""
    history, _ = family()
    assert children(history) == {1: [2, 3], 2: [4]}
    assert ancestors(history, [3, 4]) == [(4, 2), (3, 1), (2, 1)]
    assert ancestors(history, [3, 4], limit=1) == [(4, 2)]
