"""Derivation trees: counts against brute force, bounds, terms, subtree moves, fast keys against the plan's."""

from __future__ import annotations

import math
from collections import Counter
from functools import cache

import numpy as np
import pytest

from engine.errors import InvalidArchitecture
from engine.network.canonical import canonical_key
from engine.spaces.tree import Tree, TreeOptions

from .specs import CIFAR, DIGITS, SIGNAL


def trees(data=DIGITS, **options) -> Tree:
    return Tree(TreeOptions(**options)).bind(data)


def terms(depth: int, operations: tuple[str, ...], rules: tuple[str, ...], parts: tuple[int, ...], most: int):
    """All terms of so many levels and leaves, written out."""

    @cache
    def of(level: int) -> tuple[tuple[str, int], ...]:
        out = [(op, 1) for op in operations]
        if level < depth:
            for rule in rules:
                for n in (1,) if rule == "residual" else parts:
                    lists: list[tuple[tuple[str, ...], int]] = [((), 0)]
                    for _ in range(n):
                        lists = [((*a, t), k + m) for a, k in lists for t, m in of(level + 1) if k + m <= most]
                    out += [(f"{rule}({', '.join(a)})", k) for a, k in lists]
        return tuple(out)

    return [t for t, _ in of(1)]


@pytest.mark.parametrize(
    ("depth", "most", "rules", "parts"),
    [
        (1, 5, ("seq",), (2,)),
        (2, 3, ("seq", "branch_add", "residual"), (2, 3)),
        (3, 4, ("seq", "branch_cat", "residual"), (2,)),
        (3, 3, ("seq", "branch_add", "branch_cat", "residual"), (2, 3)),
        (4, 3, ("residual", "branch_add"), (2,)),
    ],
)
def test_the_size_is_that_of_all_terms_written_out(depth, most, rules, parts):
    space = trees(depth=depth, max_leaves=most, rules=rules, parts=parts, operations=("conv3", "skip"))
    expected = set(terms(depth, ("conv3", "skip"), rules, parts, most))
    everything = list(space.enumerate())
    assert {space.write(a) for a in everything} == expected
    assert space.size() == len(everything) == len(expected)


def test_uniform_drawing_reaches_every_tree_alike():
    space = trees(depth=3, max_leaves=3, operations=("conv3", "skip"), rules=("seq", "residual"), parts=(2,))
    everything = set(space.enumerate())
    rng = np.random.default_rng(0)
    drawn = Counter(space.sample_uniform(rng) for _ in range(40 * len(everything)))
    degrees = len(everything) - 1
    assert set(drawn) == everything
    assert sum((v - 40) ** 2 / 40 for v in drawn.values()) < degrees + 6 * math.sqrt(2 * degrees)


def test_the_prior_prefers_rules_above_and_operations_below():
    space = trees(depth=4)
    rng = np.random.default_rng(1)
    at: dict[int, list[bool]] = {}
    for _ in range(2000):
        for name, option in space.sample(rng).items:
            at.setdefault(name.count(".") + 1, []).append(option in space.options.operations)
    share = [np.mean(at[level]) for level in (1, 2, 3, 4)]
    assert abs(share[0] - 1 / 8) < 0.03 and share[0] < share[1] < share[2] < share[3] == 1
    seen = {space.stage(space.sample(rng)) for _ in range(500)}
    assert seen == set(range(1, 9))


def test_terms_are_read_and_written():
    space = trees()
    text = "seq(conv3, branch_add(sep3, skip), residual(conv5))"
    space = trees(operations=("conv3", "conv5", "sep3", "skip"))
    arch = space.read(text)
    assert arch.choices == {
        "root": "seq3", "root.1": "conv3", "root.2": "branch_add2", "root.2.1": "sep3", "root.2.2": "skip",
        "root.3": "residual", "root.3.1": "conv5",
    }  # fmt: skip
    assert space.write(arch) == text and text in Tree.notation
    assert space.read("seq ( conv3,branch_add(sep3 ,skip),\nresidual(conv5) )") == arch
    assert space.format("root", "branch_add2") == "sum of 2" and space.title("root.2.1") == "part 2.1"
    for bad, said in (
        ("seq(conv3, conv9)", "root.2: received 'conv9'"),
        ("seq(conv3)", "root: received 'seq1'"),
        ("seq(conv3, conv3, conv3, conv3)", "root: received 'seq4'"),
        ("residual(conv3, conv3)", "root: received 'residual2'"),
        ("residual(residual(residual(residual(conv3))))", "root.1.1.1: received 'residual'"),
        ("seq(conv3, conv3", "bracket of 'seq' is not closed"),
        ("seq(conv3 conv3)", "not closed"),
        ("seq()", "where a term begins"),
        ("seq(conv3,)", "where a term begins"),
        ("conv3 conv3", "behind the end"),
        ("seq(conv3; conv3)", "received '; conv3"),
        ("residual(" * 5000, "more than 32 levels"),
    ):
        with pytest.raises(InvalidArchitecture, match=said):
            space.read(bad)


