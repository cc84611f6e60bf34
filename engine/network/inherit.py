"""Carries weights from a network to one that computes the same (the torch side of `network.morphism`)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from engine.errors import EngineError
from engine.network.build import build
from engine.network.morphism import Made
from engine.network.plan import NetworkPlan


def inherit(
    parent: Mapping[str, Tensor], plan: NetworkPlan, weights: Mapping[str, Made], *, seed: int
) -> torch.nn.Module:
    """The child's network with the parent's function.

    Args:
        parent: state dict of the parent's network.
        plan: the child's.
        weights: see `Morphism.weights`.
        seed: of the tensors that start fresh.

    Raises:
        EngineError: a tensor that neither the parent nor the morphism provides, or one of another shape.
    """
    network = build(plan, seed=seed)
    take_over(network, parent, weights)
    return network


def take_over(network: torch.nn.Module, parent: Mapping[str, Tensor], weights: Mapping[str, Made]) -> None:
    """The same for a network that is there already, in place.

    Raises:
        EngineError: as `inherit`; what was taken over before stays.
    """
    state = network.state_dict()
    unknown = set(weights) - set(state)
    if unknown:
        raise EngineError(f"the child has no tensor {min(unknown)}")
    for name, fresh in state.items():
        made = weights.get(name) or Made(name)
        value = _make(made, parent, fresh, name)
        if value.shape != fresh.shape:
            raise EngineError(f"{name}: {tuple(value.shape)} was made for the child's {tuple(fresh.shape)}")
        fresh.copy_(value)


def _make(made: Made, parent: Mapping[str, Tensor], fresh: Tensor, name: str) -> Tensor:
    if made.source:
        if made.source not in parent:
            raise EngineError(f"{name}: the parent has no tensor {made.source}")
        value = parent[made.source]
    elif made.fill == "fresh":
        value = fresh.clone()
    elif made.fill == "identity":
        value = _identity(fresh)
    else:
        value = torch.full_like(fresh, 1.0 if made.fill == "ones" else 0.0)
    for axis, positions in made.take.items():
        value = value.index_select(axis, torch.tensor(positions, device=value.device))
    for axis, divisors in made.divide.items():
        sizes = [-1 if i == axis else 1 for i in range(value.ndim)]
        value = value / torch.tensor(divisors, dtype=value.dtype, device=value.device).view(sizes)
    for axis, (before, behind) in made.pad.items():
        sides = [0, 0] * value.ndim
        sides[2 * (value.ndim - 1 - axis)], sides[2 * (value.ndim - 1 - axis) + 1] = before, behind
        value = torch.nn.functional.pad(value, sides)
    return value * made.factor if made.factor != 1.0 else value


def _identity(like: Tensor) -> Tensor:
    """Hands the input on: 1 at (i, i) in the middle of the window; (out, 1, ...) for depthwise convolutions.

    Rows beyond the inputs are zeros, and inputs beyond the rows are dropped.
    """
    out = torch.zeros_like(like)
    middle = tuple(side // 2 for side in like.shape[2:])
    each = like.shape[1] == 1
    for i in range(like.shape[0] if each else min(like.shape[:2])):
        out[(i, 0 if each else i, *middle)] = 1.0
    return out
