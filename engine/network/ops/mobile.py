"""Operations of mobile networks: depthwise convolutions, squeeze-excite, their activations, resizing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.errors import CannotBuild
from engine.network.operation import (
    Args,
    Operation,
    Shape,
    conv_args,
    conv_cost,
    conv_shape,
    free,
    named,
    same,
    spatial,
    windowed,
)

_BLOCKS = "engine.network.blocks.mobile"


def _depthwise_args(args: Args, shapes: Sequence[Shape]) -> dict[str, Any]:
    channels = shapes[0][0]
    return conv_args({"out_channels": channels, "groups": channels, "bias": False, **args}, shapes)


def _squeeze_args(args: Args, shapes: Sequence[Shape]) -> dict[str, Any]:
    return {"channels": shapes[0][0], **args}


def _squeeze_shape(args: Args, shapes: Sequence[Shape]) -> Shape:
    shape = spatial(shapes, 2, "squeeze-excite")
    if shape[0] != args["channels"]:
        raise CannotBuild(f"squeeze-excite of {args['channels']} channels got {shape[0]}")
    return shape


def _squeeze_cost(args: Args, shapes: Sequence[Shape], shape: Shape) -> tuple[int, int]:
    """Two 1×1 convolutions with biases over one pixel."""
    products = 2 * args["channels"] * args["squeeze"]
    return products + args["channels"] + args["squeeze"], products


def _shuffle_shape(args: Args, shapes: Sequence[Shape]) -> Shape:
    shape = spatial(shapes, 2, "a channel shuffle")
    if shape[0] % args["groups"]:
        raise CannotBuild(f"a channel shuffle of {args['groups']} groups got {shape[0]} channels")
    return shape


def _resized(args: Args, shapes: Sequence[Shape]) -> Shape:
    return (spatial(shapes, 2, "resizing")[0], int(args["height"]), int(args["width"]))


def _grouped_shape(args: Args, shapes: Sequence[Shape]) -> Shape:
    if args["in_channels"] % args["groups"] or args["out_channels"] % args["groups"]:
        raise CannotBuild(
            f"{args['groups']} groups do not divide {args['in_channels']} channels into {args['out_channels']}"
        )
    return conv_shape(2)(args, shapes)


def operations() -> list[Operation]:
    """The operations of mobile networks."""
    pure: dict[str, Any] = {"stateless": True, "keeps_zero": True}
    return [
        Operation(
            "depthwise_conv2d", "sep", "torch.nn:Conv2d", _grouped_shape, conv_cost,
            windowed("depthwise", 2), _depthwise_args,
        ),
        Operation(
            "grouped_conv2d", "conv", "torch.nn:Conv2d", _grouped_shape, conv_cost,
            lambda a: ("conv", f"{a['kernel_size']}×{a['kernel_size']} in {a['groups']} groups"), conv_args,
        ),
        Operation(
            "squeeze_excite2d", "other", f"{_BLOCKS}:SqueezeExcite2d", _squeeze_shape, _squeeze_cost,
            named("squeeze-excite"), _squeeze_args, keeps_zero=True,
        ),
        Operation(
            "channel_shuffle2d", "other", f"{_BLOCKS}:ChannelShuffle2d", _shuffle_shape, free,
            lambda a: ("shuffle", f"{a['groups']} groups"), **pure,
        ),
        Operation(
            "resize2d", "other", f"{_BLOCKS}:Resize2d", _resized, free,
            lambda a: ("resize", f"{a['height']}×{a['width']}"), **pure,
        ),
        Operation(
            "hard_swish", "act", "torch.nn:Hardswish", same, free, named("hard swish"),
            expression="F.hardswish({x})", **pure,
        ),
        Operation("relu6", "act", "torch.nn:ReLU6", same, free, named("relu6"), expression="F.relu6({x})", **pure),
    ]  # fmt: skip
