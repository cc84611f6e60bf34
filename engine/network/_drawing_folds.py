"""Folds what repeats: equal cells that follow each other, and runs of equal blocks nobody marked as cells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from engine.network._drawing_box import Box, Insides

#: drawings of at most this many boxes show every block; longer ones fold runs of equal blocks
READABLE = 24
#: a fold must save at least so many boxes: less than that is chance, and hides more than it helps
_WORTH = 4
#: boxes of the longest block that is looked for
LONGEST = 40


def fold_cells(boxes: list[Box], looks: Mapping[str, Any]) -> tuple[list[Box], bool]:
    """Makes one box of equal cells that follow each other, each reading the one before it, or the two before it.

    Args:
        boxes: in topological order.
        looks: what a cell is, by the id of its box.

    Returns:
        The boxes, and whether cells that read two cells were folded.
    """
    groups = Counter(box.group for box in boxes)
    out: list[list[Box]] = []
    for box in boxes:
        if out and looks.get(box.id) is not None and _joins(out[-1], box, looks, groups):
            out[-1].append(box)
        else:
            out.append([box])
    runs: list[list[Box]] = []
    for run in out:
        runs += _readable_from_outside(run, boxes)
    two = any(_reads_two(run, boxes) for run in runs)
    return _merge(runs), two


def _joins(run: list[Box], box: Box, looks: Mapping[str, Any], groups: Counter[str]) -> bool:
    last = run[-1]
    same = looks.get(last.id) == looks[box.id] and (box.shape, box.dashed) == (last.shape, last.dashed)
    numbered = _stem(box.group) == _stem(last.group) and groups[box.group] == groups[last.group] == 1
    if not same or not (box.group == last.group or numbered) or last.id not in box.inputs:
        return False
    others = set(box.inputs) - {last.id}
    if len(run) == 1:
        return others <= set(run[0].inputs)
    # either all of them read the same beside the one before, or each reads the two before it
    constant = set(run[1].inputs) - {run[0].id}
    before = {run[-2].id} & others
    return (
        others == constant or (len(run) == 2 or _sources(run) == {1, 2} or not constant) and others == before != set()
    )


def _sources(run: list[Box]) -> set[int]:
    """How many cells back the cells of a run read."""
    place = {box.id: i for i, box in enumerate(run)}
    return {i - place[s] for i, box in enumerate(run) for s in box.inputs if s in place}


def _readable_from_outside(run: list[Box], boxes: list[Box]) -> list[list[Box]]:
    """Cuts a run behind every cell that is read from outside in another way than the cells themselves read."""
    if len(run) == 1:
        return [run]
    inside = {box.id for box in run}
    two = 2 in _sources(run) or (len(run) == 2 and any(len(box.inputs) > 1 for box in run))
    for i, member in enumerate(run[:-1]):
        for user in boxes:
            if member.id not in user.inputs or user.id in inside:
                continue
            if run[-1].id not in user.inputs or not two or len(run) - i != 2:
                return [run[: i + 1], *_readable_from_outside(run[i + 1 :], boxes)]
    return [run]


def _reads_two(run: list[Box], boxes: list[Box]) -> bool:
    """Whether each cell of a run reads the two before it: seen in the run, or in what reads its last two."""
    if len(run) < 2:
        return False
    return 2 in _sources(run) or any({run[-1].id, run[-2].id} <= set(box.inputs) for box in boxes)


def _merge(runs: list[list[Box]]) -> list[Box]:
    moved = {box.id: run[0].id for run in runs for box in run}
    out = []
    for run in runs:
        box = run[0]
        for other in run[1:]:
            box.n_params += other.n_params
            box.n_macs += other.n_macs
            box.n_nodes += other.n_nodes
        box.repeat = len(run)
        if len(run) > 1:
            box.detail = f"{box.detail} ×{len(run)}".strip()
            box.group = _common(box.group, run[-1].group)
        box.inputs = list(dict.fromkeys(moved[i] for i in box.inputs))
        out.append(box)
    return out


def _stem(group: str) -> str:
    return re.sub(r"\s*\d+$", "", group)


def _common(first: str, last: str) -> str:
    """("block 3", "block 8") -> "blocks 3–8"."""
    if first == last:
        return first
    stem = _stem(first)
    if stem and stem == _stem(last):
        return f"{stem}s {first.removeprefix(stem).strip()}–{last.removeprefix(stem).strip()}"
    return f"{first} to {last}".strip()


def fold_blocks(boxes: list[Box], insides: Insides) -> list[Box]:
    """Folds runs of equal blocks, the most saving first, until the drawing is readable or nothing repeats.

    A block may be any stretch of boxes that reads only itself and the last box before it, and is read from outside
    through its last box only. A single box that repeats keeps its kind; a longer block opens a drawing of its inside.
    """
    while len(boxes) > READABLE:
        found = _best(boxes)
        if found is None:
            break
        boxes = _folded(boxes, *found, insides)
    return boxes


def _best(boxes: list[Box]) -> tuple[int, int, int] | None:
    """(start, length of a block, how often), of those that save most boxes; the shorter block where equal."""
    place = {box.id: i for i, box in enumerate(boxes)}
    sign = [
        (b.kind, b.title, b.detail, b.shape, b.dashed, b.repeat, b.opens, tuple(i - place[s] for s in b.inputs))
        for i, b in enumerate(boxes)
    ]
    reach = _reach(boxes, place)
    best: tuple[int, int, int, int] | None = None
    for length in range(1, min(LONGEST, len(boxes) // 2) + 1):
        i = 1
        while i + length < len(boxes):
            equal = 0
            while i + equal + length < len(boxes) and sign[i + equal] == sign[i + equal + length]:
                equal += 1
            times = equal // length + 1
            if times > 1:
                for start in range(i, i + min(length, equal % length + 1)):
                    saved = length * (times - 1)
                    if (
                        saved >= _WORTH
                        and (best is None or saved > best[0])
                        and _closed(boxes, place, reach, start, length)
                    ):
                        best = (saved, start, length, times)
            i += equal + 1
    if best is None:
        return None
    _, start, length, times = best
    # the last repetition may be read in another way than the others are
    while times > 1 and not _ends(reach, start, length, times):
        times -= 1
    return (start, length, times) if length * (times - 1) >= _WORTH else None


def _reach(boxes: list[Box], place: Mapping[str, int]) -> list[int]:
    """The last box that reads each box."""
    last = list(range(len(boxes)))
    for i, box in enumerate(boxes):
        for source in box.inputs:
            last[place[source]] = i
    return last


def _closed(boxes: list[Box], place: Mapping[str, int], reach: list[int], start: int, length: int) -> bool:
    """Whether the block reads nothing but itself and the box before it, and only its last box is read outside."""
    block = range(start, start + length)
    reads = all(place[s] >= start - 1 for i in block for s in boxes[i].inputs)
    return reads and all(reach[i] < start + length for i in block[:-1])


def _ends(reach: list[int], start: int, length: int, times: int) -> bool:
    end = start + length * times
    return all(reach[i] < end for i in range(end - length, end - 1))


def _folded(boxes: list[Box], start: int, length: int, times: int, insides: Insides) -> list[Box]:
    end = start + length * times
    first, members = boxes[start : start + length], boxes[start:end]
    source, last = boxes[start - 1], boxes[end - 1]
    if length == 1:
        box = first[0]
        detail, opens, kind, title = f"{box.detail} ×{times}".strip(), box.opens, box.kind, box.title
    else:
        kind, detail = "cell", f"×{times}"
        title = _stem(first[0].group) or "block"
        opens = insides.add(_inside(first, source, f"{title}, {times} times"))
    whole = Box(
        first[0].id, kind, title, detail, _common(first[0].group, last.group), last.shape, [source.id],
        sum(b.n_params for b in members), sum(b.n_macs for b in members), last.dashed and first[0].dashed,
        repeat=times, opens=opens, n_nodes=sum(b.n_nodes for b in members),
    )  # fmt: skip
    gone = {box.id for box in members}
    rest = boxes[end:]
    for box in rest:
        box.inputs = list(dict.fromkeys(whole.id if i in gone else i for i in box.inputs))
    return [*boxes[:start], whole, *rest]


def _inside(block: list[Box], source: Box, title: str) -> dict[str, Any]:
    own = {box.id for box in block}
    entry = Box("in0", "input", "input", "", "", source.shape, [], n_nodes=0)
    return {
        "title": title,
        "caption": "",
        "nodes": [box.to_json() for box in (entry, *block)],
        "edges": [
            {"source": i if i in own else entry.id, "target": box.id, "title": ""} for box in block for i in box.inputs
        ],
    }
