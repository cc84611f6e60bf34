"""Alphas and weights in turn: each turn moves its own and keeps nothing for the other's gradient."""

from __future__ import annotations

import pytest
import torch

from engine.errors import CannotBuild
from engine.spaces.base import space_of
from engine.spaces.darts import Darts
from tests.engine.spaces.specs import data_spec
from tests.engine.supernets.nets.tiny import at, batch, tiny_learner


@pytest.mark.parametrize("method", ["darts", "gdas", "drnas", "pc_darts", "p_darts"])
def test_the_weights_turn_is_that_of_a_plain_network(method):
    """The same loss and gradients as with alphas that would learn; none of theirs is left behind."""
    options = {"frozen": 0.0} if method in ("pc_darts", "p_darts") else {}
    learner, twin = (tiny_learner(method, epochs=1, **options) for _ in range(2))
    x, y = batch()
    with learner.fixed_alphas():
        ours = learner.loss(learner.logits(x, at(3)), y)
        ours.backward()
    theirs = twin.loss(twin.logits(x, at(3)), y)
    theirs.backward()
    assert torch.equal(ours, theirs)
    pairs = list(zip(learner.bank.parameters(), twin.bank.parameters(), strict=True))
    assert all((a.grad is None) == (b.grad is None) for a, b in pairs)
    assert all(torch.equal(a.grad, b.grad) for a, b in pairs if a.grad is not None)
    assert all(a.grad is None and a.requires_grad for a in learner.alphas.values())


def test_one_hot_gates_are_the_architecture():
    """Edges that an architecture leaves out give zeros; but for norms behind pools, a subnet is that of its plan."""
    space = space_of(Darts, Darts.Options(channels=4, layers=3, steps=(2,)), data_spec((1, 8, 8), n_classes=3))
    learner = tiny_learner("darts", bound=space)
    rows = {t.name: {o: float("conv" in str(o)) for o in t.options} for t in learner.mixture.tables}
    arch = space.derive(rows)
    gates = learner.one_hot(arch)
    assert sum(not positions for positions, _ in gates.values()) == 2, (
        "the third node reads two of three, in both kinds"
    )
    learner.bank.eval()
    x, _ = batch()
    alone = learner.bank.run(space.plan(arch), x, space.weight_names(arch))
    torch.testing.assert_close(learner.run(arch, x), alone)
    used = {id(m) for m in learner.blocks_of(arch)}
    assert used == {id(m) for m in learner.bank.blocks_of(space.plan(arch), space.weight_names(arch))}


def test_what_was_dropped_is_named():
    learner = tiny_learner("darts")
    learner.begin(learner.mixture.keep({"edge0_1": ["nor_conv_3x3"]}), 1)
    arch = learner.space.validate({t.name: "skip_connect" for t in learner.mixture.tables})
    with pytest.raises(CannotBuild, match="edge0_1: skip_connect was dropped from the supernet"):
        learner.run(arch, batch()[0])
