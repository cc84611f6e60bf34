"""The published cell: every row of the table, its writings, its classes."""

from __future__ import annotations

import csv
import gzip
import itertools
import os
from pathlib import Path

import numpy as np
import pytest

from engine.errors import InvalidArchitecture
from engine.network.canonical import canonical_key
from engine.network.picture import picture
from engine.spaces.nasbench201 import NAMES, OPS, Nasbench201, Nasbench201Options

from .specs import DIGITS, data_spec

DATA = Path(os.environ.get("NASWEB_TEST_DATA") or Path(__file__).parents[4] / "shared" / "data")
TABLE = DATA / "nas" / "nasbench201_accuracy.csv.gz"
needs_table = pytest.mark.skipif(not TABLE.exists(), reason=f"NASWEB_TEST_DATA has no {TABLE.name} ({TABLE.parent})")


def published(n_classes: int) -> Nasbench201:
    return Nasbench201(Nasbench201Options()).bind(data_spec((3, 32, 32), n_classes))


SPACE = published(10)


@needs_table
@pytest.mark.parametrize(("n_classes", "column"), [(10, "c10"), (100, "c100")])
def test_all_rows_have_their_published_costs(n_classes, column):
    space = published(n_classes)
    with gzip.open(TABLE, "rt") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == space.size() == 15_625
    wrong = []
    for row in rows:
        arch = space.from_digits(row["ops"])
        costs = space.costs(arch)
        # the published count includes the classifier's bias
        published_costs = (int(row[f"params_{column}"]), int(row[f"flops_{column}"]))
        if (costs.n_params, costs.n_macs + n_classes) != published_costs or space.to_string(arch) != row["arch_str"]:
            wrong.append(row["index"])
    assert wrong == []


def test_writings_round_trip():
    rng = np.random.default_rng(0)
    for _ in range(100):
        arch = SPACE.sample(rng)
        assert SPACE.from_string(SPACE.to_string(arch)) == SPACE.from_digits(SPACE.to_digits(arch)) == arch
    text = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"
    assert SPACE.to_digits(SPACE.from_string(text)) == "421211"
    for bad in ("", "|none~0|", text.replace("~1", "~0"), "421215"):
        with pytest.raises(InvalidArchitecture, match="a cell"):
            SPACE.from_string(bad)
    with pytest.raises(InvalidArchitecture, match="edge0_1: received 'conv'"):
        SPACE.from_string(text.replace("avg_pool_3x3", "conv"))
    with pytest.raises(InvalidArchitecture, match="six digits"):
        SPACE.from_digits("42121")


def test_classes_of_equal_networks():
    """5,260 with parameter-free copies of one input merged."""
    cells = [SPACE.from_digits("".join(d)) for d in itertools.product("01234", repeat=6)]
    assert len({SPACE.canonical_key(a) for a in cells}) == 5260


def test_the_whole_network_gives_the_same_classes_as_the_cell():
    space = Nasbench201(Nasbench201Options(cells=2, operations=("none", "skip_connect", "nor_conv_1x1"))).bind(DIGITS)
    rng = np.random.default_rng(3)
    archs = [space.sample(rng) for _ in range(150)]
    by_cell = [space.canonical_key(a) for a in archs]
    by_plan = [canonical_key(space.plan(a)) for a in archs]
    # the plan's key also merges networks whose cells hand on their input, whatever stands around them
    assert len(set(zip(by_cell, by_plan, strict=True))) == len(set(by_cell)) == len(set(by_plan)) < len(archs)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("300300", "303000", False),  # a chain over node 2 against a parallel pair
        ("300010", "000300", True),  # 0 -> 1 -> 3 by a skip, and directly
        ("410010", "000400", True),  # the same with pooling
        ("440011", "000400", False),  # two copies of one pooling count twice
        ("400410", "040401", True),  # pooling twice from the input, over node 1 or node 2
        ("030201", "300210", True),  # nodes 1 and 2 swapped
        ("330011", "330010", False),
        ("330001", "030001", True),  # edge 0 -> 1 leads nowhere
        ("200030", "200020", False),
    ],
)
def test_equal_and_different_cells(one, other, equal):
    keys = [SPACE.canonical_key(SPACE.from_digits(d)) for d in (one, other)]
    assert (keys[0] == keys[1]) is equal


