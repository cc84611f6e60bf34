"""The cells of NAS-Bench-101: published numbers of cells, published sizes, notation, growth, morphisms."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch

from engine.data.arrays import example
from engine.errors import InvalidArchitecture
from engine.network.build import build
from engine.network.canonical import canonical_key
from engine.network.costs import costs as plan_costs
from engine.network.inherit import inherit
from engine.spaces._nasbench101.cells import OPS, Cell, representative, widths
from engine.spaces._nasbench101.process import State, order, step
from engine.spaces.nasbench101 import Nasbench101, Nasbench101Options

from .specs import CIFAR, DIGITS, PHOTOS, SIGNAL


def space(data=DIGITS, **options) -> Nasbench101:
    return Nasbench101(Nasbench101Options(**options)).bind(data)


def tiny(data=DIGITS, **options) -> Nasbench101:
    return space(data, **{"channels": 8, "stacks": 2, "cells": 1, **options})


# -- published figures --------------------------------------------------------------------------------
@pytest.mark.parametrize(("vertices", "distinct"), [((2, 3, 4), 91), ((2, 3, 4, 5), 2532)])
def test_the_number_of_distinct_cells_is_the_published_one(vertices, distinct):
    small = space(CIFAR, vertices=vertices)
    archs = list(small.enumerate())
    assert len(archs) == len(set(archs)) == small.size()
    assert len({small.canonical_key(a) for a in archs}) == distinct


def matrices(size: int, limit: int) -> list[tuple[tuple[int, int], ...]]:
    """Edges of all cells of the process."""
    out, stack = [], [(State(size), ())]
    while stack:
        state, edges = stack.pop()
        found = step(state, limit)
        if found is None:
            out.append(tuple(sorted(edges)))
            continue
        a, b, _ = order(size)[state.place]
        stack += [(found.after[bool(o)], (*edges, (a, b)) if o else edges) for o in found.options]
    return out


def test_all_423_624_cells_are_there():
    """Counted by Burnside's lemma: labellings of each matrix up to the renamings that leave it as it is."""
    total = 0
    for size in range(2, 8):
        for edges in matrices(size, 9):
            cell = Cell((OPS[0],) * (size - 2), edges)
            own = sum(1 << a + b * (b - 1) // 2 for a, b in edges)
            if representative(cell)[0] == own:
                total += labellings(size, edges)
    assert total == 423_624


def labellings(size: int, edges: tuple[tuple[int, int], ...]) -> int:
    fixed, automorphisms = 0, 0
    for order_ in itertools.permutations(range(1, size - 1)):
        new = (0, *order_, size - 1)
        if {(new[a], new[b]) for a, b in edges} == set(edges):
            automorphisms += 1
            left, cycles = set(range(1, size - 1)), 0
            while left:
                cycles += 1
                v = next(iter(left))
                while v in left:
                    left.remove(v)
                    v = new[v]
            fixed += 3**cycles
    return fixed // automorphisms


@pytest.mark.parametrize("size", range(2, 7))
def test_the_process_reaches_every_cell_and_no_other(size):
    pairs = [(a, b) for a, b, _ in order(size)]
    for limit in range(size - 1, 11):
        every = {
            tuple(sorted(edges))
            for k in range(limit + 1)
            for edges in itertools.combinations(pairs, k)
            if {a for a, _ in edges} == set(range(size - 1)) and {b for _, b in edges} == set(range(1, size))
        }
        found = matrices(size, limit)
        assert len(found) == len(set(found)) and set(found) == every
        if size == 6 and limit == 9:
            break


INCEPTION = {
    "matrix": [
        [0, 1, 1, 1, 0, 1, 0], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0],
    ],
    "ops": ["input", "conv1x1-bn-relu", "conv3x3-bn-relu", "conv3x3-bn-relu", "conv3x3-bn-relu", "maxpool3x3",
            "output"],
}  # fmt: skip
#: the same cell as it stands in the table
INCEPTION_ROW = {
    "matrix": [
        [0, 1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0],
    ],
    "ops": ["input", "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3", "conv3x3-bn-relu", "conv3x3-bn-relu",
            "output"],
}  # fmt: skip
#: a row whose output channels do not divide evenly
UNEVEN_ROW = {
    "matrix": [
        [0, 1, 0, 1, 0, 0, 0], [0, 0, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0],
    ],
    "ops": ["input", "maxpool3x3", "conv3x3-bn-relu", "maxpool3x3", "conv1x1-bn-relu", "maxpool3x3", "output"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "n_params"), [(INCEPTION, 2_694_282), (INCEPTION_ROW, 2_694_282), (UNEVEN_ROW, 3_468_426)]
)
def test_rows_of_the_table_have_their_published_size(row, n_params):
    published = space(CIFAR)
    arch = published.read(json.dumps(row))
    assert published.costs(arch).n_params == plan_costs(published.plan(arch)).n_params == n_params
    with torch.device("meta"):
        assert sum(p.numel() for p in build(published.plan(arch)).parameters()) == n_params


