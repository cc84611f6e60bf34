"""Writes network plans: fills in the arguments that follow from shapes, and infers the shapes."""

from __future__ import annotations

from typing import Any

from engine.errors import CannotBuild
from engine.network.operations import OPERATIONS
from engine.network.plan import NetworkPlan, Node


class Assembler:
    """Collects the nodes of one plan in topological order.

    Args:
        input_shape: one sample without batch.
        input_type: "int64" for tokens.
    """

    def __init__(self, input_shape: tuple[int, ...], input_type: str = "float32") -> None:
        self.input_shape, self.input_type = tuple(input_shape), input_type
        self._nodes: list[Node] = []
        self._shapes: dict[str, tuple[int, ...]] = {"input": self.input_shape}

    def add(self, id: str, op: str, *inputs: str, group: str = "", cell: str = "", **args: Any) -> str:
        """Appends a node and returns its id.

        Args:
            id: unique identifier; inside a cell it must start with the cell's name (dots as underscores).
            op: name in `OPERATIONS`.
            inputs: ids of what it reads.
            group, cell: see `Node`.
            args: constructor arguments that do not follow from the input shapes.

        Raises:
            CannotBuild: the operation does not fit the shapes; the message names the node.
        """
        if id in self._shapes:
            raise ValueError(f"two nodes are called {id!r}")
        operation = OPERATIONS[op]
        shapes = [self._shapes[name] for name in inputs]
        full = operation.complete(args, shapes)
        try:
            shape = operation.infer(full, shapes)
        except CannotBuild as e:
            raise CannotBuild(f"{id.replace('_', ' ')}: {e}") from e
        self._nodes.append(Node(id, op, full, inputs, shape, group, cell))
        self._shapes[id] = shape
        return id

    def has(self, id: str) -> bool:
        """Whether such a node was added."""
        return id in self._shapes

    def shape(self, id: str) -> tuple[int, ...]:
        """Output shape of a node, or of the input."""
        return self._shapes[id]

    def finish(self, auxiliary: tuple[str, ...] = ()) -> NetworkPlan:
        """The plan; its last node is the output.

        Args:
            auxiliary: see `NetworkPlan.auxiliary`.

        Raises:
            CannotBuild: the output is not a vector of logits.
        """
        last = self._nodes[-1]
        if len(last.shape) != 1:
            raise CannotBuild(f"the network ends with the shape {last.shape}, not with a vector of logits")
        nodes = tuple(self._nodes)
        return NetworkPlan(self.input_shape, last.shape[0], nodes, self.input_type, auxiliary)
