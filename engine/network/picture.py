"""The picture of a network as JSON, drawn by static/js/core/arch.js. Everything in it comes from the plan.

What is the same behind every convolution is folded into the caption; a repeated cell is one node, equal ones that
follow each other are one node too, and `details` holds the drawings of what is inside.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from engine.network._drawing_box import Box, Costs, Insides, box_of, fold_tails, say_tails
from engine.network._drawing_cells import Cells
from engine.network._drawing_folds import fold_blocks, fold_cells
from engine.network.costs import node_costs
from engine.network.operations import OPERATIONS
from engine.network.plan import NetworkPlan


def picture(plan: NetworkPlan) -> dict[str, Any]:
    """The drawing of a plan.

    Returns:
        {"nodes", "edges", "caption", "n_params", "n_macs", "n_nodes", "details"}; nodes in topological order, the
        input first, shapes without batch, costs of folded norms counted at the operation they follow. A node's
        "opens" is the title of the entry of "details" that draws its inside.
    """
    costs = node_costs(plan)
    plan, masked = _without_masks(plan)
    cells = Cells.of(plan)
    insides = Insides.of(plan)
    boxes = fold_tails(_boxes(plan, costs, cells, insides), plan.nodes[-1].id)
    said = say_tails(boxes)
    looks = {cell.replace(".", "_"): look for cell, look in cells.look.items()}
    boxes, two = fold_cells(boxes, looks)
    if two:
        said.append("each cell reads the two before it")
    if masked:
        said.append("padding is left out wherever steps are mixed")
    boxes = fold_blocks(boxes, insides)
    inside_cells = cells.details(costs, insides)
    for entry in inside_cells:
        entry["caption"] = ", ".join(part for part in entry["caption"] if part not in said)
    return {
        "nodes": [box.to_json() for box in boxes],
        "edges": [{"source": source, "target": box.id} for box in boxes for source in box.inputs],
        "caption": ", ".join(said),
        "n_params": sum(n_params for n_params, _ in costs.values()),
        "n_macs": sum(n_macs for _, n_macs in costs.values()),
        "n_nodes": len(plan.nodes),
        "details": inside_cells + insides.entries,
    }


def _without_masks(plan: NetworkPlan) -> tuple[NetworkPlan, bool]:
    """A plan without the masks of padding: nearly everything reads them, and lines to all of it say nothing."""
    masks = {node.id for node in plan.nodes if OPERATIONS[node.op].kind == "mask"}
    if not masks:
        return plan, False
    nodes = tuple(
        replace(node, inputs=tuple(i for i in node.inputs if i not in masks))
        for node in plan.nodes
        if node.id not in masks
    )
    return replace(plan, nodes=nodes), True


def input_word(plan: NetworkPlan) -> str:
    """ "text", "table", "signal" or "image": what a plan reads."""
    if plan.input_type == "int64":
        return "text"
    return {1: "table", 2: "signal", 3: "image"}.get(len(plan.input_shape), "input")


def _boxes(plan: NetworkPlan, costs: Costs, cells: Cells, insides: Insides) -> list[Box]:
    """All nodes as boxes, a cell as one; sums of one and identities outside cells are passed through."""
    out = [Box("input", "input", input_word(plan), "", "input", plan.input_shape, [], n_nodes=0)]
    name = {"input": "input"}  # node -> the box that stands for its output
    extra = _only_auxiliary(plan)
    logits = {plan.nodes[-1].id, *plan.auxiliary}
    for node in plan.nodes:
        if node.cell in cells.nodes:
            name[node.id] = node.cell.replace(".", "_")
            if node is cells.nodes[node.cell][-1]:
                box = _cell_box(node.cell, costs, cells)
                box.inputs = list(dict.fromkeys(name[i] for i in cells.inputs[node.cell]))
                out.append(box)
            continue
        inputs = [name[i] for i in node.inputs]
        if len(inputs) == 1 and OPERATIONS[node.op].role in ("identity", "sum") and node.id not in logits:
            name[node.id] = inputs[0]
            continue
        box = box_of(node, costs, insides, logits=node.id in logits)
        box.inputs = inputs
        box.dashed |= node.id in extra
        name[node.id] = node.id
        out.append(box)
    return out


def _cell_box(cell: str, costs: Costs, cells: Cells) -> Box:
    nodes, look = cells.nodes[cell], cells.look[cell]
    n_params, n_macs = (sum(costs[n.id][k] for n in nodes) for k in (0, 1))
    title, detail = cells.words[look]
    remark = next((OPERATIONS[n.op].remark for n in nodes if OPERATIONS[n.op].remark), "")
    return Box(
        cell.replace(".", "_"), "cell", title, detail, nodes[-1].group, nodes[-1].shape, [], n_params, n_macs,
        opens=cells.title(look), n_nodes=len(nodes), remark=remark,
    )  # fmt: skip


def _only_auxiliary(plan: NetworkPlan) -> set[str]:
    """Nodes that act in training only: they lead to auxiliary logits and not to the output."""

    def behind(ids: tuple[str, ...]) -> set[str]:
        seen: set[str] = set()
        stack = [id for id in ids if id != "input"]
        while stack:
            id = stack.pop()
            if id not in seen:
                seen.add(id)
                stack += [i for i in plan.by_id[id].inputs if i != "input"]
        return seen

    return behind(plan.auxiliary) - behind((plan.nodes[-1].id,)) if plan.auxiliary else set()
