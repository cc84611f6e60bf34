"""A sequence of layers: convolution blocks with optional skip connections, pooling, a head."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from math import prod
from typing import Any, ClassVar, Literal, cast

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from engine.architecture import Architecture, Option
from engine.data.spec import DataSpec
from engine.network.assemble import Assembler
from engine.network.operations import kernel_words
from engine.network.plan import NetworkPlan
from engine.spaces._options import MAX_CHANNELS, Channels, Depth, Names, Scale, SpaceOptions, offers
from engine.spaces.base import Decision, SearchSpace

Operation = Literal["conv3", "conv5", "conv7", "sep3", "sep5", "sep7"]
Norm = Literal["batch", "group", "none"]
Activation = Literal["relu", "silu", "gelu"]
Pool = Literal["max", "avg"]

_PLAIN = {"conv": "conv", "sep": "separable"}
_OPERATIONS = {
    "conv3": "conv 3×3",
    "conv5": "conv 5×5",
    "conv7": "conv 7×7",
    "sep3": "separable 3×3",
    "sep5": "separable 5×5",
    "sep7": "separable 7×7",
}
_HEAD = ("norm", "activation", "dense", "dropout")


class LayersOptions(SpaceOptions):
    """Which options each decision offers; a decision with one option is settled."""

    depth: Scale[Depth] = Field(
        (3, 4, 5, 6), description="Number of blocks.", json_schema_extra=offers(*range(1, 9), unit="blocks")
    )
    width: Scale[Channels] = Field(
        (16, 24, 32, 48),
        description="Channels of the stem and the first blocks.",
        json_schema_extra=offers(8, 16, 24, 32, 48, 64, unit="channels"),
    )
    operation: Names[Operation] = Field(
        ("conv3", "conv5", "sep3", "sep5"),
        description="Convolution of a block, each block by itself.",
        json_schema_extra=offers(*_OPERATIONS, labels=_OPERATIONS, advanced=True),
    )
    skip: Names[bool] = Field(
        (False, True),
        description="Whether a block's input is added to its output, each block by itself.",
        json_schema_extra=offers(False, True, labels={False: "no skip", True: "skip"}, advanced=True),
    )
    pool_after: tuple[Depth, ...] = Field(
        (2, 4),
        max_length=12,
        description="Blocks behind which the image is halved (while it has 4 pixels or more, and blocks follow).",
        json_schema_extra=offers(*range(1, 9), unit="blocks", advanced=True),
    )
    pool: Names[Pool] = Field(
        ("max", "avg"),
        description="Kind of pooling, one for all.",
        json_schema_extra=offers("max", "avg", advanced=True),
    )
    widen: Scale[Literal[1, 2, 4]] = Field(
        (1, 2),
        description="Factor on the channels behind each pooling.",
        json_schema_extra=offers(1, 2, 4, labels={1: "×1", 2: "×2", 4: "×4"}, advanced=True),
    )
    norm: Names[Norm] = Field(
        ("batch", "group", "none"),
        description="Normalisation, one for all blocks.",
        json_schema_extra=offers("batch", "group", "none", advanced=True),
    )
    activation: Names[Activation] = Field(
        ("relu", "silu", "gelu"),
        description="Activation, one for all blocks.",
        json_schema_extra=offers("relu", "silu", "gelu", advanced=True),
    )
    dense: Scale[int] = Field(
        (0, 64, 128),
        description="Units of a dense layer before the output; 0 = none.",
        json_schema_extra=offers(0, 32, 64, 128, 256, unit="units", labels={0: "none"}, advanced=True),
    )
    dropout: Scale[float] = Field(
        (0.0, 0.1, 0.2, 0.3),
        description="Dropout rate before the output.",
        json_schema_extra=offers(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, advanced=True),
    )

    @field_validator("pool_after")
    @classmethod
    def _pools(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) != len(value):
            raise ValueError("each block once")
        return tuple(sorted(value))

    @field_validator("widen")
    @classmethod
    def _widest(cls, value: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        width, pools, depth = (info.data.get(name) for name in ("width", "pool_after", "depth"))
        if width and pools is not None and depth:
            widest = max(width) * max(value) ** sum(1 for k in pools if k < max(depth))
            if widest > MAX_CHANNELS:
                raise ValueError(
                    f"×{max(value)} behind every pooling makes {widest:,} channels of {max(width)}; "
                    f"at most {MAX_CHANNELS:,}: lower the width or the factor, or pool less often"
                )
        return value

    @field_validator("dense")
    @classmethod
    def _units(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if bad := [v for v in value if not 0 <= v <= 16384]:
            raise ValueError(f"units are between 0 (none) and 16,384, not {bad[0]}")
        return value

    @field_validator("dropout")
    @classmethod
    def _rates(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if bad := [v for v in value if not 0 <= v <= 0.9]:
            raise ValueError(f"rates are between 0 and 0.9, not {bad[0]}")
        return value


class Layers(SearchSpace):
    """Stem, then blocks of convolution, norm and activation with or without a skip, pooling between them, a head.

    Decisions: depth, width, then (where something is pooled) the kind of pooling and the widening, norm, activation,
    dense units, dropout, then operation and skip of each block; those of block k exist only when depth >= k.
    """

    name: ClassVar[str] = "layers"
    summary: ClassVar[str] = "A sequence of convolution blocks with skips, pooling and a dense head."
    reference: ClassVar[str] = "Baker et al. 2017, Designing Neural Network Architectures using RL (chain-structured)"
    Options: ClassVar[type[BaseModel]] = LayersOptions

    @property
    def _opt(self) -> LayersOptions:
        return cast(LayersOptions, self.options)

    @classmethod
    def fits(cls, data: DataSpec) -> str | None:
        """Images (C, H, W) and signals (C, L)."""
        if len(data.input_shape) not in (2, 3):
            return f"it needs images or signals, this data has {prod(data.input_shape)} plain values a sample"
        return None

    @classmethod
    def suggested(cls, data: DataSpec) -> dict[str, Any]:
        """More pooling and more depth for larger images."""
        side = min(data.input_shape[1:], default=1)
        if side < 16:
            return {}
        if side < 64:
            return {"pool_after": (1, 2, 4)}
        return {"depth": (5, 6, 7, 8), "pool_after": (1, 2, 3, 4, 5), "width": (16, 24, 32)}

    # -- the process --------------------------------------------------------------------------
    def pools(self, depth: int) -> tuple[int, ...]:
        """Blocks behind which a network of this depth pools: where blocks follow and 2 pixels stay."""
        sides = list(self.data.input_shape[1:]) if self.data else [1 << 30]
        out = []
        for k in self._opt.pool_after:
            if k >= depth or min(sides) < 4:
                break
            sides = [side // 2 for side in sides]
            out.append(k)
        return tuple(out)

    @cached_property
    def _depth(self) -> Decision:
        return Decision("depth", self._opt.depth, True, "network", "Number of blocks.")

    @cached_property
    def _fixed(self) -> dict[str, Decision]:
        o = self._opt
        return {
            d.name: d
            for d in (
                Decision("width", o.width, True, "stem", "Channels of the stem and the first blocks."),
                Decision("pool", o.pool, False, "pool", "Kind of pooling, one for all."),
                Decision("widen", o.widen, True, "pool", "Factor on the channels behind each pooling."),
                Decision("norm", o.norm, False, "blocks", "Normalisation, one for all blocks."),
                Decision("activation", o.activation, False, "blocks", "Activation, one for all blocks."),
                Decision("dense", o.dense, True, "head", "Units of a dense layer before the output."),
                Decision("dropout", o.dropout, True, "head", "Dropout rate before the output."),
            )
        }

    @cached_property
    def _block_decisions(self) -> list[Decision]:
        return [
            d
            for k in range(1, max(self._opt.depth) + 1)
            for d in (
                Decision(f"block{k}_op", self._opt.operation, False, f"block {k}", "Convolution of this block."),
                Decision(f"block{k}_skip", self._opt.skip, False, f"block {k}", "Its input is added to its output."),
            )
        ]

    @cached_property
    def _orders(self) -> dict[Option, tuple[Decision, ...]]:
        """Decisions by depth, after the depth itself."""
        fixed = self._fixed
        return {
            depth: (
                fixed["width"],
                *((fixed["pool"], fixed["widen"]) if self.pools(depth) else ()),
                *(fixed[name] for name in _HEAD),
                *self._block_decisions[: 2 * depth],
            )
            for depth in self._opt.depth
        }

    def _next(self, partial: Mapping[str, Option]) -> Decision | None:
        if "depth" not in partial:
            return self._depth
        for decision in self._orders[partial["depth"]]:
            if decision.name not in partial:
                return decision
        return None

    def _all(self) -> list[Decision]:
        fixed = dict(self._fixed)
        if not any(self.pools(depth) for depth in self._opt.depth):
            del fixed["pool"], fixed["widen"]
        return [self._depth, *fixed.values(), *self._block_decisions]

    def count(self, partial: Mapping[str, Option]) -> int:
        """Closed form: a product per depth."""
        if "depth" not in partial:
            depth = self.next(partial)
            return sum(self.count({**partial, "depth": o}) for o in (depth.options if depth else ()))
        allowed = self._allowed
        return prod(
            len(allowed.get(d.name, d.options)) for d in self._orders[partial["depth"]] if d.name not in partial
        )

    # -- the network --------------------------------------------------------------------------
    def plan(self, arch: Architecture) -> NetworkPlan:
        """Stem, blocks, pooling, global average, head."""
        c = arch.choices
        shape = self.input_shape
        dims = f"{len(shape) - 1}d"
        net = Assembler(shape)
        norm, activation = c["norm"], str(c["activation"])

        def tail(x: str, part: str, group: str) -> str:
            if norm == "batch":
                x = net.add(f"{part}_norm", f"batch_norm{dims}", x, group=group)
            elif norm == "group":
                x = net.add(f"{part}_norm", "group_norm", x, group=group)
            return net.add(f"{part}_{activation}", activation, x, group=group)

        depth, channels = int(cast(int, c["depth"])), int(cast(int, c["width"]))
        pools = self.pools(depth)
        bias = norm == "none"
        x = net.add("stem_conv", f"conv{dims}", "input", group="stem", out_channels=channels, kernel_size=3, bias=bias)
        x = tail(x, "stem", "stem")
        for k in range(1, depth + 1):
            group, part = f"block {k}", f"block{k}"
            operation = str(c[f"{part}_op"])
            op = f"conv{dims}" if operation.startswith("conv") else f"separable_conv{dims}"
            before = x
            y = net.add(
                f"{part}_conv", op, x, group=group, out_channels=channels, kernel_size=int(operation[-1]), bias=bias
            )
            x = tail(y, part, group)
            if c[f"{part}_skip"]:
                if net.shape(before) != net.shape(x):
                    before = net.add(
                        f"{part}_project", f"conv{dims}", before, group=group,
                        out_channels=channels, kernel_size=1, bias=False,
                    )  # fmt: skip
                x = net.add(f"{part}_add", "add", x, before, group=group)
            if k in pools:
                at = pools.index(k) + 1
                x = net.add(f"pool{at}", f"{c['pool']}_pool{dims}", x, group=f"pool {at}", kernel_size=2, stride=2)
                channels *= int(cast(int, c["widen"]))
        x = net.add("global_pool", f"global_avg_pool{dims}", x, group="global pool")
        if c["dense"]:
            x = net.add("dense", "linear", x, group="dense", out_features=c["dense"])
            x = net.add(f"dense_{activation}", activation, x, group="dense")
        if c["dropout"]:
            x = net.add("dropout", "dropout", x, group="dropout", p=float(cast(float, c["dropout"])))
        net.add("output", "linear", x, group="output", out_features=self.n_classes)
        return net.finish()

    # -- words --------------------------------------------------------------------------------
    def title(self, decision: str) -> str:
        """ "block 5 operation", "skip of block 5", "widening"."""
        if decision.startswith("block"):
            k, what = decision.removeprefix("block").split("_")
            return f"block {k} operation" if what == "op" else f"skip of block {k}"
        return {"widen": "widening", "dense": "dense layer", "pool": "pooling"}.get(decision, decision)

    def format(self, decision: str, option: Option) -> str:
        """ "separable 5×5", "×2", "none"."""
        if decision.endswith("_op"):
            dims = len(self.data.input_shape) - 1 if self.data else 2
            text = str(option)
            return f"{_PLAIN[text[:-1]]} {kernel_words(int(text[-1]), dims)}"
        if decision == "widen":
            return f"×{option}"
        if decision == "dense" and option == 0:
            return "none"
        return super().format(decision, option)

    def _phrase(self, decision: str, old: Option, new: Option) -> str:
        if decision.endswith("_skip"):
            return f"{self.title(decision)} {'added' if new else 'removed'}"
        if decision.endswith("_op"):
            block = self.title(decision).removesuffix(" operation")
            return f"{block} {self.format(decision, old)} → {self.format(decision, new)}"
        return super()._phrase(decision, old, new)

    def short_name(self, arch: Architecture) -> str:
        """ "5×sep3/conv5+1-48 skip3": depth, the two most frequent operations and how many more, width, skips."""
        c = arch.choices
        depth = int(cast(int, c["depth"]))
        used = Counter(str(c[f"block{k}_op"]) for k in range(1, depth + 1))
        common = sorted(used, key=lambda op: (-used[op], self._opt.operation.index(cast(Operation, op))))
        skips = sum(bool(c[f"block{k}_skip"]) for k in range(1, depth + 1))
        wide = f"×{c['widen']}" if c.get("widen", 1) != 1 else ""
        more = f"+{len(common) - 2}" if len(common) > 2 else ""
        return f"{depth}×{'/'.join(common[:2])}{more}-{c['width']}{wide}" + (f" skip{skips}" if skips else "")

    def outline(self) -> dict[str, Any]:
        """Stem, a block that repeats, pooling, head, each with its decisions."""
        offered = {d.name: d for d in self.all_decisions()}

        def decision(name: str, title: str) -> dict[str, Any]:
            return {"name": name, "title": title, "options": [self.format(name, o) for o in offered[name].options]}

        depth = offered["depth"].options
        several = f"{depth[0]} to {depth[-1]} times" if len(depth) > 1 else f"{depth[0]} times"
        shape = self.data.input_shape if self.data else ()
        image = f"{shape[0]} × {'×'.join(map(str, shape[1:]))}" if shape else ""
        kernel = kernel_words(3, len(shape) - 1 if shape else 2)
        parts: list[dict[str, Any]] = [
            {"id": "input", "kind": "input", "title": "signal" if len(shape) == 2 else "image", "detail": image},
            {"id": "stem", "kind": "conv", "title": "stem", "detail": f"conv {kernel}",
             "decisions": [decision("width", "width")]},
            {"id": "block", "kind": "conv", "title": "block", "detail": several, "repeat": several,
             "decisions": [
                 decision("block1_op", "operation, each block by itself"),
                 decision("block1_skip", "skip, each block by itself"),
                 decision("norm", "norm, one for all"),
                 decision("activation", "activation, one for all"),
             ]},
        ]  # fmt: skip
        if "pool" in offered:
            blocks = [str(k) for k in self.pools(int(cast(int, depth[-1])))]
            parts.append(
                {"id": "pool", "kind": "pool", "title": "pool", "detail": f"behind block {' and '.join(blocks)}",
                 "decisions": [decision("pool", "kind, one for all"), decision("widen", "channels behind it")]}
            )  # fmt: skip
        parts += [
            {"id": "global", "kind": "pool", "title": "global avg", "detail": ""},
            {"id": "dense", "kind": "dense", "title": "dense", "detail": "", "decisions": [decision("dense", "units")]},
            {"id": "dropout", "kind": "drop", "title": "dropout", "detail": "",
             "decisions": [decision("dropout", "rate")]},
            {"id": "output", "kind": "output", "title": "linear",
             "detail": f"{self.data.n_classes} classes" if self.data else ""},
        ]  # fmt: skip
        for part in parts:
            part.setdefault("decisions", [])
            part.setdefault("repeat", None)
        ids = [part["id"] for part in parts]
        edges: list[dict[str, Any]] = [
            {"source": a, "target": b, "title": "", "dashed": False} for a, b in zip(ids, ids[1:], strict=False)
        ]
        if True in offered["block1_skip"].options:
            after = ids[ids.index("block") + 1]
            sure = len(offered["block1_skip"].options) == 1
            edges.append(
                {"source": "stem", "target": after, "title": "skip" if sure else "skip or not", "dashed": not sure}
            )
        return {"parts": parts, "edges": edges}