def test_a_cell_and_its_row_are_one():
    published = space(CIFAR)
    one, other = (published.read(json.dumps(row)) for row in (INCEPTION, INCEPTION_ROW))
    assert one != other and published.canonical_key(one) == published.canonical_key(other)
    for row in (INCEPTION_ROW, UNEVEN_ROW):  # rows are representatives themselves
        cell = published.cell(published.read(json.dumps(row)))
        bits, labels, _ = representative(cell)
        assert bits == sum(1 << a + b * (b - 1) // 2 for a, b in cell.edges)
        assert tuple(OPS[i] for i in labels) == cell.ops


# -- channels -----------------------------------------------------------------------------------------
def test_channels_are_shared_by_what_feeds_the_output():
    three = Cell(("conv3x3-bn-relu",) * 4, ((0, 1), (0, 2), (0, 3), (1, 4), (2, 5), (3, 5), (4, 5)))
    wide = widths(three, 128)
    assert sorted(wide[v] for v in (2, 3, 4)) == [42, 43, 43] and wide[5] == 128
    assert wide[1] == wide[4]  # as many as what it feeds
    assert widths(Cell((), ((0, 1),)), 64) == (0, 64)


def test_isomorphic_cells_are_one_network():
    """Also where the channels do not divide evenly: costs and the plan's own key agree for all writings."""
    small = tiny(channels=10)
    rng = np.random.default_rng(4)
    checked = 0
    for _ in range(40):
        cell = small.cell(small.restrict({"vertices": [5, 6, 7]}).sample(rng))
        size = cell.out + 1
        for _ in range(5):
            new = (0, *(1 + rng.permutation(size - 2)).tolist(), size - 1)
            edges = [(new[a], new[b]) for a, b in cell.edges]
            if any(a > b for a, b in edges):
                continue
            ops = [""] * (size - 2)
            for v, op in enumerate(cell.ops, start=1):
                ops[new[v] - 1] = op
            one, other = small.arch_of(cell), small.arch_of(Cell(tuple(ops), tuple(sorted(edges))))
            assert small.canonical_key(one) == small.canonical_key(other)
            assert small.costs(one) == small.costs(other) == plan_costs(small.plan(other))
            checked += one != other
    assert checked > 20


def test_equal_plans_have_equal_keys_but_for_copies_of_pooling():
    small = tiny(operations=("conv1x1-bn-relu", "conv3x3-bn-relu"), vertices=(2, 3, 4))
    pairs = {(canonical_key(small.plan(a)), small.canonical_key(a)) for a in small.enumerate()}
    assert len(pairs) == len({plan for plan, _ in pairs}) >= len({cell for _, cell in pairs})


# -- notation -----------------------------------------------------------------------------------------
def test_what_lies_on_no_path_is_dropped():
    padded = {
        "matrix": [[0, 1, 1, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0] * 5],
        "ops": ["input", "maxpool3x3", "conv3x3-bn-relu", "conv3x3-bn-relu", "output"],
    }
    small = tiny()
    arch = small.read(json.dumps(padded))
    assert small.cell(arch) == Cell(("maxpool3x3",), ((0, 1), (1, 2)))
    assert json.loads(small.write(arch)) == {
        "matrix": [[0, 1, 0], [0, 0, 1], [0, 0, 0]], "ops": ["input", "maxpool3x3", "output"],
    }  # fmt: skip


GOOD = {"matrix": [[0, 1, 0], [0, 0, 1], [0, 0, 0]], "ops": ["input", "maxpool3x3", "output"]}
FULL = {"matrix": [[int(a < b) for b in range(6)] for a in range(6)], "ops": ["input", *["maxpool3x3"] * 4, "output"]}
LONG = {
    "matrix": [[int(b == a + 1) for b in range(8)] for a in range(8)],
    "ops": ["input", *["maxpool3x3"] * 6, "output"],
}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({**GOOD, "matrix": [[0, 1, 0], [0, 0, 1]]}, "matrix: 3 operations need 3 rows"),
        ({**GOOD, "matrix": [[0, 1, 0], [0, 0, 2], [0, 0, 0]]}, "matrix: its numbers are 0"),
        ({**GOOD, "matrix": [[0, 1, 0], [0, 0, 0], [0, 1, 0]]}, r"the edge \(2, 1\) does not lead to a later vertex"),
        ({**GOOD, "matrix": [[0, 1, 0], [0, 0, 0], [0, 0, 0]]}, "matrix: no path leads"),
        ({**GOOD, "ops": ["input", "maxpool5x5", "output"]}, "op1: received 'maxpool5x5'; choose one of"),
        ({**GOOD, "ops": ["maxpool3x3", "maxpool3x3", "output"]}, "ops: received .* begins with input"),
        ({**GOOD, "hash": "x"}, "a cell reads"),
        (FULL, "matrix: received 15 edges on paths; at most 9"),
        (LONG, "matrix: received 8 vertices on paths; this space has 2, 3, 4, 5, 6, 7"),
    ],
)
def test_other_writings_are_refused(value, said):
    with pytest.raises(InvalidArchitecture, match=said):
        tiny().read(json.dumps(value))


