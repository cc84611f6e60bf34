"""OTMANN: how far two networks are apart, by optimal transport of their layers' masses (Kandasamy et al. 2018, sec. 3).

Symbols of the paper: a layer u has a label ll(u), a mass lm(u) and path lengths delta(u) to the input and the output.
The distance of two networks is the least of

    sum_ij Z_ij (M(ll(i), ll(j)) + nu |delta(i) - delta(j)|)  +  mass of either network that Z leaves unmatched

over all Z >= 0 that match no layer beyond its mass. A match that costs 2 or more is no better than none at all.

**How it is solved.** The paper solves a linear program per pair (milliseconds to seconds for networks of a hundred
layers). Here a network is cut into parcels of one unit of mass, `PARCELS` for a network of usual mass, each from the
layer at its place when layers are lined up by label and path lengths. For whole parcels the program is an assignment
problem, solved exactly (`scipy.optimize.linear_sum_assignment`) in tens of microseconds. Beside the linear program the
distances of random pairs correlate at 0.95 to 0.999 in every space (`tests/engine/predictors`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.encodings import network_graph
from engine.network.operations import OPERATIONS
from engine.network.plan import NetworkPlan, Node

Vector = NDArray[np.float64]
#: parcels of a network of usual mass, and the most of any
PARCELS, MOST_PARCELS = 16, 48
#: nu of the paper: weights of the path lengths, one distance each
STRUCTURE = (0.1, 0.5)
#: no match costs more than leaving both unmatched
WORST = 2.0
#: share of all mass at the input, at the output, and at dense layers that decide (zeta in the paper's appendix)
ENDS = 0.1
#: mass of a layer without weights between channels (activation, norm, dropout), in shares of channels squared
LIGHT = 0.1
#: labels that are compared by a table; beyond, tables and parcels are made anew
MOST_LABELS = 1024
_HEAVY = frozenset({"conv", "sep", "pool", "dense", "attention", "recurrent", "embed"})
_WEIGHTED = frozenset({"conv", "sep", "dense", "attention", "recurrent"})
_JOINS = frozenset({"add", "concat", "zero", "identity", "mask"})
#: arguments that say sizes: masses speak of those
_SIZES = frozenset(
    ["in_channels", "out_channels", "in_features", "out_features", "num_features", "num_channels", "num_groups"]
    + ["groups", "bias", "padding", "normalized_shape", "affine"]
)

Label = tuple[str, str, tuple[tuple[str, Any], ...]]


@dataclass(frozen=True)
class Layers:
    """The layers of a network that lie between its input and its output.

    Attributes:
        labels: (kind, operation, arguments that are no sizes) of each.
        masses: (n,) channels in times channels out, less for operations without weights.
        lengths: (n, 12) layers on the shortest, the longest and a random path, from the input and to the output,
            counting all layers and counting those with weights.
    """

    labels: tuple[Label, ...]
    masses: Vector
    lengths: Vector


def layers(plan: NetworkPlan) -> Layers:
    """The layers of a plan; sums and joins carry no mass and no length, dead operations are left out."""
    graph = network_graph(plan)
    n = len(graph.labels)
    kinds = ["input"] + [OPERATIONS[node.op].kind for node in graph.nodes if node is not None]
    sources = [() if kinds[j] == "zero" else graph.sources[j] for j in range(n)]
    live = _between(sources, kinds)
    sources = [tuple(i for i in sources[j] if live[i]) if live[j] else () for j in range(n)]
    targets: list[list[int]] = [[] for _ in range(n)]
    for j in range(n):
        for i in sources[j]:
            targets[i].append(j)
    steps = [(float(kind not in _JOINS and kind != "input"), float(kind in _WEIGHTED)) for kind in kinds]
    lengths = np.hstack([_lengths(steps, sources, range(n)), _lengths(steps, targets, range(n - 1, -1, -1))])
    masses = np.array([_mass(plan, node, kind) for node, kind in zip(graph.nodes, kinds, strict=True)])
    masses[~np.array(live)] = 0.0
    total = max(float(masses.sum()), 1.0)
    last = max(j for j in range(n) if live[j])
    masses[0] = masses[last] = ENDS * total
    kept = [j for j in range(n) if masses[j] > 0]
    labels = [_label(graph.nodes[j], kinds[j], j == last) for j in kept]
    return Layers(tuple(labels), masses[kept], lengths[kept])


def _between(sources: Sequence[Sequence[int]], kinds: Sequence[str]) -> list[bool]:
    """Which nodes lie on a way from the input to the output; all, if the input does not reach the output."""
    n = len(sources)
    fed = [True] * n
    for j in range(1, n):
        fed[j] = any(fed[i] for i in sources[j])
    used = [False] * n
    used[n - 1] = True
    for j in range(n - 1, 0, -1):
        if used[j]:
            for i in sources[j]:
                used[i] = True
    if not fed[n - 1]:
        return [True] * n
    return [a and b for a, b in zip(fed, used, strict=True)]


def _lengths(
    steps: Sequence[tuple[float, float]], before: Sequence[Sequence[int]], order: Sequence[int]
) -> list[list[float]]:
    """Shortest, longest and mean random length up to each node in either count, earlier nodes first in `order`."""
    out: list[list[float]] = [[]] * len(steps)
    for j in order:
        one, two = steps[j]
        rows = [out[i] for i in before[j]]
        if rows:
            a, b, c, d, e, f = zip(*rows, strict=True)
            out[j] = [
                min(a) + one,
                max(b) + one,
                sum(c) / len(c) + one,
                min(d) + two,
                max(e) + two,
                sum(f) / len(f) + two,
            ]
        else:
            out[j] = [one, one, one, two, two, two]
    return out


def _mass(plan: NetworkPlan, node: Node | None, kind: str) -> float:
    if node is None or kind in _JOINS:
        return 0.0
    channels = plan.shape_of(node.inputs[0])[0] * node.shape[0]
    return float(channels if kind in _HEAVY else LIGHT * channels)


def _label(node: Node | None, kind: str, last: bool) -> Label:
    if node is None:
        return ("input", "", ())
    if last:
        return ("output", "", ())
    return ("conv" if kind == "sep" else kind, node.op, tuple(_flat(node.args)))


def _flat(args: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Arguments that are no sizes, tuples taken apart."""
    out: list[tuple[str, Any]] = []
    for name, value in sorted(args.items()):
        if name not in _SIZES:
            parts = value if isinstance(value, tuple | list) else (value,)
            out += [(f"{name}{i}", str(part)) for i, part in enumerate(parts)]
    return out


