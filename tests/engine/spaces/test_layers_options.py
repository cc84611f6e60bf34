"""What `layers` decides beyond its defaults: places, widths, joins, dense layers; its presets, writing, morphisms."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch

from engine.errors import InvalidArchitecture, InvalidConfig
from engine.network.build import build
from engine.network.costs import costs as plan_costs
from engine.spaces.base import space_of
from engine.spaces.layers import Layers, LayersOptions

from .preserving import differences
from .specs import DIGITS, PHOTOS, SIGNAL, data_spec

PRESETS = {p.name: p for p in Layers.presets}
RAW = data_spec((1, 8000), n_classes=10, name="raw audio")
MNIST = data_spec((1, 28, 28), name="digits 28")


def preset(name, data, **more):
    return space_of(Layers, LayersOptions(**{**PRESETS[name].options, **more}), data)


EVERYTHING = {
    "depth": (1, 3, 4), "operation": ("conv1", "conv3", "sep5", "max3", "avg3"), "stride": (1, 2),
    "block_factor": (0.5, 1.0, 1.5), "block_dropout": (0.0, 0.1), "pool_after": (0, 1, 2, 3, 4),
    "pool_where": (True, False), "pool_last": True, "norm": ("none", "layer", "batch", "group"),
    "activation": ("relu", "tanh", "hard_swish"), "head_pool": ("avg", "flatten"), "dense_layers": 3,
    "stem_kernel": 5, "stem_stride": 2,
}  # fmt: skip
SPACES = {
    **{name: p.options for name, p in PRESETS.items()},
    "everything": EVERYTHING,
    "everything, any": {**EVERYTHING, "connections": "any"},
    "widths": {"block_width": (5, 8, 12), "stem_kernel": 0, "connections": "any", "depth": (2, 3)},
}


@pytest.fixture(params=[(n, d) for n in SPACES for d in (DIGITS, PHOTOS, SIGNAL)], ids=lambda p: f"{p[0]}-{p[1].name}")
def space(request):
    name, data = request.param
    return space_of(Layers, LayersOptions(**SPACES[name]), data)


def test_the_default_space_draws_what_it_always_drew():
    space, rng = Layers(LayersOptions()).bind(DIGITS), np.random.default_rng(0)
    keys = "".join(space.sample(rng).key for _ in range(2000))
    assert hashlib.sha256(keys.encode()).hexdigest()[:16] == "35668117cb55d950"


def test_offers_sizes_and_writing_agree(space):
    rng = np.random.default_rng(2)
    known = {d.name: d for d in space.all_decisions()}
    for _ in range(15):
        partial: dict = {}
        while (d := space.next(partial)) is not None:
            assert set(d.options) <= set(known[d.name].options)
            if len(partial) < 12:
                assert space.count(partial) == sum(space.count({**partial, d.name: o}) for o in d.options) > 0
            partial[d.name] = d.options[rng.integers(len(d.options))]
        arch = space.validate(partial)
        assert space.read(space.write(arch)) == arch
        assert space.read(json.dumps(arch.to_json())) == arch
        assert space.validate(space.sample_uniform(rng).choices)
        assert len(space.short_name(arch)) <= 40
    titles = [space.title(name) for name in known]
    assert len(set(titles)) == len(titles)
    shown = {n for part in space.outline()["parts"] for d in part["decisions"] for n in d["names"]}
    assert shown == set(known)


def test_costs_of_parts_are_those_of_the_built_network(space):
    rng = np.random.default_rng(3)
    for i in range(12):
        arch = space.sample(rng)
        plan = space.plan(arch)
        costs = space.costs(arch)
        assert costs == plan_costs(plan)
        network = build(plan, seed=i)
        assert sum(p.numel() for p in network.parameters()) == costs.n_params
        out = network(torch.randn(4, *plan.input_shape, generator=torch.Generator().manual_seed(i)))
        out.square().sum().backward()
        assert out.shape == (4, space.n_classes) and torch.isfinite(out).all()


def test_no_decision_is_idle(space):
    """Every other option of every decision is another network."""
    rng = np.random.default_rng(4)
    for _ in range(4):
        arch = space.sample(rng)
        plan = space.plan(arch)
        assert all(space.plan(a) != plan for a in space.neighbours(arch))


def test_morphisms_keep_the_function(space):
    rng = np.random.default_rng(5)
    kinds = set()
    for seed in range(4):
        arch = space.sample(rng)
        for m, difference in differences(space, arch, seed)[:40]:
            assert difference <= 1e-5, m.what
            assert space.validate(m.child.choices) == m.child != arch
            kinds.add(m.what.split()[0])
    assert kinds


def test_growth_contains_what_was(space):
    rng = np.random.default_rng(6)
    arch = space.restrict({"depth": [min(space._opt.depth)]}).sample(rng)
    assert space.stage(arch) == 1
    larger = space.grow(arch)
    assert bool(larger) == (len(space._opt.depth) > 1)
    for child in larger[:: max(1, len(larger) // 20)]:
        assert space.stage(child) == 2 and space.validate(child.choices) == child
        assert all(child[n] == o for n, o in arch.items if n != "depth" and n in child.choices)


def test_every_kind_of_morphism_occurs():
    space = Layers(LayersOptions(norm=("batch", "none"), activation=("relu",))).bind(MNIST)
    rng, said = np.random.default_rng(1), ""
    for _ in range(20):
        said += "; ".join(m.what for m in space.morphisms(space.sample(rng)))
    for what in ("width 16 → 24", "widening ×1 → ×2", "dense layer none → 128", "dense layer 64 → 128",
                 "block 1 conv 3×3 → conv 5×5", "block 2 separable 3×3 → separable 5×5", "added: conv 3×3;",
                 "added: separable 5×5, with skip", "skip of block 3 added"):  # fmt: skip
        assert what in said, what


def test_enas_macro_has_the_published_size():
    space = preset("enas_macro", data_spec((3, 32, 32)))
    assert space.size() == 6**12 * 2**66 and f"{space.size():.1e}" == "1.6e+29"
    arch = space._change(space.sample(np.random.default_rng(0)), {"block9_from2": True, "block9_from8": False})
    node = space.plan(arch).by_id["block9_add"]
    assert "block9_from2_pool" in node.inputs  # two poolings lie between them: averaged to its size


def test_lenet_is_in_its_space():
    space = preset("lenet", MNIST)
    arch = space.read("conv5-6 tanh pool-avg conv5-16 tanh pool-avg flatten dense-120 tanh dense-84 tanh softmax")
    convs = 25 * 6 + 6 + 25 * 6 * 16 + 16
    dense = (16 * 49) * 120 + 120 + 120 * 84 + 84 + 84 * 10 + 10
    assert space.costs(arch).n_params == convs + dense == 107_786


def test_m5_is_in_its_space():
    """Dai et al. 2017, table 1: 0.5 million parameters."""
    space = preset(
        "m5", RAW, width=(128,), depth=(3,), operation=("conv3",), block_width=(128, 256, 512), skip=(False,)
    )
    arch = space.read(
        "conv80-128/4 bn relu pool-max/4 conv3-128 bn relu pool-max/4 conv3-256 bn relu pool-max/4 "
        "conv3-512 bn relu pool-max/4 global softmax"
    )
    assert [n.shape for n in space.plan(arch).nodes if n.op == "max_pool1d"] == [
        (128, 500),
        (128, 125),
        (256, 31),
        (512, 7),
    ]
    assert space.costs(arch).n_params == 80 * 128 + 3 * (128 * 128 + 128 * 256 + 256 * 512) + 2 * 1024 + 512 * 10 + 10


def test_the_written_sequence_of_the_textbooks():
    space = preset("sequence", DIGITS)
    arch = space.read("conv relu pool flatten dense dropout softmax")
    assert space.write(arch) == "conv3-8 relu pool-max flatten dense-32 relu dropout-0.2 softmax"
    assert [n.op for n in space.plan(arch).nodes] == [
        "conv2d", "relu", "max_pool2d", "flatten", "linear", "relu", "dropout", "linear",
    ]  # fmt: skip
    same = "CONV -> ReLU | maxpool, flatten fc drop linear-10 softmax"
    assert space.read(same) == arch
    wide = space.read("conv5x5-16 bn tanh pool-avg conv-32 bn tanh gap dense-64 dense-128 softmax")
    assert space.write(wide).startswith(
        "conv5-16 bn tanh pool-avg conv3-32 bn tanh global dense-64 tanh dense-128 tanh"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no convolution"),
        ("relu softmax", "no convolution"),
        ("conv conv conv", r"word 3, 'conv': .*a stem and 3, 4, 5 or 6 blocks"),
        ("conv " * 9, r"word 8, 'conv': .* this is block 7"),
        ("conv conv conv conv flatten", r"word 5, 'flatten': this space does not decide"),
        ("conv conv pool conv conv", r"word 3, 'pool': this network pools behind 2 .* this is block 1"),
        ("conv3-17 conv conv conv", r"word 1, 'conv3-17': the nearest this space has here is 16 channels"),
        ("conv7 conv conv conv", r"word 1, 'conv7': the first convolution is the stem, conv3"),
        ("conv conv7 conv conv", r"word 2, 'conv7': this space offers conv 3×3"),
        ("conv conv/2 conv conv", r"word 2, 'conv/2': this space does not decide stride of block 1"),
        ("conv relu conv silu conv conv", r"word 4, 'silu': there is one activation .* word 2 is 'relu'"),
        ("conv tanh conv conv conv", r"word 2, 'tanh': this space offers relu, silu, gelu"),
        ("conv conv conv +2 conv", r"word 4, '\+2': a block joins only its own input"),
        ("conv conv conv conv +1", r"word 5, '\+1': a block joins only its own input"),
        ("conv conv conv conv dense-65", r"word 5, 'dense-65': this space offers none, 64, 128"),
        ("conv conv conv conv dense dense", r"word 6, 'dense': this space does not decide dense layer 2"),
        ("conv conv conv conv dropout-0.7", r"word 5, 'dropout-0.7': this space offers 0, 0.1, 0.2, 0.3"),
        ("conv conv dropout conv conv global", r"word 3, 'dropout': this space does not decide"),
        ("conv conv conv conv global conv", r"word 6, 'conv': convolutions come before"),
        ("conv conv conv conv output-11", r"word 5, 'output-11': the output has 10 logits"),
        ("conv conv conv conv softmax relu", r"word 6, 'relu': nothing comes behind"),
        ("conv conv lstm conv", r"word 3, 'lstm': is no word"),
        ("conv conv pool pool conv conv", r"word 4, 'pool': it is pooled here before"),
        ("conv conv conv pool/3 conv conv", r"word 4, 'pool/3': pooling has the size 2"),
    ],
)  # fmt: skip
def test_the_word_that_cannot_be_expressed_is_named(text, says):
    space = Layers(LayersOptions()).bind(DIGITS)
    with pytest.raises(InvalidArchitecture, match=says):
        space.read(text)


def test_pooling_and_strides_stop_at_small_images():
    space = space_of(Layers, LayersOptions(**EVERYTHING), data_spec((1, 5, 9)))
    rng = np.random.default_rng(0)
    for _ in range(50):
        arch = space.sample(rng)
        assert min(min(n.shape[1:], default=1) for n in space.plan(arch).nodes) >= 1
    names = {d.name for d in space.all_decisions()}
    assert "stem_pool" not in names and "pool" not in names and "block1_stride" in names  # 5 -> 3 behind the stem


def test_a_restriction_holds_for_places_and_dense_layers():
    space = space_of(Layers, LayersOptions(**EVERYTHING), MNIST)
    small = space.restrict({"block1_stride": [2], "stem_pool": [False], "dense2": [64], "head_pool": ["flatten"]})
    rng = np.random.default_rng(0)
    assert 0 < small.size() < space.size()
    for _ in range(20):
        arch = small.sample(rng)
        assert arch["block1_stride"] == 2 and arch["stem_pool"] is False and arch.choices.get("dense2", 64) == 64
    few = space.restrict({n: [o] for n, o in space.sample(rng).items if n not in ("dense", "dense2", "block1_pool")})
    assert len(list(few.enumerate())) == few.size()


@pytest.mark.parametrize(
    ("options", "field", "says"),
    [
        ({"block_width": (8, 8)}, "block_width", "each option once"),
        ({"block_width": (8,), "block_factor": (0.5, 1.0)}, "block_factor", "a number or a factor"),
        ({"block_factor": (100.0,)}, "block_factor", "between 1/16 and 16"),
        ({"block_factor": (16.0,), "width": (512,)}, "widen", "at most 4,096"),
        ({"dense": (0,), "dense_layers": 2}, "dense_layers", "need units"),
        ({"stem_kernel": 1000}, "stem_kernel", "less than or equal to 128"),
        ({"pool_after": (65,)}, "pool_after", "less than or equal to 64"),
        ({"block_dropout": (1.0,)}, "block_dropout", "between 0 and 0.9"),
    ],
)
def test_bad_options_are_errors_at_their_field(options, field, says):
    from engine.config import SearchConfig

    with pytest.raises(InvalidConfig) as e:
        SearchConfig.parse({"name": "x", "space": {"name": "layers", **options}})
    assert {(p[1], says in text) for p, text in e.value.errors if p[0] == "space"} == {(field, True)}


def test_the_shortcut_of_a_change_is_the_walk(space):
    rng = np.random.default_rng(7)
    walk = super(type(space).__mro__[1], space)._change
    for _ in range(5):
        arch = space.sample(rng)
        for d in space.decisions(arch):
            for option in (*d.options, "nonsense"):
                assert space._change(arch, {d.name: option}).items == walk(arch, {d.name: option}).items
