"""Architectures as numbers and strings, for surrogates. Functions over a space and its plans, methods of none.

| encoding | of | back |
|---|---|---|
| `tokens` | decisions in order, one id per (decision, option); what a sequence predictor or controller writes | exact |
| `ordinal` | one number per decision that can occur: place of the option from 0 to 1, -1 = does not act | exact |
| `one_hot` | one place per (decision, option) | exact; relaxed vectors to the largest |
| `tree_string` | decisions nested by their groups | exact |
| `adjacency` | operations and matrix of the network's graph (Ying et al. 2019) | no |
| `paths` | operations along each way from input to output (White et al. 2021, BANANAS), truncatable | no |
| `graph_arrays` | nodes with features and edges, for a GNN | no |
| `SearchSpace.features` | live decisions and sizes | no |
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from math import log2, prod

import numpy as np
from numpy.typing import NDArray

from engine.architecture import Architecture, Option
from engine.errors import InvalidArchitecture
from engine.network.costs import node_costs
from engine.network.operations import OPERATIONS
from engine.network.plan import NetworkPlan, Node
from engine.spaces._decision import Decision
from engine.spaces.base import SearchSpace

Vector = NDArray[np.float64]
#: ways through one graph beyond which `paths` counts no further
MOST_PATHS = 1_000


class Places:
    """Where each option of each decision stands in the vectors of a space. Make it once per space.

    Attributes:
        decisions: all that can occur, in order.
        n_tokens: (decision, option) pairs; ids from 1 on, 0 is padding.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.decisions = space.all_decisions()
        pairs = [(d.name, repr(o)) for d in self.decisions for o in d.options]
        self._ids = {pair: i for i, pair in enumerate(pairs, start=1)}
        self.n_tokens = len(pairs)

    @cached_property
    def _options(self) -> list[tuple[str, Option]]:
        return [(d.name, o) for d in self.decisions for o in d.options]

    # -- token sequence -----------------------------------------------------------------------
    def tokens(self, arch: Architecture) -> list[int]:
        """One id per active decision, in order; from 1 to `n_tokens`."""
        return [self._ids[d.name, repr(arch[d.name])] for d in self.space.decisions(arch)]

    def from_tokens(self, tokens: Sequence[int]) -> Architecture:
        """Reads what `tokens` wrote; zeros behind it are padding.

        Raises:
            InvalidArchitecture: not a complete sequence of this space.
        """
        kept = [t for t in tokens if t]
        if bad := [t for t in kept if not 1 <= t <= self.n_tokens]:
            raise InvalidArchitecture(f"token {bad[0]} is none of 1 to {self.n_tokens}")
        return self.space.validate(dict(self._options[t - 1] for t in kept))

    def offered(self, decision: Decision) -> list[int]:
        """Ids of the options that a decision offers, in its order."""
        return [self._ids[decision.name, repr(o)] for o in decision.options]

    # -- vectors ------------------------------------------------------------------------------
    def ordinal(self, arch: Architecture) -> Vector:
        """(number of decisions,): place of the option among its decision's, from 0 to 1; -1 where it does not act."""
        out = np.full(len(self.decisions), -1.0)
        for i, d in enumerate(self.decisions):
            if d.name in arch.choices:
                out[i] = _place(d, arch[d.name]) / max(1, len(d.options) - 1)
        return out

    def from_ordinal(self, vector: Sequence[float] | Vector) -> Architecture:
        """The architecture whose options stand nearest, decision by decision."""
        index = {d.name: i for i, d in enumerate(self.decisions)}
        every = {d.name: d for d in self.decisions}

        def nearest(d: Decision) -> Option:
            n = max(1, len(every[d.name].options) - 1)
            return min(d.options, key=lambda o: abs(_place(every[d.name], o) / n - float(vector[index[d.name]])))

        return self.space._walk(nearest)

    def one_hot(self, arch: Architecture) -> Vector:
        """(n_tokens,): 1 at each chosen option; all zeros for decisions that do not act."""
        out = np.zeros(self.n_tokens)
        out[[t - 1 for t in self.tokens(arch)]] = 1.0
        return out

    def from_one_hot(self, vector: Sequence[float] | Vector) -> Architecture:
        """The architecture of the largest entry of each active decision; relaxed vectors are read too."""
        return self.space._walk(lambda d: max(d.options, key=lambda o: float(vector[self._ids[d.name, repr(o)] - 1])))


