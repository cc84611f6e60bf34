"""Exact costs of a plan by closed formulas: no torch, well below a millisecond per architecture."""

from __future__ import annotations

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
    each = node_costs(plan).values()
    return Costs(
        n_params=sum(n_params for n_params, _ in each),
        n_macs=sum(n_macs for _, n_macs in each),
        activation_bytes=_FLOAT32 * sum(prod(node.shape) for node in plan.nodes if not _aliases(node)),
    )
