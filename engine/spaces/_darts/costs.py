"""What the operations of DARTS cells cost in all cells of a network at once, by closed formulas."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import prod

from engine.network import costs as closed_form
from engine.network.assemble import Assembler
from engine.spaces._darts.cells import Cell, node_args

#: parameters, multiply-adds, activation bytes
Cost = tuple[int, int, int]
_FLOAT32 = 4


@dataclass(frozen=True)
class CostTable:
    """Sums over all cells of a kind (0 normal, 1 reduction).

    Attributes:
        operations: (kind, operation, stride) -> its costs.
        states: bytes of one state, by kind.
    """

    operations: dict[tuple[int, str, int], Cost]
    states: tuple[int, int]

    def of(self, cells: tuple[Cell, Cell]) -> Cost:
        """Costs of all operations and sums, without what reads the inputs and joins the nodes."""
        n_params = n_macs = size = 0
        for kind, cell in enumerate(cells):
            for i, op1, j, op2 in cell:
                for source, op in ((i, op1), (j, op2)):
                    cost = self.operations[kind, op, 2 if kind and source < 2 else 1]
                    n_params, n_macs, size = n_params + cost[0], n_macs + cost[1], size + cost[2]
                # a sum of two is a tensor of its own, so are the zeros of a node without terms
                size += self.states[kind] * ((op1 == "none") == (op2 == "none"))
        return n_params, n_macs, size


def cost_table(
    stem: tuple[int, ...], channels: int, layers: int, reductions: Collection[int], operations: Collection[str]
) -> CostTable:
    """Walks through the cells once.

    Args:
        stem: shape of what the first cell reads.
        channels: of the first cells' states.
        layers, reductions: number of cells, and which of them (from 0) halve the size.
        operations: to be counted.
    """
    table: dict[tuple[int, str, int], Cost] = {}
    states = [0, 0]
    sides = stem[1:]
    for i in range(layers):
        kind = int(i in reductions)
        channels *= 1 + kind
        halved = tuple(-(-side // 2) for side in sides) if kind else sides
        states[kind] += _FLOAT32 * channels * prod(halved)
        for op in operations:
            for stride in range(1, 2 + kind):
                cost = _cost(op, stride, (channels, *(sides if stride == 2 else halved)))
                old = table.get((kind, op, stride), (0, 0, 0))
                table[kind, op, stride] = (old[0] + cost[0], old[1] + cost[1], old[2] + cost[2])
        sides = halved
    return CostTable(table, (states[0], states[1]))


def _cost(op: str, stride: int, shape: tuple[int, ...]) -> Cost:
    if op == "none":
        return 0, 0, 0
    dims = len(shape) - 1
    net = Assembler(shape)
    kind, args = node_args(op, dims, stride, shape[0])
    net.add("op", kind, "input", **args)
    net.add("global", f"global_avg_pool{dims}d", "op")
    costs = closed_form.costs(net.finish())
    return costs.n_params, costs.n_macs, costs.activation_bytes - _FLOAT32 * shape[0]
