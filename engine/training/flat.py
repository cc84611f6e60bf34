"""All parameters of a network in one buffer.

A small network has dozens of small tensors; clipping, AdamW and the moving average then cost more calls than
arithmetic. Here parameters and gradients are views of two flat tensors, so that each of those is one call.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)


class FlatParameters:
    """Parameters and gradients of a module as two flat tensors each: those that decay, and those that do not.

    Biases and the parameters of norms do not decay: pulling a scale to zero is no prior about the function.

    Attributes:
        values: `[decaying, others]`, each (n,).
        gradients: the same for the gradients; every `backward` adds to them.
    """

    def __init__(self, module: nn.Module) -> None:
        groups: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
        exempt = {id(p) for m in module.modules() if isinstance(m, NORMS) for p in m.parameters(recurse=False)}
        for parameter in module.parameters():  # every tied parameter once
            if parameter.requires_grad:
                groups[parameter.ndim < 2 or id(parameter) in exempt].append(parameter)
        self.values: list[Tensor] = []
        self.gradients: list[Tensor] = []
        for parameters in groups:
            size = sum(p.numel() for p in parameters)
            like = parameters[0] if parameters else torch.empty(0)
            value = torch.empty(size, dtype=like.dtype, device=like.device)
            gradient = torch.zeros_like(value)
            start = 0
            for p in parameters:
                old = p.data
                p.data = _view(value, start, old)
                p.data.copy_(old)
                p.grad = _view(gradient, start, old)
                start += p.numel()
            self.values.append(value)
            self.gradients.append(gradient)

    def zero_gradients(self) -> None:
        """Before each `backward`."""
        for gradient in self.gradients:
            gradient.zero_()

    def clip(self, largest: float) -> None:
        """Scales all gradients so that their norm is at most `largest`. No device synchronization."""
        norm = torch.stack([torch.linalg.vector_norm(g) for g in self.gradients]).norm()
        factor = (largest / (norm + 1e-6)).clamp(max=1.0)
        for gradient in self.gradients:
            gradient.mul_(factor)


def _view(flat: Tensor, start: int, like: Tensor) -> Tensor:
    """The slice of `flat` from `start` with the shape and the memory layout of `like`."""
    if like.ndim == 4 and like.is_contiguous(memory_format=torch.channels_last) and not like.is_contiguous():
        n, c, h, w = like.shape
        return flat[start : start + like.numel()].view(n, h, w, c).permute(0, 3, 1, 2)
    return flat[start : start + like.numel()].view(like.shape)


def float_buffers(module: nn.Module) -> Iterator[Tensor]:
    """The buffers that a moving average follows (running means and variances)."""
    return (b for b in module.buffers() if b.is_floating_point())
