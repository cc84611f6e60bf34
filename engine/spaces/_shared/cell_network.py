"""What the spaces of free cells share: operations, the skeleton around the cell, its costs. See `graph` and `tree`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from typing import Any, ClassVar, Literal, cast

from pydantic import Field

from engine.architecture import Architecture
from engine.data.spec import DataSpec
from engine.network import canonical
from engine.network import costs as closed_form
from engine.network.assemble import Assembler
from engine.network.canonical import Item
from engine.network.morphism import Made
from engine.network.operations import kernel_words
from engine.network.plan import Costs, NetworkPlan
from engine.spaces._options import Names, SpaceOptions, offers
from engine.spaces._outline import Outline, input_words
from engine.spaces._shared.sequence_stems import word_stem
from engine.spaces.base import SearchSpace

Operation = Literal["conv1", "conv3", "conv5", "sep3", "sep5", "dil3", "dil5", "max3", "avg3", "skip"]
OPERATIONS: tuple[Operation, ...] = (
    "conv1", "conv3", "conv5", "sep3", "sep5", "dil3", "dil5", "max3", "avg3", "skip",
)  # fmt: skip
Join = Literal["sum", "concat"]
LABELS = {
    "conv1": "conv 1", "conv3": "conv 3", "conv5": "conv 5", "sep3": "separable 3", "sep5": "separable 5",
    "dil3": "dilated 3", "dil5": "dilated 5", "max3": "max 3", "avg3": "avg 3", "skip": "skip",
}  # fmt: skip
#: drawings of operations in words: (title, window)
_TITLES = {"conv": "conv", "sep": "separable", "dil": "dilated", "max": "max", "avg": "avg"}
#: a norm's tensors behind its name
_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
#: tensors of each kind of operation in the built network, its last norm first
TENSORS: dict[str, tuple[str, ...]] = {
    "conv": (*(f"norm.{t}" for t in _NORM), "conv.weight"),
    "dil": (*(f"norm.{t}" for t in _NORM), "depthwise.weight", "pointwise.weight"),
    "sep": (
        *(f"norm2.{t}" for t in _NORM), *(f"norm1.{t}" for t in _NORM),
        "depthwise1.weight", "pointwise1.weight", "depthwise2.weight", "pointwise2.weight",
    ),
}  # fmt: skip
#: tensors that a larger window grows in
_WINDOWS = {"conv": ("conv.weight",), "dil": ("depthwise.weight",), "sep": ("depthwise1.weight", "depthwise2.weight")}
#: signals are shortened, images made smaller in front of the first cell to at most this
_MOST = {"image": 64, "signal": 512, "text": 512}


class CellOptions(SpaceOptions):
    """The skeleton around the cell, and what the cell is made of."""

    channels: int = Field(16, ge=1, le=512, description="Channels of the first stage; each reduction doubles them.")
    stages: int = Field(
        3, ge=1, le=4,
        description="Stages with a reduction between them; fewer where the data is too small to be halved so often.",
    )  # fmt: skip
    cells: int = Field(2, ge=1, le=20, description="Equal cells in each stage.")
    operations: Names[Operation] = Field(
        ("conv1", "conv3", "sep3", "sep5", "dil3", "max3", "avg3", "skip"),
        description="Operations that can stand in the cell.",
        json_schema_extra=offers(*OPERATIONS, labels=LABELS),
    )


class CellNetwork(SearchSpace):
    """Stem, stages of equal cells with residual reductions between them, global average, classifier."""

    Options: ClassVar[type[CellOptions]]

    @property
    def _cells(self) -> CellOptions:
        return cast(CellOptions, self.options)

    @classmethod
    def fits(cls, data: DataSpec) -> str | None:
        """Images, signals and text (through an embedding)."""
        if data.kind == "table":
            return "its operations slide windows over an image, a signal or a text; columns of a table have no order"
        return None

    @classmethod
    def suggested(cls, data: DataSpec) -> dict[str, Any]:
        """Two stages of one cell for what is small."""
        small = prod(data.input_shape[1:] or data.input_shape) <= 256
        return {"stages": 2, "cells": 1} if small else {"cells": 1} if data.kind != "image" else {}

    # -- what a space of cells says ------------------------------------------------------------
    @abstractmethod
    def _cell(self, net: Assembler, x: str, arch: Architecture, name: str, group: str, channels: int) -> str:
        """Adds one cell behind `x`; its last node is the cell's output."""

    @abstractmethod
    def _cell_items(self, arch: Architecture) -> list[Item]:
        """The cell for `network.canonical`, its output last; average pooling and the like as `item` makes them."""

    @abstractmethod
    def _cell_outline(self, drawing: Outline, repeat: str | None) -> str:
        """Adds the places of the cell with its decisions to the drawing, returns the name of the last."""

    # -- the network --------------------------------------------------------------------------
    @property
    def _dims(self) -> int:
        return len(self.data.input_shape) - 1 if self.data and self.data.kind != "text" else 1 if self.data else 2

    def plan(self, arch: Architecture) -> NetworkPlan:
        """The whole network."""
        return self._network(arch, self._cells.cells)

    def _network(self, arch: Architecture, cells: int) -> NetworkPlan:
        net = self._assembler()
        channels, dims = self._cells.channels, f"{self._dims}d"
        x = self._stem(net, channels)
        for stage in range(1, self._cells.stages + 1):
            if stage > 1:
                if min(net.shape(x)[1:]) < 2:
                    break
                channels *= 2
                x = _reduction(net, x, stage - 1, channels)
            for i in range(1, cells + 1):
                x = self._cell(net, x, arch, f"stage{stage}.cell{i}", f"stage {stage}", channels)
        x = net.add("last_norm", f"batch_norm{dims}", x, group="head")
        x = net.add("last_relu", "relu", x, group="head")
        x = net.add("global_pool", f"global_avg_pool{dims}", x, group="head")
        net.add("output", "linear", x, group="output", out_features=self.n_classes)
        return net.finish()

    def _stem(self, net: Assembler, channels: int) -> str:
        """Words become vectors; what is large is halved first; then a convolution and a norm."""
        data, dims = self._bound(), f"{self._dims}d"
        x = word_stem(net, data, channels) if data.kind == "text" else "input"
        number = 1
        while True:
            large = min(net.shape(x)[1:]) > _MOST[data.kind]
            x = net.add(f"stem{number}_conv", f"conv{dims}", x, group="stem",
                        out_channels=channels, kernel_size=3, stride=2 if large else 1, bias=False)  # fmt: skip
            x = net.add(f"stem{number}_norm", f"batch_norm{dims}", x, group="stem")
            if not large:
                return x
            x = net.add(f"stem{number}_relu", "relu", x, group="stem")
            number += 1

    def _costs(self, arch: Architecture) -> Costs:
        """The skeleton's and, as often as there are cells, what one cell in each stage adds."""
        cache = self._cache("skeleton")
        if not cache:
            cache["costs"] = closed_form.costs(self._network(arch, 0))
        bare: Costs = cache["costs"]
        one, times = closed_form.costs(self._network(arch, 1)), self._cells.cells
        return Costs(
            bare.n_params + times * (one.n_params - bare.n_params),
            bare.n_macs + times * (one.n_macs - bare.n_macs),
            bare.activation_bytes + times * (one.activation_bytes - bare.activation_bytes),
        )

    def _every_cell(self, made: Callable[[int], Mapping[str, Made]]) -> dict[str, Made]:
        """The same for all cells.

        Args:
            made: channels of a cell -> how its tensors are made; names and sources are those within a cell.
        """
        out = {}
        channels = {n.cell.split(".")[0]: n.shape[0] for n in self._skeleton_plan().nodes if n.cell}
        for stage, width in channels.items():
            for i in range(1, self._cells.cells + 1):
                prefix = f"{stage}_cell{i}."
                for name, m in made(width).items():
                    out[prefix + name] = replace(m, source=prefix + m.source) if m.source else m
        return out

    def _skeleton_plan(self) -> NetworkPlan:
        cache = self._cache("stages")
        if not cache:
            first = self._walk(lambda d: d.options[0])
            cache["plan"] = self._network(first, 1)
        plan: NetworkPlan = cache["plan"]
        return plan

    # -- identity -----------------------------------------------------------------------------
    def _canonical_key(self, arch: Architecture) -> str:
        """The skeleton and the canonical form of the cell, by the plan's own rules and one more: channels may be joined
        in any order, since the projection that alone reads them has weights for each.
        """
        o = self._cells
        items = self._cell_items(arch)
        skeleton = f"{self.name} {o.channels} {o.stages} {o.cells} {self._bound().kind} {self.input_shape}"
        form = canonical.canonical_form(tuple(items), len(items) - 1)
        vocabulary = self._bound().vocabulary
        return canonical.digest(f"{skeleton} {vocabulary} {self.n_classes} {form}")

    # -- words --------------------------------------------------------------------------------
    def _operation_words(self, op: str) -> str:
        """ "separable 5×5" for images, "separable 5" for the rest."""
        if op == "skip":
            return op
        return f"{_TITLES[op[:-1]]} {kernel_words(int(op[-1]), self._dims)}"

    def outline(self) -> dict[str, Any]:
        """Stem, stages of cells with reductions, head; the decisions stand at the cell."""
        o = self._cells
        drawing = Outline(self)
        kind, detail = input_words(self.data.kind if self.data else "image", self.data.input_shape if self.data else ())
        drawing.part("input", "input", kind, detail)
        drawing.part("stem", "conv", "stem", f"{o.channels} channels")
        last = "stem"
        drawing.edge("input", "stem")
        for stage in range(1, o.stages + 1):
            if stage > 1:
                name = f"reduce{stage - 1}"
                detail = f"to {o.channels * 2 ** (stage - 1)} channels, half the size"
                drawing.edge(last, drawing.part(name, "conv", "reduction", detail))
                last = name
            repeat = f"{o.cells} times" if o.cells > 1 else None
            if stage == 1:
                at = len(drawing.parts)
                end = self._cell_outline(drawing, repeat)
                drawing.edge(last, drawing.parts[at]["id"])
                last = end
            else:
                drawing.edge(last, drawing.part(f"stage{stage}", "cell", "cell", repeat or "once", repeat=repeat))
                last = f"stage{stage}"
        drawing.edge(last, drawing.part("global", "pool", "global avg"))
        detail = f"{self.data.n_classes} classes" if self.data else ""
        drawing.edge("global", drawing.part("output", "output", "linear", detail))
        return drawing.done()


