"""Operations on the edges of NASNet and DARTS cells, and on the vertices of NAS-Bench-101."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from engine.errors import CannotBuild
from engine.network.operation import Args, Operation, Shape, conv_shape, free, kernel_words, preact_cost, spatial

_BLOCKS = "engine.network.blocks.cells"
_REMARK = "in cells and reductions each convolution has relu before and batch norm behind it"


def operations() -> list[Operation]:
    """The operations of cells."""
    ops = [
        Operation(
            "relu_sep_conv_norm", "sep", f"{_BLOCKS}:ReLUSeparableTwice", _same_padding, _twice_cost,
            _windowed("separable"), _complete, remark=_REMARK,
        ),
        Operation(
            "relu_dil_conv_norm", "sep", f"{_BLOCKS}:ReLUDilatedSeparable", _same_padding, _dilated_cost,
            _windowed("dilated"), lambda a, s: _complete({"dilation": 2, **a}, s), remark=_REMARK,
        ),
        Operation(
            "relu_split_conv2d_norm", "conv", f"{_BLOCKS}:ReLUSplitConv2dNorm", _same_padding, _split_cost,
            lambda a: ("conv", f"1×{a['kernel_size']} {a['kernel_size']}×1{_apart(a)}"),
            lambda a, s: {k: v for k, v in _complete(a, s).items() if k != "dims"}, remark=_REMARK,
        ),
        Operation(
            "factorized_reduce", "conv", f"{_BLOCKS}:FactorizedReduce", _halved, _reduce_cost,
            lambda a: ("reduce", "1×1 /2"),
            lambda a, s: {"in_channels": s[0][0], "dims": len(s[0]) - 1, **a}, remark=_REMARK,
        ),
        Operation(
            "strided_zero", "zero", f"{_BLOCKS}:StridedZero",
            lambda a, s: _strided(s[0], a["stride"]), free, lambda a: ("none", f"/{a['stride']}"), role="zero",
            stateless=True, keeps_zero=True,
        ),
        Operation(
            "first_channels", "other", f"{_BLOCKS}:FirstChannels", _first, free,
            lambda a: ("first", f"{a['channels']} channels"), stateless=True, keeps_zero=True, linear=True,
        ),
    ]  # fmt: skip
    for dims in (1, 2):
        ops.append(
            Operation(
                f"conv{dims}d_norm_relu", "conv", f"{_BLOCKS}:Conv{dims}dNormReLU", _vertex_shape(dims), preact_cost,
                lambda a, dims=dims: ("conv", kernel_words(a["kernel_size"], dims)),  # type: ignore[misc]
                lambda a, s: {"in_channels": s[0][0], **a},
                remark="in cells each convolution is followed by batch norm and relu",
            )
        )  # fmt: skip
    return ops


# -- shapes ---------------------------------------------------------------------------------------
def _complete(args: Args, shapes: Sequence[Shape]) -> dict[str, Any]:
    return {"in_channels": shapes[0][0], "stride": 1, "dims": len(shapes[0]) - 1, **args}


def _strided(shape: Shape, stride: int) -> Shape:
    return (shape[0], *(-(-side // stride) for side in shape[1:]))


def _same_padding(args: Args, shapes: Sequence[Shape]) -> Shape:
    """Odd windows with half of them as padding: sizes divided by the stride, rounded up."""
    shape = spatial(shapes, args.get("dims", 2), "a convolution")
    if shape[0] != args["in_channels"]:
        raise CannotBuild(f"a convolution of {args['in_channels']} channels got {shape[0]}")
    return (int(args["out_channels"]), *_strided(shape, args["stride"])[1:])


def _halved(args: Args, shapes: Sequence[Shape]) -> Shape:
    return _same_padding({**args, "stride": 2}, shapes)


def _first(args: Args, shapes: Sequence[Shape]) -> Shape:
    if shapes[0][0] < args["channels"]:
        raise CannotBuild(f"the first {args['channels']} channels of {shapes[0][0]} do not exist")
    return (int(args["channels"]), *shapes[0][1:])


def _vertex_shape(dims: int) -> Any:
    infer = conv_shape(dims)
    return lambda args, shapes: infer({**args, "padding": args["kernel_size"] // 2}, shapes)


# -- costs ----------------------------------------------------------------------------------------
def _twice_cost(args: Args, shapes: Sequence[Shape], shape: Shape) -> tuple[int, int]:
    inside, outside = args["in_channels"], args["out_channels"]
    weights = inside * (2 * args["kernel_size"] ** args["dims"] + inside + outside)
    return weights + 2 * inside + 2 * outside, weights * prod(shape[1:])


def _dilated_cost(args: Args, shapes: Sequence[Shape], shape: Shape) -> tuple[int, int]:
    weights = args["in_channels"] * (args["kernel_size"] ** args["dims"] + args["out_channels"])
    return weights + 2 * args["out_channels"], weights * prod(shape[1:])


def _split_cost(args: Args, shapes: Sequence[Shape], shape: Shape) -> tuple[int, int]:
    k, inside, outside = args["kernel_size"], args["in_channels"], args["out_channels"]
    wide, high = k * inside * outside, k * outside * outside
    # the first one strides along the width alone
    return wide + high + 2 * outside, wide * shapes[0][1] * shape[2] + high * prod(shape[1:])


def _reduce_cost(args: Args, shapes: Sequence[Shape], shape: Shape) -> tuple[int, int]:
    weights = args["in_channels"] * args["out_channels"]
    return weights + 2 * args["out_channels"], weights * prod(shape[1:])


# -- words ----------------------------------------------------------------------------------------
def _apart(args: Args) -> str:
    return f" /{args['stride']}" if args["stride"] != 1 else ""


def _windowed(title: str) -> Any:
    return lambda args: (title, kernel_words(args["kernel_size"], args["dims"]) + _apart(args))
