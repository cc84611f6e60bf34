"""One box of a drawing, and how an operation becomes one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from engine.network.operations import OPERATIONS
from engine.network.plan import NetworkPlan, Node

#: operations that norms and activations are folded into, and what is folded
MAIN = ("conv", "sep", "dense", "attention", "recurrent", "embed")
TAIL = ("norm", "act")
Costs = dict[str, tuple[int, int]]


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
    n_nodes: int = 1
    tail: tuple[str, ...] = ()
    remark: str = ""

    def to_json(self) -> dict[str, Any]:
        """As `static/js/core/arch.js` reads it."""
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
            "n_nodes": self.n_nodes,
        }


@dataclass
class Insides:
    """Drawings of what is inside a box, each under a title of its own.

    Attributes:
        entries: the drawings.
        named: titles of operations whose own title stands for several drawings, by node: with the layers they are in.
    """

    entries: list[dict[str, Any]] = field(default_factory=list)
    named: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: NetworkPlan) -> Insides:
        """None yet; operations of one title that are not the same are told apart by their layers."""
        alike: dict[str, dict[str, list[Node]]] = {}
        for node in plan.nodes:
            if inside := OPERATIONS[node.op].inside:
                entry = inside(node.args)
                alike.setdefault(str(entry["title"]), {}).setdefault(repr(entry), []).append(node)
        named: dict[str, str] = {}
        for title, drawings in alike.items():
            for nodes in drawings.values() if len(drawings) > 1 else ():
                groups = list(dict.fromkeys(n.group for n in nodes if n.group))
                named |= {n.id: f"{title}, {' and '.join(groups)}" for n in nodes if groups}
        return cls(named=named)

    def add(self, entry: dict[str, Any]) -> str:
        """Keeps a drawing (once) and returns the title under which it is found."""
        entry = {"caption": "", **entry}
        title = str(entry["title"])
        alike = [e for e in self.entries if e["title"] == title or str(e["title"]).startswith(f"{title} (")]
        for other in alike:
            if {**other, "title": title} == entry:
                return str(other["title"])
        if alike:
            title = f"{title} ({len(alike) + 1})"
        self.entries.append({**entry, "title": title})
        return title


def box_of(node: Node, costs: Costs, insides: Insides, *, logits: bool = False) -> Box:
    """The box of one operation.

    Args:
        node: of the plan.
        costs: parameters and multiply-adds by node.
        insides: takes the drawing of an operation that is a graph of its own.
        logits: the node gives the network's output.
    """
    operation = OPERATIONS[node.op]
    title, detail = operation.words(node.args)
    kind = operation.kind
    if logits and kind == "dense":
        kind, title = "output", "linear"
    n_params, n_macs = costs[node.id]
    opens = None
    if operation.inside:
        entry = operation.inside(node.args)
        opens = insides.add({**entry, "title": insides.named.get(node.id, entry["title"])})
    return Box(
        node.id, kind, title, detail, node.group, node.shape, list(node.inputs), n_params, n_macs,
        dashed=operation.train_only, remark=operation.remark, opens=opens,
    )  # fmt: skip


def fold_tails(boxes: list[Box], last: str) -> list[Box]:
    """Takes norms and activations into the operation before them.

    Args:
        boxes: in topological order.
        last: box that stays whatever it is.
    """
    users = Counter(i for box in boxes for i in box.inputs)
    by_id = {box.id: box for box in boxes}
    host: dict[str, str] = {}  # folded box -> the box it went into
    end: dict[str, str] = {}  # box -> the last one folded into it: whose users count
    kept: list[Box] = []
    for box in boxes:
        box.inputs = [host.get(i, i) for i in box.inputs]
        before = by_id[box.inputs[0]] if len(box.inputs) == 1 else None
        direct = before is not None and users[end.get(before.id, before.id)] == 1
        if box.kind in TAIL and direct and before is not None and before.kind in MAIN and box.id != last:
            before.tail += (box.title,)
            before.shape = box.shape
            before.n_params += box.n_params
            before.n_macs += box.n_macs
            before.n_nodes += box.n_nodes
            host[box.id] = before.id
            end[before.id] = box.id
        else:
            kept.append(box)
    return kept


def say_tails(boxes: list[Box]) -> list[str]:
    """What is folded behind all operations alike, in words; where it differs it is written into the boxes."""
    sums = {i for box in boxes if box.kind == "add" for i in box.inputs}
    said: list[str] = []
    remarks = sorted({box.remark for box in boxes if box.remark})
    for kinds, words in ((("conv", "sep"), "each convolution"), (("dense",), "the dense layer")):
        # a bare operation that leads into a sum is a projection on a skip, and no exception to the rule
        group = [b for b in boxes if b.kind in kinds and not b.remark and (b.tail or b.id not in sums)]
        tails = {b.tail for b in group}
        if remarks and len(group) == 1:
            words = f"the {group[0].group}"
        elif kinds == ("dense",) and len(group) > 1:
            words = "each dense layer"
        if len(tails) == 1:
            tail = tails.pop()
            if tail:
                said.append(f"{words} {'is followed ' if not said else ''}by {' and '.join(tail)}")
        else:
            _write_tails(group)
    _write_tails([b for b in boxes if b.tail and b.kind not in ("conv", "sep", "dense")])
    return said + remarks


def _write_tails(boxes: list[Box]) -> None:
    for box in boxes:
        box.detail = " ".join([box.detail, *(f"+ {t}" for t in box.tail)]).strip()
