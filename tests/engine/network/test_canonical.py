"""Canonical labelling against a brute-force twin, and the rules one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from engine.network import canonical
from engine.network.assemble import Assembler
from engine.network.canonical import IDENTITY, Item, canonical_form, canonical_key


def random_items(rng: np.random.Generator, n: int) -> tuple[Item, ...]:
    """A random graph of weighted operations and sums; the last item is a sum."""
    items: list[Item] = []
    for i in range(n):
        sources = [int(s) for s in rng.integers(-1, i, size=1 + int(rng.integers(3)))]
        if rng.random() < 0.6:
            items.append(Item("ab"[int(rng.integers(2))], "op", False, (sources[0],)))
        else:
            items.append(Item("sum", "sum", True, tuple(sources)))
    items.append(Item("sum", "sum", True, tuple(int(s) for s in rng.integers(-1, n, size=3))))
    return tuple(items)


def shuffled(items: tuple[Item, ...], rng: np.random.Generator) -> tuple[tuple[Item, ...], int]:
    """The same graph in another topological order, with the terms of sums in another order."""
    left, order = set(range(len(items))), []
    while left:
        ready = [i for i in left if all(s < 0 or s in order for s in items[i].inputs)]
        order.append(ready[int(rng.integers(len(ready)))])
        left.remove(order[-1])
    place = {old: new for new, old in enumerate(order)} | {-1: -1}
    out = []
    for old in order:
        inputs = [place[s] for s in items[old].inputs]
        rng.shuffle(inputs)
        out.append(Item(items[old].label, items[old].role, items[old].merges, tuple(inputs)))
    return tuple(out), place[len(items) - 1]


def brute_force(items: tuple[Item, ...]) -> str:
    """The smallest of the texts of all numberings of the live terms."""
    terms, root = canonical._simplify(items, len(items) - 1)
    labeller = canonical._Labeller(terms, root)
    return min(labeller.text(list(order)) for order in itertools.permutations(range(len(terms))))


def test_labelling_does_not_depend_on_the_writing():
    rng = np.random.default_rng(0)
    for _ in range(300):
        items = random_items(rng, 7)
        other, output = shuffled(items, rng)
        assert canonical_form(items, len(items) - 1) == canonical_form(other, output)


def test_labelling_tells_apart_what_brute_force_tells_apart():
    rng = np.random.default_rng(1)
    pairs = set()
    for _ in range(1500):
        items = random_items(rng, 5)
        pairs.add((canonical_form(items, len(items) - 1), brute_force(items)))
    assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs) > 100


def op(label: str, *inputs: int) -> Item:
    return Item(label, "op", label == "pool", inputs)


def total(*inputs: int) -> Item:
    return Item("sum", "sum", True, inputs)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ((op("pool", -1), op("pool", -1), total(0, 1)), (op("pool", -1), total(0, 0)), True),
        ((op("conv", -1), op("conv", -1), total(0, 1)), (op("conv", -1), total(0, 0)), False),
        ((op("pool", -1), total(0, 0)), (op("pool", -1), total(0)), False),
        ((Item("", "identity", True, (-1,)), op("conv", 0)), (op("conv", -1),), True),
        ((Item("", "zero", True, (-1,)), op("conv", 0), op("conv", -1), total(1, 2)), (op("conv", -1),), True),
        ((op("conv", -1), op("conv", -1)), (op("conv", -1),), True),  # the first leads nowhere
        ((total(-1, -1), total(0, -1)), (total(-1, -1, -1),), True),
        ((op("conv", -1), op("pool", 0)), (op("pool", -1), op("conv", 0)), False),
        ((op("join", -1, -2),), (op("join", -2, -1),), False),  # the order of inputs matters outside sums
    ],
)
def test_rules(one, other, equal):
    forms = [canonical_form(items, len(items) - 1) for items in (one, other)]
    assert (forms[0] == forms[1]) is equal


def test_identity_is_recognised():
    assert canonical_form((Item("", "identity", True, (-1,)), total(0)), 1) == IDENTITY


def test_many_twins_take_no_time():
    """Forty equal branches: exchanging twins needs no search."""
    branches = tuple(op("conv", -1) for _ in range(40))
    form = canonical_form((*branches, total(*range(40))), 40)
    assert form.count("conv") == 40


def test_too_symmetric_a_graph_falls_back_to_its_writing():
    """Ten chains of two: no twins, 10! orders."""
    net = Assembler((4, 8, 8))
    ends = []
    for i in range(10):
        x = net.add(f"a{i}", "conv2d", "input", out_channels=4, kernel_size=3)
        ends.append(net.add(f"b{i}", "conv2d", x, out_channels=4, kernel_size=3))
    x = net.add("sum", "add", *ends)
    net.add("pool", "global_avg_pool2d", x)
    plan = net.finish()
    with pytest.raises(canonical.TooSymmetric):
        canonical._canonical_text(plan)
    assert canonical_key(plan) == canonical_key(plan) and len(canonical_key(plan)) == 32
