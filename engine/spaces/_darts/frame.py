"""What stands around the cells of a DARTS network: stem, the order of the cells, classifiers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from engine.network.assemble import Assembler
from engine.spaces._darts.cells import Place
from engine.spaces._darts.options import DartsOptions


def reductions_of(layers: int) -> tuple[int, int]:
    """Positions of the reduction cells, from 0: at one and at two thirds of the depth."""
    return layers // 3, 2 * layers // 3


def write_network(
    net: Assembler, o: DartsOptions, n_classes: int, cell: Callable[[Place], str], *, auxiliary: bool = False
) -> None:
    """Appends a whole network.

    Args:
        net: empty.
        o: depth, width, stem.
        n_classes: number of logits.
        cell: appends one cell and returns its output.
        auxiliary: a second classifier behind the second reduction.
    """
    reductions = reductions_of(o.layers)
    before, x, reduced = write_stem(net, o.stem, o.channels)
    channels = o.channels
    for i in range(o.layers):
        reduction = i in reductions
        channels *= 1 + reduction
        stage = 1 + sum(i > r for r in reductions)
        group = f"reduction {reductions.index(i) + 1}" if reduction else f"stage {stage}"
        new = cell(Place(f"cell{i + 1}", (before, x), channels, reduction, reduced, group))
        before, x, reduced = x, new, reduction
        if i == reductions[1] and auxiliary:
            write_auxiliary(net, x, n_classes)
    x = net.add("global_pool", f"global_avg_pool{len(net.input_shape) - 1}d", x, group="head")
    net.add("output", "linear", x, group="output", out_features=n_classes)


def write_stem(net: Assembler, stem: Literal["small", "large"], channels: int) -> tuple[str, str, bool]:
    """One convolution to three times the channels, or three of stride 2 (Liu et al. 2019, sections 3.2 and 3.3).

    Returns:
        What the first cell reads, and whether its first input is twice as large as the second.
    """
    d = len(net.input_shape) - 1

    def conv(name: str, x: str, out_channels: int, stride: int) -> str:
        x = net.add(f"{name}_conv", f"conv{d}d", x, group="stem", out_channels=out_channels, kernel_size=3,
                    stride=stride, padding=1, bias=False)  # fmt: skip
        return net.add(f"{name}_norm", f"batch_norm{d}d", x, group="stem")

    if stem == "small":
        x = conv("stem", "input", 3 * channels, 1)
        return x, x, False
    x = conv("stem1", "input", channels // 2, 2)
    x = conv("stem2", net.add("stem1_relu", "relu", x, group="stem"), channels, 2)
    return x, conv("stem3", net.add("stem2_relu", "relu", x, group="stem"), channels, 2), True


def write_auxiliary(net: Assembler, x: str, n_classes: int) -> str:
    """Pooling, two convolutions, a classifier: made for 8 pixels a side; on fewer, its windows shrink."""
    d = len(net.input_shape) - 1
    part: dict[str, Any] = {"group": "auxiliary"}

    def tail(x: str, k: int) -> str:
        x = net.add(f"aux_norm{k}", f"batch_norm{d}d", x, **part)
        return net.add(f"aux_relu{k + 1}", "relu", x, **part)

    x = net.add("aux_relu1", "relu", x, **part)
    pooled = min(5, *net.shape(x)[1:])
    x = net.add("aux_pool", f"avg_pool{d}d", x, **part, kernel_size=pooled, stride=3)
    x = tail(net.add("aux_conv1", f"conv{d}d", x, **part, out_channels=128, kernel_size=1, bias=False), 1)
    kernel = min(2, *net.shape(x)[1:])
    x = net.add("aux_conv2", f"conv{d}d", x, **part, out_channels=768, kernel_size=kernel, padding=0, bias=False)
    x = net.add("aux_global", f"global_avg_pool{d}d", tail(x, 2), **part)
    return net.add("aux_output", "linear", x, **part, out_features=n_classes)
