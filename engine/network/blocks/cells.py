"""Blocks of the cells of NASNet, DARTS and NAS-Bench-101. Standalone on purpose: model.py prints their source."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class ReLUSeparableTwice(nn.Module):
    """Twice ReLU, depthwise convolution, pointwise one, batch norm (Zoph et al. 2018); the first strides."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, dims: int = 2) -> None:
        super().__init__()
        conv = nn.Conv2d if dims == 2 else nn.Conv1d
        norm = nn.BatchNorm2d if dims == 2 else nn.BatchNorm1d
        pad = kernel_size // 2
        self.depthwise1 = conv(in_channels, in_channels, kernel_size, stride, pad, groups=in_channels, bias=False)
        self.pointwise1 = conv(in_channels, in_channels, 1, bias=False)
        self.norm1 = norm(in_channels)
        self.depthwise2 = conv(in_channels, in_channels, kernel_size, 1, pad, groups=in_channels, bias=False)
        self.pointwise2 = conv(in_channels, out_channels, 1, bias=False)
        self.norm2 = norm(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm1(self.pointwise1(self.depthwise1(F.relu(x))))
        y: torch.Tensor = self.norm2(self.pointwise2(self.depthwise2(F.relu(x))))
        return y


class ReLUDilatedSeparable(nn.Module):
    """ReLU, dilated depthwise convolution, pointwise convolution, batch norm (Liu et al. 2019)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        dilation: int = 2,
        dims: int = 2,
    ) -> None:
        super().__init__()
        conv = nn.Conv2d if dims == 2 else nn.Conv1d
        norm = nn.BatchNorm2d if dims == 2 else nn.BatchNorm1d
        pad = dilation * (kernel_size // 2)
        self.depthwise = conv(
            in_channels, in_channels, kernel_size, stride, pad, dilation, groups=in_channels, bias=False
        )
        self.pointwise = conv(in_channels, out_channels, 1, bias=False)
        self.norm = norm(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.norm(self.pointwise(self.depthwise(F.relu(x))))
        return y


class ReLUSplitConv2dNorm(nn.Module):
    """ReLU, a convolution along the width, one along the height, batch norm: NASNet's "1xk then kx1"."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__()
        k, pad = kernel_size, kernel_size // 2
        self.wide = nn.Conv2d(in_channels, out_channels, (1, k), (1, stride), (0, pad), bias=False)
        self.high = nn.Conv2d(out_channels, out_channels, (k, 1), (stride, 1), (pad, 0), bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.norm(self.high(self.wide(F.relu(x))))
        return y


class FactorizedReduce(nn.Module):
    """Halves the size: ReLU, two pointwise convolutions of stride 2, one of them a pixel further, joined, batch norm.

    Odd sizes are rounded up; zeros fill what the shifted half lacks.
    """

    def __init__(self, in_channels: int, out_channels: int, dims: int = 2) -> None:
        super().__init__()
        conv = nn.Conv2d if dims == 2 else nn.Conv1d
        self.dims = dims
        self.even = conv(in_channels, out_channels - out_channels // 2, 1, 2, bias=False)
        self.odd = conv(in_channels, out_channels // 2, 1, 2, bias=False)
        self.norm = nn.BatchNorm2d(out_channels) if dims == 2 else nn.BatchNorm1d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(x)
        shifted = F.pad(x, (0, 1) * self.dims)
        shifted = shifted[:, :, 1:, 1:] if self.dims == 2 else shifted[:, :, 1:]
        y: torch.Tensor = self.norm(torch.cat([self.even(x), self.odd(shifted)], dim=1))
        return y


class StridedZero(nn.Module):
    """Zeros of every `stride`-th pixel's shape."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        s = self.stride
        return torch.zeros_like(x[:, :, ::s, ::s] if x.ndim == 4 else x[:, :, ::s])


class Conv2dNormReLU(nn.Module):
    """Convolution, batch norm, ReLU: the operation on the vertices of NAS-Bench-101 (Ying et al. 2019)."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.norm(self.conv(x)))


class Conv1dNormReLU(nn.Module):
    """Convolution over time, batch norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm = nn.BatchNorm1d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.norm(self.conv(x)))


class FirstChannels(nn.Module):
    """The first channels of its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, : self.channels]