@lru_cache(maxsize=1 << 16)
def mismatch(a: Label, b: Label) -> float:
    """M of the paper, per unit of mass.

    0 for equal labels; root of twice the difference of kernels over 10 for one operation with two kernels; half the
    share of other arguments that differ; 0.25 between activations, 0.5 within another kind; else no match.
    """
    if a == b:
        return 0.0
    if a[0] != b[0]:
        return WORST
    if a[1] != b[1]:
        return 0.25 if a[0] == "act" else 0.5
    left, right = dict(a[2]), dict(b[2])
    names = left.keys() | right.keys()
    apart = {name for name in names if left.get(name) != right.get(name)}
    kernels = 0.0
    if "kernel_size0" in apart and {"kernel_size0"} <= left.keys() & right.keys():
        apart.discard("kernel_size0")
        kernels = sqrt(2 * abs(float(left["kernel_size0"]) - float(right["kernel_size0"]))) / 10
    return min(0.5, kernels + 0.5 * len(apart) / max(1, len(names)))


@dataclass(frozen=True)
class Parcels:
    """A network in parcels.

    Attributes:
        mass: in units.
        labels: (k,) ids, k = the mass, rounded, at least 1 and at most `MOST_PARCELS`.
        lengths: (k, 12).
    """

    mass: float
    labels: NDArray[np.intp]
    lengths: Vector


class Distances:
    """Distances between networks of one space, in units of mass.

    Args:
        unit: mass of one parcel; see `unit_of`.
    """

    def __init__(self, unit: float) -> None:
        self.unit = unit
        self._ids: dict[Label, int] = {}
        self._table = np.zeros((0, 0))

    @property
    def full(self) -> bool:
        """Whether so many labels came by that it is time to begin anew."""
        return len(self._ids) > MOST_LABELS

    def parcels(self, network: Layers) -> Parcels:
        """The network cut into parcels."""
        for label in network.labels:
            self._ids.setdefault(label, len(self._ids))
        known, size = len(self._table), len(self._ids)
        if size > known:
            table = np.zeros((size, size))
            table[:known, :known] = self._table
            every = list(self._ids)
            for i in range(known, size):
                table[i, : i + 1] = table[: i + 1, i] = [mismatch(every[i], every[j]) for j in range(i + 1)]
            self._table = table
        # lined up by what labels say, not by ids: those depend on who came first
        by_label = {label: i for i, label in enumerate(sorted(set(network.labels), key=repr))}
        ranks = np.array([by_label[label] for label in network.labels])
        order = np.lexsort((*network.lengths.T[::-1], ranks))
        heap = np.cumsum(network.masses[order])
        mass = float(heap[-1]) / self.unit
        k = min(MOST_PARCELS, max(1, round(mass)))
        taken = order[np.minimum(np.searchsorted(heap, (np.arange(k) + 0.5) * heap[-1] / k), len(order) - 1)]
        labels = np.array([self._ids[network.labels[i]] for i in taken], dtype=np.intp)
        return Parcels(mass, labels, network.lengths[taken])

    def between(self, one: Parcels, others: Sequence[Parcels]) -> Vector:
        """(others, nus, 2) distance in units, and divided by the mass of both networks."""
        from scipy.optimize import linear_sum_assignment
        from scipy.spatial.distance import cdist

        if not others:
            return np.zeros((0, len(STRUCTURE), 2))
        k, sizes = len(one.labels), [len(p.labels) for p in others]
        ends = np.cumsum([0, *sizes])
        lengths = np.concatenate([p.lengths for p in others])
        apart = cdist(one.lengths, lengths, "cityblock") / lengths.shape[1]
        labels = self._table[one.labels][:, np.concatenate([p.labels for p in others])]
        out = np.empty((len(others), len(STRUCTURE), 2))
        for s, nu in enumerate(STRUCTURE):
            cost = np.minimum(labels + nu * apart, WORST)
            for j, size in enumerate(sizes):
                block = cost[:, ends[j] : ends[j + 1]]
                matched = float(block[linear_sum_assignment(block)].sum())
                # the lighter network is matched whole; what the other has more is left, and counts once
                share = min(one.mass, others[j].mass) / min(k, size)
                # rounded: the order of a sum depends on which network came first
                total = round(matched * share + abs(one.mass - others[j].mass), 9)
                out[j, s] = total, total / (one.mass + others[j].mass)
        return out


def unit_of(networks: Sequence[Layers]) -> float:
    """The mass of a parcel: the median network is `PARCELS` of them."""
    return float(np.median([n.masses.sum() for n in networks])) / PARCELS
