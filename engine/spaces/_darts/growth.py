"""Larger DARTS cells that contain a given one, and changes of its cells that keep the network's function."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, combinations_with_replacement, product
from typing import TYPE_CHECKING

from engine.architecture import Architecture, Option
from engine.network.morphism import Made, Morphism
from engine.spaces._darts.cells import WORDS, Block, Cell, joined

if TYPE_CHECKING:
    from engine.spaces.darts import Darts

_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
#: convolutions and norms of a block's module; the last norm makes the output
_PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "sep": (("depthwise1", "pointwise1", "depthwise2", "pointwise2"), ("norm1", "norm2")),
    "dil": (("depthwise", "pointwise"), ("norm",)),
    "split": (("wide", "high"), ("norm",)),
    "conv": (("conv",), ("norm",)),
    "reduce": (("even", "odd"), ("norm",)),
}


def grow(space: Darts, arch: Architecture) -> list[Architecture]:
    """One more node in one kind of cell, in every way but mirrored ones (Liu et al. 2018, PNAS, section 4)."""
    return [
        _with_node(space, arch, kind, n, new)
        for kind, n in _growing(space, arch)
        for block in _blocks(space, n)
        if (new := _offered(space, kind, n, block))
    ]


def _growing(space: Darts, arch: Architecture) -> Iterator[tuple[str, int]]:
    """Kinds of cells that can have one more node, and its number."""
    for size, kind, now in zip(space.sizes, space.kinds, space.steps(arch.choices), strict=False):
        if now + 1 in space.kept(size):
            yield kind, now + 2


def _blocks(space: Darts, n: int) -> Iterator[Block]:
    """What node `n` can hold, without the mirrored writings."""
    if space.opt.inputs == "any":
        for (i, op1), (j, op2) in combinations_with_replacement(list(product(range(n), space.operations)), 2):
            yield i, op1, j, op2
    else:
        for (i, j), op1, op2 in product(combinations(range(n), 2), space.operations, space.operations):
            yield i, op1, j, op2


def _offered(space: Darts, kind: str, n: int, block: Block) -> dict[str, Option]:
    """A block as options of its decisions; empty where the space does not offer one of them."""
    new = space.choices_of(kind, n, block)
    return new if all(new[d.name] in space.kept(d) for d in space.node_decisions(kind, n)) else {}


def _with_node(space: Darts, arch: Architecture, kind: str, n: int, new: dict[str, Option]) -> Architecture:
    choices = {**arch.choices, f"{kind}_nodes": n - 1, **new}
    order = (*space.sizes, *space.order(space.steps(choices)))
    return Architecture(space.name, tuple([(d.name, choices[d.name]) for d in order]))


def morphisms(space: Darts, arch: Architecture) -> list[Morphism]:
    """A term that was `none` begins as zero; a new node is joined behind the others, read with zeros at first.

    The first is a batch norm with weight and shift 0 (Goyal et al. 2017, section 5.1); the second widens what reads
    the cell, as Net2WiderNet does with the roles exchanged.
    """
    return [*_filled(space, arch), *_one_more(space, arch)]


def _positions(space: Darts, kind: str) -> list[int]:
    """Cells of a kind, from 0."""
    every = range(space.opt.layers)
    return [i for i in every if kind == "cell" or (i in space.reductions) is (kind == "reduce")]


def _part(space: Darts, op: str, i: int, source: int) -> str:
    """Which block stands for an operation in cell `i`; "" = none with weights."""
    if op == "skip_connect":
        return "reduce" if i in space.reductions and source < 2 else ""
    if op in ("conv_3x1_1x3", "conv_7x1_1x7"):
        return "split"
    part = op.split("_")[0]
    return part if part in _PARTS else ""


def _fresh(name: str, part: str, *, silent: bool) -> dict[str, Made]:
    """All tensors of a new block; a silent one gives zeros."""
    convs, norms = _PARTS[part]
    out = {f"{name}.{conv}.weight": Made() for conv in convs}
    for norm in norms:
        for tensor in _NORM:
            zero = silent and norm == norms[-1] and tensor in ("weight", "bias")
            out[f"{name}.{norm}.{tensor}"] = Made(fill="zeros") if zero else Made()
    return out


def _filled(space: Darts, arch: Architecture) -> Iterator[Morphism]:
    for kind, cell in zip(space.kinds, space.cells(arch), strict=False):
        for n, block in enumerate(cell, start=2):
            for side in (1, 2):
                source, old = block[2 * side - 2 : 2 * side]
                # beside zeros a silent term would stay one: the relu of what reads the node hands no gradient back
                if old != "none" or not _speaks(cell, n):
                    continue
                name = f"{kind}{n}_op{side}"
                offered = next(space.kept(d) for d in space.node_decisions(kind, n) if d.name == name)
                for op in offered:
                    made = _silent(space, kind, n, side, int(source), str(op))
                    if not made:
                        continue
                    child = Architecture(space.name, tuple((k, op if k == name else o) for k, o in arch.items))
                    after = space.cells(child)[space.kinds.index(kind)]
                    if joined(after, space.opt.combine) == joined(cell, space.opt.combine):
                        yield Morphism(child, f"{space.title(name)} none → {WORDS[str(op)]}, silent at first", made)


def _speaks(cell: Cell, n: int) -> bool:
    """Whether a node is more than zeros; pooling and skips hand on the zeros of nodes without terms."""
    spoken = [True, True]
    for i, op1, j, op2 in cell[: n - 1]:
        spoken.append(
            any(op != "none" and (spoken[s] or op.split("_")[0] not in ("max", "avg", "skip"))
                for s, op in ((i, op1), (j, op2)))
        )  # fmt: skip
    return spoken[n]


def _silent(space: Darts, kind: str, n: int, side: int, source: int, op: str) -> dict[str, Made]:
    """The tensors of an operation that gives zeros in all cells of a kind; empty where it cannot."""
    made: dict[str, Made] = {}
    for i in _positions(space, kind):
        part = _part(space, op, i, source)
        if not part:
            return {}
        made |= _fresh(f"cell{i + 1}.node{n}_op{side}", part, silent=True)
    return made


def _one_more(space: Darts, arch: Architecture) -> Iterator[Morphism]:
    """New nodes on the two inputs, with one operation twice; only where all nodes are joined."""
    if space.opt.combine != "all":
        return
    for kind, n in _growing(space, arch):
        for op in space.operations:
            new = _offered(space, kind, n, (0, op, 1, op))
            if not new:
                continue
            made = _readers(space, kind)
            for position in _positions(space, kind):
                for source in (0, 1):
                    if part := _part(space, op, position, source):
                        made |= _fresh(f"cell{position + 1}.node{n}_op{source + 1}", part, silent=False)
            what = f"{space.title(f'{kind}_nodes')} {n - 2} → {n - 1}: {WORDS[op]} on both inputs, unread at first"
            yield Morphism(_with_node(space, arch, kind, n, new), what, made)


def _readers(space: Darts, kind: str) -> dict[str, Made]:
    """What reads a cell of a kind: its input channels behind the old ones start with weight 0."""
    layers, first = space.opt.layers, space.opt.channels
    made: dict[str, Made] = {}
    for i in _positions(space, kind):
        channels = first * 2 ** sum(i >= r for r in space.reductions)
        names = []
        if i + 1 < layers:
            names.append(f"cell{i + 2}.pre1.conv.weight")
        else:
            names.append("output.weight")
        if i + 2 < layers:
            parts = ("even", "odd") if i + 1 in space.reductions else ("conv",)
            names += [f"cell{i + 3}.pre0.{part}.weight" for part in parts]
        if i == space.reductions[1] and space.opt.auxiliary:
            names.append("aux_conv1.weight")
        made |= {name: Made(name, pad={1: (0, channels)}) for name in names}
    return made
