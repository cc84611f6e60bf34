"""The network of the space `layers`, part by part: what an architecture means, and the nodes of each part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.network.assemble import Assembler
from engine.network.plan import Node

_NORMS = {"group": "group_norm", "layer": "layer_norm"}


class Style(NamedTuple):
    """What holds for the whole network.

    Attributes:
        dims: 2 for images, 1 for signals.
    """

    norm: str
    activation: str
    pool: str
    pool_size: int
    dims: int


class Stem(NamedTuple):
    """The first convolution. `kernel` 0 = none; `pooled` = number of the pooling behind it, 0 = none."""

    channels: int
    kernel: int
    stride: int
    pooled: int


class Block(NamedTuple):
    """One block. `joins` are earlier blocks whose outputs are added; `pooled` as in `Stem`."""

    operation: str
    channels: int
    stride: int
    skip: bool
    joins: tuple[int, ...]
    dropout: float
    pooled: int


class Head(NamedTuple):
    """From the last image to the logits."""

    flatten: bool
    dense: tuple[int, ...]
    dropout: float


class Layout(NamedTuple):
    """A whole network."""

    style: Style
    stem: Stem
    blocks: tuple[Block, ...]
    head: Head


class Part(Assembler):
    """An assembler that begins in the middle of a network.

    Args:
        shapes: of what the part reads, by id.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__(shapes["input"])
        self._shapes.update(shapes)

    @property
    def nodes(self) -> list[Node]:
        """What was added."""
        return list(self._nodes)


def write_stem(net: Assembler, style: Style, stem: Stem) -> str:
    """The first convolution and the pooling behind it; the input itself where there is none."""
    x = "input"
    if stem.kernel:
        x = net.add(
            "stem_conv", f"conv{style.dims}d", x, group="stem", out_channels=stem.channels, kernel_size=stem.kernel,
            bias=style.norm == "none", **_beyond(stem.kernel, stem.stride),
        )  # fmt: skip
        x = _tail(net, style, x, "stem", "stem")
    return write_pool(net, style, x, stem.pooled)


def write_block(
    net: Assembler, style: Style, k: int, block: Block, x: str, sources: Mapping[int, str], *, by_kind: bool = False
) -> str:
    """Convolution, norm, activation, what is joined in, dropout, pooling.

    Args:
        k: its number, from 1.
        x: what it reads.
        sources: outputs of earlier blocks by number, of those it joins.
        by_kind: convolution and norm are called by the kind of operation, too, as their shared weights are.
    """
    group, part, dims = f"block {k}", f"block{k}", style.dims
    kind, kernel = block.operation[:-1], int(block.operation[-1])
    first = f"{part}_{kind}" if by_kind else part
    pools, stride = kind in ("max", "avg"), block.stride
    before = x
    x = net.add(
        f"{first}_conv", f"separable_conv{dims}d" if kind == "sep" else f"conv{dims}d", x, group=group,
        out_channels=block.channels, kernel_size=1 if pools else kernel, bias=style.norm == "none",
        **_beyond(kernel, 1 if pools else stride, plain=True),
    )  # fmt: skip
    x = _tail(net, style, x, first, group)
    if pools:
        x = net.add(f"{part}_pool", f"{kind}_pool{dims}d", x, group=group, kernel_size=3, stride=stride, padding=1)
    if block.skip:
        if net.shape(before) != net.shape(x):
            before = net.add(
                f"{part}_project", f"conv{dims}d", before, group=group, out_channels=block.channels, kernel_size=1,
                bias=False, **_beyond(1, stride, plain=True),
            )  # fmt: skip
        x = net.add(f"{part}_add", "add", x, before, group=group)
    elif block.joins:
        joined = [_match(net, sources[j], net.shape(x), f"{part}_from{j}", group, dims) for j in block.joins]
        x = net.add(f"{part}_add", "add", x, *joined, group=group)
    if block.dropout:
        x = net.add(f"{part}_dropout", "dropout", x, group=group, p=block.dropout)
    return write_pool(net, style, x, block.pooled)


def write_head(
    net: Assembler, style: Style, head: Head, x: str, n_classes: int, names: Mapping[str, str] | None = None
) -> str:
    """A vector, dense layers, dropout, logits; `names` are other ids for some of these nodes."""
    names = names or {}
    if head.flatten:
        x = net.add("flatten", "flatten", x, group="flatten")
    else:
        x = net.add("global_pool", f"global_avg_pool{style.dims}d", x, group="global pool")
    for i, units in enumerate(head.dense, start=1):
        name = "dense" if i == 1 else f"dense{i}"
        x = net.add(names.get(name, name), "linear", x, group=name, out_features=units)
        x = net.add(f"{name}_{style.activation}", style.activation, x, group=name)
    if head.dropout:
        x = net.add("dropout", "dropout", x, group="dropout", p=head.dropout)
    return net.add(names.get("output", "output"), "linear", x, group="output", out_features=n_classes)


def _tail(net: Assembler, style: Style, x: str, part: str, group: str) -> str:
    if style.norm != "none":
        x = net.add(f"{part}_norm", _NORMS.get(style.norm, f"batch_norm{style.dims}d"), x, group=group)
    return net.add(f"{part}_{style.activation}", style.activation, x, group=group)


def write_pool(net: Assembler, style: Style, x: str, number: int) -> str:
    """The pooling of this number behind a part; 0 = none."""
    if not number:
        return x
    return net.add(
        f"pool{number}", f"{style.pool}_pool{style.dims}d", x, group=f"pool {number}",
        kernel_size=style.pool_size, stride=style.pool_size,
    )  # fmt: skip


def _beyond(kernel: int, stride: int, *, plain: bool = False) -> dict[str, Any]:
    """Arguments that differ from a convolution's usual ones: an even window is padded on both sides alike."""
    out: dict[str, Any] = {} if stride == 1 else {"stride": stride}
    return out if plain or kernel % 2 else {**out, "padding": kernel // 2}


def _match(net: Assembler, x: str, shape: tuple[int, ...], part: str, group: str, dims: int) -> str:
    """Another block's output in this one's size: averaged over equal windows, then projected."""
    have = net.shape(x)
    strides = [a // b for a, b in zip(have[1:], shape[1:], strict=True)]
    kernels = [a - (b - 1) * s for a, b, s in zip(have[1:], shape[1:], strides, strict=True)]
    if have[1:] != shape[1:]:
        if len(set(strides)) == len(set(kernels)) == 1:
            x = net.add(f"{part}_pool", f"avg_pool{dims}d", x, group=group, kernel_size=kernels[0], stride=strides[0])
        else:
            x = net.add(
                f"{part}_pool", "avg_pool2d_sides", x, group=group, kernel_size=tuple(kernels), stride=tuple(strides)
            )
    if have[0] != shape[0]:
        x = net.add(f"{part}_project", f"conv{dims}d", x, group=group, out_channels=shape[0], kernel_size=1, bias=False)
    return x
