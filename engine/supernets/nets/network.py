"""Runs a mixture: each slot gives the weighted sum of the options its gate names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from engine.architecture import Option
from engine.network.blocks.sequences import RecurrentCell
from engine.network.plan import Node
from engine.supernets.mixture import Mixture, Slot
from engine.supernets.nets.bank import Bank
from engine.supernets.nets.recurrent import MixedCell

#: (positions in the table's row that are computed, weight of each or None = their plain sum); a gate of one position
#: computes one option only, which is what keeps a path's memory small
Gate = tuple[Sequence[int], Tensor | None]
#: changes what one option of a slot gives (dropped skips, auxiliary skips): (slot, option, output) -> output
Around = Callable[[Slot, Option, Tensor], Tensor]
_Step = tuple[nn.Module, tuple[int, ...], int]


class MixtureNetwork:
    """A mixture over the weights of a bank; the options of all slots are made at once.

    Args:
        mixture: what stands side by side.
        bank: holds the weights; shared with whoever runs single networks of the space.
        around: see `Around`.
    """

    def __init__(self, mixture: Mixture, bank: Bank, around: Around | None = None) -> None:
        self.mixture, self.bank, self.around = mixture, bank, around
        self._blocks = {p.id: bank.block(p.id, p) for p in mixture.parts if isinstance(p, Node)}
        self._chains = {s.id: {o: self._chain(s, nodes) for o, nodes in s.alternatives.items()} for s in mixture.slots}
        self._bypass = {s.id: self._chain(s, s.bypass) for s in mixture.slots if s.bypass}
        self._cells = {id: self._cell(id) for id in mixture.inside}
        self._last: dict[str, int] = {}
        for i, part in enumerate(mixture.parts):
            for source in part.inputs if isinstance(part, Node) else (part.input,):
                self._last[source] = i

    def _chain(self, slot: Slot, nodes: Sequence[Node]) -> tuple[list[_Step], int]:
        """Modules of a small graph that reads the slot's input, and where its output is."""
        places = {slot.input: 0}
        steps: list[_Step] = []
        for i, node in enumerate(nodes, start=1):
            steps.append((self.bank.block(node.id, node), tuple(places[s] for s in node.inputs), i))
            places[node.id] = i
        return steps, len(nodes)

    def _cell(self, id: str) -> MixedCell:
        """A recurrent cell that weighs tables inside."""
        inside = self.mixture.inside[id]
        norms = [self.bank.block(n.id, n) for n in inside.norms]
        return MixedCell(cast(RecurrentCell, self._blocks[id]), norms, inside, self.mixture.by_name)

    def __call__(self, x: Tensor, gates: Mapping[str, Gate], scales: Mapping[str, Tensor] | None = None) -> Tensor:
        """Logits (B, n_outputs) of a batch (B, *input_shape).

        Args:
            x: the batch.
            gates: by table; what a table's gate leaves out is not computed, and where it names nothing the slot is
                not there: zeros, the channels that would pass by included.
            scales: factor of all that a slot gives, by table, () each; {} = 1 (PC-DARTS: normalized edges).
        """
        scales = scales or {}
        values: dict[str, Tensor] = {"input": x}
        for i, part in enumerate(self.mixture.parts):
            if isinstance(part, Node):
                sources = part.inputs
                inputs = [values[s] for s in sources]
                if part.id in self._cells:
                    mask = inputs[1] if len(inputs) > 1 else None
                    x = self._cells[part.id](inputs[0], mask, gates, scales)
                else:
                    x = self._blocks[part.id](*inputs)
            else:
                sources = (part.input,)
                x = self._mixed(part, values[part.input], gates[part.table])
                if part.table in scales:
                    x = x * scales[part.table].to(x.dtype)
            values[part.id] = x
            for source in sources:
                if self._last[source] == i:
                    values.pop(source, None)
        return x

    def blocks_of(self, gates: Mapping[str, Gate]) -> list[nn.Module]:
        """The operations with weights or state that these gates compute, each once."""
        found = {id(m): m for m in self._blocks.values()}
        found |= {id(m): m for cell in self._cells.values() for m in cell.norms}
        for slot in self.mixture.slots:
            options = self.mixture.by_name[slot.table].options
            chains = [self._chains[slot.id][options[k]][0] for k in gates[slot.table][0]]
            if chains and slot.bypass:
                chains.append(self._bypass[slot.id][0])
            found |= {id(m): m for steps in chains for m, _, _ in steps}
        return [m for m in found.values() if any(True for _ in (*m.parameters(), *m.buffers()))]

    def _mixed(self, slot: Slot, x: Tensor, gate: Gate) -> Tensor:
        options = self.mixture.by_name[slot.table].options
        positions, weights = gate
        if not positions:
            return x.new_zeros(x.shape[0], *slot.shape)
        seen = x[:, : x.shape[1] // slot.partial] if slot.partial > 1 else x
        total: Tensor | None = None
        for k, position in enumerate(positions):
            option = options[position]
            steps, end = self._chains[slot.id][option]
            if not steps:  # zeros
                continue
            out = _run(steps, end, seen)
            if self.around is not None:
                out = self.around(slot, option, out)
            if weights is not None:
                out = out * weights[k].to(out.dtype)
            total = out if total is None else total + out
        if total is None:
            channels = slot.shape[0] // slot.partial
            total = x.new_zeros(x.shape[0], channels, *slot.shape[1:])
        return total if slot.partial == 1 else self._shuffled(slot, total, x)

    def _shuffled(self, slot: Slot, total: Tensor, x: Tensor) -> Tensor:
        """What was computed beside the channels that passed by, mixed so that the next edge sees others (PC-DARTS)."""
        rest = x[:, x.shape[1] // slot.partial :]
        if slot.bypass:
            rest = _run(*self._bypass[slot.id], rest)
        out = torch.cat([total, rest], dim=1)
        b, c, *sides = out.shape
        return out.view(b, slot.partial, c // slot.partial, *sides).transpose(1, 2).reshape(b, c, *sides)


def _run(steps: Sequence[_Step], end: int, x: Tensor) -> Tensor:
    values = {0: x}
    for module, inputs, place in steps:
        values[place] = module(*[values[i] for i in inputs])
    return values[end]
