"""Dense layers over a table: depth, widths, activation, norm, dropout, residual; categories through embeddings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from itertools import product
from math import prod
from typing import Any, ClassVar, cast

from pydantic import BaseModel

from engine.architecture import Architecture, Option
from engine.data.spec import DataSpec
from engine.errors import InvalidArchitecture
from engine.network.assemble import Assembler
from engine.network.carry import carry
from engine.network.morphism import Morphism
from engine.network.plan import NetworkPlan
from engine.spaces._mlp.options import PRESETS
from engine.spaces._mlp.options import MlpOptions as MlpOptions
from engine.spaces._offers import Capability
from engine.spaces._outline import Outline, input_words
from engine.spaces.base import Decision, Preset, SearchSpace

MAX_VALUES = 4096  # of an image or a signal: past it, one dense layer has millions of weights
_NEUTRAL: dict[str, Option] = {"norm": "none", "dropout": 0.0, "residual": False, "expansion": 1, "embedding": 0}
_LARGER = ("width", "expansion")


class Mlp(SearchSpace):
    """Dense layers, each with norm, activation and dropout, then the output.

    Decisions: depth, width (where one holds for all), activation, norm, dropout, whether layers are residual (from two
    layers on), size of the embeddings (where there are categories), then the width of each layer.

    Small images and signals are flattened: dense layers see no neighbourhoods, but are a yardstick there.
    """

    name: ClassVar[str] = "mlp"
    summary: ClassVar[str] = "Dense layers for tables, with embeddings for categories."
    reference: ClassVar[str] = "Gorishniy et al. 2021, Revisiting Deep Learning Models for Tabular Data"
    Options: ClassVar[type[BaseModel]] = MlpOptions
    unavailable: ClassVar[Mapping[Capability, str]] = {
        "supernet": "dense layers of different widths have no weights in common here",
        "mixture": "dense layers of different widths have no weights in common here",
    }
    presets: ClassVar[tuple[Preset, ...]] = PRESETS
    notation: ClassVar[str] = (
        'A dictionary, {"layers": 3, "neurons": 64, "activation": "relu"}: neurons is a list where layers differ; '
        "norm, dropout, residual, expansion and embedding may follow."
    )

    @property
    def _opt(self) -> MlpOptions:
        return cast(MlpOptions, self.options)

    @property
    def _one(self) -> bool:
        """Whether one width holds for all layers."""
        return self._opt.widths == "one" or self._opt.block == "resnet"

    @classmethod
    def fits(cls, data: DataSpec) -> str | None:
        """Tables; images and signals of at most 4,096 values, flattened."""
        if data.kind == "text":
            return "it needs numbers, this data is text"
        if data.kind != "table" and (n := prod(data.input_shape)) > MAX_VALUES:
            return f"it flattens each {data.kind}, at most {MAX_VALUES:,} values; this data has {n:,}"
        return None

    @classmethod
    def suggested(cls, data: DataSpec) -> dict[str, Any]:
        """Wider for larger training splits."""
        return {"width": (32, 64, 128, 256)} if data.sizes.get("train", 0) >= 10_000 else {}

    # -- the process --------------------------------------------------------------------------
    @cached_property
    def _orders(self) -> dict[int, tuple[Decision, ...]]:
        """Decisions by depth, after the depth itself."""
        return {depth: self._order(depth) for depth in self._opt.depth}

    def _order(self, depth: int) -> tuple[Decision, ...]:
        o = self._opt
        categories = self._table and any(self._bound().cardinalities)
        resnet = o.block == "resnet"
        out = [
            (self._one, Decision("width", o.width, True, "layers", "Units of every hidden layer.")),
            (resnet, Decision("expansion", o.expansion, True, "layers", "Width inside a block, as a multiple.")),
            (True, Decision("activation", o.activation, False, "layers", "Activation, one for all.")),
            (True, Decision("norm", o.norm, False, "layers", "Normalisation, one for all.")),
            (True, Decision("dropout", o.dropout, True, "layers", "Dropout rate behind each hidden layer.")),
            (
                not resnet and depth > 1,
                Decision("residual", o.residual, False, "layers", "Each layer from the second on adds its input."),
            ),
            (categories, Decision("embedding", o.embedding, True, "input", "Numbers a category becomes.")),
            *(
                (not self._one, Decision(f"layer{k}_width", o.width, True, f"layer {k}", "Units of this layer."))
                for k in range(1, depth + 1)
            ),
        ]
        return tuple(d for acts, d in out if acts)

    @property
    def _table(self) -> bool:
        return self.data is not None and self.data.kind == "table"

    @cached_property
    def _depth(self) -> Decision:
        return Decision("depth", self._opt.depth, True, "network", "Number of hidden layers.")

    def _next(self, partial: Mapping[str, Option]) -> Decision | None:
        if "depth" not in partial:
            return self._depth
        order = self._orders[int(cast(int, partial["depth"]))]
        at = len(partial) - 1
        # choices made in order: the next one is where it is expected
        if 0 < at < len(order) and order[at].name not in partial and order[at - 1].name in partial:
            return order[at]
        return next((d for d in order if d.name not in partial), None)

    def _all(self) -> list[Decision]:
        return [self._depth, *self._orders[max(self._opt.depth)]]

    def count(self, partial: Mapping[str, Option]) -> int:
        """A product per depth."""
        if "depth" not in partial:
            return sum(self.count({**partial, "depth": o}) for o in self._depths())
        order = self._orders[int(cast(int, partial["depth"]))]
        return prod(len(self._allowed.get(d.name, d.options)) for d in order if d.name not in partial)

    def _depths(self) -> tuple[Option, ...]:
        depths = self.next({})
        return depths.options if depths else ()

    # -- the network --------------------------------------------------------------------------
    def widths(self, arch: Architecture) -> tuple[int, ...]:
        """Units of each hidden layer."""
        depth = int(cast(int, arch["depth"]))
        names = ["width"] * depth if self._one else [f"layer{k}_width" for k in range(1, depth + 1)]
        return tuple(int(cast(int, arch[name])) for name in names)

    def embedding_sizes(self, size: Option) -> tuple[int, ...]:
        """Per column of the table: numbers its categories become, 0 for a column of numbers.

        Args:
            size: the decision; 0 = by the rule 1.6 n^0.56 of Howard & Gugger 2020 (fastai), at most 50.
        """
        counts = self._bound().cardinalities
        wanted = int(cast(int, size))
        return tuple(n and min(n, wanted or min(50, max(1, round(1.6 * n**0.56)))) for n in counts)

    def plan(self, arch: Architecture) -> NetworkPlan:
        """Embeddings or flattening, the layers, the output."""
        data, c = self._bound(), arch.choices
        net = self._assembler()
        x = "input"
        if "embedding" in c:
            x = net.add(
                "columns", "table_input", x, group="input",
                cardinalities=data.cardinalities, sizes=self.embedding_sizes(c["embedding"]),
            )  # fmt: skip
        elif len(data.input_shape) > 1:
            x = net.add("flatten", "flatten", x, group="input")
        x = self._blocks(net, arch, x) if self._opt.block == "resnet" else self._layers(net, arch, x)
        net.add("output", "linear", x, group="output", out_features=self.n_classes)
        return net.finish()

    def _layers(self, net: Assembler, arch: Architecture, x: str) -> str:
        c = arch.choices
        activation, norm, dropout = str(c["activation"]), str(c["norm"]), float(cast(float, c["dropout"]))
        for k, width in enumerate(self.widths(arch), start=1):
            part, group, before = f"layer{k}", f"layer {k}", x
            x = net.add(part, "linear", x, group=group, out_features=width, bias=norm != "batch")
            x = self._norm(net, norm, x, f"{part}_norm", group)
            x = net.add(f"{part}_{activation}", activation, x, group=group)
            if k > 1 and c.get("residual"):
                if net.shape(before) != net.shape(x):
                    before = net.add(f"{part}_project", "linear", before, group=group, out_features=width, bias=False)
                x = net.add(f"{part}_add", "add", x, before, group=group)
            if dropout:
                x = net.add(f"{part}_dropout", "dropout", x, group=group, p=dropout)
        return x

    def _blocks(self, net: Assembler, arch: Architecture, x: str) -> str:
        """Gorishniy et al. 2021, section 3.2: x + dropout(linear(dropout(act(linear(norm(x)))))), then norm and act."""
        c = arch.choices
        activation, norm, dropout = str(c["activation"]), str(c["norm"]), float(cast(float, c["dropout"]))
        width, inner = int(cast(int, c["width"])), int(cast(int, c["width"])) * int(cast(int, c["expansion"]))
        x = net.add("first", "linear", x, group="first layer", out_features=width)
        for k in range(1, int(cast(int, c["depth"])) + 1):
            part, group = f"block{k}", f"block {k}"
            y = self._norm(net, norm, x, f"{part}_norm", group)
            for name, units in (("in", inner), ("out", width)):
                y = net.add(f"{part}_{name}", "linear", y, group=group, out_features=units)
                if name == "in":
                    y = net.add(f"{part}_{activation}", activation, y, group=group)
                if dropout:
                    y = net.add(f"{part}_{name}_dropout", "dropout", y, group=group, p=dropout)
            x = net.add(f"{part}_add", "add", x, y, group=group)
        x = self._norm(net, norm, x, "last_norm", "head")
        return net.add(f"last_{activation}", activation, x, group="head")

    @staticmethod
    def _norm(net: Assembler, norm: str, x: str, id: str, group: str) -> str:
        if norm == "none":
            return x
        return net.add(id, "batch_norm1d" if norm == "batch" else "layer_norm", x, group=group)

    # -- larger ones --------------------------------------------------------------------------
    def _stage(self, arch: Architecture) -> int:
        return self._depths().index(arch["depth"]) + 1

    def _grow(self, arch: Architecture) -> list[Architecture]:
        """The next depth, with every choice for the new layers; several new ones are alike."""
        deeper = self._depths()[self._stage(arch) :]
        if not deeper:
            return []
        start = self._change(arch, {"depth": deeper[0]})
        new = [d for d in self.decisions(start) if d.name not in arch.choices]
        kinds = {d.name if d.name == "residual" else "width": d for d in new}
        out: dict[str, Architecture] = {}
        for options in product(*(d.options for d in kinds.values())):
            chosen = dict(zip(kinds, options, strict=True))
            changes = {d.name: chosen[d.name if d.name == "residual" else "width"] for d in new}
            child = self._change(arch, {"depth": deeper[0], **changes})
            out.setdefault(child.key, child)
        return list(out.values())

    def _morphisms(self, arch: Architecture) -> list[Morphism]:
        """Wider layers, and deeper networks whose new layers begin as the identity (Chen et al. 2016, Net2Net)."""
        parent = self.planned(arch)
        out = []
        wider = [
            self._change(arch, {d.name: option})
            for d in self.decisions(arch)
            if d.name.split("_")[-1] in _LARGER
            for option in d.options
            if cast(int, option) > cast(int, arch[d.name])
        ]
        for child in [*wider, *self._grow(arch)]:
            plan = self.planned(child)
            new = [n.id.removesuffix("_add") for n in plan.nodes if n.op == "add" and n.id not in parent.by_id]
            ends = {f"{part}_out" for part in new} | {
                f"{part}_norm" if f"{part}_norm" in plan.by_id else part for part in new
            }
            if self._opt.block == "resnet":
                ends = {id for id in ends if id.endswith("_out")}
            weights = carry(parent, plan, ends & set(plan.by_id))
            if weights is not None:
                out.append(Morphism(child, self.describe_change(arch, child), weights))
        return out

    # -- words --------------------------------------------------------------------------------
    def write(self, arch: Architecture) -> str:
        """The dictionary, see `notation`; what is neutral is left out."""
        c, widths = arch.choices, self.widths(arch)
        neurons: Any = c["width"] if self._one else list(widths)
        said = {"layers": c["depth"], "neurons": neurons, "activation": c["activation"]}
        return json.dumps(said | {n: c[n] for n, neutral in _NEUTRAL.items() if n in c and c[n] != neutral})

    def read(self, text: str) -> Architecture:
        """Reads the dictionary, or what every space reads.

        Raises:
            InvalidArchitecture: says what was received and what would be right.
        """
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return super().read(text)
        if not isinstance(value, dict) or not {"layers", "neurons"} & set(value):
            return super().read(text)
        known = {"layers", "neurons", "activation", *_NEUTRAL}
        if surplus := [str(k) for k in value if k not in known]:
            raise InvalidArchitecture(f"{surplus[0][:60]}: is no entry of this notation. {self.notation}")
        return self.validate(self._choices(value))

    def _choices(self, value: dict[str, Any]) -> dict[str, Any]:
        neurons = value.get("neurons")
        layers = value.get("layers", len(neurons) if isinstance(neurons, list) else None)
        if isinstance(neurons, list) and len(neurons) != layers:
            raise InvalidArchitecture(f"neurons: received {len(neurons)} numbers for {layers!r} layers")
        if not isinstance(layers, int) or isinstance(layers, bool) or layers not in self._orders:
            offered = ", ".join(map(str, self._depths()))
            raise InvalidArchitecture(f"layers: received {str(layers)[:60]!r}; choose one of {offered}")
        choices: dict[str, Any] = {"depth": layers}
        each = neurons if isinstance(neurons, list) else [neurons] * layers
        for d in self._orders[layers]:
            options = self._allowed.get(d.name, d.options)
            if d.name == "width":
                if any(n != each[0] for n in each):
                    raise InvalidArchitecture(f"neurons: one width holds for all layers here, not {neurons}")
                choices["width"] = each[0]
            elif d.name.startswith("layer"):
                choices[d.name] = each[int(d.name.removeprefix("layer").removesuffix("_width")) - 1]
            elif d.name in value:
                choices[d.name] = value[d.name]
            else:
                neutral = _NEUTRAL.get(d.name)
                choices[d.name] = neutral if neutral in options else options[0]
        # what is said and does not act is an error, unless it says nothing
        idle = {n: v for n, v in value.items() if n in _NEUTRAL and n not in choices and v != _NEUTRAL[n]}
        return choices | idle

    def title(self, decision: str) -> str:
        """ "width of layer 2"."""
        if decision.startswith("layer"):
            return f"width of layer {decision.removeprefix('layer').removesuffix('_width')}"
        return decision

    def format(self, decision: str, option: Option) -> str:
        """ "×2", "by rule"."""
        if decision == "expansion":
            return f"×{option}"
        if decision == "embedding" and option == 0:
            return "by rule"
        return super().format(decision, option)

    def short_name(self, arch: Architecture) -> str:
        """ "3×64/32/64 silu bn 0.1 res"."""
        c, widths = arch.choices, self.widths(arch)
        shown = (str(widths[0]),) if self._one else tuple(map(str, widths[:4] if len(widths) <= 4 else widths[:3]))
        parts = [f"{len(widths)}×{'/'.join(shown)}{'/..' if len(shown) < len(widths) and not self._one else ''}"]
        parts += [str(c["activation"]), {"batch": "bn", "layer": "ln"}.get(str(c["norm"]), "")]
        parts += [f"{c['dropout']:g}" if c["dropout"] else "", "res" if c.get("residual") else ""]
        return " ".join(filter(None, parts))

    def outline(self) -> dict[str, Any]:
        """Input, a layer that repeats, output."""
        depths = self._depths()
        last = int(cast(int, depths[-1]))
        several = f"{depths[0]} to {depths[-1]} times" if len(depths) > 1 else f"{depths[0]} times"
        data, out = self.data, Outline(self)
        out.part("input", "input", *input_words(data.kind if data else "table", data.input_shape if data else ()))
        if any(d.name == "embedding" for d in self._all()):
            n = sum(map(bool, self._bound().cardinalities))
            out.part("columns", "dense", "embeddings", f"of {n} columns", decide=["embedding"])
        elif data is not None and not self._table:
            out.part("flatten", "other", "flatten")
        resnet = self._opt.block == "resnet"
        if resnet:
            out.part("first", "dense", "dense", decide=["width"])
        widths = ([f"layer{k}_width" for k in range(1, last + 1)], "units, each layer by itself")
        out.part(
            "layer", "dense", "residual block" if resnet else "dense", several, repeat=several,
            decide=[
                "depth", widths, *([] if resnet else ["width"]), "expansion", ("activation", "activation, one for all"),
                ("norm", "norm, one for all"), ("dropout", "dropout, one for all"), "residual",
            ],
        )  # fmt: skip
        out.part("output", "output", "linear", f"{data.n_classes} classes" if data else "")
        out.chain()
        return out.done()
