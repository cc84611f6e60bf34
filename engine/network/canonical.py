"""When two plans are the same network: equal keys only for equal function and equal training.

Rules: `zero` and what only it feeds is dropped where it stays zero (a batch norm's shift does not), so is what no
output needs; identities are contracted; sums are flattened; linear parameter-free operations (average pooling) are
carried out term by term, which is the same; parameter-free copies of one input are merged, keeping how often they
count. What is left gets an exact canonical labelling: colour refinement over integers, and where that leaves ties the
smallest text of all individualisations (McKay & Piperno 2014, Practical Graph Isomorphism II), without the branches
that a found automorphism makes equal. Repeated cells are labelled once, as graphs of their own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from engine.network.operations import OPERATIONS, Role
from engine.network.plan import NetworkPlan, Node

#: past these the plan as written is the key
MAX_NODES = 4000
MAX_LEAVES = 1000


class Item(NamedTuple):
    """One node of a graph to label.

    Attributes:
        label: what it does, arguments included.
        role: see `Operation.role`.
        merges: parameter-free and deterministic: two of them with one input are one.
        inputs: positions of earlier items; external input k is -1 - k.
        keeps_zero: see `Operation.keeps_zero`.
        linear: see `Operation.linear`; only with `merges` and one input.
        commutes: the order of its inputs does not matter, though it does not add them: channels joined in front of a
            convolution that reads nothing else (its weights come in any order).
    """

    label: str
    role: Role
    merges: bool
    inputs: tuple[int, ...]
    keeps_zero: bool = False
    linear: bool = False
    commutes: bool = False


#: a sum of terms: (term, how often) pairs, sorted; external input k is the term -1 - k
Value = tuple[tuple[int, int], ...]


class Term(NamedTuple):
    """An operation that is left, and what each of its inputs adds up."""

    label: str
    inputs: tuple[Value, ...]
    commutes: bool


class Form(NamedTuple):
    """A labelled graph: its text, and what it is as an operation of a graph around it."""

    text: str
    merges: bool
    keeps_zero: bool


class TooSymmetric(Exception):
    """The labelling would need more than `MAX_LEAVES` comparisons."""


def canonical_key(plan: NetworkPlan) -> str:
    """The key of a plan: 32 hexadecimal digits, equal for equal networks."""
    try:
        text = _canonical_text(plan)
    except TooSymmetric:
        text = f"as written {plan.input_type} {plan.auxiliary} {json.dumps(plan.to_json(), sort_keys=True)}"
    return digest(text)


def digest(text: str) -> str:
    """32 hexadecimal digits that stand for a canonical text."""
    return blake2b(text.encode(), digest_size=16).hexdigest()


def canonical_form(items: tuple[Item, ...], output: int) -> str:
    """An exact text of a graph: equal for isomorphic graphs (after the rules above), and only for them.

    Spaces of cells may call it on their own items, without a plan.

    Args:
        items: in topological order.
        output: position of the output.

    Raises:
        TooSymmetric: see there; a graph of up to a hundred items as spaces write them does not get there.
    """
    # not remembered: spaces keep the keys, and half a million small tuples slow the garbage collector down
    terms, roots, _, _ = _simplify(items, (output,))
    return _Labeller(terms, roots).smallest()


@lru_cache(maxsize=4096)
def _form(items: tuple[Item, ...], outputs: tuple[int, ...]) -> Form:
    terms, roots, merges, keeps_zero = _simplify(items, outputs)
    return Form(_Labeller(terms, roots).smallest(), merges, keeps_zero)


# -- plans ----------------------------------------------------------------------------------------
def _canonical_text(plan: NetworkPlan) -> str:
    if len(plan.nodes) > MAX_NODES:
        raise TooSymmetric
    position: dict[str, int] = {"input": -1}
    items: list[Item] = []
    cells = plan.closed_cells()
    for name in plan.auxiliary:  # read from outside, too
        cell = cells.get(plan.by_id[name].cell)
        if cell and cell[-1].id != name:
            del cells[plan.by_id[name].cell]
    for node in plan.nodes:
        cell = cells.get(node.cell)
        if cell is None:
            items.append(_item(plan, node, position))
        elif cell[-1] is node:
            items.append(_cell_item(plan, cell, position))
        else:
            continue
        position[node.id] = len(items) - 1
    outputs = (position[plan.nodes[-1].id], *(position[name] for name in plan.auxiliary))
    return f"{plan.input_shape} {plan.input_type} {_form(tuple(items), outputs).text}"


def _item(plan: NetworkPlan, node: Node, position: dict[str, int]) -> Item:
    """The label holds the shapes: those of zeros follow from nothing else."""
    operation = OPERATIONS[node.op]
    shapes = [plan.shape_of(i) for i in node.inputs] if len(node.inputs) > 1 else ""
    label = f"{node.op}{sorted(node.args.items()) if node.args else ''}{shapes}{node.shape}"
    inputs = tuple([position[i] for i in node.inputs])
    linear = operation.linear and operation.stateless and len(inputs) == 1
    return Item(label, operation.role, operation.stateless, inputs, operation.keeps_zero, linear)


def _cell_item(plan: NetworkPlan, nodes: list[Node], outside: dict[str, int]) -> Item:
    """A whole cell as one item; its inputs are what it reads from outside, in the order in which that is made."""
    own = {node.id for node in nodes}
    external = sorted({i for node in nodes for i in node.inputs if i not in own}, key=outside.__getitem__)
    position = {name: -1 - k for k, name in enumerate(external)}
    items = []
    for node in nodes:
        items.append(_item(plan, node, position))
        position[node.id] = len(items) - 1
    form = _form(tuple(items), (len(items) - 1,))
    inputs = tuple(outside[name] for name in external)
    if form.text == IDENTITY:
        return Item("identity", "identity", True, inputs[:1])
    if form.text == ZERO:
        return Item("zero", "zero", True, inputs[:1])
    # what a cell of zeros hands on depends on their shape, which the text need not hold
    shapes = [plan.shape_of(name) for name in external]
    return Item(f"cell[{form.text}{shapes}]", "op", form.merges, inputs, form.keeps_zero)


# -- the rules ------------------------------------------------------------------------------------
def _simplify(items: Sequence[Item], outputs: Sequence[int]) -> tuple[list[Term], tuple[Value, ...], bool, bool]:
    """Live terms in topological order, the outputs as sums of terms, whether all of them merge, and keep zeros."""
    values: list[Value] = []
    terms: list[Term] = []
    sources: list[Item] = []
    known: dict[Term, int] = {}

    def term(item: Item, inputs: tuple[Value, ...]) -> int:
        entry = Term(item.label, tuple(sorted(inputs)) if item.commutes else inputs, item.commutes)
        if item.merges:
            at = known.setdefault(entry, len(terms))
            if at < len(terms):
                return at
        terms.append(entry)
        sources.append(item)
        return len(terms) - 1

    for item in items:
        role = item.role
        inputs = tuple([values[i] if i >= 0 else ((i, 1),) for i in item.inputs])
        if role == "sum":
            if len(inputs) == 1:
                values.append(inputs[0])
            else:
                values.append(_added([pair for value in inputs for pair in value]))
        elif role == "identity":
            values.append(inputs[0])
        elif role == "zero" or (item.keeps_zero and inputs and not any(inputs)):
            values.append(())
        elif item.linear and (len(inputs[0]) > 1 or (inputs[0] and inputs[0][0][1] > 1)):
            values.append(_added([(term(item, (((t, 1),),)), times) for t, times in inputs[0]]))
        else:
            values.append(((term(item, inputs), 1),))
    live = {t for i in outputs for t, _ in (values[i] if i >= 0 else ()) if t >= 0}
    for t in range(len(terms) - 1, -1, -1):
        if t in live:
            for value in terms[t].inputs:
                for s, _ in value:
                    if s >= 0:
                        live.add(s)
    order = sorted(live)
    new = {t: i for i, t in enumerate(order)}

    def moved(value: Value) -> Value:
        return tuple([(new.get(t, t), times) for t, times in value])

    kept = [Term(terms[t].label, tuple([moved(v) for v in terms[t].inputs]), terms[t].commutes) for t in order]
    roots = tuple([moved(values[i]) if i >= 0 else ((i, 1),) for i in outputs])
    return kept, roots, all(sources[t].merges for t in order), all(sources[t].keeps_zero for t in order)


def _added(pairs: list[tuple[int, int]]) -> Value:
    total: dict[int, int] = {}
    for t, times in pairs:
        total[t] = total.get(t, 0) + times
    return tuple(sorted(total.items()))


# -- the labelling --------------------------------------------------------------------------------
_MASK = (1 << 64) - 1
_A, _B = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9


def _mixed(x: int) -> int:
    """Spreads an integer over 64 bits, the same in every process."""
    x = (x ^ (x >> 30)) * _B & _MASK
    x = (x ^ (x >> 27)) * _A & _MASK
    return x ^ (x >> 31)


@lru_cache(maxsize=100_000)
def _number(label: str) -> int:
    return int.from_bytes(blake2b(label.encode(), digest_size=8).digest(), "big")


#: odd factors that tell apart the inputs of an operation, and the external inputs
_SLOTS = [_mixed(i) | 1 for i in range(1, 129)]
#: a leaf of the search: the text of an order, and where the individualised terms stand in it
_Leaf = tuple[str, tuple[int, ...]]


class _Labeller:
    """Canonical order of a graph of terms by refinement and individualisation.

    Colours are 64-bit numbers that follow from the structure alone. Should two of them collide, that is one more tie:
    ties are always broken by comparing texts, so that the text stays exact.
    """

    def __init__(self, terms: list[Term], roots: tuple[Value, ...]) -> None:
        self.terms, self.roots = terms, roots
        self.leaves = 0
        #: (user, slot, times); slot 0 of all users whose inputs commute
        self.users: list[list[tuple[int, int, int]]] = [[] for _ in terms]
        for user, (_, inputs, commutes) in enumerate(terms):
            for slot, value in enumerate(inputs):
                for t, times in value:
                    if t >= 0:
                        self.users[t].append((user, 0 if commutes else slot, times))
        self.start = [_number(term.label) for term in terms]
        self.read = [0] * len(terms)
        for slot, value in enumerate(roots):
            for t, times in value:
                if t >= 0:
                    self.read[t] += times * _SLOTS[-1 - slot % 64]

    def smallest(self) -> str:
        """The text of the canonical order.

        Raises:
            TooSymmetric: more than `MAX_LEAVES` orders would have to be compared.
        """
        colours = self._refined(self.start)
        tied = self._tied(colours)
        if tied is None:
            return self.text(_order(colours))
        return min(self._search(colours, tied, ()))[0]

    def _pass(self, colours: list[int]) -> list[int]:
        """Once along the edges and once against them."""
        down: list[int] = []
        for colour, (_, inputs, commutes) in zip(colours, self.terms, strict=True):
            slot = 0
            for value in inputs:
                total = _A
                for t, times in value:
                    total += times * (down[t] if t >= 0 else _SLOTS[t])
                colour += _mixed(total & _MASK) * _SLOTS[slot % 128]
                slot += not commutes
            down.append(_mixed(colour & _MASK))
        up = down  # overwritten from the end: a term is read by later ones only
        for t in range(len(up) - 1, -1, -1):
            total = down[t] + self.read[t]
            for user, slot, times in self.users[t]:
                total += times * _mixed(up[user] + slot)
            up[t] = _mixed(total & _MASK)
        return up

    def _refined(self, colours: list[int]) -> list[int]:
        """Passes until they tell nothing more apart."""
        n = len(colours)
        colours = self._pass(colours)
        found = len(set(colours))
        while found < n:
            next_colours = self._pass(colours)
            more = len(set(next_colours))
            if more <= found:
                break
            colours, found = next_colours, more
        return colours

    def _tied(self, colours: list[int]) -> list[int] | None:
        """One of each kind of twins of the smallest class that holds several kinds; None = any order will do.

        Twins read the same and are read the same: exchanging them changes nothing.
        """
        if len(set(colours)) == len(colours):
            return None
        groups: dict[int, list[int]] = {}
        for t, colour in enumerate(colours):
            groups.setdefault(colour, []).append(t)
        found: list[tuple[int, int, list[int]]] = []
        for colour, group in groups.items():
            if len(group) > 1:
                kinds = {(self.terms[t], tuple(sorted(self.users[t])), self.read[t]): t for t in reversed(group)}
                if len(kinds) > 1:
                    found.append((len(group), colour, list(kinds.values())))
        return min(found)[2] if found else None

    def _search(self, colours: list[int], tied: list[int], marked: tuple[int, ...]) -> set[_Leaf]:
        """The leaves below, without branches that are images of others under an automorphism."""
        seen: set[_Leaf] = set()
        depth = len(marked) + 1
        for t in tied:
            if seen:
                text, places = self._below(colours, t, marked, first=True).pop()
                if any(text == other and places[:depth] == others[:depth] for other, others in seen):
                    continue
            seen |= self._below(colours, t, marked, first=False)
        return seen

    def _below(self, colours: list[int], t: int, marked: tuple[int, ...], *, first: bool) -> set[_Leaf]:
        """The leaves with `t` told apart; with `first` only one of them."""
        marked = (*marked, t)
        changed = list(colours)
        changed[t] = _mixed(changed[t] + len(marked))
        while True:
            changed = self._refined(changed)
            tied = self._tied(changed)
            if tied is None:
                return {self._leaf(changed, marked)}
            if not first:
                return self._search(changed, tied, marked)
            marked = (*marked, tied[0])
            changed[tied[0]] = _mixed(changed[tied[0]] + len(marked))

    def _leaf(self, colours: list[int], marked: tuple[int, ...]) -> _Leaf:
        self.leaves += 1
        if self.leaves > MAX_LEAVES:
            raise TooSymmetric
        order = _order(colours)
        place = {t: i for i, t in enumerate(order)}
        return self.text(order), tuple(place[t] for t in marked)

    def text(self, order: list[int]) -> str:
        """The whole graph, its terms numbered in this order."""
        place = [0] * len(order)
        for i, t in enumerate(order):
            place[t] = i

        def written(value: Value) -> list[tuple[int, int]]:
            return sorted([(place[t] if t >= 0 else t, times) for t, times in value])

        nodes = []
        for t in order:
            label, inputs, commutes = self.terms[t]
            slots = [written(value) for value in inputs]
            if commutes:
                slots.sort()
            nodes.append((label, slots))
        return f"{nodes} -> {[written(root) for root in self.roots]}"


def _order(colours: list[int]) -> list[int]:
    return sorted(range(len(colours)), key=colours.__getitem__)


#: forms of graphs that hand on their first input, and nothing
IDENTITY = _Labeller([], (((-1, 1),),)).text([])
ZERO = _Labeller([], ((),)).text([])
