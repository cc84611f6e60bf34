"""Runs a recurrent cell whose nodes weigh activations of all earlier nodes, over the weights of the cell alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.network.blocks.sequences import RecurrentCell
from engine.supernets.mixture import Inside, Table

#: see `network.Gate`
Gate = tuple[Sequence[int], Tensor | None]
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
}


class _Mixed(NamedTuple):
    """What one node weighs, the same at every step.

    Attributes:
        sources: earlier nodes that it reads (E of them).
        names: activations that are computed (K of them).
        weights: (E, K, 1, 1), zeros where an edge leaves an activation out.
        totals: (E, 1, 1), the sum of an edge's weights.
    """

    sources: tuple[int, ...]
    names: tuple[str, ...]
    weights: Tensor
    totals: Tensor


class MixedCell:
    """A mixed recurrent cell (Liu et al. 2019, sections 2.2 and A.1.2).

    Node i is the sum over earlier nodes j and activations f of p[j, f] * (s_j + g_j * (f(c_j) - s_j)), where its one
    matrix gives candidate c_j and gate g_j of the state s_j.

    Args:
        cell: holds the weights; its own inputs and activations are not looked at.
        norms: batch norms behind nodes 0, 1, ...; [] = none.
        inside: which table weighs which edge.
        tables: by name.
    """

    def __init__(
        self, cell: RecurrentCell, norms: Sequence[nn.Module], inside: Inside, tables: Mapping[str, Table]
    ) -> None:
        self.cell, self.norms, self.inside, self.tables = cell, norms, inside, tables

    def __call__(
        self, x: Tensor, mask: Tensor | None, gates: Mapping[str, Gate], scales: Mapping[str, Tensor]
    ) -> Tensor:
        """States (B, H, L) of a sequence (B, C, L).

        Args:
            x: the sequence.
            mask: (B, 1, L), zeros at padding; None = nothing is padding.
            gates, scales: by table; an edge whose gate names nothing is not there.
        """
        cell = self.cell
        mixed = [self._weighed(i, gates, scales) for i in range(1, len(cell.nodes) + 1)]
        arrives = cell.from_input(x.transpose(1, 2)).transpose(0, 1)
        seen = (torch.ones_like(x[:, :1]) if mask is None else mask).permute(2, 0, 1)
        state = arrives.new_zeros(x.shape[0], cell.hidden_channels)
        states = []
        for now, there in zip(arrives.unbind(), seen.unbind(), strict=True):
            state = torch.where(there > 0, self._step(now, state, mixed), state)
            states.append(state)
        return torch.stack(states, dim=2)

    def _weighed(self, i: int, gates: Mapping[str, Gate], scales: Mapping[str, Tensor]) -> _Mixed:
        """What node `i` computes under these gates."""
        edges = {}
        for (source, node), name in self.inside.edges.items():
            positions, weights = gates[name]
            if node == i and positions:
                options = [str(self.tables[name].options[k]) for k in positions]
                weights = self.cell.from_state.weight.new_ones(len(options)) if weights is None else weights
                edges[source] = options, weights * scales[name] if name in scales else weights
        names = tuple(dict.fromkeys(name for options, _ in edges.values() for name in options))
        rows = []
        for options, weights in edges.values():
            at = torch.tensor([names.index(name) for name in options], device=weights.device)
            rows.append(weights.new_zeros(len(names)).index_add(0, at, weights))
        table = torch.stack(rows) if rows else self.cell.from_state.weight.new_zeros(0, 0)
        return _Mixed(tuple(edges), names, table[:, :, None, None], table.sum(1)[:, None, None])

    def _step(self, arrives: Tensor, state: Tensor, mixed: Sequence[_Mixed]) -> Tensor:
        """The next state (B, H) of those that are no padding."""
        cell = self.cell
        new, gate = (arrives + F.linear(state, cell.from_state.weight)).chunk(2, dim=1)
        values = [self._normed(0, state + gate.sigmoid() * (new.tanh() - state))]
        for i, (node, matrix) in enumerate(zip(mixed, cell.nodes, strict=True), start=1):
            if not node.sources:
                values.append(torch.zeros_like(values[0]))
                continue
            before = torch.stack([values[j] for j in node.sources])  # (E, B, H)
            new, gate = F.linear(before, matrix.get_parameter("weight")).chunk(2, dim=2)
            parts = zip(node.names, node.weights.unbind(1), strict=True)
            moved = torch.stack([_ACTIVATIONS[name](new) * w for name, w in parts]).sum(0)
            before = before * node.totals
            values.append(self._normed(i, (before + gate.sigmoid() * (moved - before)).sum(0)))
        return torch.stack(values[1:]).mean(dim=0)

    def _normed(self, i: int, value: Tensor) -> Tensor:
        out: Tensor = self.norms[i](value) if self.norms else value
        return out
