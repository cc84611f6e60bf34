"""Cells of DARTS and NASNet: published sizes, genotypes, equal cells, growth, function-preserving changes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from engine.data.arrays import example
from engine.errors import InvalidArchitecture, InvalidConfig
from engine.network.build import build
from engine.network.canonical import canonical_key
from engine.network.costs import costs as plan_costs
from engine.network.inherit import inherit
from engine.spaces._darts.cells import NASNET_OPS
from engine.spaces._darts.genotypes import PUBLISHED
from engine.spaces.darts import Darts, DartsOptions

from .specs import CIFAR, DIGITS, PHOTOS, SIGNAL, data_spec

PRESETS = {p.name: p for p in Darts.presets}


def space(data=DIGITS, **options) -> Darts:
    return Darts(DartsOptions(**options)).bind(data)


def tiny(**options) -> Darts:
    return space(**{"channels": 4, "layers": 3, **options})


def preset(name: str, data=CIFAR, **changes) -> Darts:
    return space(data, **{**PRESETS[name].options, **changes})


# -- published figures --------------------------------------------------------------------------------
@pytest.mark.parametrize(("auxiliary", "n_params"), [(False, 3_349_342), (True, 3_825_768)])
def test_darts_v2_has_its_published_size(auxiliary, n_params):
    darts = space(CIFAR, auxiliary=auxiliary)
    arch = darts.read("DARTS_V2")
    assert darts.costs(arch).n_params == plan_costs(darts.plan(arch)).n_params == n_params
    with torch.device("meta"):
        assert sum(p.numel() for p in build(darts.plan(arch)).parameters()) == n_params


def test_darts_v2_for_imagenet():
    """4.7 million parameters, 574 million multiply-adds less those its authors' larger stem adds, at 224 pixels."""
    large = preset("darts-imagenet", data_spec((3, 224, 224), 1000))
    assert large.costs(large.read("DARTS_V2")).n_params == 4_718_752


def test_the_number_of_cells_is_the_published_one():
    """Liu et al. 2019, appendix: 180 * 7^8 cells of 4 nodes, squared for the two kinds."""
    darts = space(operations=DartsOptions().operations[1:])
    assert darts.size() == (180 * 7**8) ** 2
    assert space(steps=(2, 3), operations=("max_pool_3x3", "skip_connect")).size() == (4 * 12 + 4 * 12 * 24) ** 2
    # NASNet: any two of the states, in either order
    assert preset("nasnet").size() == np.prod([(k * 13) ** 2 for k in range(2, 7)], dtype=object) ** 2


def test_the_auxiliary_head_speaks_in_training_only():
    darts = tiny(auxiliary=True)
    network = build(darts.plan(darts.sample(np.random.default_rng(0))), seed=0)
    x = torch.randn(4, 1, 8, 8)
    out = network.train()(x)
    assert [side.shape for side in network.side_logits] == [out.shape]
    network.side_logits = []
    network.eval()(x)
    assert network.side_logits == []