def test_bounds_hold():
    space = trees(depth=5, max_leaves=6)
    rng = np.random.default_rng(2)
    archs = [space.sample(rng) for _ in range(200)] + [space.sample_uniform(rng) for _ in range(50)]
    archs += [space.mutate(a, 2, rng) for a in archs[:60]] + [
        space.crossover(archs[i], archs[-i], rng) for i in range(60)
    ]
    for arch in archs:
        leaves = [p for p in space.derivation(arch).all() if not p.parts]
        assert len(leaves) == space.stage(arch) <= 6
        assert max(name.count(".") for name in arch.choices) < 5
        assert space.validate(arch.choices) == arch == space.read(space.write(arch))


def test_restrictions_are_looked_ahead_through():
    space = trees(depth=3, max_leaves=4, operations=("conv3", "skip"), parts=(2,))
    small = space.restrict({"root": ["seq2"], "root.1": ["branch_add2"], "root.2": ["branch_add2", "seq2"]})
    assert small.size() == len(list(small.enumerate())) == 2 * 2**4
    rng = np.random.default_rng(3)
    assert all(small.sample(rng)["root.1"] == "branch_add2" for _ in range(20))
    assert len({small.sample_uniform(rng) for _ in range(400)}) == 32
    with pytest.raises(InvalidArchitecture, match="no architecture is left"):
        trees(depth=3, max_leaves=3, operations=("conv3",), parts=(2,)).restrict(
            {"root": ["seq2"], "root.1": ["seq2"], "root.2": ["seq2"]}
        )


def test_crossover_takes_a_whole_subtree():
    space = trees(operations=("conv1", "conv3", "sep3", "sep5"))
    a = space.read("seq(conv1, seq(conv1, conv1))")
    b = space.read("branch_add(residual(sep5), branch_add(sep5, seq(sep5, sep5)))")
    rng = np.random.default_rng(4)
    found = {space.write(space.crossover(a, b, rng)) for _ in range(200)}
    assert {
        "seq(residual(sep5), seq(conv1, conv1))", "seq(conv1, branch_add(sep5, seq(sep5, sep5)))",
        "branch_add(conv1, branch_add(sep5, seq(sep5, sep5)))", "branch_add(residual(sep5), seq(conv1, conv1))",
        "seq(conv1, seq(sep5, conv1))", "seq(conv1, seq(conv1, seq(sep5, sep5)))", space.write(a), space.write(b),
    } <= found  # fmt: skip


def test_mutation_above_keeps_what_stands_below():
    space = trees(operations=("conv1", "conv3"), max_leaves=4, parts=(2,), rules=("seq", "branch_add"))
    arch = space.read("seq(conv1, seq(conv3, seq(conv1, conv3)))")  # no leaf is free
    rng = np.random.default_rng(5)
    for n in (1, 2, 3, 7):
        for _ in range(30):
            child = space.mutate(arch, n, rng)
            changed = [k for k, v in arch.items if k in child.choices and child[k] != v]
            assert len(changed) == n


def test_growth_adds_one_operation():
    space = trees(operations=("conv3", "skip"), parts=(2, 3), rules=("seq", "branch_add"), depth=3)
    grown = {space.write(a) for a in space.grow(space.read("seq(conv3, skip)"))}
    assert grown == {
        "seq(conv3, skip, conv3)",
        "seq(seq(conv3, conv3), skip)", "seq(conv3, seq(skip, conv3))",
        "seq(branch_add(conv3, conv3), skip)", "seq(branch_add(conv3, skip), skip)",
        "seq(conv3, branch_add(skip, conv3))", "seq(conv3, branch_add(skip, skip))",
    }  # fmt: skip


def test_the_fast_key_agrees_with_the_plans():
    space = trees(
        DIGITS, depth=3, max_leaves=4, operations=("conv3", "avg3", "skip"), rules=("seq", "branch_add", "residual"),
        stages=1, cells=1,
    )  # fmt: skip
    rng = np.random.default_rng(6)
    archs = list({space.sample(rng) for _ in range(500)})
    pairs = {(space.canonical_key(a), canonical_key(space.plan(a))) for a in archs}
    assert len(pairs) == len({f for f, _ in pairs}) == len({s for _, s in pairs}) < 0.7 * len(archs)


def test_equal_and_different_trees():
    space = trees(CIFAR)
    key = lambda text: space.canonical_key(space.read(text))  # noqa: E731
    assert key("residual(conv3)") == key("branch_add(conv3, skip)") == key("branch_add(skip, seq(conv3, skip))")
    assert key("seq(conv3, seq(sep3, max3))") == key("seq(seq(conv3, sep3), max3)") == key("seq(conv3, sep3, max3)")
    assert key("branch_cat(conv3, sep3)") == key("branch_cat(sep3, conv3)") != key("branch_add(sep3, conv3)")
    assert key("branch_add(max3, max3)") != key("max3")
    assert key("seq(residual(conv3), avg3)") == key("branch_add(avg3, seq(conv3, avg3))")  # averages are linear
    assert key("seq(residual(conv3), max3)") != key("branch_add(max3, seq(conv3, max3))")


def test_every_tree_makes_a_network_of_its_own_shape():
    space = trees(SIGNAL, depth=3, max_leaves=4)
    rng = np.random.default_rng(7)
    for _ in range(30):
        arch = space.sample(rng)
        plan = space.plan(arch)
        read = {i for node in plan.nodes for i in node.inputs}
        assert {n.id for n in plan.nodes} - read == {"output"}
