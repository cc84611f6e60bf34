"""Message passing over the graphs of networks (Wen et al. 2020, section 3.2; Shi et al. 2020, BONAS, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Batch:
    """Several graphs as one.

    Attributes:
        operations: (nodes,) ids.
        numbers: (nodes, k) what is known of each node.
        source, target: (edges,) node numbers.
        graph: (nodes,) which graph a node belongs to.
        globals: (graphs, g) what is known of each graph.
    """

    operations: Tensor
    numbers: Tensor
    source: Tensor
    target: Tensor
    graph: Tensor
    globals: Tensor


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
        x = torch.relu(self.operation(batch.operations) + self.number(batch.numbers))  # (nodes, width)
        fed = _counts(batch.target, len(x))
        read = _counts(batch.source, len(x))
        for own, forwards, backwards in zip(self.own, self.forwards, self.backwards, strict=True):
            down = torch.zeros_like(x).index_add(0, batch.target, x[batch.source]) / fed
            up = torch.zeros_like(x).index_add(0, batch.source, x[batch.target]) / read
            x = torch.relu(own(x) + forwards(down) + backwards(up))
        n = len(batch.globals)
        mean = x.new_zeros(n, x.shape[1]).index_add(0, batch.graph, x) / _counts(batch.graph, n)
        return torch.tanh(self.join(torch.cat([mean, batch.globals], dim=1)))

    def forward(self, batch: Batch) -> Tensor:
        out: Tensor = self.out(self.embed(batch)).squeeze(1)  # (graphs,)
        return out


def _counts(index: Tensor, n: int) -> Tensor:
    """(n, 1): how often each number occurs, at least 1."""
    return torch.bincount(index, minlength=n).clamp(min=1).unsqueeze(1)