# -- genotypes ----------------------------------------------------------------------------------------
HOMES = {"NASNet": "nasnet", "AmoebaNet": "amoebanet", "PNASNet": "pnas"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_genotypes_are_read_and_written(name):
    home = preset(HOMES.get(name, "darts"))
    arch = home.read(name)
    text = home.write(arch)
    assert home.read(text) == arch == home.read(f"searched = {text}") == home.read(str(PUBLISHED[name]))
    assert home.plan(arch).n_outputs == 10
    again, given = home.cells(arch), (PUBLISHED[name].normal, PUBLISHED[name].reduce)
    for cell, published in zip(again, given, strict=True):
        # terms may stand in another order; nothing else changes
        assert [{(i, a), (j, b)} for i, a, j, b in cell] == [{(i, a), (j, b)} for i, a, j, b in published]


def test_the_notation_of_darts_is_read_as_printed():
    printed = """Genotype(
        normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1),
                ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)],
        normal_concat=[2, 3, 4, 5],
        reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1),
                ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)],
        reduce_concat=range(2, 6))"""
    assert space().read(printed) == space().read("DARTS_V2")


V2 = str(PUBLISHED["DARTS_V2"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("__import__('os').system('true')", "a genotype reads"),
        ("Genotype(normal=__import__('os').getcwd())", "each once and by name"),
        (V2.replace("[('sep_conv_3x3', 0)", "[(open('/etc/passwd').read(), 0)", 1), "normal: only lists"),
        (V2.replace("range(2, 6)", "range(10**9)", 1), "normal_concat: only lists"),
        (V2.replace("range(2, 6)", "exit(2, 6)", 1), "normal_concat: only lists"),
        (V2.replace("range(2, 6)", "range(2, 9999)", 1), "normal_concat: received a range"),
        (V2.replace("range(2, 6)", "range(3, 6)", 1), r"normal_concat: received \[3, 4, 5\]; this space joins all"),
        (V2.replace("'sep_conv_3x3', 0", "'conv', 0", 1), "normal2_op1: received 'conv'; choose one of"),
        (
            V2.replace("('sep_conv_3x3', 0)", "('sep_conv_3x3', 7)", 1),
            "normal: node 2 reads state 7; it can read 0 to 1",
        ),
        (V2.replace("('sep_conv_3x3', 0)", "('sep_conv_3x3', True)", 1), "normal: received .*; a term reads"),
        (V2.replace("('sep_conv_3x3', 0)", "('sep_conv_3x3', 1)", 1), "node 2 reads state 1 twice"),
        (V2.replace("('sep_conv_3x3', 0), ", "", 1), "normal: received .* two .* terms stand for a node"),
        (str(PUBLISHED["PNASNet"]), "normal: received 5 nodes, this space has 4"),
        ("Genotype(" + "(" * 5000, "a genotype reads"),
        ("x" * 30_000, "at most 20,000 characters"),
    ],
)
def test_other_texts_are_refused(text, said):
    with pytest.raises(InvalidArchitecture, match=said):
        space().read(text)


def test_one_cell_for_both_must_be_one():
    pnas = preset("pnas", steps=(4,), operations=DartsOptions().operations)
    with pytest.raises(InvalidArchitecture, match="reduce: this space has one cell"):
        pnas.read("DARTS_V2")


# -- identity -----------------------------------------------------------------------------------------
def key(darts: Darts, normal: str, reduce: str | None = None) -> str:
    """From cells such as "sep 0 max 1, skip 1 dil 2"; two terms a node."""
    long = {"sep": "sep_conv_3x3", "dil": "dil_conv_3x3", "max": "max_pool_3x3", "avg": "avg_pool_3x3",
            "skip": "skip_connect", "none": "none"}  # fmt: skip
    choices: dict = {}
    for kind, text in (("normal", normal), ("reduce", reduce or normal)):
        for n, node in enumerate(text.split(","), start=2):
            op1, i, op2, j = node.split()
            choices |= darts.choices_of(kind, n, (int(i), long[op1], int(j), long[op2]))
    return darts.canonical_key(darts.validate(choices))


PLAIN = "max 0 max 1, max 0 max 1"


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("sep 0 max 1, max 0 skip 1", "max 1 sep 0, max 0 skip 1", True),  # mirrored terms
        ("sep 0 max 1, max 0 skip 1", "max 0 skip 1, sep 0 max 1", True),  # nodes named the other way round
        ("sep 0 max 1, max 0 skip 1", "sep 1 max 0, max 0 skip 1", False),  # the inputs are not alike
        ("sep 0 skip 1, skip 0 skip 2", "sep 0 skip 1, skip 2 skip 0", True),
        ("skip 0 skip 1, max 2 none 0", "skip 1 skip 0, max 2 none 1", True),  # who is not read does not matter
        ("skip 0 none 1, sep 2 max 1", "skip 0 none 1, sep 0 max 1", True),  # through an identity
        ("skip 0 skip 1, avg 2 none 0", "skip 0 skip 1, avg 0 avg 1", True),  # an average of a sum
        ("skip 0 skip 1, max 2 none 0", "skip 0 skip 1, max 0 max 1", False),  # a maximum of one is not
        ("sep 0 none 1, sep 2 sep 2", "sep 0 none 1, sep 2 sep 0", False),
        ("max 0 none 1, sep 2 max 2", "max 0 none 1, sep 2 max 0", False),
    ],
)
def test_equal_and_different_normal_cells(one, other, equal):
    darts = tiny(steps=(2,), inputs="any")
    assert (key(darts, one, PLAIN) == key(darts, other, PLAIN)) is equal


