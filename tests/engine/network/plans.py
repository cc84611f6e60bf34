"""Hand-made plans of many shapes: cells with two inputs, free graphs, branches, residual chains."""

from __future__ import annotations

import numpy as np

from engine.network.assemble import Assembler
from engine.network.plan import NetworkPlan


def two_input_cells(n_cells: int = 20, *, channels: int = 8, auxiliary: bool = True) -> NetworkPlan:
    """As NASNet and DARTS build them: cell k reads cells k-1 and k-2; two of them halve the size."""
    net = Assembler((3, 32, 32))
    x = net.add("stem_conv", "conv2d", "input", group="stem", out_channels=3 * channels, kernel_size=3, bias=False)
    x = net.add("stem_norm", "batch_norm2d", x, group="stem")
    before, last, tail = x, x, ()
    halved = False
    for k in range(n_cells):
        reduce = k in (n_cells // 3, 2 * n_cells // 3)
        if reduce:
            channels *= 2
        before, last = last, _cell(net, before, last, f"cell{k}", channels, reduce=reduce, adapt=halved)
        halved = reduce
        if auxiliary and k == 2 * n_cells // 3:
            y = net.add("aux_relu", "relu", last, group="auxiliary head")
            y = net.add("aux_pool", "avg_pool2d", y, group="auxiliary head", kernel_size=5, stride=3)
            y = net.add("aux_conv", "conv2d", y, group="auxiliary head", out_channels=64, kernel_size=1, bias=False)
            y = net.add("aux_norm", "batch_norm2d", y, group="auxiliary head")
            y = net.add("aux_global", "global_avg_pool2d", y, group="auxiliary head")
            tail = (net.add("aux_output", "linear", y, group="auxiliary head", out_features=10),)
    x = net.add("global_pool", "global_avg_pool2d", last, group="head")
    net.add("output", "linear", x, group="output", out_features=10)
    return net.finish(tail)


def _cell(net: Assembler, a: str, b: str, cell: str, channels: int, *, reduce: bool, adapt: bool) -> str:
    part = {"group": "cells", "cell": cell}
    stride = 2 if adapt else 1  # the older of the two is still twice as large
    states = [
        net.add(f"{cell}_pre0", "relu_conv2d_norm", a, **part, out_channels=channels, kernel_size=1, stride=stride),
        net.add(f"{cell}_pre1", "relu_conv2d_norm", b, **part, out_channels=channels, kernel_size=1),
    ]
    chosen = ((0, "sep"), (1, "sep"), (1, "skip"), (0, "pool"), (2, "sep"), (0, "skip"), (1, "pool"), (3, "sep"))
    for node in range(4):
        terms = []
        for j, (source, op) in enumerate(chosen[2 * node : 2 * node + 2]):
            step = 2 if reduce and source < 2 else 1
            name = f"{cell}_node{node}_op{j}"
            if op == "sep":
                y = net.add(f"{name}_relu", "relu", states[source], **part)
                y = net.add(name, "separable_conv2d", y, **part, out_channels=channels, kernel_size=3, stride=step)
                y = net.add(f"{name}_norm", "batch_norm2d", y, **part)
            elif op == "pool":
                y = net.add(name, "max_pool2d", states[source], **part, kernel_size=3, stride=step, padding=1)
            elif step == 2:
                y = net.add(name, "relu_conv2d_norm", states[source], **part, out_channels=channels, kernel_size=1,
                            stride=2)  # fmt: skip
            else:
                y = net.add(name, "identity", states[source], **part)
            terms.append(y)
        states.append(net.add(f"{cell}_node{node}", "add", *terms, **part))
    return net.add(f"{cell}_out", "concat", *states[2:], **part)


def free_graph(n_nodes: int, seed: int = 0, *, width: int = 3) -> NetworkPlan:
    """A random directed graph of about `n_nodes` operations, each reading one to three of the latest ones."""
    rng = np.random.default_rng(seed)
    net = Assembler((8, 16, 16))
    names = [net.add("stem", "conv2d", "input", group="stem", out_channels=8, kernel_size=3)]
    read: set[str] = set()
    ops = (("conv2d", {"kernel_size": 3}), ("separable_conv2d", {"kernel_size": 5}), ("max_pool2d", {}), ("relu", {}))
    while len(names) < n_nodes - 4:
        group = f"part {len(names) * 6 // n_nodes + 1}"
        recent = names[-2 * width :] if rng.random() < 0.93 else names
        chosen = sorted(set(rng.choice(recent, size=int(rng.integers(1, 4)))), key=names.index)
        x = str(chosen[0])
        i = len(names)
        if len(chosen) > 1:
            x = net.add(f"sum{i}", "add", *map(str, chosen), group=group)
        read |= set(map(str, chosen))
        op, args = ops[int(rng.integers(len(ops)))]
        if op.endswith("conv2d"):
            args = {**args, "out_channels": 8}
        elif op == "max_pool2d":
            args = {"kernel_size": 3, "stride": 1, "padding": 1}
        if len(chosen) > 1:
            names.append(x)
        names.append(net.add(f"node{i}", op, x, group=group, **args))
        read.add(x)
    open_ends = [name for name in names if name not in read]
    x = net.add("gather", "concat", *open_ends, group="head") if len(open_ends) > 1 else open_ends[0]
    x = net.add("global_pool", "global_avg_pool2d", x, group="head")
    net.add("output", "linear", x, group="output", out_features=10)
    return net.finish()


def branches(depth: int = 3) -> NetworkPlan:
    """A tree: every part is split in two that are joined again, `depth` times."""
    net = Assembler((3, 16, 16))
    count = 0

    def part(x: str, level: int) -> str:
        nonlocal count
        count += 1
        me, group = count, f"level {depth - level + 1}"
        if not level:
            return net.add(f"leaf{me}", "conv2d", x, group=group, out_channels=8, kernel_size=(1, 3, 5)[me % 3])
        left = net.add(f"left{me}", "conv2d", x, group=group, out_channels=8, kernel_size=1)
        left = part(left, level - 1)
        right = part(x, level - 1)
        return net.add(f"join{me}", "add", left, right, group=group)

    x = part("input", depth)
    x = net.add("global_pool", "global_avg_pool2d", x, group="head")
    net.add("output", "linear", x, group="output", out_features=10)
    return net.finish()


def residual_chain(n_blocks: int = 12) -> NetworkPlan:
    """As an encoder of a transformer: two residual parts a block, nothing marked as a cell."""
    net = Assembler((4, 50))
    x = net.add("embed", "conv1d", "input", group="embedding", out_channels=32, kernel_size=1)
    for k in range(1, n_blocks + 1):
        group = f"block {k}"
        y = net.add(f"block{k}_norm1", "group_norm", x, group=group)
        y = net.add(f"block{k}_mix", "separable_conv1d", y, group=group, out_channels=32, kernel_size=5)
        x = net.add(f"block{k}_add1", "add", y, x, group=group)
        y = net.add(f"block{k}_norm2", "group_norm", x, group=group)
        y = net.add(f"block{k}_wide", "conv1d", y, group=group, out_channels=128, kernel_size=1)
        y = net.add(f"block{k}_gelu", "gelu", y, group=group)
        y = net.add(f"block{k}_narrow", "conv1d", y, group=group, out_channels=32, kernel_size=1)
        x = net.add(f"block{k}_add2", "add", y, x, group=group)
    x = net.add("global_pool", "global_avg_pool1d", x, group="head")
    net.add("output", "linear", x, group="output", out_features=6)
    return net.finish()


def long_chain(n: int = 60) -> NetworkPlan:
    """Convolutions of changing size after each other, some of them residual."""
    net = Assembler((3, 64, 64))
    x = net.add("stem", "conv2d", "input", group="stem", out_channels=8, kernel_size=3)
    for i in range(1, n + 1):
        group = f"block {i}"
        y = net.add(
            f"block{i}_conv", "conv2d", x, group=group, out_channels=8 + 8 * (i // 15), kernel_size=(3, 5, 7)[i * i % 3]
        )
        x = net.add(f"block{i}_add", "add", y, x, group=group) if i % 4 == 1 and net.shape(x) == net.shape(y) else y
        if i in (10, 25, 40):
            x = net.add(f"pool{i}", "max_pool2d", x, group="pool", kernel_size=2, stride=2)
    x = net.add("global_pool", "global_avg_pool2d", x, group="head")
    net.add("output", "linear", x, group="output", out_features=10)
    return net.finish()
