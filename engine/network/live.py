"""What of a network is live: on a path from its input to an output, and not `zero`."""

from __future__ import annotations

from engine.network.costs import node_costs
from engine.network.operations import OPERATIONS
from engine.network.plan import NetworkPlan, Node


def live_nodes(plan: NetworkPlan) -> list[Node]:
    """The nodes that carry something of the input to the logits (auxiliary ones included), in order.

    An operation that hands on nothing but its own shift (a norm behind `zero`) is on no path from the input, so it is
    not live, though it is part of the function and of `canonical_key`.
    """
    fed = {"input"}
    for node in plan.nodes:
        if OPERATIONS[node.op].role != "zero" and any(i in fed for i in node.inputs):
            fed.add(node.id)
    read = {plan.nodes[-1].id, *plan.auxiliary}
    out = []
    for node in reversed(plan.nodes):
        if node.id in read and node.id in fed:
            read.update(node.inputs)
            out.append(node)
    return out[::-1]


def live_costs(plan: NetworkPlan) -> tuple[int, int]:
    """(parameters, multiply-adds) of the live nodes alone; zeros where the input reaches no output."""
    each = node_costs(plan)
    found = [each[node.id] for node in live_nodes(plan)]
    return sum(p for p, _ in found), sum(m for _, m in found)
