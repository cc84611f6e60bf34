"""Message passing over the graphs of networks (Wen et al. 2020, section 3.2; Shi et al. 2020, BONAS, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Batch:
    """Several graphs, padded to the largest one.

    Attributes:
        operations: (graphs, nodes) ids; any at a padded place.
        numbers: (graphs, nodes, k) what is known of each node.
        fed: (graphs, nodes, nodes) row = node, its inputs' shares: they add up to 1, or 0 where it has none.
        read: (graphs, nodes, nodes) the same of its readers.
        there: (graphs, nodes, 1) 1 at nodes, 0 at padded places.
        globals: (graphs, g) what is known of each graph.
    """

    operations: Tensor
    numbers: Tensor
    fed: Tensor
    read: Tensor
    there: Tensor
    globals: Tensor

    def part(self, rows: Tensor) -> Batch:
        """Some of the graphs, by number."""
        return Batch(*(getattr(self, f.name)[rows] for f in fields(self)))


class GraphNet(nn.Module):
    """Node states that hear their inputs and their readers, their mean per graph, and a layer over it.

    Args:
        n_operations, n_numbers, n_globals: sizes of what comes in.
        width: of node states and of the embedding.
        layers: rounds of messages.
        draw: the weights come from it.
    """

    def __init__(
        self, n_operations: int, n_numbers: int, n_globals: int, *, width: int, layers: int, draw: torch.Generator
    ) -> None:
        super().__init__()
        self.operation = nn.Embedding(n_operations, width)
        self.number = nn.Linear(n_numbers, width)
        self.own = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.forwards = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(layers))
        self.backwards = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(layers))
        self.join = nn.Linear(width + n_globals, width)
        self.out = nn.Linear(width, 1)
        for parameter in self.parameters():  # again, from the passed generator
            bound = parameter.shape[-1] ** -0.5
            parameter.data.uniform_(-bound, bound, generator=draw)
        self.operation.weight.data.normal_(generator=draw)

    def embed(self, batch: Batch) -> Tensor:
        """(graphs, width): what a linear layer predicts from."""
        x = torch.relu(self.operation(batch.operations) + self.number(batch.numbers))  # (graphs, nodes, width)
        for own, forwards, backwards in zip(self.own, self.forwards, self.backwards, strict=True):
            x = torch.relu(own(x) + forwards(batch.fed @ x) + backwards(batch.read @ x))
        mean = (x * batch.there).sum(1) / batch.there.sum(1)
        return torch.tanh(self.join(torch.cat([mean, batch.globals], dim=1)))

    def forward(self, batch: Batch) -> Tensor:
        out: Tensor = self.out(self.embed(batch)).squeeze(1)  # (graphs,)
        return out
