"""The `mlp` space: its size, the dictionary, embeddings, residual blocks, presets, morphisms."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from engine.data.arrays import example
from engine.errors import InvalidArchitecture, InvalidConfig
from engine.network.build import build
from engine.network.costs import costs as plan_costs
from engine.spaces.base import space_of
from engine.spaces.mlp import Mlp, MlpOptions

from .preserving import differences
from .specs import DIGITS, MIXED, SIGNAL, TABLE, TEXT, data_spec

PRESETS = {p.name: p.options for p in Mlp.presets}
SPACES = {
    **PRESETS,
    "default": {},
    "everything": {
        "depth": (1, 2, 5),
        "activation": ("relu", "elu", "leaky_relu", "mish", "selu"),
        "width": (8, 12, 24),
    },
    "blocks": {"block": "resnet", "norm": ("none", "layer"), "activation": ("gelu", "relu"), "width": (8, 16)},
}


@pytest.fixture(params=[(n, d) for n in SPACES for d in (TABLE, MIXED, DIGITS)], ids=lambda p: f"{p[0]}-{p[1].name}")
def space(request):
    name, data = request.param
    return space_of(Mlp, MlpOptions(**SPACES[name]), data)


def test_size_is_the_sum_over_depths():
    space = Mlp(MlpOptions()).bind(TABLE)
    assert space.size() == 4 * 3 * 3 * (4 + 2 * (4**2 + 4**3 + 4**4)) == 24_336
    assert Mlp(MlpOptions()).bind(MIXED).size() == 2 * space.size()
    small = space.restrict({"depth": [1, 2]})
    assert len(list(small.enumerate())) == small.size() == 4 * 3 * 3 * (4 + 2 * 16)


def test_the_dictionary_space_is_an_instance():
    space = space_of(Mlp, MlpOptions(**PRESETS["dictionary"]), TABLE)
    assert space.size() == 4 * 4 * 3
    arch = space.read('{"layers": 3, "neurons": 64, "activation": "relu"}')
    assert space.write(arch) == '{"layers": 3, "neurons": 64, "activation": "relu"}'
    assert [n.op for n in space.plan(arch).nodes] == ["linear", "relu"] * 3 + ["linear"]
    assert space.costs(arch).n_params == 12 * 64 + 64 + 2 * (64 * 64 + 64) + 64 * 2 + 2
    assert len({space.write(a) for a in space.enumerate()}) == 48


def test_what_is_written_is_read(space):
    rng = np.random.default_rng(1)
    for _ in range(40):
        arch = space.sample(rng)
        assert space.read(space.write(arch)) == arch
        assert space.read(json.dumps(arch.to_json())) == arch
        assert len(space.short_name(arch)) <= 40
    shown = {n for part in space.outline()["parts"] for d in part["decisions"] for n in d["names"]}
    assert shown == {d.name for d in space.all_decisions()}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"layers": 9, "neurons": 64}', "layers: received '9'; choose one of 1, 2, 3, 4"),
        ('{"layers": true, "neurons": 64}', "layers: received 'True'"),
        ('{"layers": 2, "neurons": [64]}', "received 1 numbers for 2 layers"),
        ('{"layers": 2, "neurons": 63}', "layer1_width: received '63'; choose one of 16, 32, 64, 128"),
        ('{"layers": 2, "neurons": 64, "colour": 1}', "colour: is no entry"),
        ('{"layers": 1, "neurons": 64, "residual": true}', "residual: does not act"),
        ('{"layers": 2, "neurons": 64, "embedding": 8}', "embedding: is no decision"),
        ('{"layers": 2, "neurons": 64, "activation": "swash"}', "activation: received 'swash'"),
        ("three layers", 'layers": 3'),
        ("[1, 2]", 'layers": 3'),
        ('{"a":' * 50_000, "not JSON"),
    ],
)
def test_what_cannot_be_read_is_named(text, says):
    with pytest.raises(InvalidArchitecture, match=says):
        Mlp(MlpOptions()).bind(TABLE).read(text)


def test_one_width_for_all_says_so():
    space = space_of(Mlp, MlpOptions(widths="one"), TABLE)
    with pytest.raises(InvalidArchitecture, match="one width holds for all"):
        space.read('{"neurons": [64, 32]}')
    assert space.read('{"neurons": [64, 64]}')["width"] == 64


def test_costs_are_those_of_the_built_network(space):
    rng = np.random.default_rng(2)
    for i in range(10):
        arch = space.sample(rng)
        plan = space.plan(arch)
        costs = space.costs(arch)
        network = build(plan, seed=i)
        assert costs == plan_costs(plan) and sum(p.numel() for p in network.parameters()) == costs.n_params
        out = network(torch.from_numpy(example(space.data, 5, rng)))
        out.square().sum().backward()
        assert out.shape == (5, space.n_classes)
        assert all(p.grad is not None for p in network.parameters())


def test_categories_become_vectors():
    space = Mlp(MlpOptions()).bind(MIXED)  # three numbers, then 3, 9, 2, 300 categories
    assert space.embedding_sizes(0) == (0, 0, 0, 3, 5, 2, 39)
    assert space.embedding_sizes(8) == (0, 0, 0, 3, 8, 2, 8)
    arch = space.read('{"layers": 1, "neurons": 16, "activation": "relu", "embedding": 8}')
    plan = space.plan(arch)
    assert plan.by_id["columns"].shape == (3 + 3 + 8 + 2 + 8,)
    block = build(plan, seed=0).get_submodule("columns")
    x = torch.zeros(2, 7)
    x[:, :3] = torch.tensor([1.5, -2.0, 0.25])
    x[1, 4] = 7
    y = block(x)
    assert torch.equal(y[:, :3], x[:, :3])
    assert torch.equal(y[1, 6:14], block.tables[1].weight[7]) and torch.equal(y[0, 6:14], block.tables[1].weight[0])
    assert torch.equal(y[0, 14:], y[1, 14:])
    assert torch.isfinite(block(torch.full((1, 7), 1e6))).all()  # codes that no reader of ours makes
    assert "embedding" not in {d.name for d in Mlp(MlpOptions()).bind(TABLE).all_decisions()}


def test_residual_blocks_are_those_of_the_paper():
    space = space_of(Mlp, MlpOptions(**PRESETS["resnet"]), TABLE)
    arch = space._change(
        space.sample(np.random.default_rng(0)), {"depth": 1, "width": 64, "expansion": 2, "dropout": 0.1}
    )
    nodes = space.plan(arch).nodes
    assert [n.op for n in nodes] == [
        "linear", "batch_norm1d", "linear", "relu", "dropout", "linear", "dropout", "add", "batch_norm1d", "relu",
        "linear",
    ]  # fmt: skip
    assert nodes[7].inputs == ("first", "block1_out_dropout")


def test_morphisms_keep_the_function(space):
    rng = np.random.default_rng(3)
    kinds = set()
    for seed in range(6):
        for m, difference in differences(space, space.sample(rng), seed):
            assert difference <= 1e-5, m.what
            kinds.add(m.what.split()[0])
    assert "width" in kinds or kinds >= {"depth"}


def test_deeper_begins_as_the_identity_or_as_zero():
    space = Mlp(MlpOptions()).bind(TABLE)
    deeper = {}
    for activation in ("relu", "gelu"):
        for norm in ("none", "batch", "layer"):
            for residual in (False, True):
                text = {"layers": 2, "neurons": [32, 64], "activation": activation, "norm": norm, "residual": residual}
                arch = space.read(json.dumps(text))
                found = [m.child["layer3_width"] for m in space.morphisms(arch) if m.child["depth"] == 3]
                deeper[activation, norm, residual] = found
    assert deeper["relu", "batch", False] == deeper["relu", "none", False] == [64, 128]
    assert deeper["relu", "layer", False] == deeper["gelu", "batch", False] == []
    assert all(found == [64, 128] for (_, _, residual), found in deeper.items() if residual and found)
    assert deeper["gelu", "layer", True] and deeper["gelu", "none", True]


def test_which_data_it_serves():
    assert Mlp.fits(TABLE) is Mlp.fits(MIXED) is Mlp.fits(DIGITS) is Mlp.fits(SIGNAL) is None
    assert "text" in (Mlp.fits(TEXT) or "")
    assert "4,096" in (Mlp.fits(data_spec((3, 64, 64))) or "") and Mlp.fits(data_spec((1, 64, 64))) is None
    assert MlpOptions(**Mlp.suggested(TABLE)) and MlpOptions(**Mlp.suggested(DIGITS))


@pytest.mark.parametrize(
    ("options", "field", "says"),
    [
        ({"depth": [0]}, "depth", "greater than or equal to 1"),
        ({"depth": [10**6]}, "depth", "less than or equal to 32"),
        ({"width": [10**9]}, "width", "less than or equal to 4096"),
        ({"width": []}, "width", "at least one option"),
        ({"dropout": [0.95]}, "dropout", "between 0 and 0.9"),
        ({"embedding": [-1]}, "embedding", "between 0"),
        ({"activation": ["swash"]}, "activation", "relu"),
    ],
)
def test_bad_options_are_errors_at_their_field(options, field, says):
    from engine.config import SearchConfig

    with pytest.raises(InvalidConfig) as e:
        SearchConfig.parse({"name": "x", "space": {"name": "mlp", **options}})
    assert {(p[1], says in text) for p, text in e.value.errors if p[0] == "space"} == {(field, True)}
