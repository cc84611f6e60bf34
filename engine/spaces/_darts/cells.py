"""The cells of NASNet and DARTS: their operations, how one is written into a plan, and what it is up to renaming."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from engine.network.assemble import Assembler
from engine.network.canonical import Item, canonical_form

Operation = Literal[
    "none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3",
    "dil_conv_5x5", "conv_3x1_1x3", "conv_7x1_1x7", "max_pool_5x5", "max_pool_7x7", "conv_1x1", "conv_3x3",
    "sep_conv_7x7",
]  # fmt: skip
#: Liu et al. 2019, in the order of their primitives
DARTS_OPS: tuple[Operation, ...] = (
    "none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3",
    "dil_conv_5x5",
)  # fmt: skip
#: Zoph et al. 2018, section 3
NASNET_OPS: tuple[Operation, ...] = (
    "skip_connect", "conv_3x1_1x3", "conv_7x1_1x7", "dil_conv_3x3", "avg_pool_3x3", "max_pool_3x3", "max_pool_5x5",
    "max_pool_7x7", "conv_1x1", "conv_3x3", "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7",
)  # fmt: skip
#: Liu et al. 2018 (PNAS), section 3.1; Real et al. 2019 (AmoebaNet) use the same
PNAS_OPS: tuple[Operation, ...] = (
    "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7", "conv_7x1_1x7", "skip_connect", "avg_pool_3x3", "max_pool_3x3",
    "dil_conv_3x3",
)  # fmt: skip
ALL_OPS: tuple[Operation, ...] = (*DARTS_OPS, *(op for op in NASNET_OPS if op not in DARTS_OPS))
#: they have no second axis to go along on signals
ONLY_2D: tuple[Operation, ...] = ("conv_3x1_1x3", "conv_7x1_1x7")

WORDS: dict[str, str] = {
    "none": "none",
    "max_pool_3x3": "max 3×3",
    "max_pool_5x5": "max 5×5",
    "max_pool_7x7": "max 7×7",
    "avg_pool_3x3": "avg 3×3",
    "skip_connect": "skip",
    "sep_conv_3x3": "separable 3×3",
    "sep_conv_5x5": "separable 5×5",
    "sep_conv_7x7": "separable 7×7",
    "dil_conv_3x3": "dilated 3×3",
    "dil_conv_5x5": "dilated 5×5",
    "conv_1x1": "conv 1×1",
    "conv_3x3": "conv 3×3",
    "conv_3x1_1x3": "conv 1×3 3×1",
    "conv_7x1_1x7": "conv 1×7 7×1",
}
#: in a trial's short name
SHORT: dict[str, str] = {
    "none": "none",
    "max_pool_3x3": "max3",
    "max_pool_5x5": "max5",
    "max_pool_7x7": "max7",
    "avg_pool_3x3": "avg3",
    "skip_connect": "skip",
    "sep_conv_3x3": "sep3",
    "sep_conv_5x5": "sep5",
    "sep_conv_7x7": "sep7",
    "dil_conv_3x3": "dil3",
    "dil_conv_5x5": "dil5",
    "conv_1x1": "conv1",
    "conv_3x3": "conv3",
    "conv_3x1_1x3": "1x3",
    "conv_7x1_1x7": "1x7",
}

#: one intermediate node: state and operation of its first term, and of its second
Block = tuple[int, str, int, str]
#: nodes 2, 3, ... in order; states 0 and 1 are the outputs of the last cell but one and of the last cell
Cell = tuple[Block, ...]
Combine = Literal["all", "loose"]


def joined(cell: Cell, combine: Combine) -> tuple[int, ...]:
    """The nodes a cell joins to its output: all, or those that no other node reads (what `none` reads stays loose)."""
    read: set[int] = set()
    if combine == "loose":
        for i, op1, j, op2 in cell:
            if op1 != "none":
                read.add(i)
            if op2 != "none":
                read.add(j)
    return tuple([n for n in range(2, len(cell) + 2) if n not in read])


def node_args(op: str, dims: int, stride: int, channels: int) -> tuple[str, dict[str, Any]]:
    """(operation of the plan, its arguments) of an operation on an edge; not for `none`."""
    if op == "skip_connect":
        return ("identity", {}) if stride == 1 else ("factorized_reduce", {"out_channels": channels})
    kernel = int(op[-1])
    sized: dict[str, Any] = {"kernel_size": kernel, "stride": stride}
    if op.startswith("max"):
        return f"max_pool{dims}d", {**sized, "padding": kernel // 2}
    if op.startswith("avg"):
        return f"avg_pool{dims}d", {**sized, "padding": kernel // 2, "count_include_pad": False}
    sized = {"out_channels": channels, **sized}
    if op.startswith("sep"):
        return "relu_sep_conv_norm", sized
    if op.startswith("dil"):
        return "relu_dil_conv_norm", sized
    return ("relu_split_conv2d_norm" if op in ONLY_2D else f"relu_conv{dims}d_norm"), sized


class Place(NamedTuple):
    """Where a cell stands.

    Attributes:
        name: the cell's, a prefix of its nodes.
        inputs: outputs of the last cell but one and of the last cell.
        channels: of each state.
        reduction: the operations that read the inputs have stride 2.
        reduced: the last cell halved the size, so that the first input is twice as large as the second.
        group: see `Node`.
    """

    name: str
    inputs: tuple[str, str]
    channels: int
    reduction: bool
    reduced: bool
    group: str

    @property
    def part(self) -> dict[str, Any]:
        """Arguments of all its nodes."""
        return {"group": self.group, "cell": self.name}

    def stride(self, source: int) -> int:
        """Of the operations that read this state."""
        return 2 if self.reduction and source < 2 else 1


def write_inputs(net: Assembler, place: Place) -> list[str]:
    """Appends what brings both inputs of a cell to its channels and to one size: states 0 and 1."""
    name, part = place.name, {**place.part, "out_channels": place.channels}
    point = f"relu_conv{len(net.input_shape) - 1}d_norm"
    if place.reduced:
        first = net.add(f"{name}_pre0", "factorized_reduce", place.inputs[0], **part)
    else:
        first = net.add(f"{name}_pre0", point, place.inputs[0], **part, kernel_size=1)
    return [first, net.add(f"{name}_pre1", point, place.inputs[1], **part, kernel_size=1)]


def write_cell(net: Assembler, place: Place, cell: Cell, combine: Combine) -> str:
    """Appends one cell to a plan.

    Args:
        net: the plan.
        place: where the cell stands.
        cell, combine: what it does.

    Returns:
        The id of its output: the joined nodes.
    """
    dims, name, part = len(net.input_shape) - 1, place.name, place.part
    states = write_inputs(net, place)
    for n, (i, op1, j, op2) in enumerate(cell, start=2):
        terms = []
        for side, source, op in ((1, i, op1), (2, j, op2)):
            if op != "none":
                kind, args = node_args(op, dims, place.stride(source), place.channels)
                terms.append(net.add(f"{name}_node{n}_op{side}", kind, states[source], **part, **args))
        if not terms:
            if place.reduction:
                terms = [net.add(f"{name}_node{n}_zero", "strided_zero", states[1], **part, stride=2)]
            else:
                terms = [net.add(f"{name}_node{n}_zero", "zero", states[1], **part)]
        states.append(net.add(f"{name}_node{n}", "add", *terms, **part))
    return net.add(f"{name}_output", "concat", *(states[n] for n in joined(cell, combine)), **part)


def _items() -> dict[tuple[str, int], Item]:
    """What an operation is for the identity of a cell, by (operation, stride)."""
    out: dict[tuple[str, int], Item] = {}
    for op in ALL_OPS:
        for stride in (1, 2):
            pool, avg = op.startswith(("max", "avg")), op.startswith("avg")
            out[op, stride] = Item(f"{op}/{stride}", "op", pool, (), keeps_zero=pool, linear=avg)
    return out


_ITEMS = _items()
_INPUT = Item("input", "op", False, (-1,))


def cell_form(cell: Cell, combine: Combine, stride: int, *, alike: bool = False) -> str:
    """Exact canonical text of a cell, the same for cells that only name nodes or write terms in another order.

    Args:
        cell, combine: what it does.
        stride: of the operations that read the inputs.
        alike: both inputs come from the same tensor, by a convolution each, and can be exchanged.

    The joined nodes count in any order: another order permutes the channels of the cell's output, and all that reads
    it (pointwise convolutions, the classifier behind the global average) takes its input channels in any order, with
    weights that start equally distributed: the two networks are each other with channels renamed.
    """
    items = [_INPUT, _INPUT] if alike else []
    states = [0, 1] if alike else [-1, -2]
    for i, op1, j, op2 in cell:
        terms = []
        for source, op in ((i, op1), (j, op2)):
            at = stride if source < 2 else 1
            if op == "none":
                continue
            if op == "skip_connect" and at == 1:
                terms.append(states[source])
            else:
                items.append(_ITEMS[op, at]._replace(inputs=(states[source],)))
                terms.append(len(items) - 1)
        items.append(Item("sum", "sum", True, tuple(terms)))
        states.append(len(items) - 1)
    items.append(Item("joined", "op", False, tuple([states[n] for n in joined(cell, combine)]), commutes=True))
    return canonical_form(tuple(items), len(items) - 1)


def reads(cell: Cell) -> tuple[bool, bool]:
    """Whether anything reads the first input, and the second."""
    read = {i for i, op, _, _ in cell if op != "none"} | {j for _, _, j, op in cell if op != "none"}
    return 0 in read, 1 in read
