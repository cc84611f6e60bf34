"""The `mobile` space: its decisions and parts, morphisms and growth, notation, errors."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from engine.architecture import Architecture
from engine.config import SearchConfig
from engine.data.arrays import example
from engine.errors import CannotBuild, InvalidArchitecture, InvalidConfig
from engine.network.assemble import Assembler
from engine.network.build import build
from engine.network.costs import costs as plan_costs
from engine.network.inherit import inherit
from engine.spaces._mobile.blocks import divisible, resized
from engine.spaces.base import space_of
from engine.spaces.mobile import Mobile

from .mobiles import IMAGENET, MACRO, V3_LARGE, mobile, preset
from .specs import CIFAR, DIGITS, PHOTOS, SIGNAL, data_spec


# -- parts ----------------------------------------------------------------------------------------
def test_names_and_conditions():
    space = mobile(stages=[{"width": [8, 16], "depth": [1, 3]}], activation=["relu", "silu"], resolution=[6, 8])
    names = [d.name for d in space.all_decisions()]
    assert names[:5] == ["resolution", "stage1_depth", "stage1_width", "stage1_activation", "stage1_block1_kernel"]
    assert len(names) == 4 + 3 * 3
    assert space.size() == 2 * 2 * 2 * (8 + 8**3)
    small = {n: d.options[0] for d in space.all_decisions() if "block2" not in (n := d.name) and "block3" not in n}
    with pytest.raises(InvalidArchitecture, match="stage1_block2_se: does not act"):
        space.validate({**small, "stage1_block2_se": True})
    together = mobile(stages=[{"width": 8, "depth": [1, 3]}], share="stage")
    assert [d.name for d in together.all_decisions()] == [f"stage1_{n}" for n in ("depth", "kernel", "expansion", "se")]
    blocks = together.settings(together.read("w8 relu k5_e6_se k5_e6_se k5_e6_se")).stages[0].blocks
    assert len(set(blocks)) == 1 and len(blocks) == 3


def test_images_are_resized_first_where_their_size_differs():
    space = mobile(PHOTOS, stages=[{"width": 8}], resolution=[9, 13, 26], kernel=[3], se=[False])
    sizes = {}
    for resolution in (9, 13, 26):
        arch = space.validate({"resolution": resolution, "stage1_block1_expansion": 3.0})
        plan = space.plan(arch)
        sizes[resolution] = plan.by_id["resize"].shape if "resize" in plan.by_id else None
        out = build(plan, seed=0).eval()(torch.from_numpy(example(PHOTOS, 2, np.random.default_rng(0))))
        assert out.shape == (2, 7) and space.costs(arch) == plan_costs(plan)
    assert sizes == {9: (3, 12, 9), 13: None, 26: (3, 36, 26)}
    assert resized((3, 10, 200), 5) == (3, 5, 100)


def test_nothing_is_halved_below_one_pixel():
    space = mobile(data_spec((1, 1, 1)), stem_stride=2, stages=[{"width": 16, "stride": 2}] * 4, kernel=[7], se=[True])
    plan = space.plan(space.sample(np.random.default_rng(0)))
    assert {node.shape[1:] for node in plan.nodes if len(node.shape) == 3} == {(1, 1)}
    assert "stage1_block1_add" in plan.by_id  # not halved, and as wide as the stem
    long = mobile(data_spec((1, 1, 9)), stages=[{"width": 16, "stride": 2}] * 4)
    shapes = [n.shape for n in long.plan(long.sample(np.random.default_rng(0))).nodes if "depth_conv" in n.id]
    assert [s[1:] for s in shapes] == [(1, 5), (1, 3), (1, 2), (1, 1)]


def test_digits_get_small_networks():
    space = space_of(Mobile, Mobile.Options(**Mobile.suggested(DIGITS)), DIGITS)
    costs = [space.costs(space.sample(np.random.default_rng(i))) for i in range(200)]
    assert max(c.n_params for c in costs) < 200_000 and max(c.n_macs for c in costs) < 3_000_000
    assert "image" in Mobile.fits(SIGNAL)
    for data in (IMAGENET, PHOTOS, data_spec((3, 64, 96)), data_spec((3, 5, 5)), data_spec((1, 1, 1))):
        bound = space_of(Mobile, Mobile.Options(**Mobile.suggested(data)), data)
        bound.plan(bound.sample(np.random.default_rng(0)))


def test_widths_are_rounded_to_eights():
    """As in the published networks: never below 90 %."""
    assert [divisible(x) for x in (1, 11, 12, 18, 30, 64, 80 * 2.3)] == [8, 16, 16, 24, 32, 64, 184]


def test_grouped_blocks_shuffle_their_channels():
    space = preset("fbnet", CIFAR)
    plan = space.plan(space.read("1" * 22))
    shuffles = [n for n in plan.nodes if n.op == "channel_shuffle2d"]
    assert len(shuffles) == 22 and all(n.args["groups"] == 2 for n in plan.nodes if n.op == "grouped_conv2d")
    block = build(plan, seed=0).stage1_block1.shuffle
    x = torch.arange(6.0).reshape(1, 6, 1, 1)
    assert block(x).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    net = Assembler((3, 4, 4))
    with pytest.raises(CannotBuild, match="2 groups got 3"):
        net.add("x", "channel_shuffle2d", "input", groups=2)
    with pytest.raises(CannotBuild, match="2 groups do not divide 3"):
        net.add("x", "grouped_conv2d", "input", out_channels=4, kernel_size=1, groups=2)


def test_uniform_sampling_weighs_depths_by_what_they_hold():
    space, rng = mobile(stages=[{"width": 8, "depth": [1, 2]}], kernel=[3, 5], expansion=[2, 4], se=[False]), 0
    drawn = [space.sample_uniform(np.random.default_rng(rng + i)) for i in range(2000)]
    assert space.size() == 4 + 16
    assert np.mean([a["stage1_depth"] == 1 for a in drawn]) == pytest.approx(0.2, abs=0.04)
    assert len(set(drawn)) == 20


# -- moving ---------------------------------------------------------------------------------------
def _trained(space: Mobile, arch: Architecture, seed: int) -> tuple[torch.nn.Module, torch.Tensor]:
    """A network with weights and running statistics of its own, and a batch."""
    x = torch.from_numpy(example(space.data, 6, np.random.default_rng(seed)))
    network = build(space.plan(arch), seed=seed).train()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _ in range(3):
            network(x)
        for p in network.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator))
        for name, b in network.named_buffers():
            if "running" in name:
                b.mul_(torch.empty(b.shape).uniform_(0.5, 1.5, generator=generator))
    return network.eval(), x


@pytest.mark.parametrize(
    "options",
    [
        {"stages": [{"width": 8, "depth": [1, 2, 3]}, {"width": 16, "depth": [1, 2], "stride": 2}],
         "kernel": [3, 5, 7], "expansion": [1, 2, 3], "activation": ["hard_swish"]},
        {"stages": [{"width": 8, "depth": [1, 3]}, {"width": 16, "depth": [1, 2], "stride": 2}], "share": "stage",
         "squeeze": "input", "activation": ["silu"], "expand_always": True, "expansion": [1, 2, 4]},
        {"stages": [{"width": 16, "depth": 2}, {"width": 16, "depth": [1, 2], "stride": 2}], "first_skip": True,
         "operations": ["skip", "k3_e2", "k5_e2", "k5_e4", "k3_e2_g2", "k5_e2_g2", "k7_e4_se"]},
    ],
)  # fmt: skip
def test_every_morphism_keeps_the_function(options):
    space, rng = mobile(DIGITS, **options), np.random.default_rng(2)
    seen = set()
    for seed in range(5):
        arch = space.sample(rng)
        parent, x = _trained(space, arch, seed)
        with torch.no_grad():
            expected = parent(x)
            for m in space.morphisms(arch):
                child = inherit(parent.state_dict(), space.plan(m.child), m.weights, seed=1).eval()
                scale = max(1.0, float(expected.abs().max()))
                assert float((child(x) - expected).abs().max()) <= 1e-5 * scale, m.what
                assert space.costs(m.child).n_params >= space.costs(arch).n_params
                assert "→" in m.what
                seen |= {what for what in ("depth", "kernel", "expansion", "operation") if what in m.what}
    assert seen >= ({"depth", "operation"} if "operations" in options else {"depth", "kernel", "expansion"})


def test_copies_of_a_wider_expansion_grow_apart():
    """Nothing reads them at first, so their gradients are not those of what they copy."""
    space = mobile(stages=[{"width": 8}], kernel=[3], expansion=[2, 4], se=[False])
    arch = space.read("w8 relu k3_e2")
    parent, x = _trained(space, arch, 0)
    (wider,) = space.morphisms(arch)
    child = inherit(parent.state_dict(), space.plan(wider.child), wider.weights, seed=0)
    child(x).square().sum().backward()
    conv = child.stage1_block1.project_conv
    assert torch.equal(conv.weight[:, 32:], torch.zeros_like(conv.weight[:, 32:]))
    assert float(conv.weight.grad[:, 32:].abs().max()) > 0
    assert float(child.stage1_block1.depth_conv.weight.grad[32:].abs().max()) == 0


def test_what_changes_the_function_is_no_morphism():
    space = mobile(stages=[{"width": [8, 16]}], kernel=[3, 5], expansion=[1, 2], resolution=[4, 8])
    arch = space.read("r8 | w8 relu k5_e1")
    assert space.morphisms(arch) == []
    assert [m.what for m in space.morphisms(space.read("r8 | w8 relu k3_e1"))] == ["stage 1 block 1 kernel 3×3 → 5×5"]


def test_growing_adds_a_block_or_fills_a_skip():
    space = mobile(stages=[{"width": 8, "depth": [1, 2]}, {"width": 16, "depth": [1, 3]}], kernel=[3, 5], se=[False])
    arch = space.read("w8 relu k3_e3 | w16 relu k5_e6")
    larger = [space.write(a) for a in space.grow(arch)]
    assert len(larger) == 4 + 4 and "w8 relu k3_e3 k5_e3 | w16 relu k5_e6" in larger
    assert "w8 relu k3_e3 | w16 relu k5_e6 k3_e6 k3_e6" in larger  # one step of two blocks: both alike
    assert space.stage(arch) == 1 and {space.stage(a) for a in space.grow(arch)} == {2}
    assert {MACRO.write(a) for a in MACRO.grow(MACRO.read("22222220"))} == {"22222221", "22222222"}
    assert MACRO.grow(MACRO.read("11111111")) == [] and MACRO.stage(MACRO.read("00000000")) == 1


# -- words and errors -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("w16 relu k3_e1", "1 stages; this space has 6"),
        (V3_LARGE.replace("w24", "24"), "stage 2: received '24 relu"),
        (V3_LARGE.replace("w24", "w32"), "stage2_width: received 32; it is settled here as 24"),
        (V3_LARGE.replace("k3_e4 ", "k3_e4_x "), "stage 2: 'k3_e4_x' is no operation"),
        (V3_LARGE.replace("k3_e4 ", "k7_e4 "), "stage2_block1_kernel: received '7'; choose one of 3, 5"),
        (V3_LARGE.replace("k3_e4 ", "skip "), "stage2_block1: received skip"),
        (V3_LARGE.replace("w24 relu", "w24 silu"), "stage2_activation: received 'silu'"),
        ("r160 | " + V3_LARGE, "resolution: received 160"),
        (V3_LARGE.replace("k3_e4 k3_e3", "k3_e4 " * 9), "stage 2: received 9 blocks; its depth is one of 1, 2, 3"),
    ],
)
def test_what_cannot_be_read_names_its_place(text, says):
    with pytest.raises(InvalidArchitecture, match=re.escape(says)):
        preset("mobilenetv3").read(text)


@pytest.mark.parametrize(
    ("options", "where", "says"),
    [
        ({"stages": []}, "stages", "at least 1"),
        ({"stages": [{"width": [0]}]}, "stages", "greater than or equal to 1"),
        ({"stages": [{"width": [16], "depth": []}]}, "stages", "at least one option"),
        ({"stages": [{"width": [16], "stride": 3}]}, "stages", "1 or 2"),
        ({"stages": [{"width": [16], "colour": 3}]}, "stages", "not permitted"),
        ({"stages": [{"width": [16], "depth": [65]}]}, "stages", "less than or equal to 64"),
        ({"stages": [{"width": [4096]}], "expansion": [16]}, None, "more than 16,384 channels"),
        ({"stages": [{"width": [16], "depth": [64]}] * 3}, None, "at most 128 blocks"),
        ({"kernel": [4]}, "kernel", "3, 5, 7 or 9"),
        ({"expansion": [0.5]}, "expansion", "greater than or equal to 1"),
        ({"expansion": [float("nan")]}, "expansion", "finite"),
        ({"operations": ["conv3"]}, "operations", "write skip, or k3_e6"),
        ({"operations": ["k3_e99"]}, "operations", "expansion 1 to 16"),
        ({"operations": ["skip"]}, None, "cannot be skipped"),
        ({"operations": ["k3_e3", "k3_e3.0"]}, None, "each option once"),
        ({"operations": ["k3_e3_g2"], "stem_width": 15}, None, "even widths"),
        ({"resolution": [0]}, "resolution", "greater than or equal to 1"),
        ({"resolution": [8, 8]}, None, "each option once"),
        ({"dropout": 1.0}, "dropout", "less than or equal to 0.9"),
    ],
)
def test_bad_options_are_errors_at_their_field(options, where, says):
    with pytest.raises(InvalidConfig) as e:
        SearchConfig.parse({"name": "x", "space": {"name": "mobile", **options}})
    found = [(path, text) for path, text in e.value.errors if path[0] == "space"]
    assert any(says in text for _, text in found), found
    assert all(where is None or path[1] == where for path, _ in found), found


def test_words():
    space = preset("mobilenetv3")
    arch = space.read(V3_LARGE)
    other = space.read(V3_LARGE.replace("k3_e4 ", "k5_e4 "))
    assert space.describe_change(arch, other) == "stage 2 block 1 kernel 3×3 → 5×5"
    assert space.title("stage2_block3_se") == "stage 2 block 3 squeeze-excite"
    assert MACRO.format("stage1_block1_op", "k5_e6") == "5×5 ×6" and MACRO.format("stage1_block1_op", "skip") == "skip"
    assert space.short_name(arch).startswith("1·2·3·4·2·3 k3.8 e4.0 se8")
    assert preset("once_for_all").format("resolution", 160) == "160 px"
