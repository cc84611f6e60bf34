"""Multiply-adds of what is alive: operations on a path from the input to the output, `none` being none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.architecture import Architecture
from engine.network import costs as closed_form
from engine.network.operations import OPERATIONS
from engine.network.plan import NetworkPlan
from engine.spaces.base import SearchSpace


def live_macs(space: SearchSpace, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
    """Live multiply-adds of each architecture, shape (n,).

    Spaces that know them tell them among their features (`log10_live_macs`, exact to about nine digits, rounded to
    whole numbers here); elsewhere they are counted over the plan, a few milliseconds each.
    """
    if architectures and "log10_live_macs" in space.features(architectures[0]):
        logs = np.array([float(space.features(a)["log10_live_macs"]) for a in architectures])
        return np.round(10.0**logs)
    return np.array([plan_live_macs(space.planned(a)) for a in architectures], dtype=float)


def plan_live_macs(plan: NetworkPlan) -> int:
    """Multiply-adds of a plan's nodes that the input reaches without passing a zero, and that reach the output."""
    reached = {"input"}
    for node in plan.nodes:
        if OPERATIONS[node.op].role != "zero" and any(i in reached for i in node.inputs):
            reached.add(node.id)
    read = {plan.nodes[-1].id}
    for node in reversed(plan.nodes):
        if node.id in read:
            read.update(node.inputs)
    each = closed_form.node_costs(plan)
    return sum(each[node.id][1] for node in plan.nodes if node.id in reached and node.id in read)
