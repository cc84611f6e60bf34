"""Activations and inputs of a recurrent cell side by side: the formula written out, and what is derived."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.errors import CannotBuild
from engine.spaces.recurrent import Recurrent, RecurrentOptions
from engine.supernets.nets.bank import Bank
from engine.supernets.nets.network import MixtureNetwork

from .specs import SIGNAL, TEXT

SETTLED = {"width": (4,), "embedding": (6,), "layers": (1,), "pool": ("last",), "dropout": (0.0,), "nodes": (3,)}


def made(data=TEXT, **options) -> Recurrent:
    return Recurrent(RecurrentOptions(**{**SETTLED, **options})).bind(data)


def probabilities(space: Recurrent, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {t.name: torch.rand(len(t.options), generator=generator, dtype=torch.float64).softmax(0)
            for t in space.mixture().tables}  # fmt: skip


def tokens(n: int = 5) -> torch.Tensor:
    x = torch.randint(1, 40, (n, *TEXT.input_shape), generator=torch.Generator().manual_seed(2))
    x[0, 4:] = 0  # one that ends early
    return x


def test_tables_and_nodes():
    """A row of activations for each edge; the layers share them."""
    space = made(layers=(2,))
    mixture = space.mixture(norm_pools=True)
    assert [t.name for t in mixture.tables] == [f"node{i}_from{j}" for i in (1, 2, 3) for j in range(i)]
    assert [t.group for t in mixture.tables] == ["node1", "node2", "node2", "node3", "node3", "node3"]
    assert list(mixture.inside) == ["layer1", "layer2"] and mixture.slots == ()
    # eight nodes: 36 rows, as in Liu et al. 2019
    assert len(made(nodes=(8,)).mixture().tables) == 36
    assert space.title("node3_from1") == "node 3 from node 1" and space.format("node3_from1", "tanh") == "tanh"


@pytest.mark.parametrize("norms", [False, True])
def test_a_node_is_the_weighed_sum_of_its_activations_of_all_earlier_nodes(norms):
    """Liu et al. 2019, equation 2 with the recurrent cell's gates, one step, edge and activation after the other."""
    space = made()
    mixture, bank = space.mixture(norm_pools=norms), Bank(seed=3)
    network = MixtureNetwork(mixture, bank)
    bank.double()
    x, p = tokens(), probabilities(space, 4)
    logits = network(x, {name: (range(len(row)), row) for name, row in p.items()})

    node = {n.id: n for n in mixture.parts}
    cell = bank.block("layer1", node["layer1"])
    words, output = bank.block("embedding", node["embedding"])(x), bank.block("output", node["output"])

    def norm(values):
        if not norms:
            return values
        return (values - values.mean(0)) / (values.var(0, unbiased=False) + 1e-5).sqrt()

    functions = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "identity": lambda v: v}
    state = torch.zeros(len(x), 4, dtype=torch.float64)
    for t in range(x.shape[1]):
        c, g = (words[:, :, t] @ cell.from_input.weight.T + state @ cell.from_state.weight.T).chunk(2, 1)
        nodes = [norm(state + g.sigmoid() * (c.tanh() - state))]
        for i in (1, 2, 3):
            total = torch.zeros_like(state)
            for j, s in enumerate(nodes):
                c, g = (s @ cell.nodes[i - 1].weight.T).chunk(2, 1)
                for k, name in enumerate(mixture.by_name[f"node{i}_from{j}"].options):
                    total = total + p[f"node{i}_from{j}"][k] * (s + g.sigmoid() * (functions[name](c) - s))
            nodes.append(norm(total))
        state = torch.where(x[:, t, None] > 0, torch.stack(nodes[1:]).mean(0), state)
    assert torch.allclose(logits, output(state), rtol=1e-9, atol=1e-12)


def test_every_row_and_every_matrix_gets_a_gradient():
    space = made(data=SIGNAL, layers=(2,), pool=("mean",))
    bank = Bank(seed=3, affine=False)
    network = MixtureNetwork(space.mixture(norm_pools=True), bank)
    alphas = {t.name: torch.zeros(len(t.options), requires_grad=True) for t in network.mixture.tables}
    x = torch.randn(6, *SIGNAL.input_shape, generator=torch.Generator().manual_seed(0))
    gates = {name: (range(len(a)), a.softmax(0)) for name, a in alphas.items()}
    scales = {name: torch.ones((), requires_grad=True) for name in alphas}
    loss = network(x, gates, scales).square().sum()
    loss.backward()
    for t in (*alphas.values(), *scales.values(), *(p for p in bank.parameters() if p.requires_grad)):
        assert t.grad is not None and float(t.grad.abs().max()) > 0
    # a factor of a whole edge is one of all its weights
    row = next(iter(alphas))
    assert torch.isclose((gates[row][1] * 2)[0], gates[row][1][0] * 2)


def test_norms_of_the_search_keep_statistics_of_their_own():
    space = made(layers=(2,))
    bank = Bank(seed=3)
    network = MixtureNetwork(space.mixture(norm_pools=True), bank)
    gates = {t.name: ((0,), None) for t in network.mixture.tables}
    norms = [m for m in network.blocks_of(gates) if isinstance(m, torch.nn.BatchNorm1d)]
    assert len(norms) == 2 * 4 and not any(m.affine for m in norms)
    network(tokens(), gates)
    assert all(int(m.num_batches_tracked) == TEXT.input_shape[0] for m in norms)  # once a step


def test_of_each_node_the_strongest_input_and_its_strongest_activation():
    space = made(nodes=(2, 4))
    rng = np.random.default_rng(0)
    for _ in range(5):
        rows = {t.name: dict(zip(t.options, rng.random(len(t.options)).tolist(), strict=True))
                for t in space.mixture().tables}  # fmt: skip
        cell = space.cell(space.derive(rows))
        assert len(cell.inputs) == 4
        for i, (source, activation) in enumerate(zip(cell.inputs, cell.activations, strict=True), start=1):
            every = {(j, o): p for j in range(i) for o, p in rows[f"node{i}_from{j}"].items()}
            assert (source, activation) == max(every, key=every.get)


def test_restrictions_narrow_the_edges():
    space = made().restrict({"node3_from": [0, 2], "node2_activation": ["relu", "tanh"]})
    tables = space.mixture().by_name
    assert "node3_from1" not in tables and len(tables) == 5
    assert set(tables["node2_from0"].options) == {"relu", "tanh"}
    assert space.derive({"node3_from1": {"relu": 9.0}})["node3_from"] == 0


def test_what_makes_no_mixture_says_what_to_settle():
    assert made().unmixed() is None
    reason = made(width=(32, 64), dropout=(0.0, 0.1)).unmixed()
    assert "width 32, 64; dropout 0, 0.1" in reason and "layers" not in reason
    assert "output: all" in made(output=("ends",)).unmixed()
    with pytest.raises(CannotBuild, match="width 32, 64"):
        made(width=(32, 64)).mixture()
    with pytest.raises(CannotBuild, match="without partial channels"):
        made().mixture(partial=2)
    both = made(nodes=(2, 3), output=("all", "ends"))
    with pytest.raises(CannotBuild, match="3 nodes, this one has 2"):
        both.chosen(both.read("Genotype(recurrent=[('relu', 0), ('tanh', 1)], concat=range(1, 3))"))
    with pytest.raises(CannotBuild, match="mean of all nodes"):
        both.chosen(both.read("Genotype(recurrent=[('relu', 0), ('tanh', 1), ('relu', 0)], concat=[2, 3])"))
