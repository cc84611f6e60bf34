"""A network as a line of bars small enough for a table's row, drawn by static/js/core/arch-mini.js.

It is made from the network's picture (`engine.network.picture`), so that a row and the big drawing say the same.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: a row has room for this many bars; longer networks are thinned
MOST_STEPS = 40
#: with their insides opened, networks may be thinned by so much; else their cells stay closed
MOST_OPENED = 52
#: heights of bars: 0 is the largest extent in space, `LOWEST` a vector
LOWEST = 4
#: where lines meet: drawn as a dot, and never what a stretch of steps is shown as
JOINS = ("add", "concat", "mul")

_WORDS = {
    "conv": "convolution", "sep": "separable convolution", "pool": "pooling layer", "dense": "dense layer",
    "attention": "attention layer", "recurrent": "recurrent layer", "embed": "embedding", "cell": "cell",
}  # fmt: skip
#: what a closed cell is shown as: the first of these that is in it
_NATURE = ("attention", "recurrent", "sep")
#: operations that lie on an edge have a title only
_TITLES = (
    (r"none|zero", "zero"), (r"skip|identity", "identity"), (r"sep|dil|depthwise", "sep"), (r"conv", "conv"),
    (r"pool|avg|max", "pool"),
)  # fmt: skip


@dataclass
class _Step:
    id: str
    kind: str
    size: float
    n_macs: float
    inputs: list[str] = field(default_factory=list)
    repeat: int = 1


def miniature(picture: Mapping[str, Any]) -> dict[str, Any]:
    """The compact form of a picture.

    Networks of cells are told apart by what is in their cells: the first of equal cells is opened where that leaves
    the row readable (`MOST_OPENED`), those that follow it stand behind it as one closed cell.

    Args:
        picture: as `engine.network.picture.picture` makes it.

    Returns:
        {"steps", "arcs", "label"}. A step is [kind, height class, share] in topological order: the class goes from 0
        (as large in space as it gets) to `LOWEST` (a vector), the share of all multiply-adds is in percent; a step
        that stands for several equal ones has their number as fourth entry. An arc is [from, to], two places in
        steps: a connection over at least one step. Above `MOST_STEPS` steps, even stretches become one step each,
        which looks as its costliest member.
    """
    steps = _opened(picture)
    if len(steps) > MOST_OPENED:
        steps = _closed(picture)
    largest = max(step.size for step in steps)
    total = max(1.0, sum(step.n_macs for step in steps))
    stretches = _stretches(len(steps))
    place = {steps[i].id: at for at, members in enumerate(stretches) for i in members}
    out = []
    for members in stretches:
        shown = steps[max(members, key=lambda i: (steps[i].kind not in JOINS, steps[i].n_macs, -i))]
        share = round(100 * sum(steps[i].n_macs for i in members) / total)
        entry = [shown.kind, _height(shown.size, largest), share]
        out.append([*entry, shown.repeat] if shown.repeat > 1 else entry)
    ways = {(place[source], place[step.id]) for step in steps for source in step.inputs}
    return {"steps": out, "arcs": sorted([a, b] for a, b in ways if b - a > 1), "label": label(picture)}


def label(picture: Mapping[str, Any]) -> str:
    """What the miniature shows, in words, e.g. "18 steps: 9 convolutions, 2 pooling layers; 3 connections skip steps".

    What is folded into one step counts as often as it stands in the network.
    """
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


def _closed(picture: Mapping[str, Any]) -> list[_Step]:
    """The boxes as they are; a cell has the kind of the operation that makes it what it is."""
    inside = {entry["title"]: entry for entry in picture["details"]}
    by_id = {}
    for node in picture["nodes"]:
        kind = _kind(node)
        if kind == "cell" and node["opens"] in inside:
            kinds = {n["kind"] for n in _with_edges(inside[node["opens"]])[0]}
            kind = next((k for k in _NATURE if k in kinds), kind)
        step = _Step(node["id"], kind, _size(node["shape"]), node["n_macs"], repeat=node["repeat"])
        by_id[step.id] = step
    for edge in picture["edges"]:
        by_id[edge["target"]].inputs.append(edge["source"])
    return list(by_id.values())


def _opened(picture: Mapping[str, Any]) -> list[_Step]:
    """The boxes, the first of equal cells as the steps inside it."""
    inside = {entry["title"]: entry for entry in picture["details"]}
    kinds = {node["id"]: node for node in picture["nodes"]}
    end: dict[str, str] = {}  # box -> the step that gives its output
    seen: set[str] = set()
    out: list[_Step] = []
    for step in _closed(picture):
        node = kinds[step.id]
        step.inputs = [end.get(i, i) for i in step.inputs]
        entry = inside.get(node["opens"] or "")
        if node["kind"] != "cell" or entry is None or entry["title"] in seen:
            out.append(_Step(step.id, _kind(node), step.size, step.n_macs, step.inputs, step.repeat))
            continue
        seen.add(entry["title"])
        steps = _inside(step, entry)
        out += steps
        end[step.id] = steps[-1].id
        if step.repeat > 1:
            rest = step.repeat - 1
            others = _Step(step.id, "cell", step.size, step.n_macs * rest / step.repeat, [steps[-1].id], rest)
            out.append(others)
            end[step.id] = step.id
    return out


def _inside(cell: _Step, entry: Mapping[str, Any]) -> list[_Step]:
    """The steps in a cell, its inputs being what the cell reads; sizes and costs on the scale of the cell."""
    nodes, inputs = _with_edges(entry)
    scale = cell.size / _size(nodes[-1].get("shape") or ())
    total = max(1, sum(node["n_macs"] for node in nodes))
    one = cell.n_macs / cell.repeat
    name: dict[str, str] = {}
    outside = iter(cell.inputs)
    before = cell.inputs[0]
    out = []
    for node in nodes:
        if node["kind"] == "input":
            before = next(outside, before)
            name[node["id"]] = before
            continue
        name[node["id"]] = f"{cell.id}/{node['id']}"
        reads = list(dict.fromkeys(name[i] for i in inputs[node["id"]]))
        if node["kind"] == "output" and len(reads) == 1 and node is not nodes[-1]:
            name[node["id"]] = reads[0]
            continue
        kind = "add" if node["kind"] == "output" else node["kind"]
        size = _size(node["shape"]) * scale if node.get("shape") else cell.size
        out.append(_Step(name[node["id"]], kind, size, one * node["n_macs"] / total, reads))
    return out


def _with_edges(entry: Mapping[str, Any]) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
    """A drawing's nodes and what each reads; operations on edges become nodes, and nodes give their costs to them."""
    inputs: dict[str, list[str]] = {node["id"]: [] for node in entry["nodes"]}
    between: dict[str, list[dict[str, Any]]] = {}
    for k, edge in enumerate(entry["edges"]):
        source = edge["source"]
        if title := edge.get("title"):
            source = f"{source}>{edge['target']} {k}"
            kind = next((kind for pattern, kind in _TITLES if re.search(pattern, title, re.IGNORECASE)), "other")
            between.setdefault(edge["target"], []).append({"id": source, "kind": kind, "n_macs": 0, "shape": ()})
            inputs[source] = [edge["source"]]
        inputs[edge["target"]].append(source)
    nodes: list[dict[str, Any]] = []
    for node in entry["nodes"]:
        arriving = between.get(node["id"], [])
        working = [n for n in arriving if n["kind"] in ("conv", "sep")]
        for n in working:
            n["n_macs"] = node.get("n_macs", 0) / len(working)
        own = 0 if working else node.get("n_macs", 0)
        nodes += [*arriving, {**node, "n_macs": own}]
    return nodes, inputs


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


def _height(size: float, largest: float) -> int:
    if size <= 1:
        return LOWEST
    return max(0, min(LOWEST - 1, round(math.log2(largest / size))))
