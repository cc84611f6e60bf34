"""A faster weight gradient for large depthwise convolutions on a CPU.

oneDNN has a fast kernel for the weight gradient of 3x3 depthwise convolutions and falls back to a general matrix
product for larger ones, which takes 2 to 8 times as long (bfloat16, channels_last: 5.1 against 0.6 ms for 64 x 48 x 8 x
8 and 5x5 on a Zen 4 core). The gradient of a 5x5 or 7x7 kernel is made here of the gradients of its 3x3 parts, each
over a shifted crop of the padded input: the same sums, so equal up to rounding.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: inputs per sample from which the parts pay for their calls: in float32, in bfloat16
WORTH = (6000, 512)


def weight_gradient(gradient: Tensor, x: Tensor, size: int, padding: int) -> Tensor:
    """Gradient (C, 1, size, size) of a depthwise convolution of stride 1 for its kernel.

    Args:
        gradient: of the output, (B, C, H', W').
        x: the input, (B, C, H, W).
        size: side of the kernel.
        padding: zeros on each side.
    """
    channels, (height, width) = x.shape[1], gradient.shape[2:]
    layout = (
        torch.channels_last if gradient.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    )
    spare = -size % 3  # the last parts may reach beyond the kernel
    padded = F.pad(x, (padding, padding + spare, padding, padding + spare))
    kernel = x.new_empty(channels, 1, 3, 3)
    rows = []
    for i in range(0, size, 3):
        parts = []
        for j in range(0, size, 3):
            crop = padded[:, :, i : i + height + 2, j : j + width + 2].contiguous(memory_format=layout)
            parts.append(
                torch.ops.aten.convolution_backward(
                    gradient, crop, kernel, None, [1, 1], [0, 0], [1, 1], False, [0, 0], channels, [False, True, False]
                )[1]
            )
        rows.append(torch.cat(parts, 3))
    return torch.cat(rows, 2)[:, :, :size, :size]


class _Depthwise(torch.autograd.Function):
    """`F.conv2d` of stride 1 with one kernel per channel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding, ctx.has_bias = padding, bias is not None
        return F.conv2d(x, weight, bias, padding=padding, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x, weight = ctx.saved_tensors
        (gradient,), p, size = gradients, ctx.padding, weight.shape[2]
        dx = None
        if ctx.needs_input_grad[0]:
            dx = torch.ops.aten.convolution_backward(
                gradient, x, weight, None, [1, 1], [p, p], [1, 1], False, [0, 0], x.shape[1], [True, False, False]
            )[0]
        dw = weight_gradient(gradient, x, size, p) if ctx.needs_input_grad[1] else None
        db = gradient.sum((0, 2, 3)) if ctx.has_bias and ctx.needs_input_grad[2] else None
        return dx, dw, db, None


class _Forward:
    """Stands in for the `forward` of one convolution while it is trained."""

    def __init__(self, conv: nn.Conv2d, padding: int) -> None:
        self.conv, self.padding, self.plain = conv, padding, conv.forward

    def __call__(self, x: Tensor) -> Tensor:
        weight, bias = self.conv.weight, self.conv.bias
        if not torch.is_grad_enabled():
            return self.plain(x)
        half = torch.is_autocast_enabled("cpu")
        if x[0].numel() < WORTH[half]:
            return self.plain(x)
        if half:
            x, weight = x.bfloat16(), weight.bfloat16()
            bias = None if bias is None else bias.bfloat16()
        out: Tensor = _Depthwise.apply(x, weight, bias, self.padding)
        return out


def speed_up(module: nn.Module) -> int:
    """Lets every depthwise convolution of 5x5 or more in `module` use the faster gradient; returns how many.

    Only this instance changes: parameters, names and results stay, and so does what is exported.
    """
    count = 0
    for conv in module.modules():
        if type(conv) is not nn.Conv2d:
            continue
        size, p = conv.kernel_size[0], conv.padding[0]
        depthwise = conv.groups == conv.in_channels == conv.out_channels > 1
        plain = conv.padding_mode == "zeros" and conv.stride == (1, 1) and conv.dilation == (1, 1)
        if depthwise and plain and size > 3 and conv.kernel_size == (size, size) and conv.padding == (p, p):
            conv.forward = _Forward(conv, int(p))  # type: ignore[method-assign, assignment]
            count += 1
    return count