def _reduction(net: Assembler, x: str, number: int, channels: int) -> str:
    """Residual block of stride 2, its short cut an average of 2 and a 1×1 convolution (as in NAS-Bench-201)."""
    group, part = f"reduction {number}", f"reduce{number}"
    shape = net.shape(x)
    dims = f"{len(shape) - 1}d"
    odd = any(side % 2 for side in shape[1:])
    conv = f"relu_conv{dims}_norm"
    y = net.add(f"{part}_conv1", conv, x, group=group, out_channels=channels, kernel_size=3, stride=2)
    y = net.add(f"{part}_conv2", conv, y, group=group, out_channels=channels, kernel_size=3)
    z = net.add(f"{part}_pool", f"avg_pool{dims}", x, group=group, kernel_size=2, stride=2, ceil_mode=odd)
    z = net.add(f"{part}_project", f"conv{dims}", z, group=group, out_channels=channels, kernel_size=1, bias=False)
    return net.add(f"{part}_add", "add", y, z, group=group)


def add_operation(net: Assembler, id: str, op: str, x: str, group: str, cell: str) -> str:
    """One operation of a cell: the channels and the size stay."""
    channels = net.shape(x)[0]
    dims = len(net.shape(x)) - 1
    where = {"group": group, "cell": cell}
    if op == "skip":
        return net.add(id, "identity", x, **where)
    kind, kernel = op[:-1], int(op[-1])
    if kind == "conv":
        return net.add(id, f"relu_conv{dims}d_norm", x, **where, out_channels=channels, kernel_size=kernel)
    if kind in ("sep", "dil"):
        return net.add(id, f"relu_{kind}_conv_norm", x, **where, out_channels=channels, kernel_size=kernel)
    # what lies outside does not count: an average of fewer at the border
    border: dict[str, Any] = {"count_include_pad": False} if kind == "avg" else {}
    return net.add(id, f"{kind}_pool{dims}d", x, **where, kernel_size=kernel, stride=1, padding=kernel // 2, **border)


def add_join(net: Assembler, id: str, how: str, sources: list[str], group: str, cell: str) -> str:
    """Several tensors as one of the same channels: their sum, or joined channels and a 1×1 convolution."""
    if how == "sum":
        return net.add(id, "add", *sources, group=group, cell=cell)
    channels, dims = net.shape(sources[0])[0], len(net.shape(sources[0])) - 1
    x = net.add(f"{id}_concat", "concat", *sources, group=group, cell=cell)
    return net.add(id, f"relu_conv{dims}d_norm", x, group=group, cell=cell, out_channels=channels, kernel_size=1)


def item(op: str, source: int) -> Item:
    """One operation for `network.canonical`."""
    if op == "skip":
        return Item(op, "identity", True, (source,))
    return Item(op, "op", op in ("max3", "avg3"), (source,), linear=op == "avg3")


def join_item(how: str, sources: list[int]) -> Item:
    """A join of two or more."""
    if how == "sum":
        return Item("sum", "sum", True, tuple(sources))
    return Item("concat", "op", False, tuple(sources), commutes=True)


# -- weights of what is new -----------------------------------------------------------------------
def wider_windows(op: str, operations: tuple[str, ...]) -> list[str]:
    """Operations of the same kind with a larger window: the smaller one in the middle of zeros is one of them."""
    if op[:-1] not in TENSORS:
        return []
    return [o for o in operations if o[:-1] == op[:-1] and o[-1] > op[-1]]


def window_weights(id: str, old: str, new: str, dims: int) -> dict[str, Made]:
    """Tensors of an operation whose window grew."""
    more = (int(new[-1]) - int(old[-1])) // 2
    pad = {axis: (more, more) for axis in range(2, 2 + dims)}
    return {f"{id}.{name}": Made(f"{id}.{name}", pad=pad) for name in _WINDOWS[old[:-1]]}


def silent_weights(id: str, op: str) -> dict[str, Made]:
    """Tensors of a new operation whose last norm begins at zero: it adds nothing until it has learned something."""
    zeros = TENSORS[op[:-1]][:2]
    return {f"{id}.{name}": Made(fill="zeros" if name in zeros else "fresh") for name in TENSORS[op[:-1]]}


def moved_weights(before: str, id: str, op: str) -> dict[str, Made]:
    """Tensors of an operation that now has another name."""
    return {f"{id}.{name}": Made(f"{before}.{name}") for name in TENSORS.get(op[:-1], ())}
