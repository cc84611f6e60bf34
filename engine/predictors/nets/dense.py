"""An ensemble of feed-forward networks over rows of numbers (White et al. 2021, BANANAS, section 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.predictors.nets.training import Dense


class DenseEnsemble(nn.Module):
    """Members that share no weights.

    Args:
        members, inputs: sizes.
        width, depth: of the hidden layers.
        draw: the weights come from it.
    """

    def __init__(self, members: int, inputs: int, *, width: int, depth: int, draw: torch.Generator) -> None:
        super().__init__()
        self.members = members
        sizes = [inputs, *[width] * depth]
        self.hidden = nn.ModuleList(Dense(members, a, b, draw) for a, b in zip(sizes, sizes[1:], strict=False))
        self.last = Dense(members, sizes[-1], 1, draw)

    def forward(self, rows: Tensor) -> Tensor:
        x = rows.expand(self.members, *rows.shape)  # (members, n, inputs)
        for layer in self.hidden:
            x = torch.relu(layer(x))
        out: Tensor = self.last(x).squeeze(2)  # (members, n)
        return out
