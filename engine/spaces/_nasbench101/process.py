"""Which edges of a NAS-Bench-101 cell are still open, so that every vertex ends up on a path within the edge limit."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from engine.architecture import Option


class State(NamedTuple):
    """The edges decided so far, as far as the rest depends on them.

    Attributes:
        size: number of vertices.
        place: how many edges are decided.
        used: how many of them are there.
        fed: bits of the vertices that feed another one.
        read: whether the vertex whose inputs are being decided reads anything yet.
    """

    size: int
    place: int = 0
    used: int = 0
    fed: int = 0
    read: bool = False


class Step(NamedTuple):
    """An open edge.

    Attributes:
        name: of its decision.
        options: False, True, or both.
        after: the states behind False and True.
    """

    name: str
    options: tuple[Option, ...]
    after: tuple[State, State]


@lru_cache(maxsize=64)
def order(size: int) -> tuple[tuple[int, int, str], ...]:
    """(from, to, name) of all edges: by target, the nearest source first, the output at the end."""
    out = []
    for b in range(1, size):
        target = "out" if b == size - 1 else str(b)
        out += [(a, b, f"edge{a}_{target}") for a in range(b - 1, -1, -1)]
    return tuple(out)


@lru_cache(maxsize=100_000)
def step(state: State, limit: int) -> Step | None:
    """The next edge with only options that can be completed within `limit` edges; None = all are decided."""
    edges = order(state.size)
    if state.place == len(edges):
        return None
    a, b, name = edges[state.place]
    last = a == 0  # of this target's sources
    without = State(state.size, state.place + 1, state.used, state.fed, state.read and not last)
    there = State(state.size, state.place + 1, state.used + 1, state.fed | 1 << a, not last)
    options: list[Option] = []
    must = (last and not state.read) or (b == state.size - 1 and a > 0 and not state.fed >> a & 1)
    if not must and state.used + needed(without) <= limit:
        options.append(False)
    if state.used + 1 + needed(there) <= limit:
        options.append(True)
    return Step(name, tuple(options), (without, there))


def needed(state: State) -> int:
    """The fewest further edges that put every vertex on a path.

    Each vertex must read and be read. An edge between two vertices serves both, one from the input or to the output
    serves one; the vertices whose inputs are still open can each read the one before.
    """
    edges, last = order(state.size), state.size - 1
    if state.place == len(edges):
        return 0
    a, b, _ = edges[state.place]
    if b == last:
        return max(sum(not state.fed >> v & 1 for v in range(1, a + 1)), int(not state.read and last == 1))
    silent = [v for v in range(1, b) if not state.fed >> v & 1]
    served = not state.read and any(v <= a for v in silent)
    return len(silent) + (last - b) + (not state.read) - served


#: an open edge as (name, option) pairs with what follows each, and how many cells lead through it; None = complete
Node = tuple[tuple[tuple[str, Option], ...], tuple["Node | None", ...], tuple[int, ...]]


@lru_cache(maxsize=64)
def tree(size: int, limit: int) -> Node:
    """All ways to decide the edges, equal futures shared: what `step` says, ready to be drawn from."""
    known: dict[State, Node | None] = {}

    def node(state: State) -> Node | None:
        if state not in known:
            found = step(state, limit)
            if found is None:
                known[state] = None
            else:
                after = tuple(node(found.after[bool(o)]) for o in found.options)
                counts = tuple(1 if n is None else sum(n[2]) for n in after)
                known[state] = tuple((found.name, o) for o in found.options), after, counts
        return known[state]

    root = node(State(size))
    assert root is not None  # there are two vertices, and so an edge
    return root
