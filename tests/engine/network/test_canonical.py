"""Canonical labelling against a brute-force twin, and the rules one by one."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.network import canonical
from engine.network.assemble import Assembler
from engine.network.canonical import IDENTITY, Item, canonical_form, canonical_key
from engine.network.plan import NetworkPlan


def random_items(rng: np.random.Generator, n: int, *, rules: bool = False) -> tuple[Item, ...]:
    """A random graph of weighted operations and sums; the last item is a sum.

    With `rules` there are pools (linear or not), skips, zeros, and joins whose inputs commute or not.
    """
    items: list[Item] = []
    kinds = ["op", "sum", "avg", "max", "skip", "zero", "concat", "join"] if rules else ["op", "op", "op", "sum", "sum"]
    for i in range(n):
        sources = tuple(int(s) for s in rng.integers(-2 if rules else -1, i, size=1 + int(rng.integers(3))))
        kind = kinds[int(rng.integers(len(kinds)))]
        if kind == "op":
            items.append(Item("ab"[int(rng.integers(2))], "op", False, sources[:1]))
        elif kind == "sum":
            items.append(Item("sum", "sum", True, sources))
        elif kind in ("avg", "max"):
            items.append(Item(kind, "op", True, sources[:1], True, kind == "avg"))
        elif kind == "skip":
            items.append(Item(kind, "identity", True, sources[:1]))
        elif kind == "zero":
            items.append(Item(kind, "zero", True, sources[:1]))
        else:
            items.append(Item(kind, "op", kind == "concat", sources, kind == "concat", commutes=kind == "join"))
    items.append(Item("sum", "sum", True, tuple(int(s) for s in rng.integers(-1, n, size=3))))
    return tuple(items)


def shuffled(items: tuple[Item, ...], rng: np.random.Generator) -> tuple[tuple[Item, ...], int]:
    """The same graph in another topological order, with the inputs of sums and joins in another order."""
    left, order = set(range(len(items))), []
    while left:
        ready = [i for i in left if all(s < 0 or s in order for s in items[i].inputs)]
        order.append(ready[int(rng.integers(len(ready)))])
        left.remove(order[-1])
    place = {old: new for new, old in enumerate(order)} | {-1: -1, -2: -2}
    out = []
    for old in order:
        inputs = [place[s] for s in items[old].inputs]
        if items[old].role == "sum" or items[old].commutes:
            rng.shuffle(inputs)
        out.append(items[old]._replace(inputs=tuple(inputs)))
    return tuple(out), place[len(items) - 1]


Simplified = tuple[list[canonical.Term], tuple[canonical.Value, ...]]


def simplified(items: tuple[Item, ...], output: int) -> Simplified:
    return canonical._simplify(items, (output,))[:2]


def isomorphic(one: Simplified, other: Simplified) -> bool:
    """Whether any of all renumberings of the terms makes one graph the other."""
    terms, roots = one
    others, other_roots = other
    if sorted(t.label for t in terms) != sorted(t.label for t in others):
        return False
    for order in itertools.permutations(range(len(terms))):
        if any(terms[i].label != others[j].label for i, j in enumerate(order)):
            continue

        def moved(value, order=order):
            return sorted((order[t] if t >= 0 else t, times) for t, times in value)

        def same(a: canonical.Term, b: canonical.Term, moved=moved) -> bool:
            left, right = [moved(v) for v in a.inputs], [sorted(v) for v in b.inputs]
            return sorted(left) == sorted(right) if a.commutes else left == right

        if all(same(terms[i], others[j]) for i, j in enumerate(order)) and [moved(r) for r in roots] == [
            sorted(r) for r in other_roots
        ]:
            return True
    return False


@pytest.mark.parametrize("rules", [False, True])
def test_labelling_does_not_depend_on_the_writing(rules):
    rng = np.random.default_rng(0)
    for _ in range(400):
        items = random_items(rng, 8, rules=rules)
        other, output = shuffled(items, rng)
        assert canonical_form(items, len(items) - 1) == canonical_form(other, output)


@pytest.mark.parametrize("rules", [False, True])
def test_forms_are_equal_exactly_for_isomorphic_graphs(rules):
    """Every pair of a few hundred graphs against all permutations of up to six terms."""
    rng = np.random.default_rng(1)
    graphs: dict[Any, list[tuple[Simplified, str]]] = {}
    for _ in range(1500):
        items = random_items(rng, 6, rules=rules)
        graph = simplified(items, len(items) - 1)
        graphs.setdefault(tuple(sorted(t.label for t in graph[0])), []).append(
            (graph, canonical_form(items, len(items) - 1))
        )
    equal = different = 0
    for group in graphs.values():
        first: list[tuple[Simplified, str]] = []  # one of each class, by the oracle
        for graph, form in group:
            found = [text for other, text in first if isomorphic(graph, other)]
            assert len(found) <= 1
            if found:
                assert form == found[0]
                equal += 1
            else:
                different += len(first)
                assert form not in [text for _, text in first]
                first.append((graph, form))
    assert equal > 50 and different > 500


@pytest.mark.parametrize("n", [4, 5, 6])
def test_symmetric_graphs_where_refinement_leaves_ties(n):
    """Two layers of equal operations, each reading two of the layer before: cycles of several lengths."""
    forms: dict[str, list[Simplified]] = {}
    rng = np.random.default_rng(n)
    graphs = []
    for _ in range(60):
        a, b = rng.permutation(3), rng.permutation(3)
        items = [op("conv", -1) for _ in range(3)]
        items += [op("mix", int(a[i]), int(b[i])) for i in range(3)]
        items.append(total(*range(3, 6)))
        graph = tuple(items)
        graphs.append((simplified(graph, 6), canonical_form(graph, 6)))
    for graph, form in graphs:
        forms.setdefault(form, []).append(graph)
    for form, group in forms.items():
        assert all(isomorphic(group[0], g) for g in group)
        assert not any(isomorphic(group[0], others[0]) for text, others in forms.items() if text != form)


def test_cycles_that_only_individualising_tells_apart():
    """One cycle of six or two of three: every node reads and is read the same number of times."""

    def ring(*cycles: tuple[int, ...]) -> str:
        items = [op("conv", -1) for _ in range(6)]
        for cycle in cycles:
            for a, b in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
                items.append(total(a, b))
                items.append(op("mix", len(items) - 1))
        ends = [i for i, item in enumerate(items) if item.label == "mix"]
        items.append(total(*ends))
        return canonical_form(tuple(items), len(items) - 1)

    assert ring((0, 1, 2, 3, 4, 5)) == ring((5, 3, 1, 0, 2, 4))
    assert ring((0, 1, 2), (3, 4, 5)) == ring((0, 3, 5), (1, 2, 4))
    assert ring((0, 1, 2, 3, 4, 5)) != ring((0, 1, 2), (3, 4, 5))


def op(label: str, *inputs: int) -> Item:
    return Item(label, "op", label in ("pool", "avg"), inputs, label in ("pool", "avg", "conv"), label == "avg")


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
        ((op("mix", -1, -2)._replace(commutes=True),), (op("mix", -2, -1)._replace(commutes=True),), True),
        # average pooling of a sum is the sum of average poolings, a maximum is not
        (
            (op("conv", -1), total(0, -1), op("avg", 1)),
            (op("conv", -1), op("avg", 0), op("avg", -1), total(1, 2)),
            True,
        ),
        (
            (op("conv", -1), total(0, -1), op("pool", 1)),
            (op("conv", -1), op("pool", 0), op("pool", -1), total(1, 2)),
            False,
        ),
        ((total(-1, -1), op("avg", 0)), (op("avg", -1), total(0, 0)), True),
        # what is fed with zeros is nothing only where it keeps them: a batch norm adds its shift
        ((Item("", "zero", True, (-1,)), op("norm", 0), op("conv", -1), total(1, 2)), (op("conv", -1),), False),
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


def chains(n: int) -> NetworkPlan:
    """Chains of two equal convolutions, added: no twins, n! orders."""
    net = Assembler((4, 8, 8))
    ends = []
    for i in range(n):
        x = net.add(f"a{i}", "conv2d", "input", out_channels=4, kernel_size=3)
        ends.append(net.add(f"b{i}", "conv2d", x, out_channels=4, kernel_size=3))
    x = net.add("sum", "add", *ends)
    net.add("pool", "global_avg_pool2d", x)
    return net.finish()


def test_automorphisms_cut_the_search():
    started = time.perf_counter()
    text = canonical._canonical_text(chains(10))
    assert text.count("conv2d") == 20 and time.perf_counter() - started < 5


def test_too_symmetric_a_graph_falls_back_to_its_writing(monkeypatch):
    monkeypatch.setattr(canonical, "MAX_LEAVES", 3)
    canonical._form.cache_clear()
    plan = chains(6)
    with pytest.raises(canonical.TooSymmetric):
        canonical._canonical_text(plan)
    assert canonical_key(plan) == canonical_key(plan) and len(canonical_key(plan)) == 32
    assert canonical_key(plan) != canonical_key(replace(plan, input_type="int64"))
    canonical._form.cache_clear()


# -- plans ------------------------------------------------------------------------------------------
def small(**finish: Any) -> NetworkPlan:
    net = Assembler((4, 8, 8))
    x = net.add("conv", "conv2d", "input", out_channels=4, kernel_size=3)
    side = net.add("side_pool", "global_avg_pool2d", x)
    net.add("side", "linear", side, out_features=3)
    x = net.add("more", "conv2d", x, out_channels=4, kernel_size=3)
    x = net.add("pool", "global_avg_pool2d", x)
    net.add("output", "linear", x, out_features=3)
    return net.finish(**finish)


def test_auxiliary_heads_and_the_type_of_the_input_are_part_of_the_identity():
    """A head that only trains is dead without `auxiliary`, and trains the rest with it."""
    plain, helped = small(), small(auxiliary=("side",))
    bare = replace(plain, nodes=tuple(n for n in plain.nodes if not n.id.startswith("side")))
    assert canonical_key(plain) == canonical_key(bare) != canonical_key(helped)
    assert canonical_key(plain) != canonical_key(replace(plain, input_type="int64"))


def test_zeros_of_other_shapes_are_other_networks():
    """Zeros joined before or behind other channels reach other weights of what follows."""

    def joined(before: int, behind: int) -> str:
        net = Assembler((4, 8, 8))
        narrow, wide = (
            net.add(f"c{i}", "conv2d", "input", out_channels=c, kernel_size=1) for i, c in enumerate((2, 6))
        )
        zeros = {2: net.add("z0", "zero", narrow), 6: net.add("z1", "zero", wide)}
        x = net.add("join", "concat", zeros[before], "input", zeros[behind])
        x = net.add("norm", "group_norm", x)
        x = net.add("pool", "global_avg_pool2d", x)
        return canonical_key(net.finish())

    assert joined(2, 6) == joined(2, 6) != joined(6, 2)


def test_cells_are_labelled_alone_and_what_they_are_is_seen_outside():
    def network(*cells: str) -> str:
        net = Assembler((4, 8, 8))
        x = net.add("stem", "conv2d", "input", out_channels=4, kernel_size=3)
        for i, op_name in enumerate(cells):
            x = net.add(f"cell{i}_op", op_name, x, cell=f"cell{i}", **({"kernel_size": 1} if "pool" in op_name else {}))
            x = net.add(f"cell{i}_sum", "add", x, cell=f"cell{i}")
        net.add("pool", "global_avg_pool2d", x)
        return canonical_key(net.finish())

    assert network("identity") == network() == network("identity", "identity") != network("relu")
    assert network("zero") == network("relu", "zero") == network("zero", "relu")
    assert network("zero") != network("zero", "batch_norm2d")
    assert network("relu", "max_pool2d") != network("max_pool2d", "relu")


def test_keys_of_small_graphs_take_well_below_half_a_millisecond():
    rng = np.random.default_rng(4)
    graphs = [random_items(rng, 10) for _ in range(200)]
    times = []
    for _ in range(5):
        started = time.perf_counter()
        for items in graphs:
            canonical.digest(canonical_form(items, len(items) - 1))
        times.append((time.perf_counter() - started) / len(graphs))
    assert min(times) < 0.0005
