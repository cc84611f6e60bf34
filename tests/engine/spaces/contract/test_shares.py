"""Shared weights: what a bank gives a subnet, and mixtures whose gates leave one path."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine import catalog
from engine.architecture import Architecture
from engine.errors import CannotBuild, NotOffered
from engine.network.build import PlanNetwork
from engine.spaces.base import SearchSpace, space_of
from engine.supernets.mixture import Slot
from engine.supernets.nets.bank import Bank
from engine.supernets.nets.network import MixtureNetwork

from .conftest import PAIRS, made_up

#: options under which all networks of a space are small, and its options stand side by side
SMALL: dict[str, dict[str, Any]] = {
    "layers": {
        "depth": [3], "width": [6], "pool_after": [1], "pool": ["max"], "widen": [2], "norm": ["batch"],
        "activation": ["relu"], "dense": [0], "dropout": [0.1], "operation": ["conv3", "sep5", "conv1", "avg3"],
    },
    "darts": {"channels": 4, "layers": 3},
    "mobile": {"stages": [{"width": [8], "depth": [1, 2]}, {"width": [12], "depth": [1, 2, 3], "stride": 2}]},
    "nasbench201": {"channels": 4, "cells": 1},
    "recurrent": {"width": (4,), "embedding": (6,), "layers": (2,), "pool": ("mean",), "dropout": (0.1,)},
}


def small(pair: tuple[type[SearchSpace], Any]) -> SearchSpace:
    cls, data = pair
    return space_of(cls, cls.Options(**{**cls.suggested(data), **SMALL.get(cls.name, {})}), data)


def cases(what: str) -> list:
    pairs = [p for p in PAIRS if not {"supernet", what} & set(p[0].unavailable)]
    return [pytest.param(small(p), id=f"{p[0].name}-{p[1].name.replace(' ', '-')}") for p in pairs]


def used(space: SearchSpace, bank: Bank, archs: list[Architecture]) -> None:
    """Makes their operations, with running statistics and weights that are not those of the start."""
    bank.train()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for arch in archs:
            for i in range(2):
                bank.run(space.plan(arch), made_up(space, 6, i), space.weight_names(arch))
        for p in bank.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator))
    bank.eval()


def path(space: SearchSpace, arch: Architecture) -> dict:
    """Gates that leave one path."""
    taken = space.chosen(arch)
    gates = {}
    for table in space.mixture().tables:
        gates[table.name] = ((table.options.index(taken[table.name]),) if table.name in taken else (), None)
    return gates


def paths(space: SearchSpace, n: int, seed: int) -> list[Architecture]:
    """Random architectures that are paths of the mixture."""
    rng, out = np.random.default_rng(seed), []
    for _ in range(400):
        arch = space.sample(rng)
        try:
            space.chosen(arch)
        except CannotBuild:
            continue
        out.append(arch)
        if len(out) == n:
            return out
    raise AssertionError("hardly any architecture is a path of the mixture")


# -- one network of the bank ------------------------------------------------------------------------
@pytest.mark.parametrize("space", cases("supernet"))
def test_what_a_subnet_inherits_loads_into_the_network_alone(space):
    rng, bank = np.random.default_rng(3), Bank(seed=5)
    archs = [space.sample(rng) for _ in range(5)]
    used(space, bank, archs)
    x = made_up(space, 4, 9)
    with torch.no_grad():
        for arch in archs:
            plan, names = space.plan(arch), space.weight_names(arch)
            assert set(names) <= set(plan.by_id)
            alone = PlanNetwork(plan)
            alone.load_state_dict(bank.extract(plan, names), strict=True)
            assert torch.equal(alone.eval()(x), bank.run(plan, x, names))


@pytest.mark.parametrize("space", cases("supernet"))
def test_what_networks_have_in_common_they_share(space):
    """A neighbour has all weights of its own but those that the change is about, and they are the same objects."""
    rng, bank = np.random.default_rng(4), Bank(seed=5)
    for _ in range(3):
        one = space.sample(rng)
        other = space.mutate(one, 1, rng)
        mine, theirs = (
            {id(p) for block in bank.blocks_of(space.plan(a), space.weight_names(a)) for p in block.parameters()}
            for a in (one, other)
        )
        assert mine & theirs
        assert mine | theirs <= {id(p) for p in bank.parameters()}
    assert len(list(bank.state_dict())) == len(list(bank.named_weights()))  # each tensor once


@pytest.mark.parametrize("space", cases("supernet"))
def test_initial_weights_do_not_depend_on_the_order_of_asking(space):
    rng = np.random.default_rng(6)
    archs = [space.sample(rng) for _ in range(4)]
    forth, back = Bank(seed=5), Bank(seed=5)
    for bank, order in ((forth, archs), (back, archs[::-1])):
        for arch in order:
            bank.blocks_of(space.plan(arch), space.weight_names(arch))
    for arch in archs:
        a, b = (bank.extract(space.plan(arch), space.weight_names(arch)) for bank in (forth, back))
        assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("space", cases("supernet"))
def test_a_checkpoint_makes_the_same_bank(space):
    rng, bank, again = np.random.default_rng(7), Bank(seed=5), Bank(seed=6)
    archs = [space.sample(rng) for _ in range(4)]
    used(space, bank, archs)
    again.hold(bank.keys())
    assert again.keys() == bank.keys()
    with torch.no_grad():
        held = dict(bank.named_weights())
        for name, tensor in again.named_weights():
            tensor.copy_(held.pop(name))
        assert not held
        again.eval()
        x = made_up(space, 4, 1)
        for arch in archs:
            plan, names = space.plan(arch), space.weight_names(arch)
            assert torch.equal(again.run(plan, x, names), bank.run(plan, x, names))
    assert again.keys() == bank.keys()


# -- options side by side ---------------------------------------------------------------------------
@pytest.mark.parametrize("space", cases("mixture"))
def test_gates_of_one_path_give_its_network(space):
    bank = Bank(seed=5)
    archs = paths(space, 6, 8)
    network = MixtureNetwork(space.mixture(), bank)
    used(space, bank, archs)
    x = made_up(space, 4, 9)
    with torch.no_grad():
        for arch in archs:
            alone = bank.run(space.plan(arch), x, space.weight_names(arch))
            assert torch.equal(network(x, path(space, arch)), alone), arch


@pytest.mark.parametrize("space", cases("mixture"))
def test_the_strengths_of_one_path_derive_it(space):
    tables = space.mixture().by_name
    for arch in paths(space, 12, 10):
        taken = space.chosen(arch)
        strengths = {t: {o: float(o == taken[t]) for o in tables[t].options} for t in taken}
        derived = space.derive(strengths)
        assert space.validate(derived.choices) == derived
        assert space.canonical_key(derived) == space.canonical_key(arch)


@pytest.mark.parametrize("space", cases("mixture"))
def test_whatever_the_strengths_an_architecture_of_the_space_is_derived(space):
    """Random ones, none at all, and those of a mixture that was pruned to an option a table, in a narrowed space."""
    rng = np.random.default_rng(12)
    assert space.derive({})
    for _ in range(3):
        arch = space.sample(rng)
        d = [d for d in space.decisions(arch) if len(d.options) > 1][-1]
        narrow = space.restrict({d.name: list(d.options[1:])})
        for s in (space, narrow):
            tables = s.mixture().tables
            strengths = {t.name: dict(zip(t.options, rng.normal(size=len(t.options)), strict=True)) for t in tables}
            pruned = {name: dict([max(row.items(), key=lambda i: i[1])]) for name, row in strengths.items()}
            for given in (strengths, pruned):
                derived = s.derive(given)
                assert s.validate(derived.choices) == derived
                s.chosen(derived)


@pytest.mark.parametrize("space", cases("mixture"))
def test_slots_give_the_shapes_they_say(space):
    """All options of each slot, also behind norms and with half of the channels, also after pruning."""
    mixtures = [space.mixture(), space.mixture(norm_pools=True)]
    try:
        mixtures.append(space.mixture(partial=2))
    except CannotBuild as e:
        assert str(e)
    first = mixtures[0]
    kept = {t.name: t.options[-1:] for t in first.tables[::2]}
    mixtures.append(first.keep(kept))
    assert {t.name: t.options for t in mixtures[-1].tables} == {
        t.name: kept.get(t.name, t.options) for t in first.tables
    }
    x = made_up(space, 3, 2)
    for mixture in mixtures:
        ids = [p.id for p in mixture.parts]
        assert len(set(ids)) == len(ids)
        named = {s.table for s in mixture.slots} | {t for i in mixture.inside.values() for t in i.edges.values()}
        assert {t.name for t in mixture.tables} == named
        assert all(set(s.alternatives) == set(mixture.by_name[s.table].options) for s in mixture.slots)
        shapes = {(s.id, (3, s.shape[0] // s.partial, *s.shape[1:])) for s in mixture.slots}
        seen: set[tuple[str, tuple[int, ...]]] = set()

        def watch(slot: Slot, option: object, out: torch.Tensor, seen: set = seen) -> torch.Tensor:
            seen.add((slot.id, tuple(out.shape)))
            return out

        network = MixtureNetwork(mixture, Bank(seed=1), watch)
        with torch.no_grad():
            logits = network(x, {t.name: (range(len(t.options)), torch.ones(len(t.options))) for t in mixture.tables})
        assert logits.shape == (3, space.n_classes)
        # a recurrent sum of everything explodes without norms
        assert bool(torch.isfinite(logits).all()) or (mixture.inside and mixture is not mixtures[1])
        assert seen <= shapes


@pytest.mark.parametrize("name", [n for n, cls in catalog.plugins("space").items() if "mixture" in cls.unavailable])
def test_what_makes_no_mixture_says_why(name):
    space = small(next(p for p in PAIRS if p[0].name == name))
    assert space.unmixed() == type(space).unavailable["mixture"]
    with pytest.raises(NotOffered):
        space.mixture()
