"""Carries the weights of a mixture into one with wider operations."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from engine.network.plan import Node
from engine.supernets.mixture import Mixture, Slot
from engine.supernets.nets.learner import SharedSGD
from engine.supernets.nets.network import MixtureNetwork


class Widening:
    """Which old channel each channel is a copy of: the old ones as they are, the new ones copies of random ones.

    Chen, Goodfellow & Shlens 2016 (Net2Net), section 2.3, without dividing what reads a channel twice: with partial
    channels (Chen et al. 2021) what an operation reads more of is other channels, not copies.

    Args:
        seed: of the choice; all tensors of an operation with one such seed agree.
    """

    def __init__(self, *seed: int) -> None:
        self.seed = seed

    def source(self, old: int, new: int) -> Tensor:
        """(new,) positions among the old channels."""
        rng = np.random.default_rng([*self.seed, old, new])
        return torch.from_numpy(np.concatenate([np.arange(old), rng.integers(0, old, new - old)]))

    def __call__(self, tensor: Tensor, shape: torch.Size) -> Tensor:
        """The tensor with that shape, no side of which is smaller."""
        for dim, (old, new) in enumerate(zip(tensor.shape, shape, strict=True)):
            if old != new:
                tensor = tensor.index_select(dim, self.source(old, new).to(tensor.device))
        return tensor


@torch.no_grad()
def carry(old: MixtureNetwork, old_sgd: SharedSGD, new: MixtureNetwork, new_sgd: SharedSGD, seed: int) -> None:
    """Copies weights, statistics and momentum of the operations that both networks have, widened where they are wider.

    Args:
        old, old_sgd: as trained.
        new, new_sgd: fresh, over some of the old options.
        seed: of the copied channels.
    """
    for before, after in _common(old.mixture, new.mixture):
        widen = Widening(seed, zlib.crc32(after.id.encode()))
        theirs = dict(_tensors(old.bank.block(before.id, before)))
        for name, tensor in _tensors(new.bank.block(after.id, after)):
            mine = theirs[name]
            tensor.copy_(widen(mine, tensor.shape))
            if mine in old_sgd.buffers:
                new_sgd.buffers[tensor] = widen(old_sgd.buffers[mine], tensor.shape).clone()


def _common(old: Mixture, new: Mixture) -> Iterator[tuple[Node, Node]]:
    """Nodes of both that do the same at the same place: by part, and within a slot by option and position."""
    before = {part.id: part for part in old.parts}
    for part in new.parts:
        other = before.get(part.id)
        if isinstance(part, Node) and isinstance(other, Node):
            yield other, part
        elif isinstance(part, Slot) and isinstance(other, Slot):
            for option, nodes in part.alternatives.items():
                yield from zip(other.alternatives[option], nodes, strict=True)
            yield from zip(other.bypass, part.bypass, strict=False)  # none where all channels are seen


def _tensors(block: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from block.named_parameters()
    yield from block.named_buffers()
