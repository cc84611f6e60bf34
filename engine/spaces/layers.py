"""A sequence of layers: convolution blocks with optional skip connections, pooling, a head."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import combinations, product
from math import prod
from typing import Any, ClassVar, cast

from pydantic import BaseModel

from engine.architecture import Architecture, Option
from engine.data.spec import DataSpec
from engine.network import costs as closed_form
from engine.network.assemble import Assembler
from engine.network.morphism import Morphism
from engine.network.operations import kernel_words
from engine.network.plan import Costs, NetworkPlan
from engine.spaces._layers import text as text
from engine.spaces._layers.mixing import WITH_SKIP, LayersMixing
from engine.spaces._layers.morphisms import morphisms
from engine.spaces._layers.network import (
    Block,
    Head,
    Layout,
    Part,
    Stem,
    Style,
    write_block,
    write_head,
    write_stem,
)
from engine.spaces._layers.options import LayersOptions as LayersOptions
from engine.spaces._layers.options import Operation
from engine.spaces._layers.presets import PRESETS
from engine.spaces._layers.reader import Reader
from engine.spaces._outline import Outline, input_words
from engine.spaces.base import Decision, Preset

_PLAIN = {"conv": "conv", "sep": "separable", "max": "max pool", "avg": "avg pool"}
_TITLES = {
    "widen": "widening",
    "dense": "dense layer",
    "pool": "pooling",
    "head_pool": "end of the image",
    "stem_pool": "pooling behind the stem",
}
_WHAT = {"op": "block {} operation", "skip": "skip of block {}", "stride": "stride of block {}",
         "width": "channels of block {}", "factor": "factor of block {}", "dropout": "dropout of block {}",
         "pool": "pooling behind block {}"}  # fmt: skip


class Layers(LayersMixing):
    """Stem, then blocks of convolution, norm and activation with or without a skip, pooling between them, a head.

    Decisions: depth, then strides and places of pooling (where they are decided), width, then (where something is
    pooled) the kind of pooling and the widening, norm, activation, how the image ends, dense units, dropout, then each
    block's operation, width, dropout and what is joined in; those of block k exist only when depth >= k.
    """

    name: ClassVar[str] = "layers"
    summary: ClassVar[str] = "A sequence of convolution blocks with skips, pooling and a dense head."
    reference: ClassVar[str] = "Baker et al. 2017, Designing Neural Network Architectures using RL (chain-structured)"
    Options: ClassVar[type[BaseModel]] = LayersOptions
    caveat: ClassVar[str] = "operations of a block stand side by side where all but operations and skips is settled"
    presets: ClassVar[tuple[Preset, ...]] = PRESETS
    notation: ClassVar[str] = text.NOTATION
    elastic: ClassVar[bool] = True

    @classmethod
    def fits(cls, data: DataSpec) -> str | None:
        """Images (C, H, W) and signals (C, L)."""
        if data.kind == "text":
            return "it needs images or signals, this data is text"
        if data.kind == "table":
            return f"it needs images or signals, this data is a table of {prod(data.input_shape)} columns"
        return None

    @classmethod
    def suggested(cls, data: DataSpec) -> dict[str, Any]:
        """More pooling and more depth for larger images; a long signal is shortened by its stem first."""
        side = min(data.input_shape[1:], default=1)
        if data.kind == "signal" and side >= 1024:
            return {"stem_kernel": 9, "stem_stride": 4, "pool_after": (0, 1, 2, 3), "pool_size": 4}
        if side < 16:
            return {}
        if side < 64:
            return {"pool_after": (1, 2, 4)}
        return {"depth": (5, 6, 7, 8), "pool_after": (1, 2, 3, 4, 5), "width": (16, 24, 32)}

    # -- the network --------------------------------------------------------------------------
    def layout(self, arch: Architecture) -> Layout:
        """What the choices mean, part by part."""
        c, o = arch.choices, self._opt
        depth, channels = int(cast(int, c["depth"])), int(cast(int, c.get("width", 1)))
        pools = self.pools(depth, c)
        numbers = {k: i for i, k in enumerate(pools, start=1)}
        widen = int(cast(int, c.get("widen", 1)))
        style = Style(
            str(c["norm"]), str(c["activation"]), str(c.get("pool", "")), o.pool_size, len(self.input_shape) - 1
        )
        stem = Stem(channels, o.stem_kernel, o.stem_stride, numbers.get(0, 0))
        blocks = []
        for k in range(1, depth + 1):
            if k - 1 in numbers:
                channels *= widen
            part = f"block{k}_"
            own = int(cast(int, c[part + "width"])) if o.block_width else channels
            if factor := cast(float, c.get(part + "factor", 0)):
                own = max(1, round(own * factor))
            joins = () if o.connections == "residual" else tuple(j for j in range(1, k) if c[f"{part}from{j}"])
            blocks.append(
                Block(str(c[part + "op"]), own, int(cast(int, c.get(part + "stride", 1))),
                      bool(c.get(part + "skip")), joins, float(cast(float, c.get(part + "dropout", 0.0))),
                      numbers.get(k, 0))
            )  # fmt: skip
        dense = [c.get("dense" if i == 1 else f"dense{i}", 0) for i in range(1, o.dense_layers + 1)]
        head = Head(
            c.get("head_pool") == "flatten",
            tuple(int(cast(int, units)) for units in dense if units),
            float(cast(float, c["dropout"])),
        )
        return Layout(style, stem, tuple(blocks), head)

    def plan(self, arch: Architecture) -> NetworkPlan:
        """Stem, blocks, pooling, global average, head."""
        style, stem, blocks, head = self.layout(arch)
        net = Assembler(self.input_shape)
        x = write_stem(net, style, stem)
        outputs = {0: x}
        for k, block in enumerate(blocks, start=1):
            outputs[k] = x = write_block(net, style, k, block, x, outputs)
        write_head(net, style, head, x, self.n_classes)
        return net.finish()

    def _costs(self, arch: Architecture) -> Costs:
        """The costs of its parts, each remembered by what it is and what it reads."""
        style, stem, blocks, head = self.layout(arch)
        shape, n_params, n_macs, size = self._part((style, stem), {"input": self.input_shape})
        shapes: dict[int, tuple[int, ...]] = {}
        for k, block in enumerate(blocks, start=1):
            reads = {"input": shape} | {f"from{j}": shapes[j] for j in block.joins}
            shape, p, m, b = self._part((style, block), reads)
            shapes[k] = shape
            n_params, n_macs, size = n_params + p, n_macs + m, size + b
        _, p, m, b = self._part((style, head), {"input": shape})
        return Costs(n_params + p, n_macs + m, size + b)

    def _part(
        self, part: tuple[Style, Stem | Block | Head], reads: dict[str, tuple[int, ...]]
    ) -> tuple[tuple[int, ...], int, int, int]:
        """(shape of its output, parameters, multiply-adds, bytes) of one part."""
        cache = self._cache("parts")
        key = (*part, *reads.items())
        if key not in cache:
            net, (style, what) = Part(reads), part
            if isinstance(what, Stem):
                x = write_stem(net, style, what)
            elif isinstance(what, Block):
                x = write_block(net, style, 1, what, "input", {j: f"from{j}" for j in what.joins})
            else:
                x = write_head(net, style, what, "input", self.n_classes)
            costs = closed_form.part_costs(net.nodes, reads)
            cache[key] = (net.shape(x), costs.n_params, costs.n_macs, costs.activation_bytes)
        found: tuple[tuple[int, ...], int, int, int] = cache[key]
        return found

    # -- shared weights -----------------------------------------------------------------------
    def _weight_names(self, arch: Architecture) -> Mapping[str, str]:
        """A block's weights by its number and kind; those of the head by what they read.

        Kernel and channels are slices. A dense layer that reads all values of the last image is another one for each
        size of that image.
        """
        layout = self.layout(arch)
        out: dict[str, str] = {}
        for k, block in enumerate(layout.blocks, start=1):
            kind = block.operation[:-1]
            parts = ("conv",) if layout.style.norm == "none" else ("conv", "norm")
            out |= {f"block{k}_{part}": f"block{k}_{kind}_{part}" for part in parts}
        read = "avg"
        if layout.head.flatten:
            plan = self.planned(arch)
            sides = plan.shape_of(plan.by_id["flatten"].inputs[0])[1:]
            read = "x".join(map(str, sides))
        if layout.head.dense:
            return {**out, "dense": f"dense_{read}", "output": "output_dense"}
        return {**out, "output": f"output_{read}"}

    def covering(self) -> Iterator[Architecture]:
        """As of any space; without a dense layer the output reads what a dense layer would."""
        yield from super().covering()
        dense = self._kept(self._fixed["dense"])
        if "head_pool" in self._fixed and 0 in dense and len(dense) > 1:
            yield from self.restrict({"dense": (0,)}).covering()

    # -- larger ones --------------------------------------------------------------------------
    def _depths(self) -> tuple[Option, ...]:
        depths = self.next({})
        return depths.options if depths else ()

    def _stage(self, arch: Architecture) -> int:
        return self._depths().index(arch["depth"]) + 1

    def _grow(self, arch: Architecture) -> list[Architecture]:
        """The next depth, with every choice for the new blocks; several new ones are alike.

        With connections between any blocks a new one joins at most two of the earlier ones.
        """
        deeper = self._depths()[self._stage(arch) :]
        if not deeper:
            return []
        first: dict[str, Decision] = {}
        names: dict[str, list[str]] = {}
        start = self._change(arch, {"depth": deeper[0]})
        for d in self.decisions(start):
            if d.name not in arch.choices and "_from" not in d.name:
                kind = d.name.split("_", 1)[1] if d.name.startswith("block") else d.name
                first.setdefault(kind, d)
                names.setdefault(kind, []).append(d.name)
        out: dict[str, Architecture] = {}
        for options in product(*(d.options for d in first.values())):
            changes = {"depth": deeper[0]}
            for kind, option in zip(first, options, strict=True):
                changes |= dict.fromkeys(names[kind], option)
            for joins in self._grown_joins(arch, start):
                new = self._change(arch, {**changes, **joins})
                out.setdefault(new.key, new)
        return list(out.values())

    def _grown_joins(self, arch: Architecture, start: Architecture) -> Iterator[dict[str, Option]]:
        new = [n for n in start.choices if "_from" in n and n not in arch.choices]
        if not new or not all(len(d.options) > 1 for d in self.decisions(start) if d.name in new):
            yield {}
            return
        blocks: dict[str, list[str]] = {}
        for name in new:
            blocks.setdefault(name.split("_")[0], []).append(name)
        before = len(blocks[min(blocks, key=lambda b: int(b.removeprefix("block")))])
        for n in range(3):
            for chosen in combinations(range(1, before + 1), n):
                yield {name: int(name.split("_from")[1]) in chosen for name in new}

    def _morphisms(self, arch: Architecture) -> list[Morphism]:
        return morphisms(self, arch)

    # -- words --------------------------------------------------------------------------------
    def write(self, arch: Architecture) -> str:
        """The written sequence, see `notation`."""
        blocks = range(1, int(cast(int, arch["depth"])) + 1)
        factors = [cast(float, arch.choices.get(f"block{k}_factor", 1.0)) for k in blocks]
        return text.write(self.layout(arch), factors)

    def _read(self, text_: str) -> Architecture:
        return Reader(self, text_).architecture()

    def title(self, decision: str) -> str:
        """ "block 5 operation", "skip of block 5", "widening"."""
        if decision.startswith("block"):
            k, what = decision.removeprefix("block").split("_")
            if what.startswith("from"):
                return f"block {what.removeprefix('from')} into block {k}"
            return _WHAT[what].format(k)
        if decision.startswith("dense") and decision != "dense":
            return f"dense layer {decision.removeprefix('dense')}"
        return _TITLES.get(decision, decision)

    def format(self, decision: str, option: Option) -> str:
        """ "separable 5×5", "×2", "none"."""
        if decision.endswith("_op"):
            dims = len(self.data.input_shape) - 1 if self.data else 2
            word = str(option).removesuffix(WITH_SKIP)
            words = f"{_PLAIN[word[:-1]]} {kernel_words(int(word[-1]), dims)}"
            return words if word == option else f"{words} with a skip"
        if decision == "widen" or decision.endswith("_factor"):
            return f"×{option:g}"
        if decision.startswith("dense") and option == 0:
            return "none"
        if decision == "head_pool":
            return "global average" if option == "avg" else "flatten"
        return super().format(decision, option)

    def _phrase(self, decision: str, old: Option, new: Option) -> str:
        if decision.endswith(("_skip", "_pool")) and decision != "head_pool" or "_from" in decision:
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
        skips = sum(bool(o) for n, o in c.items() if n.endswith("_skip") or "_from" in n)
        width = c.get("width", c.get(f"block{depth}_width"))
        wide = f"×{c['widen']}" if c.get("widen", 1) != 1 else ""
        more = f"+{len(common) - 2}" if len(common) > 2 else ""
        return f"{depth}×{'/'.join(common[:2])}{more}-{width}{wide}" + (f" skip{skips}" if skips else "")

    def outline(self) -> dict[str, Any]:
        """Stem, a block that repeats, pooling, head, each with its decisions."""
        o, depth = self._opt, self._depths()
        last = int(cast(int, depth[-1]))
        several = f"{depth[0]} to {depth[-1]} times" if len(depth) > 1 else f"{depth[0]} times"
        shape = self.data.input_shape if self.data else ()
        kind = self.data.kind if self.data else "image"
        out = Outline(self)

        def each(what: str, title: str) -> tuple[list[str], str]:
            return [f"block{k}_{what}" for k in range(1, last + 1)], f"{title}, each block by itself"

        out.part("input", "input", *input_words(kind, shape))
        if o.stem_kernel:
            stride = f" /{o.stem_stride}" if o.stem_stride > 1 else ""
            words = kernel_words(o.stem_kernel, max(len(shape) - 1, 1) if shape else 2)
            out.part("stem", "conv", "stem", f"conv {words}{stride}", decide=["width", "stem_pool"])
        joins = [f"block{k}_from{j}" for k in range(1, last + 1) for j in range(1, k)]
        out.part(
            "block", "conv", "block", several, repeat=several,
            decide=[
                "depth", *([] if o.stem_kernel else ["width"]), each("op", "operation"), each("stride", "stride"),
                each("width", "channels"), each("factor", "factor on the channels"), each("dropout", "dropout"),
                each("skip", "skip"), (joins, "each earlier block joined in"),
                ("norm", "norm, one for all"), ("activation", "activation, one for all"),
            ],
        )  # fmt: skip
        pools = self.pools(last)
        if pools:
            blocks = [str(k) for k in pools if k]
            where = ["the stem"] * (0 in pools) + ([f"block {_listed(blocks)}"] if blocks else [])
            out.part(
                "pool", "pool", "pool", f"behind {' and '.join(where)}",
                decide=[each("pool", "whether"), ("pool", "kind, one for all"), ("widen", "channels behind it")],
            )  # fmt: skip
        out.part("global", "pool", "flatten" if o.head_pool == ("flatten",) else "global avg", decide=["head_pool"])
        out.part(
            "dense", "dense", "dense",
            decide=[("dense", "units"), *(f"dense{i}" for i in range(2, o.dense_layers + 1))],
        )  # fmt: skip
        out.part("dropout", "drop", "dropout", decide=[("dropout", "rate")])
        out.part("output", "output", "linear", f"{self.data.n_classes} classes" if self.data else "")
        out.chain()
        skips = {d.name: d.options for d in self.all_decisions() if d.name.endswith("_skip") or "_from" in d.name}
        offered = next((v for v in skips.values() if True in v), ())
        if offered:
            ids = [part["id"] for part in out.parts]
            sure = len(offered) == 1
            source, target = ids[ids.index("block") - 1], ids[ids.index("block") + 1]
            out.edge(source, target, "skip" if sure else "skip or not", dashed=not sure)
        return out.done()


def _listed(words: list[str]) -> str:
    """ "1, 2 and 3"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
