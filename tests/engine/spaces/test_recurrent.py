"""Recurrent cells: published genotypes, identity of relabelled cells, morphisms, padding."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from engine.errors import InvalidArchitecture
from engine.spaces._recurrent.genotype import Cell
from engine.spaces._recurrent.presets import DARTS_V1, DARTS_V2, ENAS
from engine.spaces.base import space_of
from engine.spaces.recurrent import Recurrent, RecurrentOptions

from .specs import SIGNAL, TEXT, data_spec


def made(data=TEXT, **options) -> Recurrent:
    return Recurrent(RecurrentOptions(**options)).bind(data)


@pytest.mark.parametrize(("text", "preset"), [(DARTS_V1, "darts-v1"), (DARTS_V2, "darts-v2"), (ENAS, "enas-cell")])
def test_published_cells(text, preset):
    options = dict(next(p.options for p in Recurrent.presets if p.name == preset))
    space = space_of(Recurrent, RecurrentOptions(**options), TEXT)
    arch = space.read(text)
    assert space.write(arch).startswith(text)
    assert space.read(space.write(arch)) == arch
    assert space.size() == 3 * 2 * 2 * 2 * 3  # width, layers, embedding, pooling, dropout: the cell is settled
    node = next(n for n in space.plan(arch).nodes if n.op == "recurrent_cell")
    nodes, width = len(node.args["inputs"]), arch["width"]
    assert node.args["outputs"] == ((2, 5, 6, 9, 10, 11) if "enas" in preset else tuple(range(1, 9)))
    with_words = space.plan(arch)
    assert space.costs(arch).n_params == (
        40 * arch["embedding"] + 2 * width * (arch["embedding"] + width * (nodes + 1)) + (width + 1) * 6
    )
    assert with_words.shape_of("layer1") == (width, 11)


def test_size_of_the_papers_cell():
    """8 nodes of 4 activations: 4^8 * 8! cells, the first node's input being settled."""
    space = made(nodes=(8,), width=(32,), layers=(1,), embedding=(32,), pool=("last",), dropout=(0.1,))
    assert space.size() == 4**8 * 40320
    small = made(nodes=(1, 3), width=(32,), layers=(1,), embedding=(32,), pool=("last",), dropout=(0.1,))
    assert small.size() == 4 + 4**3 * 6 == len(set(small.enumerate()))


def relabelled(cell: Cell) -> list[Cell]:
    """The cell in every order in which a node stands behind what it reads."""
    n = len(cell.inputs)
    out = []
    for order in itertools.permutations(range(1, n + 1)):
        place = {0: 0} | {node: i for i, node in enumerate(order, start=1)}
        if all(place[cell.inputs[node - 1]] < place[node] for node in order):
            out.append(
                Cell(tuple(cell.activations[i - 1] for i in order), tuple(place[cell.inputs[i - 1]] for i in order))
            )
    return out


def test_equal_keys_are_exactly_those_of_relabelled_cells():
    """All cells of up to four nodes with two activations, against brute force."""
    space = made(
        nodes=(1, 2, 3, 4), activation=("relu", "identity"), output=("all", "ends"), width=(8,), layers=(1,),
        embedding=(8,), pool=("last",), dropout=(0.1,),
    )  # fmt: skip
    forms: dict[tuple, set[str]] = {}
    for arch in space.enumerate():
        cell = space.cell(arch)
        outputs = [c.all if arch["output"] == "all" else c.ends for c in relabelled(cell)]
        form = min((c.activations, c.inputs, o) for c, o in zip(relabelled(cell), outputs, strict=True))
        forms.setdefault(form, set()).add(space.canonical_key(arch))
    assert all(len(keys) == 1 for keys in forms.values())
    assert len({key for keys in forms.values() for key in keys}) == len(forms) < space.size()


