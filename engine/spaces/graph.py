"""Free topology: a cell that is any directed acyclic graph of operations, within bounds on nodes and edges."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from itertools import accumulate, combinations
from math import prod
from typing import Any, ClassVar, cast

import numpy as np

from engine.architecture import Architecture, Option
from engine.errors import InvalidArchitecture
from engine.network import canonical
from engine.network.assemble import Assembler
from engine.network.canonical import Item
from engine.network.morphism import Made, Morphism
from engine.spaces._graph.options import PRESETS, GraphOptions
from engine.spaces._graph.wirings import Wirings, edge
from engine.spaces._offers import Capability
from engine.spaces._outline import Outline
from engine.spaces._shared import cell_network as cells
from engine.spaces._shared.cell_network import CellNetwork, CellOptions
from engine.spaces.base import Decision, Preset

_WORD = re.compile(r"([a-z0-9_]{1,20})\(([0-9]{1,3}(?:,[0-9]{1,3}){0,16})\)")


class Graph(CellNetwork):
    """A cell of n operations. Node 1 reads the cell's input, node j any of the input (0) and the nodes before it.

    Several inputs are joined. The cell's output joins all nodes that no other reads, so that no node is ever dead and
    none has to be rejected (as the loose ends of NASNet's and ENAS's cells). Decisions: nodes, join, then each node's
    operation and, from node 2 on, for each earlier node whether it is read; the budget of edges is kept by offering
    only what leaves one edge for each later node. The prior draws the number of nodes, then the wiring uniformly over
    all wirings of so many nodes, then the operations.
    """

    name: ClassVar[str] = "graph"
    summary: ClassVar[str] = "Free topology: any acyclic graph of operations, with bounds on nodes and edges."
    reference: ClassVar[str] = "Pham et al. 2018, ENAS (micro search); Ying et al. 2019, NAS-Bench-101 (bounded graphs)"
    Options: ClassVar[type[CellOptions]] = GraphOptions
    entangled: ClassVar[bool] = True
    unavailable: ClassVar[Mapping[Capability, str]] = {
        "supernet": "what a vertex receives, and with it the size of its weights, changes with the wiring",
        "mixture": "what a vertex receives, and with it the size of its weights, changes with the wiring",
    }
    notation: ClassVar[str] = (
        "One word a node with the nodes it reads in brackets, 0 is the cell's input, and how inputs are joined: "
        "sum: conv3(0) sep5(0,1) max3(1)."
    )
    presets: ClassVar[tuple[Preset, ...]] = PRESETS

    @property
    def _opt(self) -> GraphOptions:
        return cast(GraphOptions, self.options)

    # -- the process --------------------------------------------------------------------------
    @cached_property
    def _order(self) -> tuple[Decision, ...]:
        """All decisions behind the number of nodes; those of fewer nodes come first."""
        o = self._opt
        out = [Decision("join", o.join, False, "graph", "How several inputs become one.")]
        for j in range(1, max(o.nodes) + 1):
            out.append(Decision(f"node{j}_op", o.operations, False, f"node {j}", "Operation of this node."))
            if j > 1:
                out += [
                    Decision(edge(i, j), (False, True), False, f"node {j}", f"Whether it reads node {i}.")
                    for i in range(j)
                ]
        return tuple(out)

    @cached_property
    def _nodes(self) -> Decision:
        return Decision("nodes", self._opt.nodes, True, "graph", "Number of operations in the graph.")

    @cached_property
    def _sure(self) -> dict[tuple[str, bool], Decision]:
        return {
            (d.name, yes): Decision(d.name, (yes,), d.ordered, d.group, d.help)
            for d in self._order
            for yes in (False, True)
        }

    @property
    def _wirings(self) -> Wirings:
        cache = self._caches.setdefault("wirings", {})
        if not cache:
            cache["all"] = Wirings(self._opt.max_edges, self._allowed)
        wirings: Wirings = cache["all"]
        return wirings

    @staticmethod
    def _length(n: int) -> int:
        """Decisions of a graph of n nodes: nodes, join, operations, edges into nodes 2 to n."""
        return 2 + n + n * (n + 1) // 2 - 1

    def _next(self, partial: Mapping[str, Option]) -> Decision | None:
        if "nodes" not in partial:
            return self._nodes
        n, at = int(cast(int, partial["nodes"])), len(partial)
        if at >= self._length(n):
            return None
        decision = self._order[at - 1]
        if not decision.name.startswith("edge"):
            return decision
        i, j = map(int, decision.name[4:].split("_"))
        read = sum(partial[edge(k, j)] is True for k in range(i))
        if not read and i == j - 1:
            return self._sure[decision.name, True]
        # node 1's edge and those so far; each later node needs one
        used = 1 + sum(option is True for option in partial.values())
        if read and used + 1 + n - j > self._opt.max_edges:
            return self._sure[decision.name, False]
        return decision

    def _all(self) -> list[Decision]:
        return [self._nodes, *self._order]

    def _completes(self, partial: Mapping[str, Option]) -> bool:
        return self.count(partial) > 0

    def count(self, partial: Mapping[str, Option]) -> int:
        """Closed form: operations times wirings, these by dynamic programming over nodes and edges taken."""
        if "nodes" not in partial:
            return sum(self.count({"nodes": n}) for n in self._allowed.get("nodes", self._opt.nodes))
        n, at = int(cast(int, partial["nodes"])), len(partial)
        left = self._order[at - 1 : self._length(n) - 1]
        ways = prod(len(self._kept(d)) for d in left if not d.name.startswith("edge"))
        used = 1 + sum(option is True for option in partial.values())
        # the first node that has not decided about all its sources
        first = next((d.name[4:].split("_") for d in left if d.name.startswith("edge")), None)
        i, j = (int(first[0]), int(first[1])) if first else (0, n + 1)
        read = sum(partial[edge(k, j)] is True for k in range(i))
        wirings = self._wirings
        return ways * (wirings.inside(n, j, i, read, used - read) if i else wirings.follow(n, j, used))

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Nodes uniform over what is offered, then any wiring of so many alike, then the operations."""
        offered = self._offered_nodes
        return self._drawn(offered[int(rng.integers(len(offered)))], rng)

    def sample_uniform(self, rng: np.random.Generator) -> Architecture:
        """Every graph alike: as many nodes as their share of all graphs says."""
        bounds, total = self._shares
        at = bisect_right(bounds, rng.random() * total)
        return self._drawn(self._offered_nodes[min(at, len(bounds) - 1)], rng)

    @property
    def _offered_nodes(self) -> tuple[int, ...]:
        """Numbers of nodes that the restriction leaves."""
        cache = self._caches.setdefault("offered", {})
        if not cache:
            decision = self.next({})
            cache["nodes"] = decision.options if decision else ()
        nodes: tuple[int, ...] = cache["nodes"]
        return nodes

    @property
    def _shares(self) -> tuple[list[float], float]:
        cache = self._caches.setdefault("shares", {})
        if not cache:
            counts = [self.count({"nodes": n}) for n in self._offered_nodes]
            # counts may exceed what a float holds; their ratios do not
            cache["shares"] = [b / sum(counts) for b in accumulate(counts)], 1.0
        shares: tuple[list[float], float] = cache["shares"]
        return shares

    def _drawn(self, n: int, rng: np.random.Generator) -> Architecture:
        uniform = rng.random(3 * n + 1).tolist()
        named = self._named
        join, first = named[0], named[1]
        out = [self._pairs[n], join[int(uniform[2 * n] * len(join))], first[int(uniform[2 * n + 1] * len(first))]]
        at = 2 * n + 2
        for reads in self._wirings.draw(n, uniform, rng):
            pairs = named[at - 2 * n]
            out.append(pairs[int(uniform[at] * len(pairs))])
            out += reads
            at += 1
        return Architecture(self.name, tuple(out))

    @cached_property
    def _pairs(self) -> dict[int, tuple[str, Option]]:
        return {n: ("nodes", n) for n in self._opt.nodes}

    @property
    def _named(self) -> list[list[tuple[str, Option]]]:
        """What can be chosen, and a restriction leaves, for the join and for each node's operation."""
        cache = self._caches.setdefault("named", {})
        if not cache:
            named = [d for d in self._order if not d.name.startswith("edge")]
            cache["all"] = [[(d.name, option) for option in self._kept(d)] for d in named]
        found: list[list[tuple[str, Option]]] = cache["all"]
        return found

    # -- the graph ----------------------------------------------------------------------------
    @cached_property
    def _edges_into(self) -> list[list[tuple[int, str]]]:
        return [[(i, edge(i, j)) for i in range(j)] for j in range(max(self._opt.nodes) + 1)]

    def topology(self, arch: Architecture) -> tuple[list[str], list[list[int]]]:
        """(operations of the nodes 1 to n, what each of them reads; 0 = the cell's input)."""
        c = arch.choices
        n = int(cast(int, c["nodes"]))
        into = self._edges_into
        reads = [[0], *([i for i, name in into[j] if c[name]] for j in range(2, n + 1))]
        return [str(c[f"node{j}_op"]) for j in range(1, n + 1)], reads

    @staticmethod
    def _ends(reads: list[list[int]]) -> list[int]:
        """The nodes that no other reads: the last one, and maybe more."""
        inner = {i for sources in reads for i in sources}
        return [j for j in range(1, len(reads) + 1) if j not in inner]

    def _cell(self, net: Assembler, x: str, arch: Architecture, name: str, group: str, channels: int) -> str:
        ops, reads = self.topology(arch)
        how, prefix = str(arch["join"]), name.replace(".", "_")
        states = [x]
        for j, (op, sources) in enumerate(zip(ops, reads, strict=True), start=1):
            source = states[sources[0]]
            if len(sources) > 1:
                source = cells.add_join(net, f"{prefix}_join{j}", how, [states[i] for i in sources], group, name)
            states.append(cells.add_operation(net, f"{prefix}_node{j}", op, source, group, name))
        ends = [states[j] for j in self._ends(reads)]
        return ends[0] if len(ends) == 1 else cells.add_join(net, f"{prefix}_out", how, ends, group, name)

    def _cell_items(self, arch: Architecture) -> list[Item]:
        ops, reads = self.topology(arch)
        how = str(arch["join"])
        items: list[Item] = []
        states = [-1]

        def joined(sources: list[int]) -> int:
            if len(sources) == 1:
                return states[sources[0]]
            items.append(cells.join_item(how, [states[i] for i in sources]))
            return len(items) - 1

        for op, sources in zip(ops, reads, strict=True):
            items.append(cells.item(op, joined(sources)))
            states.append(len(items) - 1)
        joined(self._ends(reads))
        return items

    # -- larger ones, and other ones with the same function -----------------------------------
    def _stage(self, arch: Architecture) -> int:
        return int(cast(int, arch["nodes"]))

    def _grown(self, arch: Architecture, op: str, sources: tuple[int, ...]) -> Architecture | None:
        """With one more node, or None where the bounds or a restriction do not allow it."""
        n = self._stage(arch) + 1
        taken = 1 + sum(option is True for _, option in arch.items)
        new: list[tuple[str, Option]] = [(f"node{n}_op", op), *((edge(i, n), i in sources) for i in range(n))]
        if n not in self._offered_nodes or taken + len(sources) > self._opt.max_edges:
            return None
        if any(option not in self._allowed.get(name, (option,)) for name, option in new):
            return None
        return Architecture(self.name, (("nodes", n), *arch.items[1:], *new))

    def _grow(self, arch: Architecture) -> list[Architecture]:
        """One more node that reads one or two of the input and the nodes there are (as PNAS's blocks do)."""
        n = self._stage(arch)
        pairs = [c for k in (1, 2) for c in combinations(range(n + 1), k)]
        grown = [self._grown(arch, op, sources) for op in self._opt.operations for sources in pairs]
        return [a for a in grown if a is not None]

    def _morphisms(self, arch: Architecture) -> list[Morphism]:
        """Larger windows, and one more node beside the others that adds nothing yet.

        Where inputs are added, the new node's norm begins at zero; where channels are joined, the weights that read
        them do. It reads what others read too, so that no loose end is lost.
        """
        ops, reads = self.topology(arch)
        out = []
        for j, op in enumerate(ops, start=1):
            name = f"node{j}_op"
            for new in cells.wider_windows(op, cast(tuple[str, ...], self._allowed.get(name, self._opt.operations))):
                grown = cells.window_weights(f"node{j}", op, new, self._dims)
                child = Architecture(self.name, tuple((k, new if k == name else v) for k, v in arch.items))
                what = f"node {j}: {self._operation_words(op)} within a {self._operation_words(new)}"
                out.append(Morphism(child, what, self._every_cell(lambda width, made=grown: made)))  # type: ignore[misc]
        ends, n = self._ends(reads), len(ops) + 1
        joined = arch["join"] == "concat"
        if joined and len(ends) < 2:
            return out
        for op in self._opt.operations:
            if op == "skip" or (op[:-1] not in cells.TENSORS and not joined):
                continue
            for i in range(n):
                wider = None if i in ends else self._grown(arch, op, (i,))
                if wider is not None:
                    what = f"node {n}, {self._operation_words(op)} of {_node(i)}, that adds nothing yet"
                    made = self._every_cell(lambda width, op=op: self._silent(n, op, width, joined))  # type: ignore[misc]
                    out.append(Morphism(wider, what, made))
        return out

    @staticmethod
    def _silent(n: int, op: str, width: int, joined: bool) -> dict[str, Made]:
        if not joined:
            return cells.silent_weights(f"node{n}", op)
        new = {f"node{n}.{name}": Made() for name in cells.TENSORS.get(op[:-1], ())}
        return {**new, "out.conv.weight": Made("out.conv.weight", pad={1: (0, width)})}

    def features(self, arch: Architecture) -> dict[str, float | str]:
        """The decisions, and the shape of the graph: edges, longest path, loose ends, how often each operation."""
        ops, reads = self.topology(arch)
        depth = [0]
        for op, sources in zip(ops, reads, strict=True):
            depth.append(max(depth[i] for i in sources) + int(op != "skip"))
        counts = Counter(ops)
        return {
            **super().features(arch),
            "edges": float(sum(map(len, reads))),
            "longest_path": float(max(depth)),
            "loose_ends": float(len(self._ends(reads))),
            **{f"n_{op}": float(counts[op]) for op in self._opt.operations},
        }

    # -- writing and words --------------------------------------------------------------------
    def write(self, arch: Architecture) -> str:
        """ "sum: conv3(0) sep5(0,1) max3(1)"."""
        ops, reads = self.topology(arch)
        nodes = (f"{op}({','.join(map(str, sources))})" for op, sources in zip(ops, reads, strict=True))
        return f"{arch['join']}: {' '.join(nodes)}"

    def _read(self, text: str) -> Architecture:
        how, found, words = text.partition(":")
        nodes = [_WORD.fullmatch(word) for word in words.split()]
        if not found or not nodes or not all(nodes):
            wrong = next((w for w, m in zip(words.split(), nodes, strict=True) if not m), text)
            raise InvalidArchitecture(f"received {wrong[:60]!r}; {self.notation}")
        if len(nodes) > max(self._opt.nodes):
            raise InvalidArchitecture(f"received {len(nodes):,} nodes; at most {max(self._opt.nodes)} in this space")
        choices: dict[str, Any] = {"nodes": len(nodes), "join": how.strip()}
        for j, match in enumerate(nodes, start=1):
            assert match is not None
            sources = [int(i) for i in match[2].split(",")]
            if sources != sorted(set(sources)) or sources[-1] >= j:
                raise InvalidArchitecture(
                    f"node {j} reads {match[2]}: it reads 0 (the cell's input) and nodes before it, in ascending order"
                )
            choices[f"node{j}_op"] = match[1]
            choices |= {edge(i, j): i in sources for i in range(j) if j > 1}
        return self.validate(choices)

    def title(self, decision: str) -> str:
        """ "node 3 operation", "node 3 reads node 1"."""
        if decision.startswith("edge"):
            i, j = decision[4:].split("_")
            return f"node {j} reads {_node(int(i))}"
        if decision.endswith("_op"):
            return f"node {decision[4:-3]} operation"
        return decision

    def format(self, decision: str, option: Option) -> str:
        """ "separable 5×5"."""
        return self._operation_words(str(option)) if decision.endswith("_op") else super().format(decision, option)

    def _phrase(self, decision: str, old: Option, new: Option) -> str:
        if decision.startswith("edge"):
            return f"{self.title(decision)}: {'added' if new else 'removed'}"
        return super()._phrase(decision, old, new)

    def short_name(self, arch: Architecture) -> str:
        """ "5n 7e 2×sep3 1×conv3 a1f0": nodes, edges, what is most frequent, and a mark that tells graphs apart."""
        ops, reads = self.topology(arch)
        common = " ".join(f"{times}×{op}" for op, times in Counter(ops).most_common(2))
        return f"{len(ops)}n {sum(map(len, reads))}e {common} {canonical.digest(arch.key)[:4]}"

    def _cell_outline(self, drawing: Outline, repeat: str | None) -> str:
        ops = [d.name for d in self._order if d.name.endswith("_op")]
        edges = [d.name for d in self._order if d.name.startswith("edge")]
        return drawing.part(
            "cell", "cell", "graph", f"up to {self._opt.max_edges} edges", repeat=repeat,
            decide=["nodes", "join", (ops, "operation, each node by itself"),
                    (edges, "reads an earlier node, each pair by itself")],
        )  # fmt: skip


def _node(i: int) -> str:
    return f"node {i}" if i else "the input"
