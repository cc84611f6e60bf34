"""The picture of a network as JSON, drawn by static/js/arch.js. Everything in it comes from the plan.

What is the same behind every convolution is folded into the caption; equal repeated cells become one node, and
`details` holds the drawing of the cell.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from engine.network.costs import node_costs
from engine.network.operations import OPERATIONS
from engine.network.plan import NetworkPlan, Node

_MAIN = ("conv", "sep", "dense")
_TAIL = ("norm", "act")


@dataclass
class Box:
    """One node of a drawing on its way to JSON."""

    id: str
    kind: str
    title: str
    detail: str
    group: str
    shape: tuple[int, ...]
    inputs: list[str]
    n_params: int = 0
    n_macs: int = 0
    dashed: bool = False
    repeat: int = 1
    opens: str | None = None
    tail: tuple[str, ...] = ()
    remark: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": self.kind,
            "title": self.title,
            "detail": self.detail,
            "group": self.group,
            "shape": list(self.shape),
            "n_params": self.n_params,
            "n_macs": self.n_macs,
            "dashed": self.dashed,
            "repeat": self.repeat,
            "opens": self.opens,
        }


@dataclass
class Cells:
    """Repeated cells of a plan: nodes by cell, and what each cell looks like apart from its sizes."""

    nodes: dict[str, list[Node]] = field(default_factory=dict)
    looks: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    inputs: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: NetworkPlan) -> Cells:
        out = cls()
        for node in plan.nodes:
            if node.cell:
                out.nodes.setdefault(node.cell, []).append(node)
        for cell, nodes in out.nodes.items():
            place = {node.id: i for i, node in enumerate(nodes)}
            outside: list[str] = []
            for node in nodes:
                outside += [i for i in node.inputs if i not in place and i not in outside]
            place |= {name: -1 - i for i, name in enumerate(outside)}
            out.inputs[cell] = outside
            out.looks[cell] = tuple(
                (node.op, OPERATIONS[node.op].words(node.args), tuple(place[i] for i in node.inputs)) for node in nodes
            )
        return out


def picture(plan: NetworkPlan) -> dict[str, Any]:
    """The drawing of a plan.

    Returns:
        {"nodes", "edges", "caption", "n_params", "n_macs", "details"}; nodes in topological order, the input first,
        shapes without batch, costs of folded norms counted at the operation they follow.
    """
    costs = node_costs(plan)
    cells = Cells.of(plan)
    titles = _cell_titles(cells)
    boxes, caption = _fold_tails(_boxes(plan, costs, cells, titles), plan.nodes[-1].id)
    boxes = _fold_repeats(boxes, cells)
    kept: dict[tuple[Any, ...], str] = {}
    for cell, look in cells.looks.items():
        kept.setdefault(look, cell)
    return {
        "nodes": [box.to_json() for box in boxes],
        "edges": [{"source": source, "target": box.id} for box in boxes for source in box.inputs],
        "caption": caption,
        "n_params": sum(n_params for n_params, _ in costs.values()),
        "n_macs": sum(n_macs for _, n_macs in costs.values()),
        "details": [_detail(cells.nodes[cell], costs, titles[look]) for look, cell in kept.items()],
    }


def _cell_titles(cells: Cells) -> dict[tuple[Any, ...], str]:
    counts = Counter(cells.looks.values())
    several = len(counts) > 1
    out = {}
    for i, (look, times) in enumerate(counts.items(), start=1):
        often = "once" if times == 1 else f"{times} times"
        out[look] = f"cell {i}, {often}" if several else f"cell, {often}"
    return out


def _box(node: Node, costs: dict[str, tuple[int, int]], *, last: bool = False) -> Box:
    operation = OPERATIONS[node.op]
    title, detail = operation.words(node.args)
    kind = operation.kind
    if last and node.op == "linear":
        kind, title = "output", "linear"
    n_params, n_macs = costs[node.id]
    return Box(
        node.id, kind, title, detail, node.group, node.shape, list(node.inputs), n_params, n_macs,
        dashed=operation.train_only, remark=operation.remark,
    )  # fmt: skip


def _boxes(
    plan: NetworkPlan, costs: dict[str, tuple[int, int]], cells: Cells, titles: dict[tuple[Any, ...], str]
) -> list[Box]:
    """All nodes as boxes, a cell as one; sums of one and identities outside cells are passed through."""
    word = {1: "table", 2: "signal", 3: "image"}.get(len(plan.input_shape), "input")
    out = [Box("input", "input", word, "", "input", plan.input_shape, [])]
    name = {"input": "input"}  # node -> the box that stands for its output
    for node in plan.nodes:
        if node.cell:
            mine = cells.nodes[node.cell]
            name[node.id] = node.cell.replace(".", "_")
            if node is not mine[-1]:
                continue
            inputs = list(dict.fromkeys(name[i] for i in cells.inputs[node.cell]))
            n_params, n_macs = (sum(costs[n.id][k] for n in mine) for k in (0, 1))
            title = titles[cells.looks[node.cell]]
            short = title.split(",")[0]
            out.append(
                Box(name[node.id], "cell", short, "", node.group, node.shape, inputs, n_params, n_macs, opens=title,
                    remark=next((OPERATIONS[n.op].remark for n in mine if OPERATIONS[n.op].remark), ""))
            )  # fmt: skip
            continue
        inputs = [name[i] for i in node.inputs]
        if len(inputs) == 1 and OPERATIONS[node.op].role in ("identity", "sum"):
            name[node.id] = inputs[0]
            continue
        box = _box(node, costs, last=node is plan.nodes[-1])
        box.inputs = inputs
        name[node.id] = node.id
        out.append(box)
    return out


def _fold_tails(boxes: list[Box], last: str) -> tuple[list[Box], str]:
    """Takes norms and activations into the operation before them, and says in words what is common to all."""
    users = Counter(i for box in boxes for i in box.inputs)
    by_id = {box.id: box for box in boxes}
    host: dict[str, str] = {}  # folded box -> the box it went into
    kept: list[Box] = []
    for box in boxes:
        box.inputs = [host.get(i, i) for i in box.inputs]
        before = by_id[box.inputs[0]] if len(box.inputs) == 1 else None
        direct = before is not None and users[_end(before, host)] == 1
        if box.kind in _TAIL and direct and before is not None and before.kind in _MAIN and box.id != last:
            before.tail += (box.title,)
            before.shape = box.shape
            before.n_params += box.n_params
            before.n_macs += box.n_macs
            host[box.id] = before.id
        else:
            kept.append(box)
    return kept, _caption(kept)


def _end(box: Box, host: dict[str, str]) -> str:
    """The last node folded into a box, itself where there is none: whose users count."""
    inside = [id for id, into in host.items() if into == box.id]
    return inside[-1] if inside else box.id


def _caption(boxes: list[Box]) -> str:
    sums = {i for box in boxes if box.kind == "add" for i in box.inputs}
    said: list[str] = []
    remarks = sorted({box.remark for box in boxes if box.remark})
    for kinds, words in ((("conv", "sep"), "each convolution"), (("dense",), "the dense layer")):
        # a bare operation that leads into a sum is a projection on a skip, and no exception to the rule
        group = [b for b in boxes if b.kind in kinds and not b.remark and (b.tail or b.id not in sums)]
        tails = {b.tail for b in group}
        if remarks and len(group) == 1:
            words = f"the {group[0].group}"
        if len(tails) == 1:
            tail = tails.pop()
            if tail:
                said.append(f"{words} {'is followed ' if not said else ''}by {' and '.join(tail)}")
        else:
            for box in group:
                box.detail = " ".join([box.detail, *(f"+ {t}" for t in box.tail)]).strip()
    return ", ".join(said + remarks)


def _fold_repeats(boxes: list[Box], cells: Cells) -> list[Box]:
    """Makes one box of equal cells that follow each other directly."""
    looks = {cell.replace(".", "_"): look for cell, look in cells.looks.items()}
    users: dict[str, list[str]] = {}
    for box in boxes:
        for source in box.inputs:
            users.setdefault(source, []).append(box.id)
    out: list[Box] = []
    moved: dict[str, str] = {}
    for box in boxes:
        last = out[-1] if out else None
        source = box.inputs[0] if len(box.inputs) == 1 else ""
        if (
            last is not None
            and box.kind == last.kind == "cell"
            and moved.get(source, source) == last.id
            and users[source] == [box.id]
            and looks[box.id] == looks[last.id]
            and (box.shape, box.group) == (last.shape, last.group)
        ):
            moved[box.id] = last.id
            last.repeat += 1
            last.n_params += box.n_params
            last.n_macs += box.n_macs
            last.detail = f"×{last.repeat}"
        else:
            box.inputs = [moved.get(i, i) for i in box.inputs]
            out.append(box)
    return out


def _detail(nodes: list[Node], costs: dict[str, tuple[int, int]], title: str) -> dict[str, Any]:
    """The inside of a cell: its states with operations on the edges, or its operations where states do not exist."""
    own = {node.id: node for node in nodes}
    states = {node.id for node in nodes if OPERATIONS[node.op].kind in ("add", "concat")}
    outside = list(dict.fromkeys(i for node in nodes for i in node.inputs if i not in own))
    alias = {name: f"in{i}" for i, name in enumerate(outside)}
    on_edges = nodes[-1].id in states and all(
        node.id in states or (len(node.inputs) == 1 and (node.inputs[0] in states or node.inputs[0] in alias))
        for node in nodes
    )
    boxes = []
    for i, id in enumerate(alias.values(), start=1):
        word = "input" if len(alias) == 1 else f"input {i}"
        number, word = ("0", word) if on_edges and len(alias) == 1 else (word, "")
        boxes.append(Box(id, "input", number, word, "", nodes[-1].shape, []))
    draw = _states if on_edges else _operations
    drawn, edges = draw(nodes, costs, alias)
    sums = any(OPERATIONS[node.op].kind == "add" for node in nodes)
    said = ["each node is the sum of what arrives"] if on_edges and sums else []
    said += sorted({OPERATIONS[node.op].remark for node in nodes} - {""})
    return {
        "title": title,
        "caption": ", ".join(said),
        "nodes": [box.to_json() for box in boxes + drawn],
        "edges": edges,
    }


def _states(
    nodes: list[Node], costs: dict[str, tuple[int, int]], alias: dict[str, str]
) -> tuple[list[Box], list[dict[str, str]]]:
    """States as nodes, operations as words on the edges; `none` is no edge."""
    own = {node.id: node for node in nodes}
    boxes: list[Box] = []
    edges: list[dict[str, str]] = []
    for node in nodes:
        if OPERATIONS[node.op].kind not in ("add", "concat"):
            continue
        arrives = 0
        for source in node.inputs:
            term = own.get(source)
            words = ""
            if term is not None and OPERATIONS[term.op].kind not in ("add", "concat"):
                if OPERATIONS[term.op].role == "zero":
                    continue
                words = " ".join(OPERATIONS[term.op].words(term.args)).strip()
                source = term.inputs[0]
            arrives += 1
            edges.append({"source": alias.get(source, source), "target": node.id, "title": words})
        last = node is nodes[-1]
        kind = "output" if last else OPERATIONS[node.op].kind
        detail = "" if arrives else "nothing arrives"
        box = Box(node.id, kind, str(len(boxes) + 1), detail or ("output" if last else ""), "", node.shape, [])
        box.n_params, box.n_macs = (sum(costs[i][k] for i in node.inputs if i in own) for k in (0, 1))
        boxes.append(box)
    return boxes, edges


def _operations(
    nodes: list[Node], costs: dict[str, tuple[int, int]], alias: dict[str, str]
) -> tuple[list[Box], list[dict[str, str]]]:
    """Operations as nodes."""
    edges = [{"source": alias.get(i, i), "target": n.id, "title": ""} for n in nodes for i in n.inputs]
    return [_box(node, costs) for node in nodes], edges
