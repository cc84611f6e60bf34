"""Cells of NASNet, AmoebaNet and DARTS: a normal and a reduction cell, searched and repeated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from itertools import combinations
from math import prod
from typing import Any, ClassVar, cast

import numpy as np
from pydantic import BaseModel

from engine.architecture import Architecture, Option
from engine.data.spec import DataSpec
from engine.errors import InvalidArchitecture, InvalidConfig
from engine.network import canonical
from engine.network import costs as closed_form
from engine.network.morphism import Morphism
from engine.network.plan import Costs, NetworkPlan
from engine.spaces._darts import genotypes as genotypes
from engine.spaces._darts import growth as growth
from engine.spaces._darts import mixed as mixed
from engine.spaces._darts import words as words
from engine.spaces._darts.cells import ONLY_2D, SHORT, Block, Cell, cell_form, joined, reads, write_cell
from engine.spaces._darts.costs import CostTable, cost_table
from engine.spaces._darts.frame import reductions_of, write_network, write_stem
from engine.spaces._darts.options import PRESETS, DartsOptions
from engine.spaces._shared.fits import convolved_and_halved_twice
from engine.spaces._shares import Strengths
from engine.spaces.base import Decision, Preset, SearchSpace
from engine.supernets.mixture import Mixture


class Darts(SearchSpace):
    """Stem, a stack of normal cells with two reduction cells between them, global average, classifier.

    A cell reads the outputs of the last two cells (states 0 and 1). Each of its nodes 2, 3, ... is the sum of two
    terms, an operation on an earlier state each. Where the two states must differ, a node decides the pair ("0,2") and
    the operation on each, so that every choice is free of every other and no cell has two writings that only swap the
    terms; else it decides state and operation of either term.
    """

    name: ClassVar[str] = "darts"
    summary: ClassVar[str] = (
        "A normal and a reduction cell of a few nodes with two inputs each: NASNet, AmoebaNet, DARTS."
    )
    reference: ClassVar[str] = "Zoph et al. 2018 (NASNet); Liu, Simonyan & Yang 2019, DARTS"
    Options: ClassVar[type[BaseModel]] = DartsOptions
    caveat: ClassVar[str] = (
        "options stand side by side where the cells join all nodes, in cells of the largest number of nodes"
    )
    presets: ClassVar[tuple[Preset, ...]] = PRESETS
    notation: ClassVar[str] = (
        "a genotype as DARTS prints it, Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1), ...], "
        "normal_concat=range(2, 6), reduce=[...], reduce_concat=range(2, 6)), or the name of a published one: "
        f"{', '.join(genotypes.PUBLISHED)}"
    )

    @property
    def opt(self) -> DartsOptions:
        """The options."""
        return cast(DartsOptions, self.options)

    @classmethod
    def fits(cls, data: DataSpec) -> str | None:
        """Images (C, H, W) and signals (C, L) of at least 4: two reductions halve them."""
        return convolved_and_halved_twice(data)

    @classmethod
    def suggested(cls, data: DataSpec) -> dict[str, Any]:
        """Fewer and narrower cells for small data, a stem that halves large ones; small cells may grow, too."""
        side = min(data.input_shape[1:], default=0)
        if side < 16 or (data.kind == "signal" and side < 128):
            return {"channels": 8, "layers": 5, "steps": (2, 3, 4)}
        if side < (64 if data.kind == "image" else 512):
            return {"channels": 16, "layers": 8}
        return {"channels": 16, "layers": 8, "stem": "large"}

    def bind(self, data: DataSpec) -> Darts:
        """The same for a data set.

        Raises:
            InvalidConfig: it does not serve this data, or offers for signals only what has a second axis.
        """
        bound = super().bind(data)
        if not set(bound.operations) - {"none"}:
            raise InvalidConfig(
                [(("space", "operations"), "signals have one axis: keep an operation other than 1×k k×1 for them")]
            )
        return bound

    # -- the process --------------------------------------------------------------------------
    @property
    def kinds(self) -> tuple[str, ...]:
        """Prefixes of the decisions: the cells that are searched."""
        return ("cell",) if self.opt.one_cell else ("normal", "reduce")

    @cached_property
    def operations(self) -> tuple[str, ...]:
        """What a term can take on this data."""
        signal = self.data is not None and self.data.kind == "signal"
        return tuple(op for op in self.opt.operations if not (signal and op in ONLY_2D))

    def node_decisions(self, kind: str, n: int) -> tuple[Decision, ...]:
        """The decisions of node `n` of a kind of cell."""
        group = f"{words.KINDS[kind]}, node {n}"
        ops = [Decision(f"{kind}{n}_op{k}", self.operations, False, group, f"Operation of the {words.NTH[k]} term.")
               for k in (1, 2)]  # fmt: skip
        if self.opt.inputs == "any":
            states = tuple(range(n))
            ins = [Decision(f"{kind}{n}_in{k}", states, False, group, f"State the {words.NTH[k]} term reads.")
                   for k in (1, 2)]  # fmt: skip
            return ins[0], ops[0], ins[1], ops[1]
        if n == 2:  # there is one pair
            return ops[0], ops[1]
        pairs = tuple(f"{i},{j}" for i, j in combinations(range(n), 2))
        return Decision(f"{kind}{n}_inputs", pairs, False, group, "States the two terms read."), ops[0], ops[1]

    @cached_property
    def sizes(self) -> tuple[Decision, ...]:
        """How many nodes: decided where there are several options."""
        if len(self.opt.steps) == 1:
            return ()
        return tuple(
            Decision(f"{kind}_nodes", self.opt.steps, True, words.KINDS[kind], "Number of intermediate nodes.")
            for kind in self.kinds
        )

    def order(self, steps: tuple[int, ...]) -> tuple[Decision, ...]:
        """The decisions of cells of so many nodes, without those about the number."""
        cache = self._caches.setdefault("order", {})
        if steps not in cache:
            cache[steps] = tuple(
                d
                for kind, last in zip(self.kinds, steps, strict=True)
                for n in range(2, last + 2)
                for d in self.node_decisions(kind, n)
            )
        found: tuple[Decision, ...] = cache[steps]
        return found

    def kept(self, decision: Decision) -> tuple[Option, ...]:
        """Its options that the restriction leaves."""
        return self._kept(decision)

    def steps(self, choices: Mapping[str, Option]) -> tuple[int, ...]:
        """Nodes of each kind of cell, where decided."""
        return tuple(cast(int, choices.get(f"{kind}_nodes", self.opt.steps[0])) for kind in self.kinds)

    def _next(self, partial: Mapping[str, Option]) -> Decision | None:
        for decision in (*self.sizes, *self.order(self.steps(partial))):
            if decision.name not in partial:
                return decision
        return None

    def _all(self) -> list[Decision]:
        return [*self.sizes, *self.order((self.opt.steps[-1],) * len(self.kinds))]

    def count(self, partial: Mapping[str, Option]) -> int:
        """Closed form: a product for each number of nodes."""
        for d in self.sizes:
            if d.name not in partial:
                return sum(self.count({**partial, d.name: o}) for o in self._kept(d))
        return prod(len(self._kept(d)) for d in self.order(self.steps(partial)) if d.name not in partial)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Numbers of nodes, then each decision uniform over its options."""
        offered = [self._kept(d) for d in self.sizes]
        return self._drawn([o[int(rng.integers(len(o)))] for o in offered], rng)

    def sample_uniform(self, rng: np.random.Generator) -> Architecture:
        """Numbers of nodes in proportion to the cells they allow; what follows is free."""
        chosen: dict[str, Option] = {}
        for d in self.sizes:
            counts = [self.count({**chosen, d.name: o}) for o in self._kept(d)]
            total = sum(counts)
            chosen[d.name] = self._kept(d)[int(rng.choice(len(counts), p=[c / total for c in counts]))]
        return self._drawn(list(chosen.values()), rng)

    def _drawn(self, sizes: list[Option], rng: np.random.Generator) -> Architecture:
        """All other decisions drawn in one call."""
        cache = self._caches.setdefault("draws", {})
        key = tuple(sizes)
        if key not in cache:
            head = tuple((d.name, o) for d, o in zip(self.sizes, sizes, strict=True))
            pairs = [[(d.name, o) for o in self._kept(d)] for d in self.order(self.steps(dict(head)))]
            cache[key] = head, pairs, np.array([len(p) for p in pairs])
        head, pairs, highs = cache[key]
        drawn = rng.integers(highs).tolist()
        return Architecture(self.name, (*head, *[p[i] for p, i in zip(pairs, drawn, strict=True)]))

    # -- cells and genotypes ------------------------------------------------------------------
    def cells(self, arch: Architecture) -> tuple[Cell, Cell]:
        """The normal and the reduction cell."""
        c = arch.choices
        out = [tuple([self._block(c, kind, n) for n in range(2, last + 2)])
               for kind, last in zip(self.kinds, self.steps(c), strict=True)]  # fmt: skip
        return out[0], out[-1]

    def _block(self, c: Mapping[str, Option], kind: str, n: int) -> Block:
        op1, op2 = cast(str, c[f"{kind}{n}_op1"]), cast(str, c[f"{kind}{n}_op2"])
        if self.opt.inputs == "any":
            return cast(int, c[f"{kind}{n}_in1"]), op1, cast(int, c[f"{kind}{n}_in2"]), op2
        if n == 2:
            return 0, op1, 1, op2
        i, j = cast(str, c[f"{kind}{n}_inputs"]).split(",")
        return int(i), op1, int(j), op2

    def choices_of(self, kind: str, n: int, block: Block) -> dict[str, Option]:
        """A node's block as options of its decisions; terms in order where the states must differ."""
        i, op1, j, op2 = block
        if self.opt.inputs == "any":
            return {f"{kind}{n}_in1": i, f"{kind}{n}_op1": op1, f"{kind}{n}_in2": j, f"{kind}{n}_op2": op2}
        if i > j:
            i, op1, j, op2 = j, op2, i, op1
        ops: dict[str, Option] = {f"{kind}{n}_op1": op1, f"{kind}{n}_op2": op2}
        return ops if n == 2 else {f"{kind}{n}_inputs": f"{i},{j}", **ops}

    def write(self, arch: Architecture) -> str:
        """The genotype."""
        normal, reduce = self.cells(arch)
        combine = self.opt.combine
        return str(genotypes.Genotype(normal, joined(normal, combine), reduce, joined(reduce, combine)))

    def _read(self, text: str) -> Architecture:
        genotype = genotypes.parse(text)
        if self.opt.one_cell and genotype.normal != genotype.reduce:
            raise InvalidArchitecture("reduce: this space has one cell for both kinds; it must equal normal")
        choices: dict[str, Option] = {}
        for kind, field in zip(self.kinds, ("normal", "reduce"), strict=False):
            cell: Cell = getattr(genotype, field)
            if len(cell) not in self.opt.steps:
                offered = " or ".join(map(str, self.opt.steps))
                raise InvalidArchitecture(f"{field}: received {len(cell)} nodes, this space has {offered}")
            if self.sizes:
                choices[f"{kind}_nodes"] = len(cell)
            for n, block in enumerate(cell, start=2):
                if self.opt.inputs == "distinct" and block[0] == block[2]:
                    raise InvalidArchitecture(
                        f"{field}: node {n} reads state {block[0]} twice, here its two terms read different states"
                    )
                choices.update(self.choices_of(kind, n, block))
        arch = self.validate(choices)
        for field, cell in zip(("normal", "reduce"), self.cells(arch), strict=True):
            given, right = sorted(set(getattr(genotype, f"{field}_concat"))), list(joined(cell, self.opt.combine))
            if given != right:
                raise InvalidArchitecture(
                    f"{field}_concat: received {given}; this space joins "
                    f"{'all nodes' if self.opt.combine == 'all' else 'the nodes no other reads'}: {right}"
                )
        return arch

    # -- the network --------------------------------------------------------------------------
    @cached_property
    def reductions(self) -> tuple[int, int]:
        """Positions of the reduction cells, from 0."""
        return reductions_of(self.opt.layers)

    def plan(self, arch: Architecture) -> NetworkPlan:
        """The whole network, as DARTS evaluates it: no batch norm behind pooling, no dropped paths."""
        o, net, cells = self.opt, self._assembler(), self.cells(arch)
        write_network(
            net, o, self.n_classes, lambda place: write_cell(net, place, cells[place.reduction], o.combine),
            auxiliary=o.auxiliary,
        )  # fmt: skip
        return net.finish(("aux_output",) if o.auxiliary else ())

    # -- shared weights -----------------------------------------------------------------------
    def _weight_names(self, arch: Architecture) -> Mapping[str, str]:
        return mixed.weight_names(self, arch)

    def _unmixed(self) -> str | None:
        if self.opt.combine == "all":
            return None
        return (
            "which nodes of a cell nobody reads is known only when the cell is; to weigh operations side by side, let "
            "the cells join all nodes (combine: all)"
        )

    def _mixture(self, partial: int, norm_pools: bool) -> Mixture:
        return mixed.mixture(self, partial, norm_pools)

    def _taken(self, arch: Architecture) -> dict[str, Option]:
        return mixed.taken(self, arch)

    def _derive(self, strengths: Strengths) -> Architecture:
        return mixed.derive(self, strengths)

    # -- costs --------------------------------------------------------------------------------
    @cached_property
    def _table(self) -> CostTable:
        net, o = self._assembler(), self.opt
        _, x, _ = write_stem(net, o.stem, o.channels)
        return cost_table(net.shape(x), o.channels, o.layers, self.reductions, self.operations)

    def _costs(self, arch: Architecture) -> Costs:
        """Closed form: a network whose cells join as many nodes, with other operations on them."""
        cells = self.cells(arch)
        wide = tuple(len(joined(cell, self.opt.combine)) for cell in cells)
        mine = self._table.of(cells)
        cache = self._caches.setdefault("frame", {})
        if wide not in cache:
            whole = closed_form.costs(self.planned(arch))
            each = (whole.n_params, whole.n_macs, whole.activation_bytes)
            cache[wide] = tuple(a - b for a, b in zip(each, mine, strict=True))
        return Costs(*(a + b for a, b in zip(cache[wide], mine, strict=True)))

    # -- identity -----------------------------------------------------------------------------
    def _canonical_key(self, arch: Architecture) -> str:
        """From the forms of the cells that an output depends on; see `cell_form` for what they merge."""
        cells, o = self.cells(arch), self.opt
        live = self._live(reads(cells[0]), reads(cells[1]))
        text = f"{self.name} {o.channels}x{o.layers} {o.stem} {o.auxiliary} {self.input_shape} {self.n_classes}"
        for kind, cell in enumerate(cells):
            at = [i for i in live if (i in self.reductions) is bool(kind)]
            # behind the small stem the first cell reads one tensor twice
            alike = at == [0] and o.stem == "small"
            text += f" / {cell_form(cell, o.combine, 1 + kind, alike=alike) if at else 'no such cell'}"
        return canonical.digest(text)

    def _live(self, normal: tuple[bool, bool], reduce: tuple[bool, bool]) -> list[int]:
        """Cells that reach an output, from what each kind reads; mostly all of them."""
        live = {self.opt.layers - 1} | ({self.reductions[1]} if self.opt.auxiliary else set())
        for i in range(self.opt.layers - 1, -1, -1):
            if i in live:
                first, second = reduce if i in self.reductions else normal
                live |= ({i - 2} if first else set()) | ({i - 1} if second else set())
        return sorted(i for i in live if i >= 0)

    def features(self, arch: Architecture) -> dict[str, float | str]:
        """Terms that are not `none`, how deep and how wide each cell is, the size."""
        out: dict[str, float | str] = {}
        fields = self.kinds if self.opt.one_cell else ("normal", "reduce")
        for kind, cell in zip(fields, self.cells(arch), strict=False):
            depth = [0, 0]
            for n, (i, op1, j, op2) in enumerate(cell, start=2):
                terms = [(k, s, op) for k, s, op in ((1, i, op1), (2, j, op2)) if op != "none"]
                for k, source, op in terms:
                    out[f"{kind}{n}_in{k}"], out[f"{kind}{n}_op{k}"] = str(source), op
                depth.append(max((depth[s] + (op != "skip_connect") for _, s, op in terms), default=0))
            out[f"{kind}_depth"], out[f"{kind}_nodes"] = float(max(depth)), float(len(cell))
        costs = self.costs(arch)
        out["log10_n_params"], out["log10_n_macs"] = (
            float(np.log10(max(c, 1))) for c in (costs.n_params, costs.n_macs)
        )
        return out

    # -- growing ------------------------------------------------------------------------------
    def _stage(self, arch: Architecture) -> int:
        return 1 + sum(self.steps(arch.choices)) - len(self.kinds) * self.opt.steps[0]

    def _grow(self, arch: Architecture) -> list[Architecture]:
        return growth.grow(self, arch)

    def _morphisms(self, arch: Architecture) -> list[Morphism]:
        return growth.morphisms(self, arch)

    # -- words --------------------------------------------------------------------------------
    def title(self, decision: str) -> str:
        """ "normal node 3: inputs", "reduction node 2: first operation", "normal nodes"."""
        return words.title(decision)

    def format(self, decision: str, option: Option) -> str:
        """ "separable 3×3", "last cell", "last cell but one + node 2"."""
        return words.option(decision, option)

    def short_name(self, arch: Architecture) -> str:
        """ "5×sep3 2×skip | 6×max3 2×skip 3f2a": what either cell holds most, and four digits of its identity."""
        said = []
        for cell in self.cells(arch)[: len(self.kinds)]:
            used = Counter(SHORT[op] for _, op1, _, op2 in cell for op in (op1, op2))
            said.append(" ".join(f"{k}×{op}" for op, k in used.most_common(2)))
        return f"{' | '.join(said)} {canonical.digest(arch.key)[:4]}"

    def outline(self) -> dict[str, Any]:
        """Stem, cells and reductions in turn, head; each kind of cell is decided where it stands first."""
        return words.outline(self)
