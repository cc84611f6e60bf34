"""The network plan: a torch-free graph of operations from which everything else comes.

Build (`network.build`), costs (`network.costs`), picture (`network.picture`), canonical key (`network.canonical`)
and the exported `model.py` (`export.source`) are functions of this value alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Literal = int | float | str | bool | None | tuple[int, ...] | tuple[str, ...] | tuple[float, ...]


#: of the loss on auxiliary logits (Szegedy et al. 2015 use 0.3, Zoph et al. 2018 and Liu et al. 2019 use 0.4)
AUXILIARY_WEIGHT = 0.4


@dataclass(frozen=True)
class Node:
    """One operation of a network.

    Attributes:
        id: unique, a valid Python identifier; becomes the module's attribute name and the weights' prefix.
        op: name in the table of operations (`network.operations.OPERATIONS`).
        args: literal constructor arguments of the operation's block class, complete and JSON-able.
        inputs: ids of the nodes it reads, in order; the plan's input is `"input"`.
        shape: output without batch: (C, H, W), (C, L) or (F,); token sequences are (C, L) too, channels first.
        group: what a person calls this part, e.g. "stem", "block 2", "head"; columns of drawings.
        cell: name of the repeated cell this node belongs to, e.g. "stage1.cell2"; "" outside cells.
    """

    id: str
    op: str
    args: Mapping[str, Literal]
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    group: str = ""
    cell: str = ""


@dataclass(frozen=True)
class NetworkPlan:
    """A whole network: nodes in topological order, the last one is the output (logits).

    Attributes:
        input_shape: one sample without batch.
        n_outputs: number of logits.
        nodes: operations in an order in which each reads only earlier ones (or `"input"`).
        input_type: type of the input tensor; "int64" for tokens.
        auxiliary: nodes that give logits of their own in training: the loss of each joins with `AUXILIARY_WEIGHT`.
    """

    input_shape: tuple[int, ...]
    n_outputs: int
    nodes: tuple[Node, ...]
    input_type: str = "float32"
    auxiliary: tuple[str, ...] = ()
    by_id: dict[str, Node] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_id", {node.id: node for node in self.nodes})

    def shape_of(self, id: str) -> tuple[int, ...]:
        """Output shape of a node, or of the input."""
        return self.input_shape if id == "input" else self.by_id[id].shape

    def closed_cells(self) -> dict[str, list[Node]]:
        """Nodes by cell, of the cells that are read from outside through their last node only."""
        cells: dict[str, list[Node]] = {}
        for node in self.nodes:
            if node.cell:
                cells.setdefault(node.cell, []).append(node)
        last = {name: nodes[-1].id for name, nodes in cells.items()}
        for node in self.nodes:
            for source in node.inputs:
                cell = self.by_id[source].cell if source != "input" else ""
                if cell and cell != node.cell and source != last[cell]:
                    cells.pop(cell, None)
        return cells

    def to_json(self) -> dict[str, Any]:
        """JSON form, for `architecture.json` and the browser."""
        return {
            "input_shape": list(self.input_shape),
            "n_outputs": self.n_outputs,
            "nodes": [
                {
                    "id": n.id,
                    "op": n.op,
                    "args": dict(n.args),
                    "inputs": list(n.inputs),
                    "shape": list(n.shape),
                    "group": n.group,
                }
                for n in self.nodes
            ],
        }


@dataclass(frozen=True)
class Costs:
    """Exact costs of a plan for a batch of one.

    Attributes:
        n_params: trainable parameters.
        n_macs: multiply-adds of convolutions and dense layers (biases, norms, pooling do not count).
        activation_bytes: float32 bytes of all operation outputs of one sample.
    """

    n_params: int
    n_macs: int
    activation_bytes: int

    def as_metrics(self) -> dict[str, float]:
        """The costs under their metric names."""
        return {"n_params": self.n_params, "n_macs": self.n_macs, "activation_bytes": self.activation_bytes}
