"""Blocks for tables, (B, F). Standalone like `basic`: the source is printed into the exported model.py."""

from __future__ import annotations

import torch
from torch import nn


class TableInput(nn.Module):
    """Columns (B, F) to features: numbers first, then the embedding of each column of categories.

    A column with `cardinalities[i] > 0` holds codes 0 .. cardinalities[i] - 1 among the floats (Guo & Berkhahn 2016).
    """

    numbers: torch.Tensor

    def __init__(self, cardinalities: tuple[int, ...], sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.categories = [i for i, count in enumerate(cardinalities) if count]
        numbers = [i for i, count in enumerate(cardinalities) if not count]
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.int64), persistent=False)
        self.last = [cardinalities[i] - 1 for i in self.categories]
        self.tables = nn.ModuleList(nn.Embedding(cardinalities[i], sizes[i]) for i in self.categories)
        for i, table in zip(self.categories, self.tables, strict=True):
            nn.init.normal_(table.get_parameter("weight"), std=sizes[i] ** -0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # a code out of range (a file that no reader of ours coded) must not stop the device with an assertion
        parts = [x.index_select(1, self.numbers)] if self.numbers.numel() else []
        for table, column, last in zip(self.tables, self.categories, self.last, strict=True):
            parts.append(table(x[:, column].round().to(torch.int64).clamp(0, last)))
        return torch.cat(parts, dim=1)
