"""PC-DARTS: a part of the channels through the operations, the rest past them, edges normalized."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from engine.errors import CannotBuild
from engine.network.assemble import Assembler
from engine.spaces._shared.mixing import Mixing
from engine.supernets.mixture import Table
from engine.supernets.nets.bank import Bank
from engine.supernets.nets.network import MixtureNetwork
from engine.supernets.nets.partial import partial_mixture
from tests.engine.supernets.nets.tiny import at, batch, tiny_learner, tiny_space

K = 4


def edge() -> MixtureNetwork:
    """One edge over 8 channels: zeros, a wire, a pool."""
    net = Mixing((8, 6, 6))

    def wire(part: Assembler, x: str) -> str:
        return part.add("wire", "identity", x)

    def pool(part: Assembler, x: str) -> str:
        return part.add("pool", "avg_pool2d", x, kernel_size=3, stride=1, padding=1, count_include_pad=False)

    net.slot("edge", "t", "input", {"none": lambda part, x: None, "wire": wire, "pool": pool}, partial=K)
    return MixtureNetwork(net.mixture([Table("t", ("none", "wire", "pool"))]), Bank(seed=0))


def test_an_edge_is_that_of_the_paper():
    """Equation 2 by hand: the first quarter weighed, the rest as it is, joined and shuffled over K groups."""
    x = torch.randn(3, 8, 6, 6)
    w = torch.tensor([0.5, 0.2, 0.3])
    out = edge()(x, {"t": (range(3), w)})
    first, rest = x[:, :2], x[:, 2:]
    pooled = F.avg_pool2d(first, 3, 1, 1, count_include_pad=False)
    joined = torch.cat([0.2 * first + 0.3 * pooled, rest], 1)
    by_hand = torch.stack([joined[:, g * 2 + c] for c in range(2) for g in range(K)], 1)
    torch.testing.assert_close(out, by_hand)
    assert out.shape == x.shape


def test_channels_that_pass_are_untouched():
    x = torch.randn(2, 8, 6, 6)
    outs = [edge()(x, {"t": (range(3), torch.tensor(w))}) for w in ([1.0, 0, 0], [0, 0, 7.0])]
    for i in range(8):  # shuffled position i holds channel (i % K) * 2 + i // K
        channel = i % K * 2 + i // K
        same = all(torch.equal(o[:, i], x[:, channel]) for o in outs)
        assert same == (channel >= 2), channel


def test_a_scaled_edge_scales_all_of_it_and_an_empty_gate_takes_it_away():
    x = torch.randn(2, 8, 6, 6)
    w = (range(3), torch.tensor([0.5, 0.2, 0.3]))
    torch.testing.assert_close(edge()(x, {"t": w}, {"t": torch.tensor(0.25)}), 0.25 * edge()(x, {"t": w}))
    assert not edge()(x, {"t": ((), None)}).any()


def test_the_part_is_the_smallest_that_divides_the_channels():
    partial = lambda channels, most: partial_mixture(tiny_space(channels=channels), most).slots[0].partial  # noqa: E731
    assert [partial(c, 4) for c in (8, 6, 9, 5)] == [4, 3, 3, 1]
    assert partial(8, 16) == 8
    with pytest.raises(CannotBuild, match="cannot be divided"):
        tiny_space(channels=6).mixture(partial=4)


def test_edges_into_a_node_share_one():
    """NAS-Bench-201 names no groups: the sums of a cell say which edges meet. One edge alone is not weighed."""
    learner = tiny_learner("pc_darts")
    assert sorted(map(len, learner.joined.values())) == [2, 3]
    with torch.no_grad():
        for name in learner.alphas:
            learner.alphas[name] += torch.randn(learner.alphas[name].shape)
    share = {name: float(s.detach()) for name, s in learner.edges().items()}
    for tables in learner.joined.values():
        assert {t[-1] for t in tables} == {tables[0][-1]}, "one target node"
        assert sum(share[t] for t in tables) == pytest.approx(1)
    assert "edge0_1" not in share
    rows = learner.views()["edges"]
    assert all(sum(row.values()) == pytest.approx(1, abs=1e-3) for row in rows.values())


def test_groups_that_tables_name_are_taken():
    net = Mixing((4, 6, 6))
    wire = {"wire": lambda part, x: part.add(f"w{len(net._order)}", "identity", x)}
    for i in range(3):
        net.slot(f"s{i}", f"t{i}", "input", wire)
    net.add("sum", "add", "s0", "s1", "s2")
    tables = [Table("t0", ("wire",), "a"), Table("t1", ("wire",), "b"), Table("t2", ("wire",), "a")]
    assert net.mixture(tables).joined() == {"a": ("t0", "t2"), "b": ("t1",)}
    assert net.mixture([Table(f"t{i}", ("wire",)) for i in range(3)]).joined() == {"t0+t1+t2": ("t0", "t1", "t2")}


def test_betas_learn_and_weigh_what_is_derived():
    learner = tiny_learner("pc_darts", alpha_rate=0.1, frozen=0.0)
    before = {name: a.detach().clone() for name, a in learner.alphas.items()}
    learner.step(at(0), batch(), batch(seed=1))
    assert all(not torch.equal(before[name], a) for name, a in learner.alphas.items())
    share = {name: float(s.detach()) for name, s in learner.edges().items()}
    strengths, votes = learner.strengths(), learner.votes()
    for name, row in votes.items():
        factor = share.get(name, 1.0)
        assert list(row.values()) == pytest.approx([factor * p for p in strengths[name].values()])


def test_alphas_wait_for_the_weights():
    """15 of 50 epochs as published; the weights go on meanwhile."""
    learner = tiny_learner("pc_darts", epochs=50)
    assert [learner.frozen(e) for e in range(50)] == [True] * 15 + [False] * 35
    before = {name: a.detach().clone() for name, a in learner.alphas.items()}
    weights = [p.detach().clone() for p in learner.bank.parameters() if p.requires_grad]
    out = learner.step(at(0, epoch=3), batch(), batch(seed=1))
    assert set(out) == {"loss"}
    assert all(torch.equal(before[name], a) for name, a in learner.alphas.items())
    after = [p for p in learner.bank.parameters() if p.requires_grad]
    assert sum(not torch.equal(a, b) for a, b in zip(weights, after, strict=True)) > len(after) // 2
    assert "held_loss" in learner.step(at(1, epoch=20), batch(), batch(seed=1))


def test_a_subnet_runs_as_it_was_trained():
    """Its one option an edge, partial and scaled: a stand-alone network of the bank would have other weights."""
    learner = tiny_learner("pc_darts")
    learner.step(at(0), batch(), batch(seed=1))
    held = len(learner.bank.blocks)
    ops = ("nor_conv_3x3", "skip_connect", "nor_conv_1x1", "none", "avg_pool_3x3", "nor_conv_3x3")
    arch = learner.space.validate({t.name: op for t, op in zip(learner.mixture.tables, ops, strict=True)})
    gates = {t.name: ((t.options.index(arch[t.name]),), torch.ones(1)) for t in learner.mixture.tables}
    learner.bank.eval()
    x, _ = batch()
    torch.testing.assert_close(learner.run(arch, x), learner.forward(x, gates))
    assert learner.blocks_of(arch) and len(learner.bank.blocks) == held
