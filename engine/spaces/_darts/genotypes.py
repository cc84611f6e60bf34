"""Genotypes in the notation of Liu et al. 2019, read without running anything, and published ones.

`Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...], reduce_concat=range(2, 6))`:
two (operation, state) terms a node, nodes 2, 3, ... in order, and which of them are joined to the cell's output.
"""

from __future__ import annotations

import ast
import re
from typing import Any, NamedTuple

from engine.errors import InvalidArchitecture
from engine.spaces._darts.cells import Block, Cell

_LONGEST = 20_000
_FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")
_LOOKS = "Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...], reduce_concat=[...])"


class Genotype(NamedTuple):
    """The two cells and the nodes each joins to its output."""

    normal: Cell
    normal_concat: tuple[int, ...]
    reduce: Cell
    reduce_concat: tuple[int, ...]

    def __str__(self) -> str:
        return (
            f"Genotype(normal={_written(self.normal)}, normal_concat={_nodes_written(self.normal_concat)}, "
            f"reduce={_written(self.reduce)}, reduce_concat={_nodes_written(self.reduce_concat)})"
        )


def _written(cell: Cell) -> str:
    return f"[{', '.join(f'({op!r}, {state})' for i, a, j, b in cell for op, state in ((a, i), (b, j)))}]"


def _nodes_written(nodes: tuple[int, ...]) -> str:
    if nodes and nodes == tuple(range(nodes[0], nodes[-1] + 1)):
        return f"range({nodes[0]}, {nodes[-1] + 1})"
    return str(list(nodes))


def parse(text: str) -> Genotype:
    """Reads a genotype, or the name of a published one; a name and `=` may stand before it.

    Raises:
        InvalidArchitecture: says what was received and what would be right.
    """
    stripped = re.sub(r"^\s*\w+\s*=(?!=)\s*", "", text[: _LONGEST + 1]).strip()
    if stripped in PUBLISHED:
        return PUBLISHED[stripped]
    if len(stripped) > _LONGEST:
        raise InvalidArchitecture(f"a genotype has at most {_LONGEST:,} characters")
    try:
        tree = ast.parse(stripped, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    if not (isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == "Genotype"):
        raise InvalidArchitecture(
            f"received {stripped[:60]!r}; a genotype reads {_LOOKS}, or is the name of a published one: "
            f"{', '.join(PUBLISHED)}"
        )
    given = {word.arg: word.value for word in tree.keywords}
    if tree.args or set(given) != set(_FIELDS) or len(tree.keywords) != len(_FIELDS):
        raise InvalidArchitecture(f"a genotype has {', '.join(_FIELDS)}, each once and by name: {_LOOKS}")
    normal, reduce = (_cell(_value(given[name], name), name) for name in ("normal", "reduce"))
    return Genotype(
        normal, _nodes(given["normal_concat"], "normal_concat"), reduce, _nodes(given["reduce_concat"], "reduce_concat")
    )


def _value(node: ast.expr, field: str) -> Any:
    """Literals only: whatever would have to be run is refused."""
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError) as e:
        raise InvalidArchitecture(f"{field}: only lists, names in quotes and whole numbers are read there") from e


def _nodes(node: ast.expr, field: str) -> tuple[int, ...]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        ends = [_value(end, field) for end in node.args]
        if len(ends) not in (1, 2) or node.keywords or not all(type(e) is int and 0 <= e <= 99 for e in ends):
            raise InvalidArchitecture(f"{field}: received a range that is not range(2, 6) or the like")
        return tuple(range(*ends))
    value = _value(node, field)
    if not isinstance(value, list | tuple) or not all(type(n) is int for n in value):
        raise InvalidArchitecture(f"{field}: received {str(value)[:60]}; the nodes joined stand in a list or range")
    return tuple(value)


