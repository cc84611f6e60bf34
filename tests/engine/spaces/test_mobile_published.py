"""The `mobile` space against what was published: NAS-Bench-Macro, torchvision's networks, sizes; every preset."""

from __future__ import annotations

import csv
import gzip
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from engine.architecture import Architecture
from engine.config import SearchConfig
from engine.errors import InvalidArchitecture
from engine.evaluation.base import Work
from engine.evaluation.tabular import TabularEvaluator
from engine.network.build import build
from engine.network.costs import costs as plan_costs
from engine.network.picture import picture
from engine.spaces.base import make_space

from .mobiles import IMAGENET, MACRO, PRESETS, V3_LARGE, mobile, preset
from .specs import CIFAR, PHOTOS

TABLE = Path(
    os.environ.get("NASWEB_TEST_DATA", Path(__file__).parents[4] / "shared/data")
) / "nas/nasbench_macro_cifar10.csv.gz"  # fmt: skip
needs_table = pytest.mark.skipif(not TABLE.exists(), reason=f"the table of NAS-Bench-Macro is not at {TABLE}")
B0 = (
    "w16 silu k3_e1_se | w24 silu k3_e6_se k3_e6_se | w40 silu k5_e6_se k5_e6_se | "
    "w80 silu k3_e6_se k3_e6_se k3_e6_se | w112 silu k5_e6_se k5_e6_se k5_e6_se | "
    "w192 silu k5_e6_se k5_e6_se k5_e6_se k5_e6_se | w320 silu k3_e6_se"
)
V2 = {
    "stages": [
        {"width": 16, "expansion": 1}, {"width": 24, "depth": 2, "stride": 2}, {"width": 32, "depth": 3, "stride": 2},
        {"width": 64, "depth": 4, "stride": 2}, {"width": 96, "depth": 3}, {"width": 160, "depth": 3, "stride": 2},
        {"width": 320},
    ],
    "kernel": [3], "expansion": [6], "se": [False], "activation": ["relu6"], "stem_width": 32, "stem_stride": 2,
    "stem_activation": "relu6", "head_conv": 1280, "head_activation": "relu6", "dropout": 0.2,
}  # fmt: skip


# -- NAS-Bench-Macro ------------------------------------------------------------------------------
@needs_table
def test_parameters_and_multiply_adds_equal_every_row_of_nasbench_macro():
    with gzip.open(TABLE, "rt") as file:
        rows = {row["arch"]: (int(row["params"]), int(row["flops"])) for row in csv.DictReader(file)}
    found = {MACRO.write(arch): MACRO.costs(arch) for arch in MACRO.enumerate()}
    assert len(rows) == MACRO.size() == 6561
    assert {digits: (c.n_params, c.n_macs) for digits, c in found.items()} == rows


@needs_table
def test_a_search_over_nasbench_macro_is_answered_from_its_table():
    """Its digits are the positions of the operations; a restricted space needs the codes by name."""
    table = {
        "name": "tabular", "table": str(TABLE), "key": ["arch"], "reward": "mean_acc", "scale": 100,
        "input_shape": [3, 32, 32], "codes": {"skip": "0", "k3_e3": "1", "k5_e6": "2"},
    }  # fmt: skip
    for more in ({}, {"restrict": {"stage1_block1_op": ["k5_e6"]}}):
        space = {"name": "mobile", **PRESETS["nasbench_macro"].options, **more}
        config = SearchConfig.parse({"name": "x", "space": space, "evaluator": table})
        evaluator = TabularEvaluator(config.options("evaluator"))
        data = evaluator.data_spec(config.options("evaluator"))
        best = make_space(config, data).read("22212220")
        work = Work("train", best, config.budget.epochs, config.budget.epochs, 0, Path(), trial=1)
        report = evaluator.open(config, data).evaluate(work, lambda event: None, lambda: None)
        assert report.metrics["accuracy"] == pytest.approx(0.931267, abs=1e-6)


