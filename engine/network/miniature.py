"""A network as a line of bars small enough for a table's row, drawn by static/js/core/arch-mini.js.

It is made from the network's picture (`engine.network.picture`), so that a row and the big drawing say the same.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

#: a row has room for this many bars; longer networks are thinned
MOST_STEPS = 40
#: heights of bars: 0 is the largest extent in space, `LOWEST` a vector
LOWEST = 4
#: where lines meet: drawn as a dot, and never what a stretch of steps is shown as
JOINS = ("add", "concat", "mul")

_WORDS = {
    "conv": "convolution", "sep": "separable convolution", "pool": "pooling layer", "dense": "dense layer",
    "attention": "attention layer", "recurrent": "recurrent layer", "embed": "embedding", "cell": "cell",
}  # fmt: skip


def miniature(picture: Mapping[str, Any]) -> dict[str, Any]:
    """The compact form of a picture.

    Args:
        picture: as `engine.network.picture.picture` makes it.

    Returns:
        {"steps", "arcs", "label"}. A step is [kind, height class, share] in topological order: the class goes from 0
        (as large in space as it gets) to `LOWEST` (a vector), the share of all multiply-adds is in percent; a step
        that stands for several equal ones has their number as fourth entry. An arc is [from, to], two places in
        steps: a connection over at least one step. Above `MOST_STEPS` steps, even stretches become one step each,
        which looks as its costliest member.
    """
    nodes: Sequence[Mapping[str, Any]] = picture["nodes"]
    sizes = [_size(node["shape"]) for node in nodes]
    largest = max(sizes, default=1)
    total = max(1, sum(node["n_macs"] for node in nodes))
    stretches = _stretches(len(nodes))
    place = {nodes[i]["id"]: at for at, members in enumerate(stretches) for i in members}
    steps = []
    for members in stretches:
        shown = max(members, key=lambda i: (nodes[i]["kind"] not in JOINS, nodes[i]["n_macs"], -i))
        step: list[Any] = [
            _kind(nodes[shown]),
            _height(nodes[shown]["shape"], sizes[shown], largest),
            round(100 * sum(nodes[i]["n_macs"] for i in members) / total),
        ]
        steps.append([*step, nodes[shown]["repeat"]] if nodes[shown]["repeat"] > 1 else step)
    ways = {(place[edge["source"]], place[edge["target"]]) for edge in picture["edges"]}
    return {"steps": steps, "arcs": sorted([a, b] for a, b in ways if b - a > 1), "label": label(picture)}


def label(picture: Mapping[str, Any]) -> str:
    """What the miniature shows, in words, e.g. "18 steps: 9 convolutions, 2 pooling layers; 3 connections skip steps".

    What is folded into one step counts as often as it stands in the network.
    ."""
    counts: Counter[str] = Counter()
    at = {node["id"]: i for i, node in enumerate(picture["nodes"])}
    for node in picture["nodes"]:
        if word := _WORDS.get(_kind(node)):
            counts[word] += node["repeat"]
    n = sum(node["repeat"] for node in picture["nodes"]) - 1  # the input is no step
    kinds = ", ".join(f"{times} {word}{'s' if times > 1 else ''}" for word, times in counts.items())
    skips = sum(1 for edge in picture["edges"] if at[edge["target"]] - at[edge["source"]] > 1)
    return (
        f"{n} step{'' if n == 1 else 's'}"
        + (f": {kinds}" if kinds else "")
        + (f"; {skips} connection{' skips' if skips == 1 else 's skip'} steps" if skips else "")
    )


def _stretches(n: int) -> list[range]:
    """n places in at most `MOST_STEPS` even stretches; the first and the last stand alone."""
    if n <= MOST_STEPS:
        return [range(i, i + 1) for i in range(n)]
    inner, parts = n - 2, MOST_STEPS - 2
    cuts = [1 + inner * k // parts for k in range(parts + 1)]
    return [range(1), *(range(a, b) for a, b in zip(cuts, cuts[1:], strict=False)), range(n - 1, n)]


def _kind(node: Mapping[str, Any]) -> str:
    """The layer that gives the logits is the dense layer it is."""
    return "dense" if (node["kind"], node["title"]) == ("output", "linear") else str(node["kind"])


def _size(shape: Sequence[int]) -> int:
    """Extent in space of [C, H, W] or [C, L]; 1 for a vector."""
    return max(1, int(shape[-1])) if len(shape) > 1 else 1


def _height(shape: Sequence[int], size: int, largest: int) -> int:
    if len(shape) < 2 or size <= 1:
        return LOWEST
    return min(LOWEST - 1, round(math.log2(largest / size)))
