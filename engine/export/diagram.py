"""A network as a diagram in Markdown: a Mermaid flowchart, which GitHub and most viewers of Markdown draw.

Written from the network's picture (`engine.network.picture`), the same that the pages draw.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.export.predict import plain

#: a flowchart of more nodes is neither read nor, in some viewers, drawn
MOST_NODES = 60
#: and so many in all diagrams of one card
MOST_IN_ALL = 150
#: a label's text is cut here
LONGEST = 80

#: what stands as it is in a quoted label; all else is written as its number, which no viewer takes for markup
_SAFE = frozenset(" ×·→…–.,:()/+%=²³'")
#: opening and closing of a node's shape, by kind
_SHAPES = {
    "input": ('(["', '"])'),
    "output": ('(["', '"])'),
    "pool": ('[\\"', '"/]'),
    "cell": ('[["', '"]]'),
    "add": ('(("', '"))'),
    "concat": ('(("', '"))'),
    "mul": ('(("', '"))'),
}
_JOINS = {"add": "+", "concat": "concat", "mul": "×"}


@dataclass(frozen=True)
class Diagram:
    """One flowchart.

    Attributes:
        title: of the part of the network; empty for the whole.
        caption: what holds for all its nodes, in words.
        text: Mermaid source, without the fence around it.
    """

    title: str
    caption: str
    text: str


def diagrams(picture: Mapping[str, Any]) -> tuple[list[Diagram], list[str]]:
    """The diagrams of a network: the whole with repeated cells folded, then the inside of each cell.

    Args:
        picture: as `engine.network.picture.picture` makes it.

    Returns:
        The diagrams, and the titles of those left out since they are too large; "" stands for the whole.
    """
    out: list[Diagram] = []
    left_out: list[str] = []
    free = MOST_IN_ALL
    for title, part in (("", picture), *((str(entry["title"]), entry) for entry in picture["details"])):
        n = len(part["nodes"])
        if n > min(MOST_NODES, free):
            left_out.append(title)
            continue
        free -= n
        out.append(Diagram(title, str(part.get("caption") or ""), flowchart(part["nodes"], part["edges"])))
    return out, left_out


def flowchart(nodes: Sequence[Mapping[str, Any]], edges: Iterable[Mapping[str, Any]]) -> str:
    """A Mermaid flowchart from above to below; nodes are named n0, n1, ... in their order.

    Edges whose ends are no nodes of the drawing are left out: a viewer would invent the missing ones.
    """
    names = {node["id"]: f"n{i}" for i, node in enumerate(nodes)}
    lines = ["flowchart TD"]
    for node in nodes:
        opening, closing = _SHAPES.get(node["kind"], ('["', '"]'))
        lines.append(f"  {names[node['id']]}{opening}{_words(node)}{closing}")
    for edge in edges:
        if edge["source"] in names and edge["target"] in names:
            title = label(edge.get("title") or "")
            arrow = f'-->|"{title}"|' if title else "-->"
            lines.append(f"  {names[edge['source']]} {arrow} {names[edge['target']]}")
    if training := [names[node["id"]] for node in nodes if node.get("dashed")]:
        lines += ["  classDef training stroke-dasharray:5 3", f"  class {','.join(training)} training"]
    return "\n".join(lines)


def label(text: str) -> str:
    """A text inside a quoted label: one line, with every sign that could end the label or format it as its number.

    Formulas and icons are found after numbers have become signs again: nothing of no width takes them apart.
    """
    line = re.sub(r"\$(?=\$)|:(?=fa-)", "\\g<0>\u200b", plain(text, LONGEST))
    return "".join(c if c.isalnum() or c in _SAFE else f"#{ord(c)};" for c in line)


def amount(n: int) -> str:
    """528, 27.6 k, 5.01 M, 1.2 G."""
    for size, unit, digits in ((1e9, "G", 2), (1e6, "M", 2), (1e3, "k", 1)):
        if n >= size:
            return f"{n / size:.{digits}f} {unit}"
    return str(n)


def _words(node: Mapping[str, Any]) -> str:
    """A node's lines: what it is and what comes out, what it costs."""
    shape = "×".join(map(str, node.get("shape") or ()))
    if node["kind"] in _JOINS:
        return _JOINS[node["kind"]]
    detail = str(node.get("detail") or "")
    times = node.get("repeat", 1)
    if times > 1 and not detail.endswith(f"×{times}"):
        detail = f"{detail} ×{times}"
    said = label(" ".join(f"{node['title']} {detail}".split()))
    lines = [f"{said} → {shape}" if shape and node["kind"] != "input" else f"{said} {shape}".strip()]
    for key, words in (("n_params", "parameter"), ("n_macs", "multiply-add")):
        if node.get(key):
            lines.append(f"{amount(node[key])} {words}{'' if node[key] == 1 else 's'}")
    if node.get("dashed"):
        lines.append("in training only")
    return "<br/>".join(lines)
