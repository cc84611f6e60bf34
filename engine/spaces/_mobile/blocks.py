"""Nodes of mobile networks: stem, inverted residual blocks, head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.network.assemble import Assembler
from engine.spaces._mobile.options import MBConv, MobileOptions

#: parts of a block that have weights
WEIGHTED = ("expand_conv", "expand_norm", "depth_conv", "depth_norm", "se", "project_conv", "project_norm")


@dataclass(frozen=True)
class StageSettings:
    """One stage of one architecture.

    Attributes:
        width: channels behind each block.
        activation: of its blocks.
        stride: of the first block.
        blocks: None = skipped.
    """

    width: int
    activation: str
    stride: int
    blocks: tuple[MBConv | None, ...]


@dataclass(frozen=True)
class Settings:
    """One architecture, decided and settled things alike.

    Attributes:
        resolution: shorter side; None = the data's own.
        stages: from input to output.
    """

    resolution: int | None
    stages: tuple[StageSettings, ...]


@dataclass(frozen=True)
class Place:
    """Where a block stands: enough to know its nodes."""

    shape: tuple[int, ...]
    width: int
    stride: int
    activation: str
    block: MBConv | None

    @property
    def keeps(self) -> bool:
        """Whether the output has the input's shape, so that the input is added."""
        return self.step == 1 and self.width == self.shape[0]

    @property
    def step(self) -> int:
        """The stride it has: nothing is halved below one pixel."""
        return self.stride if max(self.shape[1:]) > 1 else 1

    @property
    def out(self) -> tuple[int, ...]:
        """Shape behind it."""
        return (self.width, *(-(-side // self.step) for side in self.shape[1:]))


def divisible(value: float, by: int = 8) -> int:
    """Nearest multiple, at least one of them and not below 90 % of the value (Sandler et al. 2018's networks)."""
    near = max(by, int(value + by / 2) // by * by)
    return near if near >= 0.9 * value else near + by


def hidden(channels: int, expansion: float) -> int:
    """Channels inside a block."""
    return channels if expansion == 1 else divisible(channels * expansion)


def squeezed(o: MobileOptions, channels: int, inside: int) -> int:
    """Channels between the two convolutions of squeeze-excite."""
    return divisible(inside / 4) if o.squeeze == "expanded" else max(1, channels // 4)


def expands(o: MobileOptions, block: MBConv, channels: int) -> bool:
    """Whether a block has its first 1×1 convolution."""
    return o.expand_always or hidden(channels, block.expansion) != channels


def apart(o: MobileOptions, stage: int, place: Place) -> str:
    """What a block's weights are called beside its place, where they are none of those that differ in size only.

    Args:
        o: of the space.
        stage: number, from 1.
        place: of the block.
    """
    if place.block is None:
        return "skipped"
    if o.menu_of(o.stages[stage - 1]):
        return place.block.text.replace(".", "_")
    return "" if expands(o, place.block, place.shape[0]) else "bare"


def resized(shape: tuple[int, ...], resolution: int | None) -> tuple[int, ...]:
    """Shape of an image whose shorter side is `resolution`, in its proportions."""
    if resolution is None or resolution == min(shape[1:]):
        return shape
    return (shape[0], *(max(1, round(side * resolution / min(shape[1:]))) for side in shape[1:]))


def stem(net: Assembler, x: str, o: MobileOptions) -> str:
    """Convolution, norm, activation."""
    stride = o.stem_stride if max(net.shape(x)[1:]) > 1 else 1
    x = net.add(
        "stem_conv", "conv2d", x, group="stem", out_channels=o.stem_width, kernel_size=3, stride=stride, bias=False
    )
    x = net.add("stem_norm", "batch_norm2d", x, group="stem")
    return net.add(f"stem_{o.stem_activation}", o.stem_activation, x, group="stem")


def block(net: Assembler, x: str, o: MobileOptions, place: Place, cell: str, group: str) -> str:
    """Expand, depthwise, squeeze-excite, project, and the input added where the shapes are equal.

    A skipped block is the identity; where the shape changes, a 1×1 convolution and norm.
    """
    part = {"group": group, "cell": cell}
    prefix = cell.replace(".", "_")
    mb, start, width = place.block, x, place.width
    if mb is None:
        if place.keeps:
            return net.add(f"{prefix}_skip", "identity", x, **part)
        x = net.add(
            f"{prefix}_project_conv", "conv2d", x, **part,
            out_channels=width, kernel_size=1, stride=place.step, bias=False,
        )  # fmt: skip
        return net.add(f"{prefix}_project_norm", "batch_norm2d", x, **part)
    channels = net.shape(x)[0]
    inside = hidden(channels, mb.expansion)
    extra: dict[str, Any] = {"groups": mb.groups} if mb.groups > 1 else {}
    pointwise = "grouped_conv2d" if extra else "conv2d"
    if expands(o, mb, channels):
        x = net.add(
            f"{prefix}_expand_conv", pointwise, x, **part, out_channels=inside, kernel_size=1, bias=False, **extra
        )
        x = net.add(f"{prefix}_expand_norm", "batch_norm2d", x, **part)
        x = net.add(f"{prefix}_expand_act", place.activation, x, **part)
        if mb.groups > 1:
            x = net.add(f"{prefix}_shuffle", "channel_shuffle2d", x, **part, groups=mb.groups)
    x = net.add(f"{prefix}_depth_conv", "depthwise_conv2d", x, **part, kernel_size=mb.kernel, stride=place.step)
    x = net.add(f"{prefix}_depth_norm", "batch_norm2d", x, **part)
    x = net.add(f"{prefix}_depth_act", place.activation, x, **part)
    if mb.se:
        hard = o.squeeze == "expanded"
        x = net.add(
            f"{prefix}_se", "squeeze_excite2d", x, **part, squeeze=squeezed(o, channels, inside),
            activation="relu" if hard else "silu", gate="hard_sigmoid" if hard else "sigmoid",
        )  # fmt: skip
    x = net.add(f"{prefix}_project_conv", pointwise, x, **part, out_channels=width, kernel_size=1, bias=False, **extra)
    x = net.add(f"{prefix}_project_norm", "batch_norm2d", x, **part)
    return net.add(f"{prefix}_add", "add", x, start, **part) if place.keeps else x


def head(net: Assembler, x: str, o: MobileOptions, n_classes: int) -> str:
    """1×1 convolution, global average, dense layer, dropout, output; the first, third and fourth where asked for."""
    act = o.head_activation
    if o.head_conv:
        x = net.add("head_conv", "conv2d", x, group="head", out_channels=o.head_conv, kernel_size=1, bias=False)
        x = net.add("head_norm", "batch_norm2d", x, group="head")
        x = net.add(f"head_{act}", act, x, group="head")
    x = net.add("global_pool", "global_avg_pool2d", x, group="head")
    if o.head_dense:
        x = net.add("dense", "linear", x, group="head", out_features=o.head_dense)
        x = net.add(f"dense_{act}", act, x, group="head")
    if o.dropout:
        x = net.add("dropout", "dropout", x, group="head", p=o.dropout)
    return net.add("output", "linear", x, group="output", out_features=n_classes)