def _place(decision: Decision, option: Option) -> int:
    return next(i for i, o in enumerate(decision.options) if repr(o) == repr(option))


# -- tree string ----------------------------------------------------------------------------------
def tree_string(space: SearchSpace, arch: Architecture) -> str:
    """Decisions nested by group: `(layers (block 1 (block1_op "conv3") (block1_skip true)))`."""
    groups: dict[str, list[str]] = {}
    for d in space.decisions(arch):
        groups.setdefault(d.group, []).append(f"({d.name} {json.dumps(arch[d.name])})")
    inner = " ".join(f"({json.dumps(group)} {' '.join(leaves)})" for group, leaves in groups.items())
    return f"({space.name} {inner})"


_LEAF = re.compile(r'\(([^\s()"]+) ("(?:[^"\\]|\\.)*"|[^\s()"]+)\)')


def from_tree_string(space: SearchSpace, text: str) -> Architecture:
    """Reads what `tree_string` wrote.

    Raises:
        InvalidArchitecture: not such a string.
    """
    if not text.startswith(f"({space.name} "):
        raise InvalidArchitecture(f"received {text[:60]!r}; a tree of this space begins with ({space.name}")
    try:
        return space.validate({name: json.loads(value) for name, value in _LEAF.findall(text)})
    except ValueError as e:
        raise InvalidArchitecture(f"received {text[:60]!r}: {e}") from e


# -- graphs ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Graph:
    """A network's operations and who reads whom; node 0 is the input, the last one the output.

    Attributes:
        labels: operation with the arguments that are not sizes of its input, e.g. "conv2d 3×3".
        sources: for each node the nodes it reads, with repetitions.
        nodes: the plan's; None for the input.
    """

    labels: tuple[str, ...]
    sources: tuple[tuple[int, ...], ...]
    nodes: tuple[Node | None, ...]


def network_graph(plan: NetworkPlan) -> Graph:
    """The graph of a plan without what only hands on: identities and sums of one are contracted."""
    place = {"input": 0}
    labels = ["input"]
    sources: list[tuple[int, ...]] = [()]
    nodes: list[Node | None] = [None]
    for node in plan.nodes:
        role = OPERATIONS[node.op].role
        if node is not plan.nodes[-1] and (role == "identity" or (role == "sum" and len(node.inputs) == 1)):
            place[node.id] = place[node.inputs[0]]
            continue
        place[node.id] = len(labels)
        words = " ".join(w for w in OPERATIONS[node.op].words(node.args) if w)
        labels.append(f"{node.op} {words}")
        sources.append(tuple(place[i] for i in node.inputs))
        nodes.append(node)
    return Graph(tuple(labels), tuple(sources), tuple(nodes))


def adjacency(plan: NetworkPlan) -> tuple[list[str], NDArray[np.uint8]]:
    """(operations, matrix): entry (i, j) says how often node j reads node i; upper triangular."""
    graph = network_graph(plan)
    n = len(graph.labels)
    matrix = np.zeros((n, n), dtype=np.uint8)
    for j, sources in enumerate(graph.sources):
        for i in sources:
            matrix[i, j] += 1
    return list(graph.labels), matrix


