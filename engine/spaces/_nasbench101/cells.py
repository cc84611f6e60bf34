"""Cells of NAS-Bench-101 as graphs: published writing, published representative, channel widths, their network.

Vertex 0 is the input, the last one the output, every vertex between them carries an operation and lies on a path from
one to the other. Two cells are the same where they are isomorphic with input, output and operations kept (Ying et al.
2019, section 2.2).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from itertools import permutations
from typing import Any, Literal, NamedTuple

from engine.errors import InvalidArchitecture
from engine.network.assemble import Assembler

Operation = Literal["conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3"]
#: in the order in which the authors' generator numbers them
OPS: tuple[Operation, ...] = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
WORDS: dict[str, str] = {"conv1x1-bn-relu": "conv 1×1", "conv3x3-bn-relu": "conv 3×3", "maxpool3x3": "max 3×3"}
_KERNELS = {"conv1x1-bn-relu": 1, "conv3x3-bn-relu": 3}
MAX_VERTICES = 7
_READ = 16


class Cell(NamedTuple):
    """One cell.

    Attributes:
        ops: operations of the vertices 1, 2, ...
        edges: (from, to), sorted; from < to.
    """

    ops: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]

    @property
    def out(self) -> int:
        """The output's number."""
        return len(self.ops) + 1

    def sources(self, vertex: int) -> list[int]:
        """What a vertex reads, in order."""
        return [a for a, b in self.edges if b == vertex]

    def __str__(self) -> str:
        size = self.out + 1
        matrix = [[int((a, b) in self.edges) for b in range(size)] for a in range(size)]
        return json.dumps({"matrix": matrix, "ops": ["input", *self.ops, "output"]})


# -- the published notation -----------------------------------------------------------------------
def parse(value: Any) -> Cell:
    """Reads `{"matrix": [[0, 1, ...], ...], "ops": ["input", ..., "output"]}`; drops what lies on no path.

    Raises:
        InvalidArchitecture: says what was received and what would be right.
    """
    if not isinstance(value, dict) or set(value) != {"matrix", "ops"}:
        raise InvalidArchitecture('a cell reads {"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"]}')
    matrix, ops = value["matrix"], value["ops"]
    size = len(ops) if isinstance(ops, list) else 0
    if not 2 <= size <= _READ or ops[0] != "input" or ops[-1] != "output" or not all(isinstance(o, str) for o in ops):
        raise InvalidArchitecture(f"ops: received {str(ops)[:80]}; it begins with input and ends with output")
    square = isinstance(matrix, list) and len(matrix) == size
    if not square or not all(isinstance(row, list) and len(row) == size for row in matrix):
        raise InvalidArchitecture(f"matrix: {size} operations need {size} rows of {size} numbers")
    if not all(type(x) is int and x in (0, 1) for row in matrix for x in row):
        raise InvalidArchitecture("matrix: its numbers are 0 (no edge) or 1 (an edge from the row to the column)")
    edges = [(a, b) for a in range(size) for b in range(size) if matrix[a][b]]
    if backwards := [(a, b) for a, b in edges if a >= b]:
        raise InvalidArchitecture(f"matrix: the edge {backwards[0]} does not lead to a later vertex")
    return _pruned(ops, edges)


def _pruned(ops: Sequence[str], edges: Sequence[tuple[int, int]]) -> Cell:
    last = len(ops) - 1
    fed, read = {0}, {last}
    for a, b in sorted(edges, key=lambda e: e[1]):
        if a in fed:
            fed.add(b)
    for a, b in sorted(edges, reverse=True):
        if b in read:
            read.add(a)
    live = sorted(fed & read)
    if last not in live or 0 not in live:
        raise InvalidArchitecture("matrix: no path leads from the input (first row) to the output (last column)")
    new = {v: i for i, v in enumerate(live)}
    kept = sorted((new[a], new[b]) for a, b in edges if a in new and b in new)
    return Cell(tuple(ops[v] for v in live[1:-1]), tuple(kept))


# -- the published representative -----------------------------------------------------------------
def _bit(a: int, b: int) -> int:
    """Place of an edge in the number by which the authors' generator walks through matrices."""
    return a + b * (b - 1) // 2


@lru_cache(maxsize=200_000)
def _smallest(size: int, edges: tuple[tuple[int, int], ...]) -> tuple[int, tuple[tuple[int, ...], ...]]:
    """The smallest number of a matrix under renaming, and all renamings (new number by vertex) that give it."""
    best, found = -1, []
    for order in permutations(range(1, size - 1)):
        new = (0, *order, size - 1)
        bits = 0
        for a, b in edges:
            if new[a] > new[b]:
                break
            bits |= 1 << _bit(new[a], new[b])
        else:
            if best < 0 or bits < best:
                best, found = bits, [new]
            elif bits == best:
                found.append(new)
    return best, tuple(found)


