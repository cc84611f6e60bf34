"""Larger NAS-Bench-101 cells that contain a given one, and changes that keep the network's function."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations
from typing import TYPE_CHECKING

from engine.architecture import Architecture
from engine.errors import InvalidArchitecture
from engine.network.morphism import Made, Morphism
from engine.spaces._nasbench101.cells import WORDS, Cell, widths

if TYPE_CHECKING:
    from engine.spaces.nasbench101 import Nasbench101

_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
#: undoes what batch norm adds to the variance (torch's default), so that fresh statistics hand their input on
_SCALE = (1 + 1e-5) ** 0.5


def grow(space: Nasbench101, arch: Architecture) -> list[Architecture]:
    """One more vertex: in the middle of an edge, or anywhere with every set of edges to and from it.

    All edges stay, or lead through the new vertex. One that feeds the output takes channels from those that fed it
    before: where that leaves fewer parameters than there were, the cell is no larger one and left out.
    """
    n_params = space.costs(arch).n_params
    found: dict[str, Architecture] = {}
    for cell in _larger(space.cell(arch), space.opt.operations, space.opt.edges):
        new = _offered(space, cell)
        if new is not None and new.key not in found and space.costs(new).n_params >= n_params:
            found[new.key] = new
    return list(found.values())


def _larger(cell: Cell, operations: tuple[str, ...], limit: int) -> Iterator[Cell]:
    wirings: list[tuple[int, list[tuple[int, int]]]] = []
    for u, v in cell.edges:
        wirings.append((u + 1, _divided(cell, u, v)))
    for place in range(1, cell.out + 1):
        edges = [_moved(edge, place) for edge in cell.edges]
        for read in _subsets(range(place)):
            for fed in _subsets(range(place + 1, cell.out + 2)):
                wirings.append((place, [*edges, *((u, place) for u in read), *((place, v) for v in fed)]))
    for place, wired in wirings:
        if len(wired) <= limit:
            for op in operations:
                yield Cell((*cell.ops[: place - 1], op, *cell.ops[place - 1 :]), tuple(sorted(wired)))


def _divided(cell: Cell, u: int, v: int) -> list[tuple[int, int]]:
    """The edges with a vertex, numbered `u + 1`, in the middle of one of them."""
    place = u + 1
    return [*(_moved(edge, place) for edge in cell.edges if edge != (u, v)), (u, place), (place, v + 1)]


def _moved(edge: tuple[int, int], place: int) -> tuple[int, int]:
    a, b = edge
    return a + (a >= place), b + (b >= place)


def _subsets(of: range) -> Iterator[tuple[int, ...]]:
    """All but the empty one."""
    return chain.from_iterable(combinations(of, k) for k in range(1, len(of) + 1))


def _offered(space: Nasbench101, cell: Cell) -> Architecture | None:
    try:
        return space.arch_of(cell)
    except InvalidArchitecture:
        return None


def morphisms(space: Nasbench101, arch: Architecture) -> list[Morphism]:
    """Windows of zeros around a pointwise convolution; convolutions that begin as the identity, put into an edge.

    All that runs along the edges is behind a relu, so that another one changes nothing (Chen et al. 2016,
    Net2DeeperNet). Only where all vertices keep their channels.
    """
    return [*_wider_windows(space, arch), *_inserted(space, arch)]


def _cells(space: Nasbench101) -> list[str]:
    return [f"stack{s}_cell{k}" for s in range(1, space.opt.stacks + 1) for k in range(1, space.opt.cells + 1)]


def _all_widths(space: Nasbench101, cell: Cell) -> list[tuple[int, ...]]:
    return [widths(cell, space.opt.channels * 2**s) for s in range(space.opt.stacks)]


def _wider_windows(space: Nasbench101, arch: Architecture) -> Iterator[Morphism]:
    cell = space.cell(arch)
    axes = range(2, len(space.input_shape) + 1)
    for v, op in enumerate(cell.ops, start=1):
        if op != "conv1x1-bn-relu":
            continue
        child = Cell((*cell.ops[: v - 1], "conv3x3-bn-relu", *cell.ops[v:]), cell.edges)
        new = _offered(space, child)
        if new is None or _all_widths(space, child) != _all_widths(space, cell):
            continue
        made = {}
        for name in _cells(space):
            weight = f"{name}.vertex{v}.conv.weight"
            made[weight] = Made(weight, pad={axis: (1, 1) for axis in axes})
        yield Morphism(new, f"vertex {v} conv 1×1 → conv 3×3, zeros around", made)


def _inserted(space: Nasbench101, arch: Architecture) -> Iterator[Morphism]:
    cell = space.cell(arch)
    before = _all_widths(space, cell)
    for u, v in cell.edges:
        if u == 0 and v == cell.out and cell.ops:
            continue  # added to the joined channels, where a vertex would stand among them
        place = u + 1
        wired = tuple(sorted(_divided(cell, u, v)))
        for op in ("conv1x1-bn-relu", "conv3x3-bn-relu"):
            child = Cell((*cell.ops[: place - 1], op, *cell.ops[place - 1 :]), wired)
            new = _offered(space, child)
            if new is None:
                continue
            # what the new vertex hands on has the channels that went along the edge
            along = [w[u] if v == cell.out and u else w[v] for w in before]
            kept = [(*w[:place], wide, *w[place:]) for w, wide in zip(before, along, strict=True)]
            if _all_widths(space, child) == kept:
                ends = f"{'input' if u == 0 else u}→{'output' if v == cell.out else v}"
                yield Morphism(new, f"{WORDS[op]} on edge {ends}, the identity at first", _weights(space, cell, u, v))


def _weights(space: Nasbench101, cell: Cell, u: int, v: int) -> dict[str, Made]:
    """Tensors of the cell with a vertex behind `u`: those of later vertices are called one higher."""
    place = u + 1
    made: dict[str, Made] = {}

    def copied(name: str, new: str, old: str) -> None:
        for tensor in ("conv.weight", *(f"norm.{t}" for t in _NORM)):
            made[f"{name}.{new}.{tensor}"] = Made(f"{name}.{old}.{tensor}")

    for name in _cells(space):
        for old, op in enumerate(cell.ops, start=1):
            new = old + (old >= place)
            if op != "maxpool3x3":
                copied(name, f"vertex{new}", f"vertex{old}")
            if (0, old) in cell.edges and (u, v) != (0, old):
                copied(name, f"project{new}", f"project{old}")
        if u == 0:  # the new vertex reads the projection that the edge had
            copied(name, f"project{place}", "project" if v == cell.out else f"project{v}")
        made[f"{name}.vertex{place}.conv.weight"] = Made(fill="identity")
        fills = {"bias": "zeros", "running_mean": "zeros", "running_var": "ones"}
        for tensor in _NORM:
            at = f"{name}.vertex{place}.norm.{tensor}"
            made[at] = Made(fill="ones", factor=_SCALE) if tensor == "weight" else Made(fill=fills.get(tensor, "fresh"))  # type: ignore[arg-type]
    return made
