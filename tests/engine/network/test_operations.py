"""Every basic operation against its torch block: shape, parameters, multiply-adds. Other families have their own."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import CannotBuild
from engine.network.assemble import Assembler
from engine.network.costs import costs, node_costs
from engine.network.operations import OPERATIONS
from engine.network.ops import basic

torch = pytest.importorskip("torch")

CONV = [
    {"out_channels": o, "kernel_size": k, "stride": s, "bias": b}
    for o, k, s, b in ((8, 1, 1, True), (6, 3, 2, False), (12, 5, 1, True), (4, 3, 3, True))
]
POOL = [
    {"kernel_size": 2, "stride": 2},
    {"kernel_size": 3, "stride": 1, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": 2, "stride": 2, "ceil_mode": True},
    {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True},
]
KINDS = (
    "input", "conv", "sep", "pool", "dense", "norm", "act", "drop", "add", "concat", "cell", "zero", "identity",
    "output", "other", "attention", "embed", "recurrent", "mask",
)  # fmt: skip
VARIANTS = {
    "linear": [{"out_features": 5, "bias": True}, {"out_features": 3, "bias": False}],
    "dropout": [{"p": 0.3}],
}


def cases():
    for name in (operation.name for operation in basic.operations()):
        if "relu_conv" in name:
            variants = [{k: v for k, v in c.items() if k != "bias"} for c in CONV]
        elif "conv" in name:
            variants = CONV + ([{**CONV[0], "groups": 4}] if name.startswith("conv") else [])
        elif name.startswith(("max_pool", "avg_pool")):
            variants = POOL
        else:
            variants = VARIANTS.get(name, [{}])
        shapes = [(8, 9), (8, 12)] if "1d" in name else [(8, 9, 7), (8, 8, 12)]
        if name == "linear":
            shapes = [(8,)]
        for args in variants:
            for shape in shapes:
                yield pytest.param(name, args, shape, id=f"{name}-{'-'.join(map(str, args.values()))}-{shape}")


@pytest.mark.parametrize(("name", "args", "shape"), list(cases()))
def test_closed_formulas_equal_the_block(name, args, shape):
    from torch.utils.flop_counter import FlopCounterMode

    from engine.network.build import make_block

    net = Assembler(shape)
    several = name in ("add", "concat")
    net.add("it", name, *["input"] * (3 if several else 1), **args)
    node = net._nodes[0]
    with torch.device("meta"):
        block = make_block(node).eval()
        x = torch.empty(1, *shape)
    with FlopCounterMode(display=False) as counter:
        out = block(*[x] * len(node.inputs))
    n_params, n_macs = OPERATIONS[name].cost(node.args, [shape] * len(node.inputs), node.shape)
    assert tuple(out.shape[1:]) == node.shape
    assert sum(p.numel() for p in block.parameters()) == n_params
    assert counter.get_total_flops() == 2 * n_macs


def test_misfits_name_the_node():
    net = Assembler((3, 4, 4))
    with pytest.raises(CannotBuild, match="my pool: a window of 5 does not fit into 4"):
        net.add("my_pool", "max_pool2d", "input", kernel_size=5)
    x = net.add("wide", "conv2d", "input", out_channels=8, kernel_size=3)
    with pytest.raises(CannotBuild, match="a sum needs equal shapes"):
        net.add("sum", "add", "input", x)
    with pytest.raises(CannotBuild, match="3 axes"):
        Assembler((3, 4)).add("c", "conv2d", "input", out_channels=8, kernel_size=3)
    with pytest.raises(CannotBuild, match="vector of logits"):
        net.finish()


def test_activation_bytes_leave_aliases_out():
    net = Assembler((2, 4, 4))
    x = net.add("same", "identity", "input")
    y = net.add("one", "add", x)
    z = net.add("two", "add", x, y)
    net.add("pool", "global_avg_pool2d", z)
    plan = net.finish()
    assert costs(plan).activation_bytes == 4 * (2 * 4 * 4 + 2)
    assert set(node_costs(plan)) == {"same", "one", "two", "pool"}


def test_kinds_are_known_to_the_drawing():
    kinds = {op.kind for op in OPERATIONS.values()}
    assert kinds <= set(KINDS)
    assert np.all([op.name == name for name, op in OPERATIONS.items()])
