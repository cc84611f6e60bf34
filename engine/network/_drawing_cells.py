"""Repeated cells of a plan: which are alike, what they are called, what is inside."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from engine.network._drawing_box import TAIL, Box, Costs, Insides, box_of, fold_tails, say_tails
from engine.network.operation import kernel_words
from engine.network.operations import OPERATIONS
from engine.network.plan import NetworkPlan, Node

#: what a cell is apart from its sizes
Look = tuple[Any, ...]


@dataclass
class Cells:
    """The cells of a plan that are drawn as one box.

    Attributes:
        nodes: by cell.
        inputs: what a cell reads from outside, in order of first use.
        look: of a cell, apart from its sizes and from how it adapts its two inputs.
        words: (title, argument) of a look.
        drawn: the cell whose inside is drawn for a look.
        times: how often a look occurs.
        variants: looks of which some cells adapt their inputs in another way than the drawn one.
    """

    nodes: dict[str, list[Node]] = field(default_factory=dict)
    inputs: dict[str, list[str]] = field(default_factory=dict)
    look: dict[str, Look] = field(default_factory=dict)
    words: dict[Look, tuple[str, str]] = field(default_factory=dict)
    drawn: dict[Look, str] = field(default_factory=dict)
    times: Counter[Look] = field(default_factory=Counter)
    variants: set[Look] = field(default_factory=set)

    @classmethod
    def of(cls, plan: NetworkPlan) -> Cells:
        """Collects them. A cell of a single operation (with its norm and activation) is that operation."""
        out = cls()
        full: dict[str, Look] = {}
        for cell, nodes in plan.closed_cells().items():
            work = [n for n in nodes if OPERATIONS[n.op].kind not in TAIL and OPERATIONS[n.op].role != "identity"]
            if len(work) < 2:
                continue
            own = {node.id for node in nodes}
            out.nodes[cell] = nodes
            out.inputs[cell] = list(dict.fromkeys(i for node in nodes for i in node.inputs if i not in own))
            full[cell] = _written(nodes, out.inputs[cell])
            out.look[cell] = (_core(nodes) or full[cell], _summary(plan, nodes, out.inputs[cell]))
        out.times = Counter(out.look.values())
        for look in out.times:
            alike = Counter(full[cell] for cell in out.look if out.look[cell] == look)
            most = alike.most_common(1)[0][0]
            out.drawn[look] = next(c for c in out.look if out.look[c] == look and full[c] == most)
            if len(alike) > 1:
                out.variants.add(look)
        out._name(plan)
        return out

    def _name(self, plan: NetworkPlan) -> None:
        plain = [look for look in self.times if not look[1]]
        cells = {look: self.drawn[look] for look in plain}
        smaller = {look for look, cell in cells.items() if _reduces(plan, self.nodes[cell], self.inputs[cell])}
        for i, look in enumerate(plain, start=1):
            if len(plain) == 2 and len(smaller) == 1:
                self.words[look] = ("reduction cell" if look in smaller else "normal cell", "")
            else:
                self.words[look] = (f"cell {i}" if len(plain) > 1 else "cell", "")
        for look in self.times:
            if look[1]:
                self.words[look] = look[1]
            elif self.words[look][0].startswith("cell"):
                self.words[look] = (self.words[look][0], _salient(self.nodes[self.drawn[look]], alone=len(plain) == 1))
        seen: Counter[tuple[str, str]] = Counter()
        for look, (word, argument) in self.words.items():  # what differs in what its words do not say is told apart
            seen[word, argument] += 1
            if seen[word, argument] > 1:
                skip = OPERATIONS[self.nodes[self.drawn[look]][-1].op].role == "sum"
                argument = f"{argument} {'with' if skip else 'no'} skip".strip()
                seen[word, argument] += 1
                number = f" ({seen[word, argument]})" if seen[word, argument] > 1 else ""
                self.words[look] = (word, f"{argument}{number}")

    def title(self, look: Look) -> str:
        """Title of the drawing of its inside."""
        times = self.times[look]
        return f"{' '.join(self.words[look]).strip()}, {'once' if times == 1 else f'{times} times'}"

    def details(self, costs: Costs, insides: Insides) -> list[dict[str, Any]]:
        """The drawings of their insides; their captions as lists of what is said."""
        out = []
        for look, cell in self.drawn.items():
            entry = inside(self.nodes[cell], costs, self.title(look), insides)
            if look in self.variants:
                entry["caption"].append("where the size has just changed its inputs are adapted in another way")
            out.append(entry)
        return out


def _written(nodes: list[Node], outside: list[str]) -> Look:
    place = {node.id: i for i, node in enumerate(nodes)} | {name: -1 - i for i, name in enumerate(outside)}
    return tuple((n.op, OPERATIONS[n.op].words(n.args), tuple(place[i] for i in n.inputs)) for n in nodes)


def _core(nodes: list[Node]) -> Look | None:
    """A cell of two inputs without the operations that only adapt each of them; None where it is not built so."""
    own = {node.id: node for node in nodes}
    users: dict[str, list[Node]] = {}
    for node in nodes:
        for source in node.inputs:
            users.setdefault(source, []).append(node)
    heads = [node for node in nodes if any(i not in own for i in node.inputs)]
    if len(heads) != 2 or any(len(node.inputs) != 1 for node in heads):
        return None
    place: dict[str, int] = {}
    gone: set[str] = set()
    for k, node in enumerate(heads):
        gone.add(node.id)
        while len(users.get(node.id, [])) == 1 and len(users[node.id][0].inputs) == 1:
            following = users[node.id][0]
            if OPERATIONS[node.op].kind != "act" and OPERATIONS[following.op].kind != "norm":
                break
            node = following
            gone.add(node.id)
        place[node.id] = -1 - k
    rest = [node for node in nodes if node.id not in gone]
    place |= {node.id: i for i, node in enumerate(rest)}
    if not rest or any(i not in place for node in rest for i in node.inputs):
        return None
    return tuple((n.op, OPERATIONS[n.op].words(n.args), tuple(place[i] for i in n.inputs)) for n in rest)


def _summary(plan: NetworkPlan, nodes: list[Node], outside: list[str]) -> tuple[str, str] | None:
    """("MBConv", "5×5 e6 SE") for an inverted bottleneck: its one depthwise convolution and how far it widens."""
    deep = [n for n in nodes if n.args.get("groups", 1) != 1 and n.args.get("groups") == n.args.get("in_channels")]
    if len(deep) != 1 or len(outside) != 1 or len(deep[0].shape) < 2:
        return None
    (node,) = deep
    wide = plan.shape_of(node.inputs[0])[0] / plan.shape_of(outside[0])[0]
    kernel = node.args["kernel_size"]
    said = [kernel_words(kernel, len(node.shape) - 1)] if isinstance(kernel, int) else []
    if (stride := node.args.get("stride", 1)) != 1:
        said.append(f"/{stride}")
    said.append(f"e{wide:.3g}")
    if any("squeeze" in n.op for n in nodes):
        said.append("SE")
    return "MBConv", " ".join(said)


def _salient(nodes: list[Node], *, alone: bool) -> str:
    """Words of the one operation that makes a small cell what it is, e.g. "attention 4 heads"; "" where there are more.

    The only kind of cell of a network (`alone`) is told by what is special only, not by its convolutions.
    """
    kinds = ("attention", "recurrent") if alone else ("attention", "recurrent", "sep", "conv", "pool")
    some = [n for n in nodes if OPERATIONS[n.op].kind in kinds]
    main = [n for n in some if n.args.get("kernel_size", 0) != 1] or some
    words = dict.fromkeys(" ".join(OPERATIONS[n.op].words(n.args)).strip() for n in main)
    return next(iter(words)) if len(words) == 1 else ""


def _reduces(plan: NetworkPlan, nodes: list[Node], outside: list[str]) -> bool:
    sides = [plan.shape_of(name)[-1] for name in outside if len(plan.shape_of(name)) > 1]
    return bool(sides) and len(nodes[-1].shape) > 1 and nodes[-1].shape[-1] < min(sides)


def inside(nodes: list[Node], costs: Costs, title: str, insides: Insides) -> dict[str, Any]:
    """The inside of a cell: its states with operations on the edges, or its operations where states do not exist.

    Args:
        nodes: of the cell, in topological order; the last one is what is read from outside.
        costs: parameters and multiply-adds by node.
        title: of the drawing.
        insides: takes drawings of operations that are graphs of their own.
    """
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
        boxes.append(Box(id, "input", number, word, "", nodes[-1].shape, [], n_nodes=0))
    if on_edges:
        drawn, edges = _states(nodes, costs, alias)
        sums = any(OPERATIONS[node.op].kind == "add" for node in nodes)
        said = ["each node is the sum of what arrives"] if sums else []
        said += sorted({OPERATIONS[node.op].remark for node in nodes} - {""})
    else:
        drawn = [box_of(node, costs, insides) for node in nodes]
        for box in drawn:
            box.inputs = [alias.get(i, i) for i in box.inputs]
        drawn = fold_tails([*boxes, *drawn], "")[len(boxes) :]
        said = say_tails(drawn)
        edges = [{"source": i, "target": box.id, "title": ""} for box in drawn for i in box.inputs]
    # names are those inside the cell: the same in every network, whichever of its cells is drawn
    prefix = f"{nodes[-1].cell.replace('.', '_')}_"
    short = {box.id: box.id.removeprefix(prefix) for box in boxes + drawn}
    for box in boxes + drawn:
        box.id, box.group = short[box.id], ""
    return {
        "title": title,
        "caption": said,
        "nodes": [box.to_json() for box in boxes + drawn],
        "edges": [{**edge, "source": short[edge["source"]], "target": short[edge["target"]]} for edge in edges],
    }


def _states(nodes: list[Node], costs: Costs, alias: dict[str, str]) -> tuple[list[Box], list[dict[str, str]]]:
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