def paths(plan: NetworkPlan, longest: int | None = None) -> dict[tuple[str, ...], int]:
    """How often each sequence of operations leads from the input to the output.

    Args:
        plan: the network.
        longest: sequences of more operations are left out (White et al. 2021 truncate to the frequent short ones).

    Returns:
        Counts by sequence; at most `MOST_PATHS` different sequences are followed to each node, shortest first.
    """
    graph = network_graph(plan)
    last = {i: j for j, sources in enumerate(graph.sources) for i in sources}
    start = _Way(0, 0, "", None)
    reach: dict[int, dict[_Way, int]] = {0: {start: 1}}
    numbers = {label: _number(label) for label in graph.labels}
    for j, (label, sources) in enumerate(zip(graph.labels[1:], graph.sources[1:], strict=True), start=1):
        number = numbers[label]
        before: Counter[_Way] = Counter()
        for source in sources:
            for way, times in reach[source].items():
                before[way] += times
        kept = [w for w in before if longest is None or w.length < longest]
        if len(kept) > MOST_PATHS:
            kept = sorted(kept)[:MOST_PATHS]
        # what nobody reads any more is let go: the ways through one deep network fill gigabytes
        for source in set(sources):
            if last[source] == j:
                del reach[source]
        reach[j] = {_Way(w.length + 1, (w.mark * 31 + number) * _ODD & _MASK, label, w): before[w] for w in kept}
    return {way.labels(): times for way, times in reach[len(graph.labels) - 1].items()}


_ODD, _MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1


def _number(label: str) -> int:
    """64 bits that stand for a label, the same in every process."""
    return int.from_bytes(blake2b(label.encode(), digest_size=8).digest(), "big")


@dataclass(frozen=True, order=True, slots=True)
class _Way:
    """A sequence of operations that shares its beginning with others.

    Attributes:
        length: operations; shorter ones come first.
        mark: 64 bits of all labels, which stand for the sequence where two are compared.
        label: the last one.
        before: all others.
    """

    length: int
    mark: int
    label: str = field(compare=False)
    before: _Way | None = field(compare=False)

    def labels(self) -> tuple[str, ...]:
        """The sequence."""
        out: list[str] = []
        way: _Way | None = self
        while way is not None and way.length:
            out.append(way.label)
            way = way.before
        return tuple(reversed(out))


def path_matrix(
    every: Iterable[Mapping[tuple[str, ...], int]], vocabulary: Sequence[tuple[str, ...]] | None = None
) -> tuple[NDArray[np.uint8], list[tuple[str, ...]]]:
    """(architectures, sequences) 0 or 1, and the sequences: those given, or all that occur, shortest first."""
    rows = list(every)
    known = sorted({p for row in rows for p in row}, key=lambda p: (len(p), p)) if vocabulary is None else vocabulary
    column = {path: j for j, path in enumerate(known)}
    out = np.zeros((len(rows), len(column)), dtype=np.uint8)
    for i, row in enumerate(rows):
        out[i, [column[p] for p in row if p in column]] = 1
    return out, list(known)


@dataclass(frozen=True)
class GraphArrays:
    """A network for a graph neural net.

    Attributes:
        operations: (n,) id of each node's operation in `vocabulary`, 0 = the input.
        features: (n, 5) log2 of channels, positions, parameters, multiply-adds (each plus one), and 1 where the
            output depends on the node.
        edges: (2, m) source and target of each edge, sorted by target.
        vocabulary: operation names by id.
    """

    operations: NDArray[np.int64]
    features: Vector
    edges: NDArray[np.int64]
    vocabulary: tuple[str, ...]


#: the same ids for every network
OPERATION_IDS = ("input", *sorted(OPERATIONS))


def graph_arrays(plan: NetworkPlan) -> GraphArrays:
    """Nodes, features and edges of a plan."""
    graph, costs = network_graph(plan), node_costs(plan)
    ids = {name: i for i, name in enumerate(OPERATION_IDS)}
    live = {len(graph.labels) - 1}
    for j in range(len(graph.labels) - 1, 0, -1):
        if j in live:
            live.update(graph.sources[j])
    rows = []
    for i, node in enumerate(graph.nodes):
        shape = plan.input_shape if node is None else node.shape
        n_params, n_macs = (0, 0) if node is None else costs[node.id]
        rows.append([*(log2(v + 1) for v in (shape[0], prod(shape[1:]), n_params, n_macs)), float(i in live)])
    edges = [(i, j) for j, sources in enumerate(graph.sources) for i in sources]
    return GraphArrays(
        np.array([0 if n is None else ids[n.op] for n in graph.nodes], dtype=np.int64),
        np.array(rows, dtype=np.float64),
        np.array(edges, dtype=np.int64).reshape(-1, 2).T,
        OPERATION_IDS,
    )
