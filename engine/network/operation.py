"""What an operation is, and the closed formulas that the families of operations share. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from engine.errors import CannotBuild
from engine.network.plan import Node

Shape = tuple[int, ...]
Args = Mapping[str, Any]
#: what an operation means for the identity of a network, see `network.canonical`
Role = Literal["op", "sum", "zero", "identity"]


@dataclass(frozen=True)
class Operation:
    """One kind of operation.

    Attributes:
        name: name in plans.
        kind: how it is drawn (`network.picture`).
        block: "module:Class" of the torch block; its constructor takes exactly the node's `args`.
        infer: (args, input shapes) -> output shape; raises `CannotBuild` where it does not fit.
        cost: (args, input shapes, output shape) -> (parameters, multiply-adds).
        words: args -> (title, detail) for a drawing.
        complete: (args, input shapes) -> all constructor arguments, the sizes of the inputs filled in.
        expression: Python expression printed into model.py instead of a module (`{x}` = the input); "" = a module.
        role: what it means for the identity of a network.
        train_only: acts in training only.
        remark: what a caption says about all of its kind.
        stateless: no weights, no state, no chance: two of them on the same inputs are one.
        keeps_zero: nothing but zeros in gives zeros out, whatever the weights.
        linear: of a sum it gives the sum of what it gives of each term; stateless, one input.
        inside: args -> the drawing of what is inside (an entry of the picture's "details"), for an operation that is a
            graph of its own.
        free_args: arguments that choose what is computed with the weights: networks that differ in nothing else share
            them (`supernets.nets.bank`). A block that has more weights makes those of a smaller one first; it has no
            buffers and acts alike in training and evaluation.
    """

    name: str
    kind: str
    block: str
    infer: Callable[[Args, Sequence[Shape]], Shape]
    cost: Callable[[Args, Sequence[Shape], Shape], tuple[int, int]]
    words: Callable[[Args], tuple[str, str]]
    complete: Callable[[Args, Sequence[Shape]], dict[str, Any]] = lambda args, shapes: dict(args)
    expression: str = ""
    role: Role = "op"
    train_only: bool = False
    remark: str = ""
    stateless: bool = False
    keeps_zero: bool = False
    linear: bool = False
    inside: Callable[[Args], dict[str, Any]] | None = None
    free_args: tuple[str, ...] = ()


def module_path(node: Node) -> tuple[str, ...]:
    """Where a node's module lives: `("stem_conv",)`, or `("stage1_cell2", "edge01")` inside a repeated cell.

    Joined by dots it is the prefix of the node's weights, in the built network and in the exported model.py.
    """
    cell = node.cell.replace(".", "_")
    if cell and node.id.startswith(f"{cell}_"):
        return (cell, node.id.removeprefix(f"{cell}_"))
    return (node.id,)


# -- shapes ---------------------------------------------------------------------------------------
def same(args: Args, shapes: Sequence[Shape]) -> Shape:
    """The shape of the first input."""
    return shapes[0]


def equal(args: Args, shapes: Sequence[Shape]) -> Shape:
    """One shape for all inputs."""
    if any(shape != shapes[0] for shape in shapes):
        raise CannotBuild(f"a sum needs equal shapes, got {', '.join(map(str, shapes))}")
    return shapes[0]


def window(args: Args, size: int) -> int:
    """Output length of a sliding window (torch's formula, with `ceil_mode`)."""
    kernel, stride, padding = args["kernel_size"], args.get("stride", 1), args.get("padding", 0)
    span = size + 2 * padding - args.get("dilation", 1) * (kernel - 1) - 1
    if span < 0:
        raise CannotBuild(f"a window of {kernel} does not fit into {size} (padding {padding})")
    out = span // stride + 1
    if args.get("ceil_mode") and span % stride and out * stride < size + padding:
        out += 1
    return int(out)


def spatial(shapes: Sequence[Shape], dims: int, what: str) -> Shape:
    """The first shape, which must have channels and `dims` further axes."""
    if len(shapes[0]) != dims + 1:
        raise CannotBuild(f"{what} needs {dims + 1} axes (channels first), got the shape {shapes[0]}")
    return shapes[0]


def conv_shape(dims: int) -> Callable[[Args, Sequence[Shape]], Shape]:
    """Output shape of a convolution over `dims` axes."""

    def infer(args: Args, shapes: Sequence[Shape]) -> Shape:
        channels, *sides = spatial(shapes, dims, "a convolution")
        if channels != args["in_channels"]:
            raise CannotBuild(f"a convolution of {args['in_channels']} channels got {channels}")
        return (int(args["out_channels"]), *(window(args, side) for side in sides))

    return infer


def pool_shape(dims: int) -> Callable[[Args, Sequence[Shape]], Shape]:
    """Output shape of pooling over `dims` axes."""

    def infer(args: Args, shapes: Sequence[Shape]) -> Shape:
        channels, *sides = spatial(shapes, dims, "pooling")
        return (channels, *(window(args, side) for side in sides))

    return infer


def concat_shape(args: Args, shapes: Sequence[Shape]) -> Shape:
    """Inputs joined along the channels."""
    if any(shape[1:] != shapes[0][1:] for shape in shapes):
        raise CannotBuild(f"joining channels needs equal sizes, got {', '.join(map(str, shapes))}")
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])


