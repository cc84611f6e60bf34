"""Changes of a `layers` network that keep its function: wider, deeper, larger windows, new skips that begin as zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.architecture import Architecture
from engine.errors import CannotBuild
from engine.network.carry import carry
from engine.network.morphism import Morphism
from engine.network.plan import NetworkPlan

if TYPE_CHECKING:
    from engine.spaces.layers import Layers

_LARGER = ("width", "widen", "dense", "factor")


def morphisms(space: Layers, arch: Architecture) -> list[Morphism]:
    """Every neighbour, and every network one stage deeper, that can begin with this one's function.

    In the order of decisions, then options, deeper ones last. `carry` decides: it finds the weights or refuses.
    """
    parent = space.planned(arch)
    out: list[Morphism] = []
    for child in _neighbours(space, arch):
        _try(space, parent, child, space.describe_change(arch, child), out)
    for child in space.grow(arch):
        fresh = {n: o for n, o in child.items if n not in arch.choices}
        joins = [n for n, o in fresh.items() if "_from" in n and o]
        if any(o for n, o in fresh.items() if n.endswith("_dropout")) or any(not _previous(n) for n in joins):
            continue
        _try(space, parent, child, _added(space, arch, child), out)
    return out


def _neighbours(space: Layers, arch: Architecture) -> list[Architecture]:
    out = []
    for d in space.decisions(arch):
        for option in d.options:
            old, kind = arch[d.name], d.name.split("_")[-1].rstrip("0123456789")
            if d.name.endswith("_op"):
                larger = str(option)[:-1] == str(old)[:-1] and int(str(option)[-1]) > int(str(old)[-1])
            elif kind in ("skip", "from"):
                larger = option is True and old is False
            else:
                larger = kind in _LARGER and float(option or 0) > float(old or 0)
            if larger:
                out.append(space._change(arch, {d.name: option}))
    return out


def _try(space: Layers, parent: NetworkPlan, child: Architecture, what: str, out: list[Morphism]) -> None:
    try:
        plan = space.planned(child)
    except CannotBuild:
        return
    weights = carry(parent, plan, _null(parent, plan))
    if weights is not None:
        out.append(Morphism(child, what, weights))


def _null(parent: NetworkPlan, child: NetworkPlan) -> set[str]:
    """New branches of sums: the norms of new blocks that have a skip (or their convolutions), new projections."""
    ids = child.by_id
    out = set()
    for node in child.nodes:
        if node.id in parent.by_id or not node.id.endswith("_add"):
            continue
        part = node.id.removesuffix("_add")
        if f"{part}_conv" not in parent.by_id:
            out.add(f"{part}_norm" if f"{part}_norm" in ids else f"{part}_conv")
        else:
            out |= _projections(node.inputs)
    for node in child.nodes:
        old = parent.by_id.get(node.id)
        if old is not None and node.op == "add" and len(node.inputs) > len(old.inputs):
            out |= _projections(node.inputs)
    return {id for id in out if id not in parent.by_id}


def _projections(inputs: tuple[str, ...]) -> set[str]:
    return {name for name in inputs if name.endswith("_project")}


def _previous(join: str) -> bool:
    block, source = join.removeprefix("block").split("_from")
    return int(block) == int(source) + 1


def _added(space: Layers, arch: Architecture, child: Architecture) -> str:
    new = [n for n in child.choices if n.endswith("_op") and n not in arch.choices]
    first = new[0].removeprefix("block").removesuffix("_op")
    skip = any(o is True for n, o in child.items if n not in arch.choices and (n.endswith("_skip") or "_from" in n))
    several = f"blocks {first} to {int(first) + len(new) - 1}" if len(new) > 1 else f"block {first}"
    return f"{several} added: {space.format(new[0], child[new[0]])}{', with skip' if skip else ''}"
