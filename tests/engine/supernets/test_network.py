"""The network of a mixture, against sums written by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.supernets.mixture import Mixture
from engine.supernets.nets.bank import Bank
from engine.supernets.nets.network import Gate, MixtureNetwork
from tests.engine.supernets.small import SPACES, data_of, space_of


def slotted(space: str) -> bool:
    """Whether each table decides about slots; those of a recurrent cell act inside of it and are tested elsewhere."""
    bound = space_of(space)
    if bound.unmixed() is not None:
        return False
    mixture = bound.mixture()
    return {s.table for s in mixture.slots} == {t.name for t in mixture.tables}


MIXED = [s for s in SPACES if slotted(s)]


def made(space: str, **options) -> tuple[Mixture, Bank, MixtureNetwork]:
    """A mixture over a fresh bank, which computes what it would in a trained one."""
    mixture = space_of(space).mixture(**options)
    bank = Bank(seed=2)
    network = MixtureNetwork(mixture, bank)
    bank.eval()
    return mixture, bank, network


def weights_of(mixture: Mixture) -> dict[str, Tensor]:
    """Some weight for each option of each table."""
    generator = torch.Generator().manual_seed(0)
    return {t.name: torch.rand(len(t.options), generator=generator) + 0.1 for t in mixture.tables}


def by_hand(mixture: Mixture, bank: Bank, x: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """Walks the mixture part by part: every slot the sum over all its options, weight times output."""
    values = {"input": x}
    for part in mixture.parts:
        if hasattr(part, "table"):
            options = mixture.by_name[part.table].options
            total = torch.zeros(len(x), *part.shape)
            for weight, option in zip(weights[part.table], options, strict=True):
                inner = {part.input: values[part.input]}
                out = torch.zeros(len(x), *part.shape)
                for node in part.alternatives[option]:
                    out = inner[node.id] = bank.block(node.id, node)(*[inner[i] for i in node.inputs])
                total = total + weight * out
            x = total
        else:
            x = bank.block(part.id, part)(*[values[i] for i in part.inputs])
        values[part.id] = x
    return x


@pytest.mark.parametrize("norm_pools", [False, True])
@pytest.mark.parametrize("space", MIXED)
def test_a_slot_gives_the_weighted_sum_of_its_options(space: str, norm_pools: bool) -> None:
    """All options of all tables, in the order of the rows."""
    mixture, bank, network = made(space, norm_pools=norm_pools)
    weights = weights_of(mixture)
    x = data_of(space).validation_x[:4]
    gates: dict[str, Gate] = {name: (range(len(w)), w) for name, w in weights.items()}
    with torch.no_grad():
        assert torch.allclose(network(x, gates), by_hand(mixture, bank, x, weights), atol=1e-5)


@pytest.mark.parametrize("space", MIXED)
def test_a_gate_computes_what_it_names_and_nothing_else(space: str) -> None:
    """One position: one option; the sum over some is that with zero weights on the others."""
    mixture, bank, network = made(space)
    x = data_of(space).validation_x[:4]
    rng = np.random.default_rng(1)
    some: dict[str, Gate] = {}
    zeroed = {}
    for name, w in weights_of(mixture).items():
        chosen = sorted(rng.choice(len(w), size=min(2, len(w)), replace=False).tolist())
        some[name] = chosen, w[chosen]
        zeroed[name] = torch.zeros_like(w)
        zeroed[name][chosen] = w[chosen]
    ran: list[int] = []
    blocks = {id(bank.block(n.id, n)): n.id for s in mixture.slots for nodes in s.alternatives.values() for n in nodes}
    for module in bank.blocks:
        module.register_forward_hook(lambda m, *_: ran.append(id(m)))
    with torch.no_grad():
        out = network(x, some)
        seen = {blocks[i] for i in ran if i in blocks}
        named = {
            n.id
            for s in mixture.slots
            for k in some[s.table][0]
            for n in s.alternatives[mixture.by_name[s.table].options[k]]
            if id(bank.block(n.id, n)) in {id(m) for m in bank.blocks}
        }
        assert seen <= named
        assert torch.allclose(out, by_hand(mixture, bank, x, zeroed), atol=1e-5)


@pytest.mark.parametrize("space", MIXED)
def test_one_hot_gates_are_the_network_itself(space: str) -> None:
    """The path that an architecture takes through the mixture is its plan over the same bank."""
    bound = space_of(space)
    mixture, bank, network = made(space)
    x = data_of(space).validation_x[:4]
    for i in range(6):
        a = bound.sample(np.random.default_rng(i))
        taken = bound.chosen(a)
        gates: dict[str, Gate] = {
            t.name: ((t.options.index(taken[t.name]),), None) if t.name in taken else ((), None) for t in mixture.tables
        }
        with torch.no_grad():
            mine, alone = network(x, gates), bank.run(bound.planned(a), x, bound.weight_names(a))
        assert torch.allclose(mine, alone, atol=1e-5)


@pytest.mark.parametrize("space", MIXED)
def test_what_is_kept_is_a_part_of_the_mixture(space: str) -> None:
    """Dropping options changes no weight and no sum of those that stay."""
    bound = space_of(space)
    mixture, bank, _ = made(space)
    kept = {t.name: t.options[:: max(1, len(t.options) - 1)] for t in mixture.tables}
    less = mixture.keep(kept)
    assert [t.options for t in less.tables] == list(kept.values())
    network = MixtureNetwork(less, bank)
    weights = weights_of(mixture)
    x = data_of(space).validation_x[:4]
    zeroed, gates = {}, {}
    for t in mixture.tables:
        w = weights[t.name]
        stay = [t.options.index(o) for o in kept[t.name]]
        zeroed[t.name] = torch.zeros_like(w)
        zeroed[t.name][stay] = w[stay]
        gates[t.name] = range(len(stay)), w[stay]
    with torch.no_grad():
        assert torch.allclose(network(x, gates), by_hand(mixture, bank, x, zeroed), atol=1e-5)
    with pytest.raises(ValueError, match="keep at least one"):
        mixture.keep({mixture.tables[0].name: []})
    with pytest.raises(ValueError, match="no table is called 'nowhere'"):
        mixture.keep({"nowhere": [1]})
    assert bound.validate(bound.derive({t.name: dict.fromkeys(t.options, 0.5) for t in less.tables}).choices)


def test_gradients_of_gates_are_the_inner_products() -> None:
    """d loss / d weight = sum of (d loss / d slot) * output of the option, in a mixture of a single slot's table."""
    mixture, bank, network = made("cell")
    x = data_of("cell").validation_x[:4].double()
    bank.double()
    table = mixture.tables[0].name
    weights = {name: w.double().requires_grad_(name == table) for name, w in weights_of(mixture).items()}
    gates: dict[str, Gate] = {name: (range(len(w)), w) for name, w in weights.items()}
    (grad,) = torch.autograd.grad(network(x, gates).square().sum(), weights[table])
    step = 1e-6
    for k in range(len(grad)):
        values = []
        for sign in (1, -1):
            moved = weights[table].detach().clone()
            moved[k] += sign * step
            with torch.no_grad():
                values.append(float(network(x, {**gates, table: (range(len(moved)), moved)}).square().sum()))
        assert float(grad[k]) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4, abs=1e-8)