def test_a_skip_of_stride_2_is_no_identity():
    darts = tiny(steps=(2,), inputs="any")
    one, other = "skip 0 none 1, sep 2 max 1", "skip 0 none 1, sep 0 max 1"
    assert key(darts, one, PLAIN) == key(darts, other, PLAIN)
    assert key(darts, PLAIN, one) != key(darts, PLAIN, other)
    # behind the first node the size is halved, and the same skip is one
    assert key(darts, PLAIN, "sep 0 none 1, skip 2 max 2") != key(darts, PLAIN, "sep 0 none 1, none 2 max 2")


def test_a_reduction_cell_no_output_depends_on_does_not_count():
    darts = tiny(layers=6, steps=(1,), inputs="any")  # reductions at 2 and 4; the cells 5, 3, 1 read past them
    assert key(darts, "max 0 sep 0", "max 0 max 1") == key(darts, "max 0 sep 0", "sep 0 sep 1")
    assert key(darts, "max 1 sep 0", "max 0 max 1") != key(darts, "max 1 sep 0", "sep 0 sep 1")


@pytest.mark.parametrize("options", [{}, {"inputs": "any"}, {"inputs": "any", "combine": "loose"}, {"one_cell": True}])
def test_keys_of_cells_merge_all_that_keys_of_plans_merge(options):
    darts = tiny(steps=(2,), operations=("none", "skip_connect", "max_pool_3x3"), **options)
    rng = np.random.default_rng(5)
    archs = list({darts.sample(rng) for _ in range(250)})
    pairs = {(canonical_key(darts.plan(a)), darts.canonical_key(a)) for a in archs}
    assert len(pairs) == len({plan for plan, _ in pairs}) >= len({cell for _, cell in pairs}) > 20


def test_cells_that_rename_their_nodes_compute_the_same():
    """The order in which nodes are joined: the same network once what reads them has its channels renamed, too."""
    darts = tiny(steps=(2,), layers=3, channels=2)
    blocks = [(0, "sep_conv_3x3", 1, "max_pool_3x3"), (0, "skip_connect", 1, "dil_conv_5x5")]
    archs = []
    for order in (blocks, blocks[::-1]):
        choices: dict = {}
        for kind, (n, block) in itertools.product(("normal", "reduce"), enumerate(order, start=2)):
            choices |= darts.choices_of(kind, n, block)
        archs.append(darts.validate(choices))
    assert archs[0] != archs[1] and darts.canonical_key(archs[0]) == darts.canonical_key(archs[1])
    one, other = (build(darts.plan(a), seed=i).eval() for i, a in enumerate(archs))
    other_names = {"node2": "node3", "node3": "node2"}
    state = {}
    for name, value in one.state_dict().items():
        renamed = ".".join(other_names.get(p[:5], p[:5]) + p[5:] for p in name.split("."))
        reader = (".pre" in name and value.ndim > 1 and value.shape[1] != 6) or name == "output.weight"
        if reader:  # two blocks of channels, exchanged
            value = torch.cat(value.chunk(2, dim=1)[::-1], dim=1)
        state[renamed] = value
    other.load_state_dict(state, strict=True)
    x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(one(x), other(x))


# -- costs, data --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("data", "options"),
    [
        (PHOTOS, {"layers": 7, "steps": (1, 2, 3), "operations": (*NASNET_OPS, "none"), "inputs": "any"}),
        (PHOTOS, {"layers": 4, "combine": "loose", "stem": "large", "auxiliary": True}),
        (SIGNAL, {"layers": 6, "one_cell": True, "auxiliary": True, "operations": NASNET_OPS}),
    ],
)
def test_costs_by_table_are_those_of_the_plan(data, options):
    darts = space(data, channels=5, **options)
    rng = np.random.default_rng(2)
    for _ in range(25):
        arch = darts.sample(rng)
        assert darts.costs(arch) == plan_costs(darts.plan(arch))


def test_signals_have_no_second_axis():
    assert set(space(SIGNAL, operations=NASNET_OPS).operations) == set(NASNET_OPS) - {"conv_3x1_1x3", "conv_7x1_1x7"}
    with pytest.raises(InvalidConfig, match="one axis"):
        space(SIGNAL, operations=("conv_7x1_1x7", "none"))


