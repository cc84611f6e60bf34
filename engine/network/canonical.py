"""When two plans are the same network: equal keys only for equal function and equal training.

Rules: `zero` and what only it feeds is dropped, so is what the output does not need; identities are contracted; sums
are flattened; parameter-free copies of one input are merged, keeping how often they count; then the graph gets an
exact canonical labelling (colour refinement, and where that leaves ties, the smallest of all individualisations).
Repeated cells are labelled once, as graphs of their own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from engine.network.operations import OPERATIONS, Role
from engine.network.plan import NetworkPlan, Node

#: past these the plan as written is the key
MAX_NODES = 4000
MAX_LEAVES = 1000


@dataclass(frozen=True)
class Item:
    """One node of a graph to label.

    Attributes:
        label: what it does, arguments included.
        role: see `Operation.role`.
        merges: parameter-free and deterministic: two of them with one input are one.
        inputs: positions of earlier items; external input k is -1 - k.
        keeps_zero: see `Operation.keeps_zero`.
    """

    label: str
    role: Role
    merges: bool
    inputs: tuple[int, ...]
    keeps_zero: bool = False


#: a sum of terms: (term, how often) pairs, sorted; external input k is the term -1 - k
Value = tuple[tuple[int, int], ...]


class TooSymmetric(Exception):
    """The labelling would need more than `MAX_LEAVES` comparisons."""


def canonical_key(plan: NetworkPlan) -> str:
    """The key of a plan: 32 hexadecimal digits, equal for equal networks."""
    try:
        text = _canonical_text(plan)
    except TooSymmetric:
        text = "as written " + json.dumps(plan.to_json(), sort_keys=True)
    return digest(text)


def digest(text: str) -> str:
    """32 hexadecimal digits that stand for a canonical text."""
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _canonical_text(plan: NetworkPlan) -> str:
    if len(plan.nodes) > MAX_NODES:
        raise TooSymmetric
    position: dict[str, int] = {"input": -1}
    items: list[Item] = []
    cells = plan.closed_cells()
    inside = {node.id for nodes in cells.values() for node in nodes}
    for node in plan.nodes:
        if node.id not in inside:
            items.append(_item(node, position))
            position[node.id] = len(items) - 1
        elif cells[node.cell][-1] is node:
            item = _cell_item(cells[node.cell], position)
            items.append(item)
            position[node.id] = len(items) - 1
    return f"{plan.input_shape} {canonical_form(tuple(items), position[plan.nodes[-1].id])}"


def _item(node: Node, position: dict[str, int]) -> Item:
    operation = OPERATIONS[node.op]
    label = f"{node.op}{json.dumps(dict(node.args), sort_keys=True, separators=(',', ':')) if node.args else ''}"
    inputs = tuple(position[i] for i in node.inputs)
    return Item(label, operation.role, operation.stateless, inputs, operation.keeps_zero)


def _cell_item(nodes: list[Node], outside: dict[str, int]) -> Item:
    """A whole cell as one item; its inputs are what it reads from outside, in order of first use."""
    position: dict[str, int] = {}
    external: list[str] = []
    own = {node.id for node in nodes}
    items = []
    for node in nodes:
        for source in node.inputs:
            if source not in own and source not in position:
                position[source] = -1 - len(external)
                external.append(source)
        items.append(_item(node, position))
        position[node.id] = len(items) - 1
    form = canonical_form(tuple(items), len(items) - 1)
    inputs = tuple(outside[name] for name in external)
    if form == IDENTITY:
        return Item("identity", "identity", True, inputs[:1])
    return Item(f"cell[{form}]", "op", False, inputs)


@lru_cache(maxsize=50_000)
def canonical_form(items: tuple[Item, ...], output: int) -> str:
    """An exact text of a graph: equal for isomorphic graphs (after the rules above), and only for them.

    Args:
        items: in topological order.
        output: position of the output.
    """
    terms, root = _simplify(items, output)
    return _label(terms, root)


#: form of a graph that hands on its first input
IDENTITY = "[] -> [[-1,1]]"


def _simplify(items: Sequence[Item], output: int) -> tuple[list[tuple[str, tuple[Value, ...]]], Value]:
    """Terms (label, inputs) in topological order, live ones only, and the output as a sum of terms."""
    values: list[Value] = []
    terms: list[tuple[str, tuple[Value, ...]]] = []
    known: dict[tuple[str, tuple[Value, ...]], int] = {}
    for item in items:
        inputs = tuple(values[i] if i >= 0 else ((i, 1),) for i in item.inputs)
        if item.role == "zero":
            values.append(())
        elif item.role == "identity":
            values.append(inputs[0])
        elif item.role == "sum":
            total: dict[int, int] = {}
            for value in inputs:
                for term, times in value:
                    total[term] = total.get(term, 0) + times
            values.append(tuple(sorted(total.items())))
        elif item.keeps_zero and inputs and not any(inputs):
            values.append(())
        else:
            entry = (item.label, inputs)
            if not item.merges or entry not in known:
                known[entry] = len(terms)
                terms.append(entry)
            values.append(((known[entry], 1),))
    root = values[output]
    live: set[int] = set()
    todo = [t for t, _ in root if t >= 0]
    while todo:
        t = todo.pop()
        if t not in live:
            live.add(t)
            todo.extend(s for value in terms[t][1] for s, _ in value if s >= 0)
    new = {t: i for i, t in enumerate(sorted(live))}

    def moved(value: Value) -> Value:
        return tuple((new.get(t, t), times) for t, times in value)

    return [(terms[t][0], tuple(moved(v) for v in terms[t][1])) for t in new], moved(root)


class _Labeller:
    """Canonical order of a graph of terms by refinement and individualisation."""

    def __init__(self, terms: list[tuple[str, tuple[Value, ...]]], root: Value) -> None:
        self.terms, self.root = terms, root
        self.users: list[list[tuple[int, int, int]]] = [[] for _ in terms]  # (user, slot, times)
        for user, (_, inputs) in enumerate(terms):
            for slot, value in enumerate(inputs):
                for t, times in value:
                    if t >= 0:
                        self.users[t].append((user, slot, times))
        self.outs = dict(root)
        self.best: str | None = None
        self.leaves = 0

    def colours(self, marks: dict[int, int]) -> list[str]:
        """One pass along the edges and one against them; marked terms differ from all others."""
        n = len(self.terms)
        down = [""] * n
        for t, (label, inputs) in enumerate(self.terms):
            seen = [sorted((down[s] if s >= 0 else str(s), k) for s, k in value) for value in inputs]
            down[t] = _short(f"{label}|{marks.get(t, '')}|{seen}")
        up = [""] * n
        for t in range(n - 1, -1, -1):
            seen_up = sorted((up[user], slot, k) for user, slot, k in self.users[t])
            up[t] = _short(f"{down[t]}|{self.outs.get(t, 0)}|{seen_up}")
        return up

    def search(self, marks: dict[int, int]) -> None:
        colours = self.colours(marks)
        groups: dict[str, list[int]] = {}
        for t, colour in enumerate(colours):
            groups.setdefault(colour, []).append(t)
        tied = min(((len(g), c) for c, g in groups.items() if len(g) > 1), default=None)
        if tied is None:
            self.leaves += 1
            if self.leaves > MAX_LEAVES:
                raise TooSymmetric
            text = self.text(sorted(range(len(colours)), key=colours.__getitem__))
            if self.best is None or text < self.best:
                self.best = text
            return
        tried: set[str] = set()
        for t in groups[tied[1]]:
            twin = repr((self.terms[t], sorted(self.users[t])))  # twins can be exchanged: one of them is enough
            if twin not in tried:
                tried.add(twin)
                self.search({**marks, t: len(marks) + 1})

    def text(self, order: list[int]) -> str:
        place = {t: i for i, t in enumerate(order)}

        def written(value: Value) -> list[list[int]]:
            return sorted([place.get(t, t), times] for t, times in value)

        nodes = [[self.terms[t][0], [written(v) for v in self.terms[t][1]]] for t in order]
        return f"{json.dumps(nodes, separators=(',', ':'))} -> {json.dumps(written(self.root), separators=(',', ':'))}"


def _short(text: str) -> str:
    return blake2b(text.encode(), digest_size=12).hexdigest()


def _label(terms: list[tuple[str, tuple[Value, ...]]], root: Value) -> str:
    labeller = _Labeller(terms, root)
    labeller.search({})
    assert labeller.best is not None
    return labeller.best
