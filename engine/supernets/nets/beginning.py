"""Beginning with the weights of another search's supernet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.errors import CannotBuild
from engine.spaces.base import SearchSpace
from engine.supernets.nets.bank import Bank, key_of, node_of

#: random networks that say which arguments are fixed by space and data
SAMPLES = 64


def inherit(
    bank: Bank, space: SearchSpace, tensors: Mapping[str, Tensor], keys: Sequence[Sequence[str]]
) -> tuple[int, int]:
    """Takes over every weight whose name, operation, arguments and shapes agree; momentum begins anew.

    A bank that holds something already (a mixture's) takes over what it holds. An empty one makes what it takes over,
    but for operations that none of the space's networks has: where an argument is the same in all of `SAMPLES` random
    networks (a classifier's outputs, a stem's input channels) and another one here.

    Args:
        bank: of a training that has not begun.
        space: whose networks the bank runs.
        tensors: of the other supernet's checkpoint, `bank.*` among them.
        keys: what its bank held.

    Returns:
        (tensors taken over, tensors there were).
    """
    other = Bank(seed=0)
    other.hold(keys)
    with torch.no_grad():
        for name, t in other.named_weights():
            t.copy_(tensors[f"bank.{name}"])
    have = bank.keys()
    mine = {tuple(key) for key in have}
    fixed = {} if mine else _fixed(space)
    taken: set[int] = set()
    for name, op, args in keys:
        if (name, op, args) not in mine if mine else _foreign(fixed, name, op, args):
            continue
        node = node_of((name, op, args))
        taken |= _copied(other.block(name, node), bank.block(name, node))
    return len(taken), sum(1 for _ in other.named_weights())


def _copied(source: nn.Module, target: nn.Module) -> set[int]:
    """Copies what agrees in name and shape and is not frozen; which tensors of the source those were."""
    have = dict(_held(source))
    out = set()
    with torch.no_grad():
        for name, t in _held(target):
            s = have.get(name)
            frozen = isinstance(t, nn.Parameter) and not t.requires_grad
            if s is not None and s.shape == t.shape and not frozen:
                t.copy_(s)
                out.add(id(s))
    return out


def _held(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _fixed(space: SearchSpace) -> dict[tuple[str, str], dict[str, set[str]]]:
    """Values of each argument by name of the weights and operation, of random networks."""
    seen: dict[tuple[str, str], dict[str, set[str]]] = {}
    for i in range(SAMPLES):
        a = space.sample(np.random.default_rng(i))
        try:
            plan, names = space.planned(a), space.weight_names(a)
        except CannotBuild:
            continue
        for node in plan.nodes:
            name, op, args = key_of(names.get(node.id, node.id), node)
            values = seen.setdefault((name, op), {})
            for argument, value in json.loads(args).items():
                values.setdefault(argument, set()).add(json.dumps(value))
    return seen


def _foreign(fixed: Mapping[tuple[str, str], Mapping[str, set[str]]], name: str, op: str, args: str) -> bool:
    """Whether no network of the space has this operation at this place with such arguments."""
    given: dict[str, Any] = json.loads(args)
    values = fixed.get((name, op), {})
    return any(len(values.get(a, ())) == 1 and json.dumps(v) not in values[a] for a, v in given.items())