def test_bad_options_are_named():
    for options, said in (({"steps": (2, 4)}, "without gaps"), ({"operations": ("none",)}, "none alone")):
        with pytest.raises(ValueError, match=said):
            DartsOptions(**options)


# -- growth, morphisms --------------------------------------------------------------------------------
def test_growth_from_one_block_to_five():
    """PNAS: all cells of one block, then each block more in every way; mirrored ones once."""
    pnas = tiny(**{**PRESETS["pnas"].options, "channels": 4, "layers": 3})
    arch = pnas.sample(np.random.default_rng(1))
    arch = pnas.restrict({"cell_nodes": [1]}).sample(np.random.default_rng(1))
    for stage in range(1, 5):
        assert pnas.stage(arch) == stage
        larger = pnas.grow(arch)
        terms = (stage + 2) * 8
        assert len(larger) == terms * (terms + 1) // 2
        for other in larger[:: len(larger) // 10]:
            assert pnas.validate(other.choices) == other and pnas.stage(other) == stage + 1
            assert pnas.cells(other)[0][:-1] == pnas.cells(arch)[0]
        arch = larger[-1]
    assert pnas.grow(arch) == []


def test_growth_keeps_to_a_restriction():
    darts = tiny(steps=(1, 2), operations=("skip_connect", "max_pool_3x3", "sep_conv_3x3"))
    narrow = darts.restrict({"normal_nodes": [1], "reduce3_op1": ["sep_conv_3x3"], "reduce3_inputs": ["0,2"]})
    larger = narrow.grow(narrow.restrict({"reduce_nodes": [1]}).sample(np.random.default_rng(0)))
    assert len(larger) == 3 and all(narrow.validate(a.choices) == a for a in larger)


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (DIGITS, {"steps": (1, 2), "layers": 4}),
        (DIGITS, {"steps": (2,), "inputs": "any", "combine": "loose", "auxiliary": True}),
        (PHOTOS, {"steps": (1, 2), "one_cell": True, "stem": "large", "auxiliary": True}),
        (SIGNAL, {"steps": (2, 3), "layers": 5}),
        (DIGITS, {"steps": (2,), "operations": ("none", "skip_connect", "conv_7x1_1x7", "conv_3x3"), "layers": 3}),
    ],
)
def test_morphisms_keep_the_function(data, options):
    darts = space(data, **{"channels": 4, "layers": 3, **options})
    rng = np.random.default_rng(3)
    seen = set()
    for seed in range(3):
        arch = darts.sample(rng)
        parent = build(darts.plan(arch), seed=seed).train()
        x = torch.from_numpy(example(data, 6, rng))
        with torch.no_grad():
            parent(x)
            for p in parent.parameters():
                p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(seed)))
            expected = parent.eval()(x)
            found = darts.morphisms(arch)
            for i in rng.permutation(len(found))[:12]:
                m = found[i]
                child = inherit(parent.state_dict(), darts.plan(m.child), m.weights, seed=9).eval()
                assert darts.validate(m.child.choices) == m.child != arch
                torch.testing.assert_close(child(x), expected, atol=1e-5, rtol=1e-5)
                seen.add("nodes" if "unread" in m.what else "none" if "silent" in m.what else m.what)
        # what was silent learns: its scale gets a gradient
        for m in [m for m in found if "silent" in m.what][:1]:
            child = inherit(parent.state_dict(), darts.plan(m.child), m.weights, seed=9).train()
            child(x).square().sum().backward()
            scales = [n for n, made in m.weights.items() if made.fill == "zeros" and n.endswith(".weight")]
            assert any(child.get_parameter(n).grad.abs().max() > 0 for n in scales)
    wanted = {"none"} | ({"nodes"} if len(options["steps"]) > 1 and options.get("combine") != "loose" else set())
    assert seen == wanted


def test_words():
    darts = space()
    a = darts.read("DARTS_V2")
    b = darts.validate({**a.choices, "normal3_inputs": "0,2", "reduce5_op2": "none"})
    assert darts.describe_change(a, b) == (
        "normal node 3: inputs last cell but one + last cell → last cell but one + node 2, "
        "reduction node 5: second operation skip → none"
    )
    assert darts.short_name(a).startswith("5×sep3 2×skip | 5×max3 3×skip ")