def representative(cell: Cell) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """What stands for all cells isomorphic to this one in the published table: the first its generator meets.

    Returns:
        The matrix as a number (bit a + b (b - 1) / 2 for the edge a -> b), the operations as positions in `OPS`, and
        the new number of each vertex. Equal first two, and equal numbers of vertices, only for isomorphic cells.
    """
    bits, renamings = _smallest(cell.out + 1, cell.edges)
    codes = [OPS.index(op) for op in cell.ops]
    labels, new = min((_moved(codes, new), new) for new in renamings)
    return bits, labels, new


def _moved(codes: list[int], new: tuple[int, ...]) -> tuple[int, ...]:
    out = [0] * len(codes)
    for v, code in enumerate(codes, start=1):
        out[new[v] - 1] = code
    return tuple(out)


def widths(cell: Cell, channels: int) -> tuple[int, ...]:
    """Channels of each vertex but the input, as published; index 0 is unused.

    What feeds the output shares its channels; where they do not divide evenly, the first vertices get one more: the
    first of the table's representative, so that isomorphic cells are one network. Other vertices have the most of what
    they feed.
    """
    new = representative(cell)[2]
    feeding = sorted((v for v in cell.sources(cell.out) if v), key=new.__getitem__)
    out = [0] * (cell.out + 1)
    out[cell.out] = channels
    if feeding:
        share, rest = divmod(channels, len(feeding))
        for k, v in enumerate(feeding):
            out[v] = share + (k < rest)
    for v in range(cell.out - 1, 0, -1):
        if not out[v]:
            out[v] = max(out[b] for a, b in cell.edges if a == v and b != cell.out)
    return tuple(out)


# -- the network ----------------------------------------------------------------------------------
def write_cell(net: Assembler, name: str, x: str, cell: Cell, channels: int, group: str) -> str:
    """Appends a cell: sums at the vertices, projections of the input, channels joined at the output.

    Returns:
        The id of its output.
    """
    dims = len(net.input_shape) - 1
    part = {"group": group, "cell": name.replace("_", ".", 1)}
    wide = widths(cell, channels)
    conv = f"conv{dims}d_norm_relu"
    states: dict[int, str] = {}

    def terms(v: int) -> list[str]:
        found = []
        for u in cell.sources(v):
            if u == 0:
                found.append(net.add(f"{name}_project{v}", conv, x, **part, out_channels=wide[v], kernel_size=1))
            elif wide[u] > wide[v]:
                found.append(net.add(f"{name}_first{u}_{v}", "first_channels", states[u], **part, channels=wide[v]))
            else:
                found.append(states[u])
        return found

    for v, op in enumerate(cell.ops, start=1):
        read = terms(v)
        y = net.add(f"{name}_sum{v}", "add", *read, **part) if len(read) > 1 else read[0]
        if op in _KERNELS:
            states[v] = net.add(f"{name}_vertex{v}", conv, y, **part, out_channels=wide[v], kernel_size=_KERNELS[op])
        else:
            states[v] = net.add(f"{name}_vertex{v}", f"max_pool{dims}d", y, **part, kernel_size=3, stride=1, padding=1)
    sources = cell.sources(cell.out)
    joined = [states[u] for u in sources if u]
    if not joined:
        return net.add(f"{name}_project", conv, x, **part, out_channels=channels, kernel_size=1)
    # a single one that feeds the output is the last vertex, and so the last node of the cell
    y = net.add(f"{name}_joined", "concat", *joined, **part) if len(joined) > 1 else joined[0]
    if 0 in sources:
        projected = net.add(f"{name}_project", conv, x, **part, out_channels=channels, kernel_size=1)
        y = net.add(f"{name}_output", "add", y, projected, **part)
    return y


def cell_costs(cell: Cell, inside: int, channels: int, area: int, dims: int) -> tuple[int, int, int]:
    """Parameters, multiply-adds and activation bytes of one cell, equal to those of its nodes.

    Args:
        cell: what it does.
        inside, channels: of its input and of its output.
        area: pixels of a channel.
        dims: axes of a convolution's window.
    """
    wide = widths(cell, channels)
    weights = norms = tensors = 0
    for v, op in enumerate((*cell.ops, "output"), start=1):
        sources, w = cell.sources(v), wide[v]
        if 0 in sources:
            weights, norms, tensors = weights + inside * w, norms + w, tensors + w
        if v < cell.out:
            tensors += sum(w for u in sources if u and wide[u] > w) + w * (len(sources) > 1) + w
            if op in _KERNELS:
                weights, norms = weights + w * w * _KERNELS[op] ** dims, norms + w
        else:
            joined = len(sources) - (0 in sources)
            tensors += w * (joined > 1) + w * (joined > 0 and 0 in sources)
    return weights + 2 * norms, weights * area, 4 * tensors * area
