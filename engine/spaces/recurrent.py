"""Recurrent cells as graphs, for text and series."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from math import prod
from typing import Any, ClassVar, cast

import numpy as np
from pydantic import BaseModel

from engine.architecture import Architecture, Option
from engine.data.spec import DataSpec, said
from engine.errors import InvalidArchitecture
from engine.network import canonical
from engine.network.morphism import Made, Morphism
from engine.network.plan import NetworkPlan
from engine.spaces._outline import Outline, input_words
from engine.spaces._recurrent import genotype as genotype
from engine.spaces._recurrent import mixed as mixed
from engine.spaces._recurrent.genotype import Cell
from engine.spaces._recurrent.options import OUTPUTS, POOLS, RecurrentOptions
from engine.spaces._recurrent.presets import PRESETS
from engine.spaces._shared.sequence_stems import signal_stem, strides, word_stem
from engine.spaces._shares import Strengths
from engine.spaces.base import Decision, Preset, SearchSpace
from engine.supernets.mixture import Mixture

_AROUND = ("output", "width", "layers", "embedding", "pool", "dropout")


class Recurrent(SearchSpace):
    """Steps of a text or a signal, layers of one recurrent cell, the last state or the mean of all, output.

    The cell is a graph of nodes: node 0 mixes the step's input with the state, every other reads one earlier node and
    moves it towards an activation of it, as far as a gate lets it (the highway connection of the papers). Decisions:
    nodes, what the next state is the mean of, width, layers, channels of a step, pooling, dropout; then of each node
    the earlier one it reads and its activation. Padding leaves the state as it is.

    Under shared weights a node has one matrix, whatever it reads, whatever its activation and however many nodes there
    are: that of Liu et al. 2019, and of the cell alone. (Pham et al. 2018, section 2.1, share one for each pair of
    nodes; more weights, each trained less often.) Cells of different widths or steps share nothing.
    """

    name: ClassVar[str] = "recurrent"
    summary: ClassVar[str] = "A recurrent cell as a graph of gated nodes: ENAS and DARTS, for text and signals."
    reference: ClassVar[str] = "Pham et al. 2018, ENAS; Liu, Simonyan & Yang 2019, DARTS"
    Options: ClassVar[type[BaseModel]] = RecurrentOptions
    caveat: ClassVar[str] = (
        "options stand side by side where all but the cell is settled and the next state is the mean of all nodes, in "
        "a cell of the largest number of nodes; latency is measured of the cell as a whole and prefers nothing in it"
    )
    presets: ClassVar[tuple[Preset, ...]] = PRESETS
    notation: ClassVar[str] = (
        f"the published genotype, then what is around the cell: `{genotype.EXAMPLE} output=all width=64 layers=1 "
        "embedding=64 pool=last dropout=0.1`; what is left out takes its first option"
    )

    @property
    def _opt(self) -> RecurrentOptions:
        return cast(RecurrentOptions, self.options)

    @classmethod
    def fits(cls, data: DataSpec) -> str | None:
        """Text and signals: what has an order in time."""
        if data.kind not in ("text", "signal"):
            return f"it needs steps in time (text or a signal), {said(data)}"
        return None

    @classmethod
    def suggested(cls, data: DataSpec) -> dict[str, Any]:
        """Dropout for text. Smaller for signals, and not read at their end, which is often silence."""
        if data.kind == "text":
            return {"dropout": (0.1, 0.3)}
        return {"width": (32, 64), "embedding": (32, 64), "pool": ("mean", "max")}

    # -- the process --------------------------------------------------------------------------
    @cached_property
    def _around(self) -> tuple[Decision, ...]:
        o = self._opt
        return (
            Decision("output", o.output, False, "cell", "Which nodes the next state is the mean of."),
            Decision("width", o.width, True, "layers", "Channels of the state."),
            Decision("layers", o.layers, True, "layers", "Layers with this cell."),
            Decision("embedding", o.embedding, True, "stem", "Channels of a step."),
            Decision("pool", o.pool, False, "head", "What the output reads."),
            Decision("dropout", o.dropout, True, "layers", "Dropout rate before every layer and before the output."),
        )

    @cached_property
    def _nodes(self) -> Decision:
        return Decision("nodes", self._opt.nodes, True, "cell", "Nodes of the cell, the first state not counted.")

    @cached_property
    def _node_decisions(self) -> tuple[Decision, ...]:
        """Two of each node; node 1 can only read node 0."""
        out = []
        for i in range(1, max(self._opt.nodes) + 1):
            where = f"node {i}"
            if i > 1:
                out.append(Decision(f"node{i}_from", tuple(range(i)), False, where, "The earlier node it reads."))
            out.append(Decision(f"node{i}_activation", self._opt.activation, False, where, "Its activation."))
        return tuple(out)

    @cached_property
    def _orders(self) -> dict[Option, tuple[Decision, ...]]:
        """Decisions by number of nodes, after that number itself."""
        return {n: (*self._around, *self._node_decisions[: 2 * n - 1]) for n in self._opt.nodes}

    def _next(self, partial: Mapping[str, Option]) -> Decision | None:
        if "nodes" not in partial:
            return self._nodes
        for decision in self._orders[partial["nodes"]]:
            if decision.name not in partial:
                return decision
        return None

    def _all(self) -> list[Decision]:
        return [self._nodes, *self._around, *self._node_decisions]

    def count(self, partial: Mapping[str, Option]) -> int:
        """Closed form: a product per number of nodes."""
        if "nodes" not in partial:
            return sum(self.count({**partial, "nodes": n}) for n in self._kept(self._nodes))
        return prod(len(self._kept(d)) for d in self._orders[partial["nodes"]] if d.name not in partial)

    @cached_property
    def _table(self) -> tuple[tuple[Option, ...], dict[Option, tuple[list[str], list[tuple[Option, ...]], Any]]]:
        """What `sample` draws from, by number of nodes."""
        by_nodes = {}
        for n, order in self._orders.items():
            offered = [self._kept(d) for d in order]
            by_nodes[n] = ([d.name for d in order], offered, np.array([len(o) for o in offered]))
        return self._kept(self._nodes), by_nodes

    def sample(self, rng: np.random.Generator) -> Architecture:
        """The number of nodes, then everything else at once, each uniform over its options."""
        numbers, by_nodes = self._table
        n = numbers[int(rng.integers(len(numbers)))]
        names, offered, sizes = by_nodes[n]
        drawn = rng.integers(sizes).tolist()
        chosen = zip(names, (o[i] for o, i in zip(offered, drawn, strict=True)), strict=True)
        return Architecture(self.name, (("nodes", n), *chosen))

    # -- the cell -----------------------------------------------------------------------------
    @staticmethod
    def cell(arch: Architecture) -> Cell:
        """The cell of an architecture."""
        nodes = range(1, cast(int, arch["nodes"]) + 1)
        sources = (0, *(cast(int, arch[f"node{i}_from"]) for i in nodes if i > 1))
        return Cell(tuple(str(arch[f"node{i}_activation"]) for i in nodes), sources)

    @staticmethod
    def _cell_choices(cell: Cell) -> dict[str, Option]:
        out: dict[str, Option] = {"nodes": len(cell.inputs)}
        for i, (activation, source) in enumerate(zip(cell.activations, cell.inputs, strict=True), start=1):
            if i > 1:
                out[f"node{i}_from"] = source
            out[f"node{i}_activation"] = activation
        return out

    # -- the network --------------------------------------------------------------------------
    def plan(self, arch: Architecture) -> NetworkPlan:
        """Stem, layers, pooling, output."""
        return self._plan(arch, self.cell(arch))

    def _plan(self, arch: Architecture, cell: Cell) -> NetworkPlan:
        c, data, net = arch.choices, self._bound(), self._assembler()
        width, dropout = cast(int, c["width"]), cast(float, c["dropout"])
        mask: tuple[str, ...] = ()
        if data.kind == "text":
            mask = (net.add("mask", "padding_mask", "input", group="stem"),)
            x = word_stem(net, data, cast(int, c["embedding"]))
        else:
            x = signal_stem(net, cast(int, c["embedding"]), self._opt.steps, "batch_norm1d", "relu")
        outputs = cell.all if c["output"] == "all" else cell.ends
        for k in range(1, cast(int, c["layers"]) + 1):
            group = f"layer {k}"
            if dropout:
                x = net.add(f"layer{k}_drop", "dropout", x, group=group, p=dropout)
            x = net.add(
                f"layer{k}", "recurrent_cell", x, *mask, group=group, hidden_channels=width,
                activations=cell.activations, inputs=cell.inputs, outputs=outputs,
            )  # fmt: skip
        if c["pool"] == "last":  # behind the end of a text the state stays what it was
            x = net.add("pool", "last_step", x, group="head")
        else:
            x = net.add("pool", f"{c['pool']}_over_time", x, *mask, group="head")
        if dropout:
            x = net.add("drop", "dropout", x, group="head", p=dropout)
        net.add("output", "linear", x, group="output", out_features=self.n_classes)
        return net.finish()

    def _canonical_key(self, arch: Architecture) -> str:
        """The plan's, its cell's nodes in the one order that all orders share (`Cell.normal`)."""
        return canonical.canonical_key(self._plan(arch, self.cell(arch).normal()))

    def features(self, arch: Architecture) -> dict[str, float | str]:
        """The decisions, the cell's depth and its number of loose ends, size."""
        cell = self.cell(arch)
        return {**super().features(arch), "cell_depth": float(cell.depth), "loose_ends": float(len(cell.ends))}

    # -- options side by side -------------------------------------------------------------------
    def _unmixed(self) -> str | None:
        return mixed.unmixed(self)

    def _mixture(self, partial: int, norm_pools: bool) -> Mixture:
        return mixed.mixture(self, partial, norm_pools)

    def _taken(self, arch: Architecture) -> dict[str, Option]:
        return mixed.taken(self, arch)

    def _derive(self, strengths: Strengths) -> Architecture:
        return mixed.derive(self, strengths)

    # -- larger ones --------------------------------------------------------------------------
    @property
    def _sizes(self) -> tuple[int, ...]:
        return cast(tuple[int, ...], self._kept(self._nodes))

    def _stage(self, arch: Architecture) -> int:
        return self._sizes.index(cast(int, arch["nodes"])) + 1

    def _longer(self, arch: Architecture, activation: str, source: int) -> Architecture | None:
        """With the next number of nodes: one behind `source`, further ones in a chain behind it."""
        cell = self.cell(arch)
        size = len(cell.inputs)
        more = next((n for n in self._sizes if n > size), size) - size
        if not more:
            return None
        sources = (*cell.inputs, source, *range(size + 1, size + more))
        grown = Cell(cell.activations + (activation,) * more, sources)
        return self._if_offered({**arch.choices, **self._cell_choices(grown)})

    def _if_offered(self, choices: Mapping[str, Option]) -> Architecture | None:
        """The architecture, unless a restriction leaves it out."""
        try:
            return self.validate(choices)
        except InvalidArchitecture:
            return None

    def _grow(self, arch: Architecture) -> list[Architecture]:
        """One node more, of every activation behind every node; a chain where several come at once."""
        size = cast(int, arch["nodes"])
        larger = (self._longer(arch, a, s) for s in range(size + 1) for a in self._opt.activation)
        return [a for a in larger if a is not None]

    def _morphisms(self, arch: Architecture) -> list[Morphism]:
        """Wider states, wider steps; where loose ends give the output, a node that hands one of them on."""
        out: list[Morphism] = []
        c, cell = arch.choices, self.cell(arch)
        layers, size = cast(int, c["layers"]), len(cell.inputs)
        width, channels = cast(int, c["width"]), cast(int, c["embedding"])
        text = self._bound().kind == "text"
        stems = 0 if text else len(strides(self.input_shape[-1], self._opt.steps) or (1,))

        def offer(child: Architecture | None, what: str, weights: dict[str, Made]) -> None:
            if child is not None:
                out.append(Morphism(child, what, weights))

        for wider in self._opt.width:
            if wider > width:
                weights = genotype.wider_state(layers, size, width, wider)
                offer(self._if_offered({**c, "width": wider}), f"states {width} → {wider}", weights)
        for wider in self._opt.embedding:
            if wider > channels:
                weights = genotype.wider_steps(text, stems, channels, wider)
                offer(self._if_offered({**c, "embedding": wider}), f"steps {channels} → {wider}", weights)
        if c["output"] == "ends" and "identity" in self._opt.activation:
            for end in cell.ends:
                child = self._longer(arch, "identity", end)
                last = cast(int, child["nodes"]) if child else size
                offer(child, f"identity behind node {end}", genotype.handing_on(layers, size + 1, last))
        return out

    # -- writing and reading ------------------------------------------------------------------
    def write(self, arch: Architecture) -> str:
        """See `notation`."""
        cell = self.cell(arch)
        published = genotype.write(cell, cell.all if arch["output"] == "all" else cell.ends)
        return " ".join([published, *(f"{name}={arch[name]}" for name in _AROUND)])

    def _read(self, text: str) -> Architecture:
        end = text.rfind(")") + 1
        cell, outputs = genotype.read(text[:end])
        given: dict[str, str] = {}
        for word in text[end:].split():
            name, _, value = word.partition("=")
            if name not in _AROUND or not value:
                raise InvalidArchitecture(f"received {word[:40]!r} behind the cell; there stands {self.notation}")
            given[name] = value
        choices = self._cell_choices(cell)
        for decision in map(self._narrowed, self._around):
            name, written = decision.name, {str(o): o for o in decision.options}
            choices[name] = written.get(given[name], given[name]) if name in given else decision.options[0]
        kinds = [kind for kind, nodes in (("all", cell.all), ("ends", cell.ends)) if nodes == outputs]
        if not kinds:
            raise InvalidArchitecture(
                f"concat={str(list(outputs))[:60]}: the next state is the mean of all nodes, "
                f"range(1, {len(cell.inputs) + 1}), or of those that no node reads, {str(list(cell.ends))[:60]}"
            )
        if "output" not in given:
            offered = [kind for kind in kinds if kind in self._kept(self._around[0])]
            choices["output"] = (offered or kinds)[0]
        elif choices["output"] not in kinds:
            raise InvalidArchitecture(f"output={given['output']} does not agree with concat={list(outputs)}")
        return self.validate(choices)

    def _narrowed(self, decision: Decision) -> Decision:
        return next(d for d in self.all_decisions() if d.name == decision.name)

    # -- words --------------------------------------------------------------------------------
    def title(self, decision: str) -> str:
        """ "activation of node 3", "input of node 3", "next state"; of a table "node 3 from node 1"."""
        if table := re.fullmatch(r"node(\d+)_from(\d+)", decision):
            return f"node {table[1]} from node {table[2]}"
        if match := re.fullmatch(r"node(\d+)_(from|activation)", decision):
            return f"{'input' if match[2] == 'from' else 'activation'} of node {match[1]}"
        steps = "word vectors" if self.data and self.data.kind == "text" else "channels of a step"
        return {"output": "next state", "pool": "pooling", "embedding": steps}.get(decision, decision)

    def format(self, decision: str, option: Option) -> str:
        """ "node 2", "mean of loose ends"."""
        if decision.endswith("_from"):
            return f"node {option}"
        words = {"output": OUTPUTS, "pool": POOLS}.get(decision)
        return words[str(option)] if words else super().format(decision, option)

    def short_name(self, arch: Architecture) -> str:
        """ "r0r1t2i1-64×2 last": initial of each activation and what it reads, width, layers, pooling."""
        cell = self.cell(arch)
        nodes = "".join(f"{a[0]}{s}" for a, s in zip(cell.activations, cell.inputs, strict=True))
        layers = f"×{arch['layers']}" if arch["layers"] != 1 else ""
        ends = " ends" if arch["output"] == "ends" and len(self._opt.output) > 1 else ""
        return f"{nodes}-{arch['width']}{layers} {arch['pool']}{ends}"

    def outline(self) -> dict[str, Any]:
        """Stem, the cell with its nodes, pooling."""
        drawn, data, sizes = Outline(self), self.data, self._sizes
        each = range(1, max(sizes) + 1)
        drawn.part("input", "input", *input_words(data.kind if data else "sequence", data.input_shape if data else ()))
        shorter = strides(data.input_shape[-1], self._opt.steps) if data and data.kind == "signal" else ()
        detail = "word vectors" if data and data.kind == "text" else f"conv{''.join(f' /{s}' for s in shorter)}"
        drawn.part("stem", "conv" if shorter else "embed", "stem", detail, decide=["embedding"])
        layers = self._kept(self._around[2])
        times = f"{layers[0]} to {layers[-1]} times" if len(layers) > 1 else f"{layers[0]} times"
        drawn.part(
            "cell", "recurrent", "recurrent cell", times, repeat=times,
            decide=["layers", "width", "nodes",
                    ([f"node{i}_activation" for i in each], "activation, each node by itself"),
                    ([f"node{i}_from" for i in each], "input, each node by itself"), "output", "dropout"],
        )  # fmt: skip
        drawn.part("pool", "pool", "over all steps", decide=["pool"])
        drawn.part("output", "output", "linear", f"{data.n_classes} classes" if data else "")
        drawn.chain()
        return drawn.done()
