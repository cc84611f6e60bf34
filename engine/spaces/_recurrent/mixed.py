"""Activations and inputs of a recurrent cell side by side, and the cell that their strengths make."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from engine.architecture import Architecture, Option
from engine.errors import CannotBuild
from engine.network.plan import Node
from engine.supernets.mixture import Inside, Mixture, Table

if TYPE_CHECKING:
    from engine.spaces._shares import Strengths
    from engine.spaces.recurrent import Recurrent

_MISSING = float("-inf")


def unmixed(space: Recurrent) -> str | None:
    """What is still open beside the cell, or an output that only a settled cell has."""
    offered = {d.name: d.options for d in space.all_decisions()}
    if "all" not in offered["output"]:
        return (
            "which nodes of a cell nobody reads is known only when the cell is; to weigh inputs and activations side "
            "by side, let the next state be the mean of all nodes (output: all)"
        )
    still = [n for n in ("width", "layers", "embedding", "pool", "dropout") if len(offered[n]) > 1]
    if not still:
        return None
    listed = "; ".join(f"{n} {', '.join(space.format(n, o) for o in offered[n])}" for n in still)
    return (
        "inputs and activations of the cell stand side by side, what is around it does not: keep one option of each of "
        f"these: {listed}"
    )


def edges_of(space: Recurrent) -> dict[tuple[int, int], tuple[Option, ...]]:
    """Activations by (source, node), of the largest cell; nodes from 1, sources from 0."""
    offered = {d.name: d.options for d in space.all_decisions()}
    return {
        (cast(int, j), i): offered[f"node{i}_activation"]
        for i in range(1, largest(space) + 1)
        for j in (offered[f"node{i}_from"] if i > 1 else (0,))
    }


def largest(space: Recurrent) -> int:
    """Most nodes of a cell."""
    return max(cast(int, o) for d in space.all_decisions() if d.name == "nodes" for o in d.options)


def table_name(source: int, node: int) -> str:
    """ "node3_from1"."""
    return f"node{node}_from{source}"


def mixture(space: Recurrent, partial: int, norm_pools: bool) -> Mixture:
    """Each node of the cell the sum over all earlier nodes of its weighed activations of them.

    Liu et al. 2019, sections 2.2 and A.1.2: a table per edge over the activations, a matrix per node, the layers of one
    cell share the tables; with `norm_pools` a batch norm without scale behind every node, in the search only.

    **Deviations.** The papers' `none` is no activation of this space. A norm of its own for each node, where the
    published code has one for all. Where the number of nodes is decided, the cell has the largest.

    Raises:
        CannotBuild: partial channels: all of a state's go through one matrix.
    """
    if partial > 1:
        raise CannotBuild(
            "all channels of a recurrent state go through one matrix, so an activation cannot see a part of them: "
            "take a method without partial channels"
        )
    plan = space.plan(derive(space, {}))
    tables = [Table(table_name(j, i), options, group=f"node{i}") for (j, i), options in edges_of(space).items()]
    edges = {(j, i): table_name(j, i) for j, i in edges_of(space)}
    inside = {}
    for node in plan.nodes:
        if node.op == "recurrent_cell":
            norms = []
            for i in range(largest(space) + 1) if norm_pools else ():
                args = {"num_features": node.shape[0], "affine": False}
                norms.append(Node(f"{node.id}_norm{i}", "batch_norm1d", args, (), node.shape[:1], node.group))
            inside[node.id] = Inside(edges, tuple(norms))
    return Mixture(plan.input_shape, plan.nodes, tuple(tables), plan.input_type, inside)


def taken(space: Recurrent, arch: Architecture) -> dict[str, Option]:
    """The activation of each node by the edge that it reads.

    Raises:
        CannotBuild: it is no path of the mixture: fewer nodes, or not the mean of all of them.
    """
    cell = space.cell(arch)
    if len(cell.inputs) != largest(space):
        raise CannotBuild(f"side by side the cell has {largest(space)} nodes, this one has {len(cell.inputs)}")
    if arch["output"] != "all" and cell.ends != cell.all:
        raise CannotBuild("side by side the next state is the mean of all nodes, here it is that of the loose ends")
    return {
        table_name(source, i): activation
        for i, (source, activation) in enumerate(zip(cell.inputs, cell.activations, strict=True), start=1)
    }


def derive(space: Recurrent, strengths: Strengths) -> Architecture:
    """Of each node the input whose strongest activation is strongest (k = 1 of Liu et al. 2019, section 2.4), and that.

    Of equals the earlier one; edges without a row come last. The cell has the largest number of nodes, what is around
    it its first option.
    """
    offered = {d.name: d.options for d in space.all_decisions()}
    nodes = largest(space)
    choices: dict[str, Option] = {n: o[0] for n, o in offered.items() if not n.startswith("node")}
    choices |= {"nodes": nodes, "output": "all" if "all" in offered["output"] else offered["output"][0]}
    best: dict[int, tuple[float, int, Option]] = {}
    for (j, i), options in edges_of(space).items():
        row = strengths.get(table_name(j, i), {})
        option = max(options, key=lambda o: row.get(o, _MISSING))
        strength = row.get(option, _MISSING)
        if i not in best or strength > best[i][0]:
            best[i] = strength, j, option
    for i, (_, source, option) in best.items():
        if i > 1:
            choices[f"node{i}_from"] = source
        choices[f"node{i}_activation"] = option
    return space.validate(choices)
