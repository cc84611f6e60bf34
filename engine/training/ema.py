"""A moving average of the weights, from which every rung is read.

Under a cosine schedule whose horizon is the maximum fidelity, a low rung would be judged with a high learning rate
still shaking its weights; their average is close to what annealing would give.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from engine.training.flat import FlatParameters, float_buffers


class MovingAverage:
    """`average = d * average + (1 - d) * weights` after every step, with `d = min(decay, (1 + t) / (10 + t))`.

    The ramp lets the average forget the initial weights at once. Running statistics of batch norms are averaged the
    same way, so that they belong to the averaged weights.

    Attributes:
        module: the averaged network, in eval mode; its parameters are never trained.
    """

    def __init__(self, module: nn.Module, flat: FlatParameters, decay: float) -> None:
        self.decay = decay
        self.module = copy.deepcopy(module).eval()
        self.flat = FlatParameters(self.module)
        for parameter in self.module.parameters():
            parameter.grad = None
            parameter.requires_grad_(False)
        self.flat.gradients = []
        self._from = [*flat.values, *float_buffers(module)]
        self._to = [*self.flat.values, *float_buffers(self.module)]
        self._counts = [
            (a, b) for a, b in zip(self.module.buffers(), module.buffers(), strict=True) if not b.is_floating_point()
        ]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After step number `step` (from 1)."""
        keep = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._to, self._from, 1.0 - keep)
        for mine, theirs in self._counts:
            mine.copy_(theirs)

    def tensors(self) -> dict[str, Tensor]:
        """Named parameters and buffers of the averaged network."""
        return named_tensors(self.module)


def named_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, tied ones once."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}
