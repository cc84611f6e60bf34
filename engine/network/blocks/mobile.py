"""Blocks of mobile networks that `torch.nn` lacks. Standalone: their source is printed into the exported model.py."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class SqueezeExcite2d(nn.Module):
    """Scales each channel by a gate made from all channels' means (Hu et al. 2018, section 3)."""

    def __init__(self, channels: int, squeeze: int, activation: str = "relu", gate: str = "hard_sigmoid") -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeeze, 1)
        self.fc2 = nn.Conv2d(squeeze, channels, 1)
        self.activation = activation
        self.gate = gate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.fc1(x.mean(dim=(2, 3), keepdim=True))
        y = self.fc2(F.silu(y) if self.activation == "silu" else F.relu(y))
        return x * (torch.sigmoid(y) if self.gate == "sigmoid" else F.hardsigmoid(y))


class ChannelShuffle2d(nn.Module):
    """Interleaves the channels of the groups (Zhang et al. 2018, ShuffleNet, section 3.1)."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        return x.reshape(b, self.groups, c // self.groups, h, w).transpose(1, 2).reshape(b, c, h, w)


class Resize2d(nn.Module):
    """Bilinear to a fixed size; where it shrinks, over all pixels that a new one covers."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.size = (height, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, size=self.size, mode="bilinear", align_corners=False, antialias=True)
