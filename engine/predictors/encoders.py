"""Architectures as rows of numbers for predictors: one interface over `engine.encodings`.

| kind | a row says |
|---|---|
| `paths` | which sequences of operations lead through the network's cells (White et al. 2021, BANANAS) |
| `one_hot` | which option each decision took (for cells with fixed wiring: adjacency and operations) |
| `ordinal` | the option's place on its decision's scale |
| `features` | what acts: live decisions, path lengths, sizes (`SearchSpace.features`) |

What an architecture decides about its own training is in every row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.architecture import Architecture
from engine.encodings import Places, network_graph, paths
from engine.network.plan import NetworkPlan
from engine.recipe import RECIPE_PREFIX

if TYPE_CHECKING:
    from engine.spaces.base import SearchSpace

Encoding = Literal["paths", "one_hot", "ordinal", "features"]
Matrix = NDArray[np.float64]
#: columns of sequences of operations at most, the most frequent first
MOST_PATHS = 400
#: what was read off an architecture is remembered for so many of them
REMEMBERED = 20_000


def cells(plan: NetworkPlan) -> list[NetworkPlan]:
    """The different cells of a network as plans of their own, what they read from outside being their input.

    Cells of equal operations, arguments and wiring are one; a network without cells is returned whole.
    """
    found: dict[Any, NetworkPlan] = {}
    for nodes in plan.closed_cells().values():
        inside = {node.id for node in nodes}
        inner = tuple(replace(node, inputs=tuple(i if i in inside else "input" for i in node.inputs)) for node in nodes)
        shape = next((plan.shape_of(i) for node in nodes for i in node.inputs if i not in inside), plan.input_shape)
        graph = network_graph(cell := NetworkPlan(shape, plan.n_outputs, inner))
        found.setdefault((graph.labels, graph.sources), cell)
    return list(found.values()) or [plan]


class Encoder:
    """Learns columns from the architectures that were measured, then turns any into rows of them.

    Columns that are constant over the measured ones are dropped; numbers are standardized over them, places and
    sequences are 0 or 1.

    Args:
        space: bound to data.
        kind: see the module.
        longest: sequences of more operations do not count (`paths`); None = any length.
    """

    def __init__(self, space: SearchSpace, kind: Encoding, longest: int | None = None) -> None:
        self.space, self.kind, self.longest = space, kind, longest
        self.places = Places(space)
        self._read: dict[str, Mapping[Any, float | str]] = {}
        self._columns: dict[Any, int] = {}
        self._shift: Matrix = np.zeros(0)
        self._scale: Matrix = np.ones(0)

    def fit(self, architectures: Sequence[Architecture]) -> Encoder:
        """Chooses the columns; a sequence of operations needs two of the measured networks that have it."""
        rows = [self.read(a) for a in architectures]
        numbers = dict.fromkeys(k for row in rows for k, v in row.items() if not isinstance(v, str))
        words = Counter((k, v) for row in rows for k, v in row.items() if isinstance(v, str))
        keys: list[Any] = [*numbers, *words]
        if self.kind == "paths":
            times = Counter(k for row in rows for k in row)
            keys = [k for k in keys if times[k] > 1 or not isinstance(k[0], tuple)]
            keys = sorted(keys, key=lambda k: -times[k])[:MOST_PATHS]
        self._columns = {k: j for j, k in enumerate(keys)}
        matrix = self._matrix(rows)
        spread = matrix.std(axis=0)
        kept = [j for j in range(len(keys)) if spread[j] > 1e-12]
        self._columns = {keys[j]: at for at, j in enumerate(kept)}
        scaled = np.array([keys[j] in numbers and self.kind == "features" for j in kept], dtype=bool)
        self._shift = np.where(scaled, matrix[:, kept].mean(axis=0), 0.0)
        self._scale = np.where(scaled, spread[kept], 1.0)
        return self

    def rows(self, architectures: Sequence[Architecture]) -> Matrix:
        """(architectures, columns)."""
        return (self._matrix([self.read(a) for a in architectures]) - self._shift) / self._scale

    def _matrix(self, rows: Sequence[Mapping[Any, float | str]]) -> Matrix:
        out = np.zeros((len(rows), len(self._columns)))
        for i, row in enumerate(rows):
            for k, v in row.items():
                j = self._columns.get((k, v) if isinstance(v, str) else k)
                if j is not None:
                    out[i, j] = 1.0 if isinstance(v, str) else v
        return out

    def read(self, architecture: Architecture) -> Mapping[Any, float | str]:
        """What is known of one, by name: numbers, and words that become columns of their own."""
        key = architecture.key
        if key not in self._read:
            if len(self._read) >= REMEMBERED:
                self._read.clear()
            self._read[key] = self._reading(architecture)
        return self._read[key]

    def _reading(self, architecture: Architecture) -> dict[Any, float | str]:
        match self.kind:
            case "features":
                return dict(self.space.features(architecture))
            case "one_hot":
                return {t: 1.0 for t in self.places.tokens(architecture)}
            case "ordinal":
                return {i: float(v) for i, v in enumerate(self.places.ordinal(architecture))}
            case "paths":
                out: dict[Any, float | str] = {}
                for cell in cells(self.space.planned(architecture)):
                    out.update(dict.fromkeys(((p,) for p in paths(cell, self.longest)), 1.0))
                out.update({n: str(o) for n, o in architecture.items if n.startswith(RECIPE_PREFIX)})
                return out
