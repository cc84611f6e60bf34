"""Recurrent cells in the published notation, as trees, and what a wider or longer one inherits. No torch."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import InvalidArchitecture
from engine.network.morphism import Made

_LONGEST = 4000
EXAMPLE = "Genotype(recurrent=[('relu', 0), ('tanh', 1)], concat=range(1, 3))"


@dataclass(frozen=True)
class Cell:
    """Nodes 1, 2, ...: the activation of each and the earlier node it reads (0 = the first state)."""

    activations: tuple[str, ...]
    inputs: tuple[int, ...]

    @property
    def all(self) -> tuple[int, ...]:
        """All nodes."""
        return tuple(range(1, len(self.inputs) + 1))

    @property
    def ends(self) -> tuple[int, ...]:
        """Nodes that no other reads."""
        return tuple(i for i in self.all if i not in self.inputs)

    @property
    def depth(self) -> int:
        """Most nodes behind each other."""
        depths = [0]
        for source in self.inputs:
            depths.append(depths[source] + 1)
        return max(depths)

    def normal(self) -> Cell:
        """The same cell in the one order that all its orders share.

        Each node reads one other, so the cell is a tree, and which nodes give the output follows from its shape:
        sorting the branches of every node by their texts (Aho, Hopcroft & Ullman 1974, section 3.2) decides identity
        exactly. Nothing in it is an identity or a copy: a node has a gate and a matrix even where its activation is
        `identity`.
        """
        branches: list[list[int]] = [[] for _ in range(len(self.inputs) + 1)]
        for i, source in enumerate(self.inputs, start=1):
            branches[source].append(i)
        texts = [""] * len(branches)
        for i in range(len(branches) - 1, -1, -1):  # what reads a node stands behind it
            branches[i].sort(key=texts.__getitem__)
            texts[i] = f"{self.activations[i - 1] if i else ''}({''.join(texts[b] for b in branches[i])})"
        activations: list[str] = []
        inputs: list[int] = []
        todo = [(b, 0) for b in reversed(branches[0])]
        while todo:
            node, source = todo.pop()
            activations.append(self.activations[node - 1])
            inputs.append(source)
            todo += [(b, len(inputs)) for b in reversed(branches[node])]
        return Cell(tuple(activations), tuple(inputs))


def write(cell: Cell, outputs: Sequence[int]) -> str:
    """`Genotype(recurrent=[('relu', 0), ...], concat=range(1, 9))`."""
    nodes = ", ".join(f"({a!r}, {s})" for a, s in zip(cell.activations, cell.inputs, strict=True))
    concat = f"range(1, {len(cell.inputs) + 1})" if tuple(outputs) == cell.all else repr(list(outputs))
    return f"Genotype(recurrent=[{nodes}], concat={concat})"


def read(text: str) -> tuple[Cell, tuple[int, ...]]:
    """The cell and the nodes whose mean is the next state. Nothing is evaluated.

    Raises:
        InvalidArchitecture: not such a text; says what would be right.
    """
    if len(text) > _LONGEST:
        raise InvalidArchitecture(f"a genotype has at most {_LONGEST:,} characters, this one {len(text):,}")
    try:
        call = ast.parse(text.strip(), mode="eval").body
        given = _keywords(call, "Genotype")
        nodes = [(str(name), _whole(source)) for name, source in ast.literal_eval(given["recurrent"])]
        outputs = _numbers(given["concat"])
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError) as e:
        raise InvalidArchitecture(f"received {text[:80]!r}; a recurrent cell reads {EXAMPLE}") from e
    if not nodes:
        raise InvalidArchitecture(f"a recurrent cell has at least one node: {EXAMPLE}")
    for i, (_, source) in enumerate(nodes, start=1):
        if not 0 <= source < i:
            raise InvalidArchitecture(f"node {i} reads node {source}; it can read {', '.join(map(str, range(i)))}")
    return Cell(tuple(name for name, _ in nodes), tuple(source for _, source in nodes)), outputs


def _keywords(node: ast.expr, name: str) -> dict[str, ast.expr]:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name and not node.args):
        raise ValueError(name)
    return {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(value)
    return value


def _numbers(node: ast.expr) -> tuple[int, ...]:
    """`range(1, 9)` or a list."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        first, last = (_whole(ast.literal_eval(argument)) for argument in node.args)
        return tuple(range(first, min(last, first + _LONGEST)))
    return tuple(sorted(_whole(value) for value in ast.literal_eval(node)))


# -- weights of larger cells ----------------------------------------------------------------------
def _repeated(old: int, new: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Which unit stands at each place of the wider one, and how often it does (Net2WiderNet)."""
    units = tuple(i % old for i in range(new))
    often = Counter(units)
    return units, tuple(float(often[u]) for u in units)


def wider_state(layers: int, nodes: int, old: int, new: int) -> dict[str, Made]:
    """Units of all states repeated alike: every node works unit by unit behind its matrix."""
    units, often = _repeated(old, new)
    rows = units + tuple(old + u for u in units)  # candidates, then gates
    out: dict[str, Made] = {}
    for k in range(1, layers + 1):
        arrives = f"layer{k}.from_input.weight"
        out[arrives] = (
            Made(arrives, take={0: rows}) if k == 1 else Made(arrives, take={0: rows, 1: units}, divide={1: often})
        )
        for name in ("from_state", *(f"nodes.{i}" for i in range(nodes))):
            name = f"layer{k}.{name}.weight"
            out[name] = Made(name, take={0: rows, 1: units}, divide={1: often})
    out["output.weight"] = Made("output.weight", take={1: units}, divide={1: often})
    return out


def wider_steps(text: bool, stems: int, old: int, new: int) -> dict[str, Made]:
    """Longer word vectors, or more channels in all convolutions in front."""
    units, often = _repeated(old, new)
    out: dict[str, Made] = {}
    if text:
        out["embedding.table.weight"] = Made("embedding.table.weight", take={1: units})
    for i in range(1, stems + 1):
        conv = f"stem{i}_conv.weight"
        out[conv] = Made(conv, take={0: units}) if i == 1 else Made(conv, take={0: units, 1: units}, divide={1: often})
        for name in ("conv.bias", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"):
            out[f"stem{i}_{name}"] = Made(f"stem{i}_{name}", take={0: units})
    out["layer1.from_input.weight"] = Made("layer1.from_input.weight", take={1: units}, divide={1: often})
    return out


def handing_on(layers: int, first: int, last: int) -> dict[str, Made]:
    """Nodes `first` to `last` with the activation `identity` whose candidate is what they read."""
    return {
        f"layer{k}.nodes.{i - 1}.weight": Made(fill="identity")
        for k in range(1, layers + 1)
        for i in range(first, last + 1)
    }
