"""The published cell of NAS-Bench-201: four nodes, six edges, five operations, 15,625 architectures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from math import prod
from typing import Any, ClassVar, cast

import numpy as np
from pydantic import BaseModel, Field

from engine.architecture import Architecture, Option
from engine.data.spec import DataSpec, said
from engine.network import canonical
from engine.network import costs as closed_form
from engine.network.assemble import Assembler
from engine.network.morphism import Made, Morphism
from engine.network.plan import Costs, NetworkPlan
from engine.spaces._nasbench201 import cell as cell
from engine.spaces._nasbench201.cell import EDGES, NAMES, OPS, WIRES, Operation
from engine.spaces._nasbench201.cell import iso_class_string as iso_class_string
from engine.spaces._nasbench201.edges import mixed_cell, write_edge, write_reduction
from engine.spaces._options import Names, SpaceOptions, offers
from engine.spaces._outline import Outline, input_words
from engine.spaces._shared.mixing import Mixing
from engine.spaces.base import Decision, Preset, SearchSpace
from engine.supernets.mixture import Mixture, Table

_WORDS = {
    "none": "none",
    "skip_connect": "skip",
    "nor_conv_1x1": "conv 1×1",
    "nor_conv_3x3": "conv 3×3",
    "avg_pool_3x3": "avg 3×3",
}
_STAGES = 3


class Nasbench201Options(SpaceOptions):
    """The skeleton around the cell, and the operations it may use."""

    channels: int = Field(16, ge=1, le=1024, description="Channels of the first stage; each reduction doubles them.")
    cells: int = Field(5, ge=1, le=20, description="Cells in each of the three stages (5 as published).")
    operations: Names[Operation] = Field(
        OPS, description="Operations an edge can take.", json_schema_extra=offers(*OPS, labels=_WORDS)
    )


class Nasbench201(SearchSpace):
    """Stem, three stages of equal cells with residual reductions between them, global average, classifier.

    A cell's node j is the sum over all earlier nodes i of the operation on edge i -> j.

    Identity: the skeleton and the class of the cell. The rules stand at `_nasbench201.cell.cell_form`, with the number
    of classes that each leaves of the 15,625 cells: 5,425 with parameter-free copies kept apart, 5,260 with them
    merged, and 5,044 as used here, since average pooling is linear: avg(a + b) = avg(a) + avg(b) for all values and
    all gradients. `iso_class_string` is the published rule beside it (6,466 classes).
    """

    name: ClassVar[str] = "nasbench201"
    summary: ClassVar[str] = "One repeated cell of four nodes and six edges: NAS-Bench-201."
    reference: ClassVar[str] = "Dong & Yang 2020, NAS-Bench-201: Extending the Scope of Reproducible NAS"
    Options: ClassVar[type[BaseModel]] = Nasbench201Options
    notation: ClassVar[str] = (
        "A cell is written as published, "
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|avg_pool_3x3~2| (operation~source node, the "
        "nodes joined by +), or as six digits, 301104: 0 none, 1 skip, 2 conv 1×1, 3 conv 3×3, 4 average pooling."
    )
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset("published", "NAS-Bench-201", "16 channels and 5 cells a stage, as published; the tables are for it.",
               "Dong & Yang 2020", {"channels": 16, "cells": 5}),
        Preset("nats-topology", "NATS-Bench, topology", "The same space under its later name, S_t of NATS-Bench.",
               "Dong et al. 2021, NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size",
               {"channels": 16, "cells": 5}),
        Preset("small", "A cell a stage", "8 channels and one cell a stage: minutes on a laptop.",
               "Dong & Yang 2020 (cell)", {"channels": 8, "cells": 1}),
        Preset("no-zero", "Always all six edges", "Without `none`: 4,096 cells in which every edge works.",
               "Dong & Yang 2020 (cell)",
               {"cells": 1, "operations": ["skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]}),
    )  # fmt: skip

    @property
    def _opt(self) -> Nasbench201Options:
        return cast(Nasbench201Options, self.options)

    @classmethod
    def fits(cls, data: DataSpec) -> str | None:
        """Images of at least 4x4: each of the two reductions halves them."""
        if data.kind != "image":
            return f"it needs images, {said(data)}"
        if min(data.input_shape[1:]) < 4:
            return f"it halves images twice, so they need at least 4×4 pixels, not {data.input_shape[1:]}"
        return None

    @classmethod
    def suggested(cls, data: DataSpec) -> dict[str, Any]:
        """One cell a stage for small images: the published network would be mostly overhead there."""
        return {"cells": 1} if min(data.input_shape[1:], default=0) < 16 else {}

    # -- the process --------------------------------------------------------------------------
    @cached_property
    def _edges(self) -> tuple[Decision, ...]:
        return tuple(
            Decision(name, self._opt.operations, False, f"node {b}", f"Operation from node {a} to node {b}.")
            for name, (a, b) in zip(NAMES, EDGES, strict=True)
        )

    def _next(self, partial: Mapping[str, Option]) -> Decision | None:
        for decision in self._edges:
            if decision.name not in partial:
                return decision
        return None

    def _all(self) -> list[Decision]:
        return list(self._edges)

    def count(self, partial: Mapping[str, Option]) -> int:
        """A product over the open edges."""
        return prod(len(self._allowed.get(n, self._opt.operations)) for n in NAMES if n not in partial)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Each edge uniform over its operations."""
        offered = [self._allowed.get(n, self._opt.operations) for n in NAMES]
        drawn = rng.integers([len(o) for o in offered])
        return Architecture(self.name, tuple((n, o[i]) for n, o, i in zip(NAMES, offered, drawn, strict=True)))

    def sample_uniform(self, rng: np.random.Generator) -> Architecture:
        """The same as `sample`: every combination is an architecture."""
        return self.sample(rng)

    # -- published writings -------------------------------------------------------------------
    def write(self, arch: Architecture) -> str:
        """The published string."""
        return cell.string_of(arch)

    def _read(self, text: str) -> Architecture:
        return self.validate(cell.choices_of(text))

    def to_string(self, arch: Architecture) -> str:
        """The published string, `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`."""
        return cell.string_of(arch)

    def from_string(self, text: str) -> Architecture:
        """Reads the published string.

        Raises:
            InvalidArchitecture: not such a string, or an operation this space does not offer.
        """
        return self._read(text)

    def to_digits(self, arch: Architecture) -> str:
        """Six digits, one an edge: 0 none, 1 skip, 2 conv 1×1, 3 conv 3×3, 4 average pooling."""
        return cell.digits_of(arch)

    def from_digits(self, digits: str) -> Architecture:
        """Reads what `to_digits` wrote.

        Raises:
            InvalidArchitecture: not six digits of 0 to 4, or an operation this space does not offer.
        """
        return self._read(digits)

    # -- the network --------------------------------------------------------------------------
    def plan(self, arch: Architecture) -> NetworkPlan:
        """The whole network: dead operations are built and counted, as published.

        One deviation: an operation whose source node receives nothing is built, but it is no term of its sum. In the
        published code it hands on the learned shift of its batch norm, a constant that does not depend on the image;
        without it the classes of `cell_form` hold exactly. Tables are not concerned: their costs count it either way.
        """
        net = self._assembler()
        self._frame(net, lambda x, name, group, channels: self._cell(net, x, arch, name, group, channels))
        return net.finish()

    def _frame(self, net: Assembler, cell: Callable[[str, str, str, int], str]) -> None:
        """The network around its cells; `cell` writes one: (input, name, group, channels) -> its output."""
        channels = self._opt.channels
        x = net.add("stem_conv", "conv2d", "input", group="stem", out_channels=channels, kernel_size=3, bias=False)
        x = net.add("stem_norm", "batch_norm2d", x, group="stem")
        for stage in range(1, _STAGES + 1):
            if stage > 1:
                channels *= 2
                x = write_reduction(net, x, stage - 1, channels)
            for i in range(1, self._opt.cells + 1):
                x = cell(x, f"stage{stage}.cell{i}", f"stage {stage}", channels)
        x = net.add("last_norm", "batch_norm2d", x, group="head")
        x = net.add("last_relu", "relu", x, group="head")
        x = net.add("global_pool", "global_avg_pool2d", x, group="head")
        net.add("output", "linear", x, group="output", out_features=self.n_classes)

    # -- all operations side by side ------------------------------------------------------------
    def _mixture(self, partial: int, norm_pools: bool) -> Mixture:
        """Every edge a slot over its operations; the cells of all stages share one table an edge."""
        net = Mixing(self.input_shape)
        offered = {d.name: d.options for d in self.all_decisions()}
        self._frame(net, lambda *where: mixed_cell(net, offered, *where, partial=partial, norm_pools=norm_pools))
        return net.mixture([Table(name, options) for name, options in offered.items()])

    def _taken(self, arch: Architecture) -> dict[str, Option]:
        """All edges but those that start from a node that receives nothing: they are no terms of a sum (`plan`)."""
        fed = cell.fed(arch.choices)
        return {name: arch[name] for name, a, _ in WIRES if a in fed}

    @staticmethod
    def _cell(net: Assembler, x: str, arch: Architecture, name: str, group: str, channels: int) -> str:
        prefix = name.replace(".", "_")
        part = {"group": group, "cell": name}
        fed = cell.fed(arch.choices)
        states = [x]
        for node in (1, 2, 3):
            terms = []
            for edge, a, b in WIRES:
                op = arch[edge]
                if b != node or op == "none":
                    continue
                id = f"{prefix}_{edge}"
                write_edge(net, id, states[a], str(op), group, name, channels)
                if a in fed:
                    terms.append(id)
            if not terms:
                terms = [net.add(f"{prefix}_none{node}", "zero", states[0], **part)]
            states.append(net.add(f"{prefix}_node{node}", "add", *terms, **part))
        return states[3]

    @cached_property
    def _cost_table(self) -> tuple[Costs, dict[str, tuple[int, int]], int]:
        """Costs of the skeleton without edges, of each operation on one edge of all cells, and bytes of one state."""
        ops = ("nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "skip_connect", "none", "none")
        plan = self.plan(Architecture(self.name, tuple(zip(NAMES, ops, strict=True))))
        each = {op: [0, 0] for op in OPS}
        state_bytes = 0
        for id, (n_params, n_macs) in closed_form.node_costs(plan).items():
            edge = id[-7:]
            if plan.by_id[id].cell and edge in NAMES:
                total = each[cast(Operation, ops[NAMES.index(edge)])]
                total[0] += n_params
                total[1] += n_macs
            if id.endswith("_node3"):
                state_bytes += 4 * prod(plan.by_id[id].shape)
        whole = closed_form.costs(plan)
        base = Costs(
            whole.n_params - sum(p for p, _ in each.values()),
            whole.n_macs - sum(m for _, m in each.values()),
            whole.activation_bytes - self._tensors(ops) * state_bytes,
        )
        return base, {op: (p, m) for op, (p, m) in each.items()}, state_bytes

    @staticmethod
    def _tensors(ops: tuple[Option, ...]) -> int:
        """Tensors one cell makes: convolutions, pools, sums of two or more, zeros for a node that receives nothing."""
        fed = cell.fed(dict(zip(NAMES, ops, strict=True)))
        made = sum(op not in ("none", "skip_connect") for op in ops)
        for terms in (((0, ops[0]),), tuple(enumerate(ops[1:3])), tuple(enumerate(ops[3:]))):
            made += sum(op != "none" and a in fed for a, op in terms) != 1
        return made

    def _costs(self, arch: Architecture) -> Costs:
        """Closed form: the skeleton plus what its six operations cost in all cells."""
        base, each, state_bytes = self._cost_table
        ops = tuple(arch[name] for name in NAMES)
        return Costs(
            base.n_params + sum(each[str(op)][0] for op in ops),
            base.n_macs + sum(each[str(op)][1] for op in ops),
            base.activation_bytes + self._tensors(ops) * state_bytes,
        )

    def _live_costs(self, arch: Architecture) -> tuple[int, int]:
        """Closed form: the skeleton plus what the live edges cost; a cell without any leaves nothing live."""
        names = cell.live(arch)
        base, each, _ = self._cost_table
        ops = [each[str(arch[name])] for name in names]
        return (base.n_params + sum(p for p, _ in ops), base.n_macs + sum(m for _, m in ops)) if names else (0, 0)

    # -- larger ones, and other ones with the same function -----------------------------------
    def _stage(self, arch: Architecture) -> int:
        return 1 + sum(option != "none" for _, option in arch.items)

    def _grow(self, arch: Architecture) -> list[Architecture]:
        """One more edge: a `none` becomes an operation."""
        return [
            self._change(arch, {d.name: option})
            for d in self.decisions(arch)
            if arch[d.name] == "none"
            for option in d.options
            if option != "none"
        ]

    def _morphisms(self, arch: Architecture) -> list[Morphism]:
        """A convolution behind which the batch norm begins at zero, where nothing was; a 1×1 window set into a 3×3."""
        out = []
        fed = cell.fed(arch.choices)
        for d, (name, a, b) in zip(self.decisions(arch), WIRES, strict=True):
            old = arch[name]
            # a node that begins to receive would wake what it feeds
            wakes = b not in fed and any(s == b and arch[n] != "none" for n, s, _ in WIRES)
            for new in d.options:
                if old == "none" and str(new).startswith("nor_conv") and a in fed and not wakes:
                    fill = {"conv.weight": Made(), "norm.weight": Made(fill="zeros"), "norm.bias": Made(fill="zeros"),
                            "norm.running_mean": Made(), "norm.running_var": Made(),
                            "norm.num_batches_tracked": Made()}  # fmt: skip
                    what = f"{self.format(name, new)} that begins at zero on {self.title(name)}"
                elif (old, new) == ("nor_conv_1x1", "nor_conv_3x3"):
                    fill = {"conv.weight": Made("conv.weight", pad={2: (1, 1), 3: (1, 1)})}
                    what = f"{self.title(name)}: conv 1×1 within a conv 3×3"
                else:
                    continue
                child = self._change(arch, {name: new})
                out.append(Morphism(child, what, self._everywhere(name, fill)))
        return out

    def _everywhere(self, edge: str, fill: Mapping[str, Made]) -> dict[str, Made]:
        """The same for this edge of all cells."""
        out = {}
        for stage in range(1, _STAGES + 1):
            for i in range(1, self._opt.cells + 1):
                prefix = f"stage{stage}_cell{i}.{edge}."
                for tensor, made in fill.items():
                    out[prefix + tensor] = replace(made, source=prefix + made.source) if made.source else made
        return out

    # -- identity -----------------------------------------------------------------------------
    @staticmethod
    def cell_form(arch: Architecture) -> str:
        """Exact canonical text of the cell, one of 5,044; the rules stand at `_nasbench201.cell.cell_form`."""
        return cell.cell_form(arch)

    def _canonical_key(self, arch: Architecture) -> str:
        skeleton = f"{self.name} {self._opt.channels}x{self._opt.cells} {self.input_shape} {self.n_classes}"
        return canonical.digest(f"{skeleton} {cell.cell_form(arch)}")

    def _structure(self, arch: Architecture) -> dict[str, float]:
        """Of one cell: what the cells add up to differs from it by a factor and the skeleton's share."""
        return cell.shape(arch)

    def features(self, arch: Architecture) -> dict[str, float | str]:
        """Operations of live edges (on a path from input to output), number of paths and longest path, size."""
        live = cell.live(arch)
        out: dict[str, float | str] = {name: str(arch[name]) for name in live}
        # paths[j] = (how many lead to node j, most convolutions and pools on one of them)
        paths: dict[int, tuple[int, int]] = {0: (1, 0)}
        for name, a, b in WIRES:
            if name in live:
                count, longest = paths.get(b, (0, 0))
                step = int(arch[name] != "skip_connect")
                paths[b] = (count + paths[a][0], max(longest, paths[a][1] + step))
        out["paths"], out["longest_path"] = map(float, paths.get(3, (0, 0)))
        base, each, _ = self._cost_table
        out["log10_live_params"] = float(np.log10(base.n_params + sum(each[str(arch[n])][0] for n in live)))
        out["log10_live_macs"] = float(np.log10(base.n_macs + sum(each[str(arch[n])][1] for n in live)))
        return out

    # -- words --------------------------------------------------------------------------------
    def title(self, decision: str) -> str:
        """ "edge 1→3"."""
        return f"edge {decision[4]}→{decision[6]}"

    def format(self, decision: str, option: Option) -> str:
        """ "conv 3×3", "skip"."""
        return _WORDS[str(option)]

    def _phrase(self, decision: str, old: Option, new: Option) -> str:
        return f"{self.title(decision)}: {self.format(decision, old)} → {self.format(decision, new)}"

    def short_name(self, arch: Architecture) -> str:
        """ "3×conv3 1×skip 330101": the cell's convolutions (or what it has), then its six digits."""
        ops = [arch[name] for name in NAMES]
        named = (
            ("nor_conv_3x3", "conv3"),
            ("nor_conv_1x1", "conv1"),
            ("avg_pool_3x3", "avg"),
            ("skip_connect", "skip"),
        )
        parts = [f"{ops.count(op)}×{word}" for op, word in named if op in ops][:2]
        return " ".join([*parts, self.to_digits(arch)])

    def outline(self) -> dict[str, Any]:
        """Stem, three stages of cells with reductions, head; the decisions stand at the first cell."""
        o = self._opt
        times = f"{o.cells} times" if o.cells > 1 else "once"
        repeat = times if o.cells > 1 else None
        drawing = Outline(self)
        kind, detail = input_words("image", self.data.input_shape if self.data else ())
        drawing.part("input", "input", kind, detail)
        drawing.part("stem", "conv", "stem", f"conv 3×3, {o.channels} channels")
        for stage in range(1, _STAGES + 1):
            if stage > 1:
                channels = o.channels * 2 ** (stage - 1)
                drawing.part(f"reduce{stage - 1}", "conv", "reduction", f"to {channels} channels, half the size")
            drawing.part(f"stage{stage}", "cell", "cell", times, repeat=repeat, decide=NAMES if stage == 1 else ())
        drawing.part("global", "pool", "global avg")
        drawing.part("output", "output", "linear", f"{self.data.n_classes} classes" if self.data else "")
        drawing.chain()
        return drawing.done()
