"""The table of operations: what each does to shapes, what it costs, what people call it, and the block that runs it.

Everything here is closed formulas over literal arguments: no torch. A new operation is one entry of `OPERATIONS` and,
where `torch.nn` lacks it, one class in `network.blocks`.
"""

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


def module_path(node: Node) -> tuple[str, ...]:
    """Where a node's module lives: `("stem_conv",)`, or `("stage1_cell2", "edge01")` inside a repeated cell.

    Joined by dots it is the prefix of the node's weights, in the built network and in the exported model.py.
    """
    cell = node.cell.replace(".", "_")
    if cell and node.id.startswith(f"{cell}_"):
        return (cell, node.id.removeprefix(f"{cell}_"))
    return (node.id,)


# -- shapes ---------------------------------------------------------------------------------------
def _same(args: Args, shapes: Sequence[Shape]) -> Shape:
    return shapes[0]


def _equal(args: Args, shapes: Sequence[Shape]) -> Shape:
    if any(shape != shapes[0] for shape in shapes):
        raise CannotBuild(f"a sum needs equal shapes, got {', '.join(map(str, shapes))}")
    return shapes[0]


def _window(args: Args, size: int) -> int:
    """Output length of a sliding window (torch's formula, with `ceil_mode`)."""
    kernel, stride, padding = args["kernel_size"], args.get("stride", 1), args.get("padding", 0)
    span = size + 2 * padding - args.get("dilation", 1) * (kernel - 1) - 1
    if span < 0:
        raise CannotBuild(f"a window of {kernel} does not fit into {size} (padding {padding})")
    out = span // stride + 1
    if args.get("ceil_mode") and span % stride and out * stride < size + padding:
        out += 1
    return int(out)


def _spatial(shapes: Sequence[Shape], dims: int, what: str) -> Shape:
    if len(shapes[0]) != dims + 1:
        raise CannotBuild(f"{what} needs {dims + 1} axes (channels first), got the shape {shapes[0]}")
    return shapes[0]


def _conv_shape(dims: int) -> Callable[[Args, Sequence[Shape]], Shape]:
    def infer(args: Args, shapes: Sequence[Shape]) -> Shape:
        channels, *sides = _spatial(shapes, dims, "a convolution")
        if channels != args["in_channels"]:
            raise CannotBuild(f"a convolution of {args['in_channels']} channels got {channels}")
        return (int(args["out_channels"]), *(_window(args, side) for side in sides))

    return infer


def _pool_shape(dims: int) -> Callable[[Args, Sequence[Shape]], Shape]:
    def infer(args: Args, shapes: Sequence[Shape]) -> Shape:
        channels, *sides = _spatial(shapes, dims, "pooling")
        return (channels, *(_window(args, side) for side in sides))

    return infer


def _concat_shape(args: Args, shapes: Sequence[Shape]) -> Shape:
    if any(shape[1:] != shapes[0][1:] for shape in shapes):
        raise CannotBuild(f"joining channels needs equal sizes, got {', '.join(map(str, shapes))}")
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])


def _linear_shape(args: Args, shapes: Sequence[Shape]) -> Shape:
    if shapes[0] != (args["in_features"],):
        raise CannotBuild(f"a dense layer of {args['in_features']} inputs got the shape {shapes[0]}")
    return (int(args["out_features"]),)


