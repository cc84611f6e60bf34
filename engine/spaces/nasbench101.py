"""The cells of NAS-Bench-101: graphs of up to 7 vertices and 9 edges with three operations."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Mapping
from functools import cached_property
from math import prod
from typing import Any, ClassVar, cast

import numpy as np
from pydantic import BaseModel

from engine.architecture import Architecture, Option
from engine.data.spec import DataSpec
from engine.errors import InvalidArchitecture
from engine.network import canonical
from engine.network import costs as closed_form
from engine.network.morphism import Morphism
from engine.network.plan import Costs, NetworkPlan
from engine.spaces._nasbench101 import growth as growth
from engine.spaces._nasbench101.cells import (
    OPS,
    WORDS,
    Cell,
    cell_costs,
    parse,
    representative,
    write_cell,
)
from engine.spaces._nasbench101.options import Nasbench101Options as Nasbench101Options
from engine.spaces._nasbench101.process import Node, State, Step, order, step, tree
from engine.spaces._offers import Capability
from engine.spaces._outline import Outline, input_words
from engine.spaces._shared.fits import convolved_and_halved_twice
from engine.spaces.base import Decision, Preset, SearchSpace


class Nasbench101(SearchSpace):
    """Convolution, three stacks of equal cells with pooling between them, global average, classifier.

    Decisions: the number of vertices, the operation of each between input and output, then for every two vertices
    whether an edge leads from one to the other. Only edges are offered that can be completed: in the end every vertex
    lies on a path from input to output, as the authors prune their cells, within the limit of edges.
    """

    name: ClassVar[str] = "nasbench101"
    summary: ClassVar[str] = "One repeated cell, a graph of up to 7 vertices and 9 edges: NAS-Bench-101."
    reference: ClassVar[str] = "Ying et al. 2019, NAS-Bench-101: Towards Reproducible Neural Architecture Search"
    Options: ClassVar[type[BaseModel]] = Nasbench101Options
    entangled: ClassVar[bool] = True
    unavailable: ClassVar[Mapping[Capability, str]] = {
        "supernet": "the channels of a vertex follow from the paths through the cell: its weights fit one wiring only",
        "mixture": "the channels of a vertex follow from the paths through the cell: its weights fit one wiring only",
    }
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset(
            "published", "NAS-Bench-101", "423,624 cells of up to 7 vertices; 9 cells of 128 to 512 channels.",
            "Ying et al. 2019, NAS-Bench-101",
        ),
        Preset(
            "five-vertices", "NAS-Bench-101 (5 vertices)", "The 2,532 cells with up to 5 vertices.",
            "Ying et al. 2019, NAS-Bench-101", {"vertices": (2, 3, 4, 5)},
        ),
        Preset(
            "small", "NAS-Bench-101, small", "One cell a stack and 16 channels: for images of 8×8 pixels.",
            "Ying et al. 2019, NAS-Bench-101, scaled down", {"channels": 16, "cells": 1},
        ),
    )  # fmt: skip
    notation: ClassVar[str] = (
        "the benchmark's matrix and operations as JSON, "
        '{"matrix": [[0, 1, 1], [0, 0, 1], [0, 0, 0]], "ops": ["input", "conv3x3-bn-relu", "output"]}'
    )

    @property
    def opt(self) -> Nasbench101Options:
        """The options."""
        return cast(Nasbench101Options, self.options)

    @classmethod
    def fits(cls, data: DataSpec) -> str | None:
        """Images and signals of at least 4: pooling between the stacks halves them."""
        return convolved_and_halved_twice(data)

    @classmethod
    def suggested(cls, data: DataSpec) -> dict[str, Any]:
        """One cell a stack: the published network is made for CIFAR-10 on accelerators."""
        side = min(data.input_shape[1:], default=0)
        if side < 16:
            return {"channels": 16, "cells": 1}
        if side < 64 or (data.kind == "signal" and side < 256):
            return {"channels": 32, "cells": 1}
        return {"channels": 16, "cells": 1, "stacks": 5}

    # -- the process --------------------------------------------------------------------------
    @cached_property
    def _size(self) -> Decision:
        return Decision("vertices", self.opt.vertices, True, "cell", "Vertices, input and output included.")

    @cached_property
    def _ops(self) -> tuple[Decision, ...]:
        return tuple(
            Decision(f"op{v}", self.opt.operations, False, f"vertex {v}", "Operation on the sum of what it reads.")
            for v in range(1, self.opt.vertices[-1] - 1)
        )

    def _edge(self, found: Step) -> Decision:
        cache = self._caches.setdefault("edges", {})
        key = found.name, found.options
        if key not in cache:
            cache[key] = Decision(found.name, found.options, False, "edges", "Whether this edge is there.")
        decision: Decision = cache[key]
        return decision

    def _state(self, partial: Mapping[str, Option]) -> State:
        """Where the choices of edges have led."""
        state = State(cast(int, partial["vertices"]))
        while (found := step(state, self.opt.edges)) is not None and found.name in partial:
            state = found.after[bool(partial[found.name])]
        return state

    def _next(self, partial: Mapping[str, Option]) -> Decision | None:
        if "vertices" not in partial:
            return self._size
        for d in self._ops[: cast(int, partial["vertices"]) - 2]:
            if d.name not in partial:
                return d
        found = step(self._state(partial), self.opt.edges)
        return None if found is None else self._edge(found)

    def _all(self) -> list[Decision]:
        most = self.opt.vertices[-1]
        names = [name for _, b, name in order(most) if b < most - 1]
        names += [f"edge{a}_out" for a in range(most - 2, -1, -1)]
        edges = [Decision(n, (False, True), False, "edges", "Whether this edge is there.") for n in names]
        return [self._size, *self._ops, *edges]

    def _rest(self, partial: Mapping[str, Option]) -> Hashable:
        if "vertices" not in partial:
            return ()
        vertices = cast(int, partial["vertices"])
        decided = sum(d.name in partial for d in self._ops[: vertices - 2])
        return vertices, decided, self._state(partial)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Vertices, operations, then each edge, uniform over what is offered."""
        if self._allowed:
            return super().sample(rng)
        vertices = self.opt.vertices[int(rng.integers(len(self.opt.vertices)))]
        items = self._head(vertices, rng)
        node: Node | None = tree(vertices, self.opt.edges)
        for coin in rng.integers(2, size=vertices * (vertices - 1) // 2).tolist():
            pairs, after, _ = cast(Node, node)
            coin = coin if len(pairs) == 2 else 0
            items.append(pairs[coin])
            node = after[coin]
        return Architecture(self.name, tuple(items))

    def sample_uniform(self, rng: np.random.Generator) -> Architecture:
        """Each vertex number and each edge in proportion to the cells behind it; operations are free."""
        if self._allowed:
            return super().sample_uniform(rng)
        o = self.opt
        counts = [sum(tree(n, o.edges)[2]) * len(o.operations) ** (n - 2) for n in o.vertices]
        total = sum(counts)
        vertices = o.vertices[int(rng.choice(len(counts), p=[c / total for c in counts]))]
        items = self._head(vertices, rng)
        node: Node | None = tree(vertices, o.edges)
        for coin in rng.random(vertices * (vertices - 1) // 2).tolist():
            pairs, after, ways = cast(Node, node)
            at = int(coin * sum(ways) >= ways[0])
            items.append(pairs[at])
            node = after[at]
        return Architecture(self.name, tuple(items))

    def _head(self, vertices: int, rng: np.random.Generator) -> list[tuple[str, Option]]:
        """The number of vertices and their operations, drawn."""
        operations = self.opt.operations
        drawn = rng.integers(len(operations), size=vertices - 2).tolist()
        return [("vertices", vertices), *[(d.name, operations[i]) for d, i in zip(self._ops, drawn, strict=False)]]

    # -- cells and their writing --------------------------------------------------------------
    def cell(self, arch: Architecture) -> Cell:
        """The graph."""
        c = arch.choices
        size = cast(int, c["vertices"])
        ops = tuple([cast(str, c[f"op{v}"]) for v in range(1, size - 1)])
        return Cell(ops, tuple(sorted([(a, b) for a, b, name in order(size) if c[name]])))

    def choices_of(self, cell: Cell) -> dict[str, Option]:
        """The choices that make a cell."""
        there = set(cell.edges)
        return {
            "vertices": cell.out + 1,
            **{f"op{v}": op for v, op in enumerate(cell.ops, start=1)},
            **{name: (a, b) in there for a, b, name in order(cell.out + 1)},
        }

    def arch_of(self, cell: Cell) -> Architecture:
        """The architecture of a cell.

        Raises:
            InvalidArchitecture: it has other operations, more vertices or more edges than this space offers.
        """
        if len(cell.edges) > self.opt.edges:
            raise InvalidArchitecture(
                f"matrix: received {len(cell.edges)} edges on paths; at most {self.opt.edges} in this space"
            )
        if cell.out + 1 not in self.opt.vertices:
            offered = ", ".join(map(str, self.opt.vertices))
            raise InvalidArchitecture(f"matrix: received {cell.out + 1} vertices on paths; this space has {offered}")
        choices = self.choices_of(cell)
        if self._allowed or not set(cell.ops) <= set(self.opt.operations):
            return self.validate(choices)
        return Architecture.of(self.name, choices)

    def write(self, arch: Architecture) -> str:
        """Matrix and operations."""
        return str(self.cell(arch))

    def read(self, text: str) -> Architecture:
        """Reads matrix and operations, of which what lies on no path is dropped; or choices.

        Raises:
            InvalidArchitecture: says what was received and what would be right.
        """
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict) and "matrix" in value:
            return self.arch_of(parse(value))
        return super().read(text)

    # -- the network --------------------------------------------------------------------------
    def plan(self, arch: Architecture) -> NetworkPlan:
        """The whole network."""
        return self._plan(self.cell(arch))

    def _plan(self, cell: Cell) -> NetworkPlan:
        o, net = self.opt, self._assembler()
        d = len(self.input_shape) - 1
        x = net.add("stem", f"conv{d}d_norm_relu", "input", group="stem", out_channels=o.channels, kernel_size=3)
        for stack in range(1, o.stacks + 1):
            if stack > 1:
                x = net.add(
                    f"down{stack - 1}", f"max_pool{d}d", x, group=f"downsample {stack - 1}",
                    kernel_size=2, stride=2, ceil_mode=any(side % 2 for side in net.shape(x)[1:]),
                )  # fmt: skip
            for k in range(1, o.cells + 1):
                x = write_cell(net, f"stack{stack}_cell{k}", x, cell, self._channels(stack), f"stack {stack}")
        x = net.add("global_pool", f"global_avg_pool{d}d", x, group="head")
        net.add("output", "linear", x, group="output", out_features=self.n_classes)
        return net.finish()

    def _channels(self, stack: int) -> int:
        return int(self.opt.channels * 2 ** (stack - 1))

    def _cells_costs(self, cell: Cell) -> tuple[int, int, int]:
        o, total = self.opt, [0, 0, 0]
        sides = self.input_shape[1:]
        for stack in range(1, o.stacks + 1):
            channels = self._channels(stack)
            first = channels if stack == 1 else channels // 2
            for inside, times in ((first, 1), (channels, o.cells - 1)):
                if times:
                    for k, cost in enumerate(cell_costs(cell, inside, channels, prod(sides), len(sides))):
                        total[k] += times * cost
            sides = tuple(-(-side // 2) for side in sides)
        return total[0], total[1], total[2]

    @cached_property
    def _frame(self) -> tuple[int, int, int]:
        """Costs of everything but the cells: those of a network with the smallest cell, without its cells."""
        smallest = Cell((), ((0, 1),))
        whole = closed_form.costs(self._plan(smallest))
        each = zip((whole.n_params, whole.n_macs, whole.activation_bytes), self._cells_costs(smallest), strict=True)
        n_params, n_macs, size = (a - b for a, b in each)
        return n_params, n_macs, size

    def _costs(self, arch: Architecture) -> Costs:
        """Closed form: the frame and the cells."""
        return Costs(*(a + b for a, b in zip(self._frame, self._cells_costs(self.cell(arch)), strict=True)))

    # -- identity -----------------------------------------------------------------------------
    def _canonical_key(self, arch: Architecture) -> str:
        """The published rule: isomorphic cells are one, and build one network (see `widths`).

        Two poolings of the same input count apart, as in the benchmark, though they compute the same.
        """
        o, cell = self.opt, self.cell(arch)
        bits, labels, _ = representative(cell)
        frame = f"{self.name} {o.channels}x{o.stacks}x{o.cells} {self.input_shape} {self.n_classes}"
        return canonical.digest(f"{frame} {cell.out + 1} {bits} {labels}")

    def features(self, arch: Architecture) -> dict[str, float | str]:
        """The table's representative (edges, operations), what feeds the output, longest path, size."""
        cell = self.cell(arch)
        bits, labels, _ = representative(cell)
        size = cell.out + 1
        out: dict[str, float | str] = {f"op{v}": OPS[code] for v, code in enumerate(labels, start=1)}
        for a, b, name in order(size):
            out[name] = float(bits >> (a + b * (b - 1) // 2) & 1)
        depth = [0] * size
        for v in range(1, size):
            depth[v] = 1 + max(depth[u] for u in cell.sources(v))
        out |= {"vertices": float(size), "edges": float(len(cell.edges)), "longest_path": float(depth[-1])}
        out |= {f"n_{op}": float(cell.ops.count(op)) for op in OPS}
        costs = self.costs(arch)
        out["log10_n_params"], out["log10_n_macs"] = (float(np.log10(c)) for c in (costs.n_params, costs.n_macs))
        return out

    # -- growing ------------------------------------------------------------------------------
    def _stage(self, arch: Architecture) -> int:
        return cast(int, arch["vertices"]) - self.opt.vertices[0] + 1

    def _grow(self, arch: Architecture) -> list[Architecture]:
        return growth.grow(self, arch)

    def _morphisms(self, arch: Architecture) -> list[Morphism]:
        return growth.morphisms(self, arch)

    # -- words --------------------------------------------------------------------------------
    def title(self, decision: str) -> str:
        """ "vertices", "vertex 3", "edge input→2", "edge 3→output"."""
        if decision.startswith("op"):
            return f"vertex {decision[2:]}"
        if decision.startswith("edge"):
            a, b = decision[4:].split("_")
            return f"edge {'input' if a == '0' else a}→{'output' if b == 'out' else b}"
        return decision

    def format(self, decision: str, option: Option) -> str:
        """ "conv 3×3", "there"."""
        if decision.startswith("edge"):
            return "there" if option else "none"
        return WORDS[str(option)] if decision.startswith("op") else str(option)

    def _phrase(self, decision: str, old: Option, new: Option) -> str:
        if decision.startswith("edge"):
            return f"{self.title(decision)} {'added' if new else 'removed'}"
        return super()._phrase(decision, old, new)

    def short_name(self, arch: Architecture) -> str:
        """ "7v9e 3×conv3 2×max3 1a2b": vertices, edges, operations, four digits of its identity."""
        cell = self.cell(arch)
        brief = {"conv3x3-bn-relu": "conv3", "conv1x1-bn-relu": "conv1", "maxpool3x3": "max3"}
        used = Counter(brief[op] for op in cell.ops)
        counts = [f"{k}×{op}" for op, k in used.most_common()]
        return " ".join([f"{cell.out + 1}v{len(cell.edges)}e", *counts, canonical.digest(arch.key)[:4]])

    def outline(self) -> dict[str, Any]:
        """Stem, stacks with pooling between them, head; the cell is decided at the first stack."""
        o, out = self.opt, Outline(self)
        kind, shape = (self.data.kind, self.input_shape) if self.data else ("image", ())
        out.part("input", "input", *input_words(kind, shape))
        out.part("stem", "conv", "stem", f"conv {'3×3' if kind == 'image' else '3'}, {o.channels} channels")
        groups: dict[tuple[bool, tuple[Option, ...]], list[str]] = {}
        for d in self.all_decisions():
            if d.name != "vertices":
                groups.setdefault((d.name.startswith("op"), d.options), []).append(d.name)
        cell: list[Any] = ["vertices"]
        for (ops, _), names in groups.items():
            said = "operation, each vertex by itself" if ops else "edges, each by itself"
            cell.append(names[0] if len(names) == 1 else (names, said))
        times = f"{o.cells} times" if o.cells > 1 else "once"
        for stack in range(1, o.stacks + 1):
            if stack > 1:
                out.part(f"down{stack - 1}", "pool", "max", "half the size")
            out.part(
                f"stack{stack}", "cell", "cell", f"{self._channels(stack)} channels, {times}",
                decide=cell if stack == 1 else [], repeat=times if o.cells > 1 else None,
            )  # fmt: skip
        out.part("global", "pool", "global avg")
        out.part("output", "output", "linear", f"{self.data.n_classes} classes" if self.data else "")
        out.chain()
        return out.done()
