"""The published cell of NAS-Bench-201: four nodes, six edges, five operations, 15,625 architectures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from math import prod
from typing import Any, ClassVar, Literal, cast

import numpy as np
from pydantic import BaseModel, Field

from engine.architecture import Architecture, Option
from engine.data.spec import DataSpec
from engine.errors import InvalidArchitecture
from engine.network import canonical
from engine.network import costs as closed_form
from engine.network.assemble import Assembler
from engine.network.plan import Costs, NetworkPlan
from engine.spaces._options import Names, SpaceOptions, offers
from engine.spaces.base import Decision, SearchSpace

Operation = Literal["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
#: in the order of the digits of the published tables
OPS: tuple[Operation, ...] = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
#: (from, to) in the order of the published string
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
NAMES = tuple(f"edge{a}_{b}" for a, b in EDGES)
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
    """

    name: ClassVar[str] = "nasbench201"
    summary: ClassVar[str] = "One repeated cell of four nodes and six edges: NAS-Bench-201."
    reference: ClassVar[str] = "Dong & Yang 2020, NAS-Bench-201: Extending the Scope of Reproducible NAS"
    Options: ClassVar[type[BaseModel]] = Nasbench201Options

    @property
    def _opt(self) -> Nasbench201Options:
        return cast(Nasbench201Options, self.options)

    @classmethod
    def fits(cls, data: DataSpec) -> str | None:
        """Images of at least 4x4: each of the two reductions halves them."""
        if len(data.input_shape) != 3:
            return f"it needs images, this data has the shape {'×'.join(map(str, data.input_shape))}"
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
    def to_string(self, arch: Architecture) -> str:
        """The published string, `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`."""
        nodes = [
            "|".join(f"{arch[name]}~{a}" for name, (a, b) in zip(NAMES, EDGES, strict=True) if b == node)
            for node in (1, 2, 3)
        ]
        return "+".join(f"|{text}|" for text in nodes)

    def from_string(self, text: str) -> Architecture:
        """Reads the published string.

        Raises:
            InvalidArchitecture: not such a string, or an operation this space does not offer.
        """
        found = re.findall(r"([a-z0-9_]+)~(\d)", text)
        if [int(a) for _, a in found] != [a for a, _ in EDGES]:
            raise InvalidArchitecture(
                f"received {text[:80]!r}; a cell reads |op~0|+|op~0|op~1|+|op~0|op~1|op~2| "
                f"with op one of {', '.join(OPS)}"
            )
        return self.validate(dict(zip(NAMES, (op for op, _ in found), strict=True)))

    def to_digits(self, arch: Architecture) -> str:
        """Six digits, one an edge: 0 none, 1 skip, 2 conv 1×1, 3 conv 3×3, 4 average pooling."""
        return "".join(str(OPS.index(cast(Operation, arch[name]))) for name in NAMES)

    def from_digits(self, digits: str) -> Architecture:
        """Reads what `to_digits` wrote.

        Raises:
            InvalidArchitecture: not six digits of 0 to 4.
        """
        if not re.fullmatch(r"[0-4]{6}", digits):
            raise InvalidArchitecture(f"received {digits[:20]!r}; a cell has six digits of 0 to 4")
        return self.validate({name: OPS[int(d)] for name, d in zip(NAMES, digits, strict=True)})

    # -- the network --------------------------------------------------------------------------
    def plan(self, arch: Architecture) -> NetworkPlan:
        """The whole network: dead operations are built and counted, as published."""
        net = Assembler(self.input_shape)
        channels = self._opt.channels
        x = net.add("stem_conv", "conv2d", "input", group="stem", out_channels=channels, kernel_size=3, bias=False)
        x = net.add("stem_norm", "batch_norm2d", x, group="stem")
        for stage in range(1, _STAGES + 1):
            if stage > 1:
                channels *= 2
                x = self._reduce(net, x, stage - 1, channels)
            for i in range(1, self._opt.cells + 1):
                x = self._cell(net, x, arch, f"stage{stage}.cell{i}", f"stage {stage}", channels)
        x = net.add("last_norm", "batch_norm2d", x, group="head")
        x = net.add("last_relu", "relu", x, group="head")
        x = net.add("global_pool", "global_avg_pool2d", x, group="head")
        net.add("output", "linear", x, group="output", out_features=self.n_classes)
        return net.finish()

    @staticmethod
    def _cell(net: Assembler, x: str, arch: Architecture, cell: str, group: str, channels: int) -> str:
        prefix = cell.replace(".", "_")
        states = [x]
        for node in (1, 2, 3):
            terms = []
            for name, (a, b) in zip(NAMES, EDGES, strict=True):
                op = arch[name]
                if b != node or op == "none":
                    continue
                part = {"group": group, "cell": cell}
                if op == "skip_connect":
                    terms.append(net.add(f"{prefix}_{name}", "identity", states[a], **part))
                elif op == "avg_pool_3x3":
                    terms.append(
                        net.add(f"{prefix}_{name}", "avg_pool2d", states[a], **part,
                                kernel_size=3, stride=1, padding=1, count_include_pad=False)
                    )  # fmt: skip
                else:
                    kernel = 1 if op == "nor_conv_1x1" else 3
                    terms.append(
                        net.add(f"{prefix}_{name}", "relu_conv2d_norm", states[a], **part,
                                out_channels=channels, kernel_size=kernel)
                    )  # fmt: skip
            if not terms:
                terms = [net.add(f"{prefix}_none{node}", "zero", states[0], group=group, cell=cell)]
            states.append(net.add(f"{prefix}_node{node}", "add", *terms, group=group, cell=cell))
        return states[3]

    @staticmethod
    def _reduce(net: Assembler, x: str, number: int, channels: int) -> str:
        """Residual block of stride 2 (its short cut is a 2x2 average and a 1x1 convolution)."""
        group, part = f"reduction {number}", f"reduce{number}"
        odd = any(side % 2 for side in net.shape(x)[1:])
        y = net.add(f"{part}_conv1", "relu_conv2d_norm", x, group=group, out_channels=channels, kernel_size=3, stride=2)
        y = net.add(f"{part}_conv2", "relu_conv2d_norm", y, group=group, out_channels=channels, kernel_size=3)
        # published for even sizes; an odd size is rounded up, as the convolution of stride 2 does
        z = net.add(f"{part}_pool", "avg_pool2d", x, group=group, kernel_size=2, stride=2, ceil_mode=odd)
        z = net.add(f"{part}_project", "conv2d", z, group=group, out_channels=channels, kernel_size=1, bias=False)
        return net.add(f"{part}_add", "add", y, z, group=group)

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
        """Tensors one cell makes: convolutions, pools, sums of two or more, zeros for a node without inputs."""
        made = sum(op not in ("none", "skip_connect") for op in ops)
        for terms in (ops[:1], ops[1:3], ops[3:]):
            made += sum(op != "none" for op in terms) != 1
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

    # -- identity -----------------------------------------------------------------------------
    @staticmethod
    def cell_form(arch: Architecture) -> str:
        """Exact canonical text of the cell; all 15,625 cells have 5,260 of them.

        An operation that nothing but zeros reaches counts as dead, as in that figure; strictly, the batch norm of
        such a convolution still adds its learned bias.
        """
        items: list[canonical.Item] = []
        states = [-1]
        for node in (1, 2, 3):
            terms = []
            for name, (a, b) in zip(NAMES, EDGES, strict=True):
                op = str(arch[name])
                if b == node and op != "none":
                    role: Literal["identity", "op"] = "identity" if op == "skip_connect" else "op"
                    items.append(canonical.Item(op, role, op == "avg_pool_3x3", (states[a],), True))
                    terms.append(len(items) - 1)
            items.append(canonical.Item("sum", "sum", True, tuple(terms)))
            states.append(len(items) - 1)
        return canonical.canonical_form(tuple(items), states[3])

    def _canonical_key(self, arch: Architecture) -> str:
        skeleton = f"{self.name} {self._opt.channels}x{self._opt.cells} {self.input_shape} {self.n_classes}"
        return canonical.digest(f"{skeleton} {self.cell_form(arch)}")

    def features(self, arch: Architecture) -> dict[str, float | str]:
        """Operations of live edges (on a path from input to output), number of paths and longest path, size."""
        live = self._live(arch)
        out: dict[str, float | str] = {name: str(arch[name]) for name in live}
        # paths[j] = (how many lead to node j, most convolutions and pools on one of them)
        paths: dict[int, tuple[int, int]] = {0: (1, 0)}
        for name, (a, b) in zip(NAMES, EDGES, strict=True):
            if name in live:
                count, longest = paths.get(b, (0, 0))
                step = int(arch[name] != "skip_connect")
                paths[b] = (count + paths[a][0], max(longest, paths[a][1] + step))
        out["paths"], out["longest_path"] = map(float, paths.get(3, (0, 0)))
        base, each, _ = self._cost_table
        out["log10_live_params"] = float(np.log10(base.n_params + sum(each[str(arch[n])][0] for n in live)))
        out["log10_live_macs"] = float(np.log10(base.n_macs + sum(each[str(arch[n])][1] for n in live)))
        return out

    @staticmethod
    def _live(arch: Architecture) -> list[str]:
        real = [(n, a, b) for n, (a, b) in zip(NAMES, EDGES, strict=True) if arch[n] != "none"]
        fed, read = {0}, {3}
        for _, a, b in real:  # edges are in topological order of their targets
            if a in fed:
                fed.add(b)
        for _, a, b in reversed(real):
            if b in read:
                read.add(a)
        return [n for n, a, b in real if a in fed and b in read]

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
        """Stem, three stages of cells with reductions, head; the decisions stand at the cell."""
        o = self._opt
        shape = self.data.input_shape if self.data else ()
        decisions = [
            {"name": d.name, "title": self.title(d.name), "options": [self.format(d.name, x) for x in d.options]}
            for d in self.all_decisions()
        ]
        image = f"{shape[0]} × {'×'.join(map(str, shape[1:]))}" if shape else ""
        times = f"{o.cells} times" if o.cells > 1 else "once"
        parts: list[dict[str, Any]] = [
            {"id": "input", "kind": "input", "title": "image", "detail": image},
            {"id": "stem", "kind": "conv", "title": "stem", "detail": f"conv 3×3, {o.channels} channels"},
        ]
        for stage in range(1, _STAGES + 1):
            if stage > 1:
                parts.append({"id": f"reduce{stage - 1}", "kind": "conv", "title": "reduction",
                              "detail": f"to {o.channels * 2 ** (stage - 1)} channels, half the size"})  # fmt: skip
            parts.append(
                {"id": f"stage{stage}", "kind": "cell", "title": "cell", "detail": times,
                 "repeat": times if o.cells > 1 else None, "decisions": decisions if stage == 1 else []}
            )  # fmt: skip
        parts += [
            {"id": "global", "kind": "pool", "title": "global avg", "detail": ""},
            {"id": "output", "kind": "output", "title": "linear",
             "detail": f"{self.data.n_classes} classes" if self.data else ""},
        ]  # fmt: skip
        for part in parts:
            part.setdefault("decisions", [])
            part.setdefault("repeat", None)
        ids = [part["id"] for part in parts]
        edges = [{"source": a, "target": b, "title": "", "dashed": False} for a, b in zip(ids, ids[1:], strict=False)]
        return {"parts": parts, "edges": edges}