def test_relabelled_cells_compute_the_same():
    import torch

    from engine.network.build import build

    space = made(nodes=(4,), output=("ends",), dropout=(0.0,))
    rng = np.random.default_rng(0)
    for _ in range(5):
        arch = space.sample(rng)
        cell = space.cell(arch)
        other_cell = relabelled(cell)[-1]
        other = space.validate({**arch.choices, **space._cell_choices(other_cell)})
        assert space.canonical_key(other) == space.canonical_key(arch)
        one, two = build(space.plan(arch), seed=1).eval(), build(space.plan(other), seed=1).eval()
        # the same matrices, moved with their nodes
        order = next(
            o for o in itertools.permutations(range(4))
            if tuple(cell.activations[i] for i in o) == other_cell.activations
            and tuple(0 if cell.inputs[i] == 0 else o.index(cell.inputs[i] - 1) + 1 for i in o) == other_cell.inputs
        )  # fmt: skip
        state = dict(one.state_dict())
        for k in range(1, arch["layers"] + 1):
            for i, node in enumerate(order):
                state[f"layer{k}.nodes.{i}.weight"] = one.state_dict()[f"layer{k}.nodes.{node}.weight"]
        two.load_state_dict(state)
        x = torch.randint(1, 40, (4, 11), generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            assert torch.allclose(one(x), two(x), atol=1e-6)


@pytest.mark.parametrize("pool", ["last", "mean", "max"])
def test_padding_changes_nothing(pool):
    import torch

    from engine.network.build import build

    short, long = made(pool=(pool,)), made(data_spec((17,), 6, vocabulary=40), pool=(pool,))
    arch = short.sample(np.random.default_rng(2))
    one, other = build(short.plan(arch), seed=1).eval(), build(long.plan(arch), seed=1).eval()
    x = torch.tensor([[3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], [9, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0]])
    with torch.no_grad():
        assert torch.allclose(one(x), other(torch.nn.functional.pad(x, (0, 6))), atol=1e-6)


def test_every_morphism_keeps_the_function():
    import torch

    from engine.data.arrays import example
    from engine.network.build import build
    from engine.network.inherit import inherit

    rng = np.random.default_rng(3)
    said = set()
    for data in (TEXT, SIGNAL, data_spec((1, 300), 4, "longer")):
        space = made(data, nodes=(1, 2, 4), output=("ends",), width=(6, 9), embedding=(4, 6), layers=(1, 2))
        for seed in range(4):
            arch = space.sample(rng)
            parent = build(space.plan(arch), seed=seed).train()
            x = torch.from_numpy(example(data, 6, rng))
            with torch.no_grad():
                parent(x)
                parent.eval()
                expected = parent(x)
                for m in space.morphisms(arch):
                    child = inherit(parent.state_dict(), space.plan(m.child), m.weights, seed=seed).eval()
                    assert float((child(x) - expected).abs().max()) <= 1e-5, m.what
                    said.add(m.what.split()[0])
    assert said == {"states", "steps", "identity"}


def test_growth_puts_a_node_behind_every_other():
    space = made(nodes=(2, 3, 5), restrict={})
    arch = space.read("Genotype(recurrent=[('relu', 0), ('tanh', 1)], concat=range(1, 3))")
    larger = space.grow(arch)
    assert len(larger) == 3 * 4
    assert {(a["node3_from"], a["node3_activation"]) for a in larger} == {
        (s, a) for s in range(3) for a in ("tanh", "relu", "sigmoid", "identity")
    }
    chain = space.cell(space.grow(larger[0])[-1])
    assert chain.inputs[-2:] == (3, 4) and space.stage(larger[0]) == 2
    without = space.restrict({"node3_activation": ["relu"]})
    assert len(without.grow(arch)) == 3


def test_genotypes_are_read_and_never_run():
    space = made(output=("all", "ends"))
    arch = space.read("Genotype(concat=[1,2,3], recurrent=[['relu', 0], ('tanh', 0), ('tanh', 0)]) width=96 pool=mean")
    assert (arch["width"], arch["pool"], arch["layers"], arch["output"]) == (96, "mean", 1, "all")
    assert space.read(space.write(space.validate({**arch.choices, "output": "ends"})))["output"] == "ends"
    start = "Genotype(recurrent=[('relu', 0), ('tanh', 1), ('relu', 1)], concat="
    for text, words in (
        (start + "range(1, 3))", r"concat=\[1, 2\].*range\(1, 4\).*\[2, 3\]"),
        (start + "range(1, 4)) output=ends", "does not agree"),
        (start + "range(1, 4)) width=97", "width: received '97'"),
        (start + "range(1, 4)) colour=red", "received 'colour=red'"),
        (start.replace("'relu', 1", "'relu', 3") + "range(1, 4))", "node 3 reads node 3; it can read 0, 1, 2"),
        (start.replace("tanh", "none") + "range(1, 4))", "node2_activation: received 'none'"),
        (start + "__import__('os').listdir())", "a recurrent cell reads"),
        (start + "range(1, 10**9))", "a recurrent cell reads"),
        ("Genotype(recurrent=" + "[" * 500, "a recurrent cell reads"),
        ("Genotype(recurrent=[" + "('relu', 0), " * 500 + "], concat=[1])", "at most 4,000 characters"),
        ("Genotype(recurrent=[], concat=[])", "at least one node"),
    ):
        with pytest.raises(InvalidArchitecture, match=words):
            space.read(text)


def test_the_drawing_of_a_cell_shows_its_nodes():
    from engine.network.picture import picture

    space = made(output=("ends",), layers=(2,))
    arch = space.read("Genotype(recurrent=[('relu', 0), ('tanh', 1), ('sigmoid', 1)], concat=[2, 3]) layers=2")
    drawn = picture(space.plan(arch))
    cells = [n for n in drawn["nodes"] if n["kind"] == "recurrent"]
    assert cells and all(n["opens"] for n in cells)
    detail = next(d for d in drawn["details"] if d["title"] == cells[0]["opens"])
    assert [n["title"] for n in detail["nodes"]] == ["input", "state", "tanh", "relu", "tanh", "sigmoid", "mean"]
    arrows = {(e["source"], e["target"]) for e in detail["edges"]}
    assert arrows >= {("node0", "node1"), ("node1", "node2"), ("node1", "node3"), ("node2", "out"), ("node3", "out")}
    assert ("node1", "out") not in arrows


def test_sampling_is_fast_enough_for_a_cell_space():
    import time

    space = made(nodes=(8,))
    rng = np.random.default_rng(0)
    best = 0.0
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(2000):
            space.sample(rng)
        best = max(best, 2000 / (time.perf_counter() - start))
    assert best > 10_000  # 20,000 on a quiet machine: see benchmarks/spaces.py


# -- shared weights -------------------------------------------------------------------------------
def test_a_node_has_one_matrix_whatever_it_reads_and_however_many_there_are():
    from engine.supernets.nets.bank import Bank

    space = made(nodes=(2, 3, 4), width=(5,), layers=(1,), embedding=(6,), pool=("last",), dropout=(0.0,))
    bank = Bank(seed=1)

    def cell(*nodes: tuple[str, int]):
        text = f"Genotype(recurrent={list(nodes)}, concat=range(1, {len(nodes) + 1}))"
        plan = space.plan(space.read(text))
        return bank.block("layer1", next(n for n in plan.nodes if n.op == "recurrent_cell"))

    three = cell(("tanh", 0), ("relu", 1), ("tanh", 0))
    other = cell(("relu", 0), ("sigmoid", 0), ("tanh", 2))
    assert three is not other and three.inputs != other.inputs
    assert dict(three.named_parameters()) == dict(other.named_parameters())  # the same objects
    before = bank.keys()
    two, four = cell(("tanh", 0), ("tanh", 1)), cell(*[("relu", 0)] * 4)
    assert len(bank.keys()) == len(before) + 1  # four nodes made a matrix, two did not
    for i in range(3):
        assert four.nodes[i].weight is three.nodes[i].weight
    assert two.from_state.weight is four.from_state.weight
    assert sum(p.numel() for p in bank.parameters()) == sum(p.numel() for p in four.parameters())
    assert not any(p.is_meta for p in bank.parameters())