def test_nasbench_macro_names_and_its_equal_networks():
    arch = MACRO.read("22212220")
    assert MACRO.write(arch) == MACRO.short_name(arch) == "22212220"
    assert [d.name for d in MACRO.all_decisions()][:3] == [f"stage{s}_block{b}_op" for s, b in ((1, 1), (1, 2), (2, 1))]
    # a skipped layer that keeps the shape is no layer: where it stands in its stage does not matter
    key = MACRO.canonical_key
    assert key(MACRO.read("00000001")) == key(MACRO.read("00000010")) != key(MACRO.read("00000100"))
    # the first layer of a stage always counts (3 ways); of those behind it skips fall out: 3 of one, 1 + 2 + 4 of two
    first = {d.name: d.options[:1] for d in MACRO.all_decisions()[:2]}
    assert len({key(arch) for arch in MACRO.restrict(first).enumerate()}) == (3 * 7) ** 2
    with pytest.raises(InvalidArchitecture, match="stage3_block3_op: received '3'.*0 = skip, 1 = k3_e3"):
        MACRO.read("22212223")


# -- published networks ---------------------------------------------------------------------------
def _macs(network: torch.nn.Module) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, 224, 224, device="meta"))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("name", "space", "text", "n_params"),
    [
        ("mobilenet_v3_large", preset("mobilenetv3"), V3_LARGE, 5_483_032),
        ("efficientnet_b0", preset("efficientnet"), B0, 5_288_548),
        ("mobilenet_v2", mobile(IMAGENET, **V2), "", 3_504_872),
    ],
)
def test_published_networks_are_points_of_the_space(name, space, text, n_params):
    """The same tensors as torchvision's, one by one, and the same multiply-adds."""
    models = pytest.importorskip("torchvision.models")
    arch = space.read(text) if text else Architecture.of("mobile", {})
    with torch.device("meta"):
        theirs, ours = getattr(models, name)().eval(), build(space.plan(arch)).eval()
    costs = space.costs(arch)
    assert costs.n_params == n_params == sum(p.numel() for p in theirs.parameters())
    assert costs.n_macs == _macs(ours) == _macs(theirs)

    def shapes(network):  # ours keeps dense layers where theirs may have 1×1 convolutions
        return sorted(tuple(side for side in p.shape if side != 1) for p in network.parameters())

    assert shapes(ours) == shapes(theirs)


def test_the_network_is_torchvisions_function():
    """With its weights, in order: mobilenet_v3_large gives the same logits (its norms use another epsilon)."""
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    theirs = models.mobilenet_v3_large().eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-5
    space = preset("mobilenetv3")
    ours = build(space.plan(space.read(V3_LARGE)), seed=0).eval()
    with torch.no_grad():
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            mine.copy_(other.reshape(mine.shape))
        x = torch.randn(1, 3, 224, 224)
        assert torch.allclose(ours(x), theirs(x), atol=1e-5, rtol=1e-4)


def test_sizes_of_the_published_spaces():
    assert preset("once_for_all").size() == 25 * (9**2 + 9**3 + 9**4) ** 5  # 2 × 10^19 for each of 25 image sizes
    assert preset("fbnet").size() == 9**22
    assert preset("proxylessnas").size() == 6**6 * 7**15
    shallow = preset("once_for_all").restrict({"stage2_depth": [2], "stage2_block1_kernel": [3, 5]})
    assert shallow.size() == 25 * (6 * 9) * (9**2 + 9**3 + 9**4) ** 4


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_whole_spaces(name):
    """Costs by formula are those of the plan, at full size and on small images; texts are read back."""
    rng = np.random.default_rng(4)
    for data in (IMAGENET, CIFAR, PHOTOS):
        space = preset(name, data)
        for draw in (space.sample, space.sample_uniform):
            archs = [draw(rng) for _ in range(8)]
            assert [space.validate(a.choices) for a in archs] == archs
            assert [space.read(space.write(a)) for a in archs] == archs
            assert [space.costs(a) for a in archs] == [plan_costs(space.plan(a)) for a in archs]
        assert picture(space.plan(archs[0]))["n_params"] == space.costs(archs[0]).n_params
        assert {len(space.outline()["parts"]) for _ in range(2)} == {len(space.outline()["edges"]) + 1}


def test_every_decision_of_a_preset_is_shown():
    for name in PRESETS:
        space = preset(name)
        shown = [n for part in space.outline()["parts"] for d in part["decisions"] for n in d["names"]]
        assert sorted(shown) == sorted(d.name for d in space.all_decisions())


def test_drawing_and_counting_are_quick():
    space, rng = preset("once_for_all"), np.random.default_rng(0)
    space.costs(space.sample(rng))
    start = time.perf_counter()
    archs = [space.sample(rng) for _ in range(1000)]
    assert time.perf_counter() - start < 0.2
    start = time.perf_counter()
    for arch in archs[:100]:
        space.costs(arch)
    assert (time.perf_counter() - start) / 100 < 0.005