def test_copies_with_weights_stay_apart_and_shared_ones_are_not_copies():
    """conv(x) twice by two convolutions is not one convolution counted twice."""
    two = SPACE.from_digits("330011")  # 0->1 conv, 0->2 conv, both handed to 3
    one_twice = SPACE.from_digits("301011")  # 0->1 conv, handed to 2 and 3, 2 handed to 3
    assert SPACE.canonical_key(two) != SPACE.canonical_key(one_twice)


def test_equal_classes_compute_the_same_numerically():
    """Cells that only rename nodes give equal outputs once they share weights."""
    import torch

    from engine.network.build import build

    space = Nasbench201(Nasbench201Options(cells=1, channels=4)).bind(DIGITS)
    pairs = [
        ("030201", "300210", {"edge0_2": "edge0_1", "edge0_3": "edge0_3"}),
        ("300010", "000300", {"edge0_1": "edge0_3"}),
    ]
    x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for one, other, renamed in pairs:
        a = build(space.plan(space.from_digits(one)), seed=1).eval()
        b = build(space.plan(space.from_digits(other)), seed=2).eval()
        weights = {}
        for key, value in a.state_dict().items():
            parts = key.split(".")
            weights[".".join(renamed.get(p, p) for p in parts)] = value
        b.load_state_dict(weights, strict=True)
        torch.testing.assert_close(a(x), b(x))


def test_equal_cells_are_folded_in_the_drawing():
    drawn = picture(SPACE.plan(SPACE.from_digits("420211")))
    cells = [n for n in drawn["nodes"] if n["kind"] == "cell"]
    assert [(n["repeat"], n["detail"], n["opens"]) for n in cells] == [(5, "×5", "cell, 15 times")] * 3
    assert len(drawn["nodes"]) == 19
    (cell,) = drawn["details"]
    assert [n["title"] for n in cell["nodes"]] == ["0", "1", "2", "3"]
    assert [(e["source"][-5:], e["target"][-5:], e["title"]) for e in cell["edges"]] == [
        ("in0", "node1", "avg 3×3"),
        ("in0", "node2", "conv 1×1"),
        ("in0", "node3", "conv 1×1"),
        ("node1", "node3", "skip"),
        ("node2", "node3", "skip"),
    ]


def test_live_features_leave_dead_edges_out():
    features = SPACE.features(SPACE.from_digits("334410"))
    assert {k: v for k, v in features.items() if k in NAMES} == {
        "edge0_1": OPS[3], "edge0_3": OPS[4], "edge1_3": OPS[1],
    }  # fmt: skip
    assert (features["paths"], features["longest_path"]) == (2, 1)
    assert SPACE.features(SPACE.from_digits("000000"))["paths"] == 0


def test_words():
    a, b = SPACE.from_digits("330010"), SPACE.from_digits("330030")
    assert SPACE.describe_change(a, b) == "edge 1→3: skip → conv 3×3"
    assert SPACE.difference(a, b) == [("edge 1→3", "skip", "conv 3×3")]
    assert SPACE.short_name(a) == "2×conv3 1×skip 330010"


def test_small_images():
    assert Nasbench201.suggested(DIGITS) == {"cells": 1}
    assert Nasbench201.fits(data_spec((1, 3, 3))) and Nasbench201.fits(data_spec((1, 64)))
    odd = Nasbench201(Nasbench201Options(cells=1)).bind(data_spec((1, 7, 5)))
    assert odd.plan(odd.from_digits("333333")).n_outputs == 10


def test_fewer_operations():
    space = Nasbench201(Nasbench201Options(operations=("skip_connect", "nor_conv_3x3"))).bind(DIGITS)
    assert space.size() == 64
    with pytest.raises(InvalidArchitecture, match="edge0_1"):
        space.from_digits("000000")
