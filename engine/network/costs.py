"""Exact costs of a plan by closed formulas: no torch, well below a millisecond per architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from engine.network.operations import OPERATIONS
from engine.network.plan import Costs, NetworkPlan, Node

_FLOAT32 = 4


def _aliases(node: Node) -> bool:
    """Whether the output is its input's memory: identities, sums of one."""
    role = OPERATIONS[node.op].role
    return role == "identity" or (role == "sum" and len(node.inputs) == 1) or node.op == "flatten"


def node_costs(plan: NetworkPlan) -> dict[str, tuple[int, int]]:
    """(parameters, multiply-adds) of each node by id."""
    shapes = {node.id: node.shape for node in plan.nodes}
    shapes["input"] = plan.input_shape
    return {
        node.id: OPERATIONS[node.op].cost(node.args, [shapes[i] for i in node.inputs], node.shape)
        for node in plan.nodes
    }


def costs(plan: NetworkPlan) -> Costs:
    """Costs of a batch of one; dead operations count too, since they are built."""
    return part_costs(plan.nodes, {"input": plan.input_shape})


def part_costs(nodes: Sequence[Node], shapes: Mapping[str, tuple[int, ...]]) -> Costs:
    """Costs of a part of a plan: what a space remembers of its parts adds up to the costs of the whole.

    Args:
        nodes: in topological order.
        shapes: of what the part reads from outside, by id.
    """
    known = dict(shapes)
    n_params = n_macs = size = 0
    for node in nodes:
        p, m = OPERATIONS[node.op].cost(node.args, [known[i] for i in node.inputs], node.shape)
        known[node.id] = node.shape
        n_params += p
        n_macs += m
        size += 0 if _aliases(node) else prod(node.shape)
    return Costs(n_params, n_macs, _FLOAT32 * size)
