"""Blocks of mobile networks side by side, and what is derived from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.errors import CannotBuild
from engine.supernets.nets.bank import Bank
from engine.supernets.nets.network import MixtureNetwork

from .mobiles import CIFAR, mobile, preset

STAGES = [{"width": [16], "depth": [1, 2]}, {"width": [24], "depth": [1, 2, 4], "stride": 2}]
SPACES = {
    "apart": lambda: mobile(stages=STAGES),
    "menu": lambda: mobile(stages=STAGES, operations=["k3_e3", "k5_e6_se", "skip"], first_skip=True),
    "stage": lambda: mobile(stages=STAGES, share="stage"),
    "settled": lambda: mobile(stages=[{"width": [16], "depth": [1]}, *STAGES], se=[False], kernel=[3]),
    "macro": lambda: preset("nasbench_macro", CIFAR),
    "restricted": lambda: mobile().restrict({"stage2_width": [32], "stage3_width": [48], "stage3_depth": [1, 3]}),
}


def one_hot(space, arch):
    return {table: {option: 1.0} for table, option in space.chosen(arch).items()}


@pytest.mark.parametrize("kind", SPACES)
def test_one_option_of_each_table_is_the_network_of_a_plan_and_comes_back_as_it(kind):
    space = SPACES[kind]()
    mixture, bank, rng = space.mixture(), Bank(seed=0), np.random.default_rng(0)
    network = MixtureNetwork(mixture, bank)
    bank.eval()
    x = torch.randn(2, *space.input_shape, generator=torch.Generator().manual_seed(0))
    for _ in range(6):
        arch = space.sample_uniform(rng)
        chosen = space.chosen(arch)
        gates = {t.name: ((t.options.index(chosen[t.name]),), None) for t in mixture.tables}
        held = len(bank.blocks)
        with torch.no_grad():
            assert torch.equal(network(x, gates), bank.run(space.planned(arch), x, space.weight_names(arch)))
        assert len(bank.blocks) == held, "a plan has weights that the mixture has not"
        assert space.canonical_key(space.derive(one_hot(space, arch))) == space.canonical_key(arch)


@pytest.mark.parametrize("kind", SPACES)
def test_any_strengths_derive_an_architecture_of_the_space(kind):
    space, rng = SPACES[kind](), np.random.default_rng(1)
    tables = space.mixture().tables
    for _ in range(20):
        arch = space.derive({t.name: dict(zip(t.options, rng.random(len(t.options)), strict=True)) for t in tables})
        assert space.validate(arch.choices) == arch
    assert space.validate(space.derive({}).choices)


def test_a_block_may_be_all_combinations_and_skip_only_beyond_the_least_depth():
    by_name = SPACES["apart"]().mixture().by_name
    combinations = {f"k{k}_e{e}{se}" for k in (3, 5) for e in (3, 6) for se in ("", "_se")}
    assert list(by_name) == [f"stage{s}_block{k}_op" for s, n in ((1, 2), (2, 4)) for k in range(1, n + 1)]
    assert set(by_name["stage1_block1_op"].options) == combinations
    assert set(by_name["stage1_block2_op"].options) == {*combinations, "skip"}
    alike = SPACES["stage"]().mixture().by_name["stage2_op"]
    assert set(alike.options) == {f"{d}x_{c}" for d in (1, 2, 4) for c in combinations}


def test_the_derived_depth_is_the_most_probable_of_those_offered():
    """Against all depths by hand: skips in the middle count against a depth, not as an operation."""
    space = mobile(stages=[{"width": [16], "depth": [1, 2, 4]}], kernel=[3, 5], expansion=[3.0], se=[False])
    rng, seen = np.random.default_rng(2), set()
    tables = space.mixture().tables
    for _ in range(60):
        rows = {t.name: dict(zip(t.options, rng.dirichlet(np.full(len(t.options), 0.5)), strict=True)) for t in tables}
        best = {k: max(rows[f"stage1_block{k}_op"][o] for o in ("k3_e3", "k5_e3")) for k in range(1, 5)}
        skip = {k: rows[f"stage1_block{k}_op"].get("skip", 0.0) for k in range(1, 5)}
        likely = {d: np.prod([best[k] if k <= d else skip[k] for k in range(1, 5)]) for d in (1, 2, 4)}
        depth = space.derive(rows)["stage1_depth"]
        assert depth == max(likely, key=likely.get)
        seen.add(depth)
    assert seen == {1, 2, 4}


def test_what_is_not_settled_is_named_and_partial_channels_are_refused():
    with pytest.raises(CannotBuild, match="keep one option of each of these: stage 2 width 24, 32; stage 3 width 48"):
        mobile().mixture()
    with pytest.raises(CannotBuild, match="resolution 6 px, 8 px"):
        mobile(stages=STAGES, resolution=[6, 8]).mixture()
    with pytest.raises(CannotBuild, match="without partial channels"):
        SPACES["apart"]().mixture(partial=4)


def test_options_of_tables_have_words():
    space = SPACES["stage"]()
    assert space.format("stage2_op", "2x_k3_e6_se") == "2 of 3×3 ×6 SE"
    assert space.format("stage1_block2_op", "k5_e3") == "5×5 ×3"
    assert space.title("stage1_block2_op") == "stage 1 block 2 operation"
