"""Nodes of the cell's edges: one operation, or all of them side by side; the reduction between stages."""

from __future__ import annotations

from collections.abc import Mapping

from engine.architecture import Option
from engine.network.assemble import Assembler
from engine.spaces._nasbench201.cell import WIRES
from engine.spaces._shared.mixing import Branch, Mixing


def write_edge(
    net: Assembler, id: str, x: str, op: str, group: str, cell: str, channels: int, *, norm_pools: bool = False
) -> str:
    """Appends one operation other than `none` and returns the id of its output.

    Args:
        net: the plan.
        id: of the operation.
        x: what it reads.
        op: by its published name.
        group, cell: see `Node`.
        channels: of every state of the cell.
        norm_pools: a batch norm without scale behind pooling, for differentiable search.
    """
    part = {"group": group, "cell": cell}
    if op == "skip_connect":
        return net.add(id, "identity", x, **part)
    if op == "avg_pool_3x3":
        net.add(id, "avg_pool2d", x, **part, kernel_size=3, stride=1, padding=1, count_include_pad=False)
        return net.add(f"{id}_norm", "batch_norm2d", id, **part, affine=False) if norm_pools else id
    return net.add(id, "relu_conv2d_norm", x, **part, out_channels=channels, kernel_size=1 if op.endswith("1x1") else 3)


def mixed_cell(
    net: Mixing, offered: Mapping[str, tuple[Option, ...]], x: str, name: str, group: str, channels: int, *,
    partial: int, norm_pools: bool,
) -> str:  # fmt: skip
    """Appends a cell whose edges are slots, each over what its decision offers, and returns its output."""
    prefix = name.replace(".", "_")

    def branch(id: str, op: Option) -> Branch:
        if op == "none":
            return lambda net, x: None
        return lambda net, x: write_edge(net, id, x, str(op), group, name, channels // partial, norm_pools=norm_pools)

    states = [x]
    for node in (1, 2, 3):
        terms = []
        for edge, a, b in WIRES:
            if b == node:
                id = f"{prefix}_{edge}"
                branches = {op: branch(id, op) for op in offered[edge]}
                terms.append(net.slot(f"{id}_mixed", edge, states[a], branches, partial=partial))
        states.append(net.add(f"{prefix}_node{node}", "add", *terms, group=group, cell=name))
    return states[3]


def write_reduction(net: Assembler, x: str, number: int, channels: int) -> str:
    """Appends a residual block of stride 2 (its short cut is a 2x2 average and a 1x1 convolution)."""
    group, part = f"reduction {number}", f"reduce{number}"
    odd = any(side % 2 for side in net.shape(x)[1:])
    y = net.add(f"{part}_conv1", "relu_conv2d_norm", x, group=group, out_channels=channels, kernel_size=3, stride=2)
    y = net.add(f"{part}_conv2", "relu_conv2d_norm", y, group=group, out_channels=channels, kernel_size=3)
    # published for even sizes; an odd size is rounded up, as the convolution of stride 2 does
    z = net.add(f"{part}_pool", "avg_pool2d", x, group=group, kernel_size=2, stride=2, ceil_mode=odd)
    z = net.add(f"{part}_project", "conv2d", z, group=group, out_channels=channels, kernel_size=1, bias=False)
    return net.add(f"{part}_add", "add", y, z, group=group)