def _cell(value: Any, field: str) -> Cell:
    if not isinstance(value, list | tuple) or not value or len(value) % 2:
        raise InvalidArchitecture(f"{field}: received {str(value)[:60]}; two (operation, state) terms stand for a node")
    blocks: list[Block] = []
    for term in value:
        pair = isinstance(term, list | tuple) and len(term) == 2
        if not pair or not isinstance(term[0], str) or type(term[1]) is not int:
            raise InvalidArchitecture(f"{field}: received {str(term)[:60]}; a term reads ('sep_conv_3x3', 0)")
    for n in range(len(value) // 2):
        (a, i), (b, j) = value[2 * n], value[2 * n + 1]
        for state in (i, j):
            if not 0 <= state < n + 2:
                raise InvalidArchitecture(f"{field}: node {n + 2} reads state {state}; it can read 0 to {n + 1}")
        blocks.append((i, a, j, b))
    return tuple(blocks)


def _published(normal: str, reduce: str, joined: tuple[str, str] = ("2345", "2345")) -> Genotype:
    """From terms such as "sep3 0"; two a node."""
    long = {
        "sep3": "sep_conv_3x3", "sep5": "sep_conv_5x5", "sep7": "sep_conv_7x7", "dil3": "dil_conv_3x3",
        "dil5": "dil_conv_5x5", "max": "max_pool_3x3", "avg": "avg_pool_3x3", "skip": "skip_connect",
        "1x7": "conv_7x1_1x7",
    }  # fmt: skip

    def cell(text: str) -> Cell:
        words = text.replace(",", " ").split()
        terms = [(long[op], int(state)) for op, state in zip(words[::2], words[1::2], strict=True)]
        return tuple((i, a, j, b) for (a, i), (b, j) in zip(terms[::2], terms[1::2], strict=True))

    first, second = (tuple(map(int, nodes)) for nodes in joined)
    return Genotype(cell(normal), first, cell(reduce), second)


_PNAS = "sep5 0 max 0, sep7 1 max 1, sep5 1 sep3 1, sep3 4 max 1, sep3 0 skip 1"
#: cells as published by their authors, or (NASNet, AmoebaNet) as DARTS writes them
PUBLISHED: dict[str, Genotype] = {
    # Zoph et al. 2018, NASNet-A
    "NASNet": _published(
        "sep5 1 sep3 0, sep5 0 sep3 0, avg 1 skip 0, avg 0 avg 0, sep3 1 skip 1",
        "sep5 1 sep7 0, max 1 sep7 0, avg 1 sep5 0, skip 3 avg 2, sep3 2 max 1",
        ("23456", "456"),
    ),
    # Real et al. 2019, AmoebaNet-A
    "AmoebaNet": _published(
        "avg 0 max 1, sep3 0 sep5 2, sep3 0 avg 3, sep3 1 skip 1, skip 0 avg 1",
        "avg 0 sep3 1, max 0 sep7 2, sep7 0 avg 1, max 0 max 1, 1x7 0 sep3 5",
        ("456", "346"),
    ),
    # Liu et al. 2018, PNASNet-5: one cell for both
    "PNASNet": _published(_PNAS, _PNAS, ("23456", "23456")),
    # Liu et al. 2019, first and second order
    "DARTS_V1": _published(
        "sep3 1 sep3 0, skip 0 sep3 1, skip 0 sep3 1, sep3 0 skip 2",
        "max 0 max 1, skip 2 max 0, max 0 skip 2, skip 2 avg 0",
    ),
    "DARTS_V2": _published(
        "sep3 0 sep3 1, sep3 0 sep3 1, sep3 1 skip 0, skip 0 dil3 2",
        "max 0 max 1, skip 2 max 1, max 0 skip 2, skip 2 max 1",
    ),
    # Chen et al. 2019, Progressive DARTS
    "PDARTS": _published(
        "skip 0 dil3 1, skip 0 sep3 1, sep3 1 sep3 3, sep3 0 dil5 4",
        "avg 0 sep5 1, sep3 0 dil5 2, max 0 dil3 1, dil3 1 dil5 3",
    ),
    # Dong & Yang 2019, GDAS
    "GDAS_V1": _published(
        "skip 0 skip 1, skip 0 sep5 2, sep3 3 skip 0, sep5 4 sep3 3",
        "sep5 0 sep3 1, sep5 2 sep5 1, dil5 2 sep3 1, sep5 0 sep5 1",
    ),
    # Xu et al. 2020, PC-DARTS on CIFAR-10 and ImageNet
    "PC_DARTS_cifar": _published(
        "sep3 1 skip 0, sep3 0 dil3 1, sep5 0 sep3 1, avg 0 dil3 1",
        "sep5 1 max 0, sep5 1 sep5 2, sep3 0 sep3 3, sep3 1 sep3 2",
    ),
    "PC_DARTS_image": _published(
        "skip 1 sep3 0, sep3 0 skip 1, sep3 1 sep3 3, sep3 1 dil5 4",
        "sep3 0 skip 1, dil5 2 max 1, sep3 2 sep3 1, sep5 0 sep3 3",
    ),
}