def test_too_few_edges_are_named():
    with pytest.raises(ValueError, match="7 vertices on a path need at least 6 edges"):
        Nasbench101Options(edges=5)


# -- costs, growth, morphisms -------------------------------------------------------------------------
@pytest.mark.parametrize(("data", "options"), [(PHOTOS, {"channels": 11}), (SIGNAL, {"cells": 2, "stacks": 3})])
def test_costs_by_formula_are_those_of_the_plan(data, options):
    small = tiny(data, **options)
    rng = np.random.default_rng(2)
    for _ in range(60):
        arch = small.sample(rng)
        assert small.costs(arch) == plan_costs(small.plan(arch))


def test_growth_keeps_what_is_there():
    small = tiny()
    arch = small.read(json.dumps(GOOD))
    for stage in range(2, 6):
        assert small.stage(arch) == stage
        larger = small.grow(arch)
        assert len(larger) == len(set(larger)) > 5
        for other in larger[:: max(1, len(larger) // 20)]:
            assert small.stage(other) == stage + 1 and small.costs(other).n_params >= small.costs(arch).n_params
            assert contains(small.cell(other), small.cell(arch))
        arch = min(larger, key=lambda a: (len(small.cell(a).edges), a.key))
    full = small.restrict({"vertices": [7]}).sample(np.random.default_rng(0))
    assert small.grow(full) == []


def contains(large: Cell, small: Cell) -> bool:
    """Whether leaving one vertex out, or contracting it into an edge, gives the smaller cell."""
    for v in range(1, large.out):
        if large.ops[: v - 1] + large.ops[v:] != small.ops:
            continue
        rest = {(a - (a > v), b - (b > v)) for a, b in large.edges if v not in (a, b)}
        through = {(a, b - 1) for a in large.sources(v) for w, b in large.edges if w == v}
        if any(rest | extra == set(small.edges) for extra in (set(), *({t} for t in through))):
            return True
    return False


def test_uniform_sampling_by_counting_equals_that_by_decisions():
    """Every cell of a small space comes as often as every other."""
    small = tiny(vertices=(2, 3, 4), operations=("conv3x3-bn-relu", "maxpool3x3"), edges=4)
    everything = list(small.enumerate())
    rng = np.random.default_rng(8)
    counts = {a.key: 0 for a in everything}
    n = 50 * len(everything)
    for _ in range(n):
        counts[small.sample_uniform(rng).key] += 1
    k = len(everything) - 1
    assert sum((c - 50) ** 2 / 50 for c in counts.values()) < k + 5 * (2 * k) ** 0.5


@pytest.mark.parametrize("data", [DIGITS, SIGNAL], ids=["image", "signal"])
def test_morphisms_keep_the_function(data):
    small = tiny(data, channels=12, edges=10, cells=2)
    rng = np.random.default_rng(6)
    seen: set[str] = set()
    for seed, vertices in enumerate((2, 3, 4, 5, 6)):
        arch = small.restrict({"vertices": [vertices]}).sample(rng)
        parent = build(small.plan(arch), seed=seed).train()
        x = torch.from_numpy(example(data, 6, rng))
        with torch.no_grad():
            parent(x)
            for p in parent.parameters():
                p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(seed)))
            expected = parent.eval()(x)
            for m in small.morphisms(arch):
                assert small.validate(m.child.choices) == m.child != arch
                child = inherit(parent.state_dict(), small.plan(m.child), m.weights, seed=9).eval()
                torch.testing.assert_close(child(x), expected, atol=1e-5, rtol=1e-5)
                seen.add(m.what)
    assert any("zeros around" in what for what in seen)
    ends = [what.split(" on edge ")[1].split(",")[0] for what in seen if " on edge " in what]
    assert {"input→output", "input→1"} <= set(ends) and any(e[0] != "i" and e.endswith("output") for e in ends)
    assert any(e[0] != "i" and not e.endswith("output") for e in ends)


def test_words():
    small = tiny()
    a = small.read(json.dumps(GOOD))
    b = small.validate({**a.choices, "edge0_out": True, "op1": "conv3x3-bn-relu"})
    assert small.describe_change(a, b) == "vertex 1 max 3×3 → conv 3×3, edge input→output added"
    assert small.short_name(a).startswith("3v2e 1×max3 ")