# -- constructor arguments ------------------------------------------------------------------------
def _conv_args(args: Args, shapes: Sequence[Shape]) -> dict[str, Any]:
    """A convolution keeps its size (odd kernels, stride 1) unless told otherwise."""
    kernel = args["kernel_size"]
    defaults = {"stride": 1, "padding": args.get("dilation", 1) * (kernel - 1) // 2, "bias": True}
    return {"in_channels": shapes[0][0], **defaults, **args}


def _linear_args(args: Args, shapes: Sequence[Shape]) -> dict[str, Any]:
    return {"in_features": shapes[0][0], "bias": True, **args}


def _batch_norm_args(args: Args, shapes: Sequence[Shape]) -> dict[str, Any]:
    return {"num_features": shapes[0][0], **args}


def _group_norm_args(args: Args, shapes: Sequence[Shape]) -> dict[str, Any]:
    channels = shapes[0][0]
    # eight groups, or the most that divide the channels
    return {"num_groups": next(g for g in (8, 4, 2, 1) if channels % g == 0), "num_channels": channels, **args}


# -- costs ----------------------------------------------------------------------------------------
def _free(args: Args, shapes: Sequence[Shape], shape: Shape) -> tuple[int, int]:
    return 0, 0


def _norm_cost(args: Args, shapes: Sequence[Shape], shape: Shape) -> tuple[int, int]:
    return (2 * shape[0] if args.get("affine", True) else 0), 0


def _conv_cost(args: Args, shapes: Sequence[Shape], shape: Shape) -> tuple[int, int]:
    axes = len(shape) - 1
    weights = args["in_channels"] // args.get("groups", 1) * args["out_channels"] * args["kernel_size"] ** axes
    return weights + (args["out_channels"] if args["bias"] else 0), weights * prod(shape[1:])


def _separable_cost(args: Args, shapes: Sequence[Shape], shape: Shape) -> tuple[int, int]:
    weights = args["in_channels"] * (args["kernel_size"] ** (len(shape) - 1) + args["out_channels"])
    return weights + (args["out_channels"] if args["bias"] else 0), weights * prod(shape[1:])


def _preact_cost(args: Args, shapes: Sequence[Shape], shape: Shape) -> tuple[int, int]:
    n_params, n_macs = _conv_cost({**args, "bias": False}, shapes, shape)
    return n_params + 2 * shape[0], n_macs


def _linear_cost(args: Args, shapes: Sequence[Shape], shape: Shape) -> tuple[int, int]:
    weights = args["in_features"] * args["out_features"]
    return weights + (args["out_features"] if args["bias"] else 0), weights


# -- words ----------------------------------------------------------------------------------------
def kernel_words(kernel: int, dims: int) -> str:
    """ "3×3" for images, "3" for signals."""
    return "×".join([str(kernel)] * dims)


def _windowed(title: str, dims: int) -> Callable[[Args], tuple[str, str]]:
    def words(args: Args) -> tuple[str, str]:
        stride = args.get("stride", 1)
        apart = f" /{stride}" if stride != 1 and stride != args["kernel_size"] else ""
        return title, kernel_words(args["kernel_size"], dims) + apart

    return words


def _named(title: str, detail: str = "") -> Callable[[Args], tuple[str, str]]:
    return lambda args: (title, detail)


_BLOCKS = "engine.network.blocks"


def _table() -> dict[str, Operation]:
    ops: list[Operation] = []
    for dims in (1, 2):
        d = f"{dims}d"
        axes = "(2, 3)" if dims == 2 else "2"
        conv, pool = _conv_shape(dims), _pool_shape(dims)
        ops += [
            Operation(f"conv{d}", "conv", f"torch.nn:Conv{d}", conv, _conv_cost, _windowed("conv", dims), _conv_args),
            Operation(
                f"separable_conv{d}", "sep", f"{_BLOCKS}:SeparableConv{d}", conv, _separable_cost,
                _windowed("separable", dims), _conv_args,
            ),
            Operation(
                f"relu_conv{d}_norm", "conv", f"{_BLOCKS}:ReLUConv{d}Norm", conv, _preact_cost,
                _windowed("conv", dims), lambda a, s: {k: v for k, v in _conv_args(a, s).items() if k != "bias"},
                remark="in cells and reductions each convolution has relu before and batch norm behind it",
            ),
            Operation(
                f"batch_norm{d}", "norm", f"torch.nn:BatchNorm{d}", _same, _norm_cost,
                _named("batch norm"), _batch_norm_args,
            ),
            Operation(f"max_pool{d}", "pool", f"torch.nn:MaxPool{d}", pool, _free, _windowed("max", dims)),
            Operation(f"avg_pool{d}", "pool", f"torch.nn:AvgPool{d}", pool, _free, _windowed("avg", dims)),
            Operation(
                f"global_avg_pool{d}", "pool", f"{_BLOCKS}:GlobalAvgPool{d}",
                lambda a, s, dims=dims: _spatial(s, dims, "global pooling")[:1],  # type: ignore[misc]
                _free, _named("global", "avg"), expression="{x}.mean(dim=" + axes + ")",
            ),
        ]  # fmt: skip
    ops += [
        Operation(
            "group_norm", "norm", "torch.nn:GroupNorm", _same, _norm_cost, _named("group norm"), _group_norm_args
        ),
        Operation("relu", "act", "torch.nn:ReLU", _same, _free, _named("relu"), expression="F.relu({x})"),
        Operation("silu", "act", "torch.nn:SiLU", _same, _free, _named("silu"), expression="F.silu({x})"),
        Operation("gelu", "act", "torch.nn:GELU", _same, _free, _named("gelu"), expression="F.gelu({x})"),
        Operation(
            "linear", "dense", "torch.nn:Linear", _linear_shape, _linear_cost,
            lambda a: ("dense", str(a["out_features"])), _linear_args,
        ),
        Operation(
            "dropout", "drop", "torch.nn:Dropout", _same, _free,
            lambda a: ("dropout", f"{a['p']:g}"), train_only=True,
        ),
        Operation(
            "flatten", "other", "torch.nn:Flatten", lambda a, s: (prod(s[0]),), _free, _named("flatten"),
            expression="{x}.flatten(1)",
        ),
        Operation("add", "add", f"{_BLOCKS}:Add", _equal, _free, _named("add"), expression="+", role="sum"),
        Operation("concat", "concat", f"{_BLOCKS}:Concat", _concat_shape, _free, _named("concat"), expression="cat"),
        Operation(
            "identity", "identity", "torch.nn:Identity", _same, _free, _named("skip"),
            expression="{x}", role="identity",
        ),
        Operation(
            "zero", "zero", f"{_BLOCKS}:Zero", _same, _free, _named("none"),
            expression="torch.zeros_like({x})", role="zero",
        ),
    ]  # fmt: skip
    return {op.name: op for op in ops}


OPERATIONS: dict[str, Operation] = _table()