def linear_shape(args: Args, shapes: Sequence[Shape]) -> Shape:
    """Output of a dense layer over a vector."""
    if shapes[0] != (args["in_features"],):
        raise CannotBuild(f"a dense layer of {args['in_features']} inputs got the shape {shapes[0]}")
    return (int(args["out_features"]),)


# -- constructor arguments ------------------------------------------------------------------------
def conv_args(args: Args, shapes: Sequence[Shape]) -> dict[str, Any]:
    """A convolution keeps its size (odd kernels, stride 1) unless told otherwise."""
    kernel = args["kernel_size"]
    defaults = {"stride": 1, "padding": args.get("dilation", 1) * (kernel - 1) // 2, "bias": True}
    return {"in_channels": shapes[0][0], **defaults, **args}


def linear_args(args: Args, shapes: Sequence[Shape]) -> dict[str, Any]:
    """Fills in `in_features` and the bias."""
    return {"in_features": shapes[0][0], "bias": True, **args}


def batch_norm_args(args: Args, shapes: Sequence[Shape]) -> dict[str, Any]:
    """Fills in `num_features`."""
    return {"num_features": shapes[0][0], **args}


def group_norm_args(args: Args, shapes: Sequence[Shape]) -> dict[str, Any]:
    """Fills in groups and channels."""
    channels = shapes[0][0]
    # eight groups, or the most that divide the channels
    return {"num_groups": next(g for g in (8, 4, 2, 1) if channels % g == 0), "num_channels": channels, **args}


# -- costs ----------------------------------------------------------------------------------------
def free(args: Args, shapes: Sequence[Shape], shape: Shape) -> tuple[int, int]:
    """No parameters, no multiply-adds."""
    return 0, 0


def norm_cost(args: Args, shapes: Sequence[Shape], shape: Shape) -> tuple[int, int]:
    """Scale and shift of each channel."""
    return (2 * shape[0] if args.get("affine", True) else 0), 0


def conv_cost(args: Args, shapes: Sequence[Shape], shape: Shape) -> tuple[int, int]:
    """A convolution with square windows, in groups or not."""
    axes = len(shape) - 1
    weights = args["in_channels"] // args.get("groups", 1) * args["out_channels"] * args["kernel_size"] ** axes
    return weights + (args["out_channels"] if args["bias"] else 0), weights * prod(shape[1:])


def separable_cost(args: Args, shapes: Sequence[Shape], shape: Shape) -> tuple[int, int]:
    """Depthwise, then pointwise at the output's size."""
    weights = args["in_channels"] * (args["kernel_size"] ** (len(shape) - 1) + args["out_channels"])
    return weights + (args["out_channels"] if args["bias"] else 0), weights * prod(shape[1:])


def preact_cost(args: Args, shapes: Sequence[Shape], shape: Shape) -> tuple[int, int]:
    """A convolution without bias and the norm behind it."""
    n_params, n_macs = conv_cost({**args, "bias": False}, shapes, shape)
    return n_params + 2 * shape[0], n_macs


def linear_cost(args: Args, shapes: Sequence[Shape], shape: Shape) -> tuple[int, int]:
    """A dense layer over a vector."""
    weights = args["in_features"] * args["out_features"]
    return weights + (args["out_features"] if args["bias"] else 0), weights


# -- words ----------------------------------------------------------------------------------------
def kernel_words(kernel: int, dims: int) -> str:
    """ "3×3" for images, "3" for signals."""
    return "×".join([str(kernel)] * dims)


def windowed(title: str, dims: int) -> Callable[[Args], tuple[str, str]]:
    """Words of an operation with a window: "conv", "3×3 /2"."""

    def words(args: Args) -> tuple[str, str]:
        stride = args.get("stride", 1)
        apart = f" /{stride}" if stride != 1 and stride != args["kernel_size"] else ""
        return title, kernel_words(args["kernel_size"], dims) + apart

    return words


def named(title: str, detail: str = "") -> Callable[[Args], tuple[str, str]]:
    """The same words whatever the arguments."""
    return lambda args: (title, detail)
