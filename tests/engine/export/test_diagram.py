"""Networks as Mermaid flowcharts: what a viewer needs to draw them, and names that try to be more than text."""

from __future__ import annotations

import re

import numpy as np
import pytest

from engine import catalog
from engine.data.registry import spec
from engine.export.card import _drawn
from engine.export.diagram import MOST_IN_ALL, MOST_NODES, amount, diagrams, flowchart, label
from engine.network.picture import picture
from engine.spaces.base import space_of
from tests.engine.network import plans

NODE = re.compile(r'^  (n\d+)(\["|\(\["|\[\["|\(\("|\[\\")([^"]*)("\]|"\]\)|"\]\]|"\)\)|"/\])$')
EDGE = re.compile(r'^  (n\d+) -->(?:\|"[^"|]+"\|)? (n\d+)$')
CLOSED = {'["': '"]', '(["': '"])', '[["': '"]]', '(("': '"))', '[\\"': '"/]'}
HOSTILE = [
    '"] --> evil["x', "<script>alert(1)</script>", "```\n# heading", 'click n0 href "javascript:alert(1)"', "end",
    "a;b", "%%{init: {}}%%", "#quot; &lt;b&gt;", "`**bold**`", "subgraph x", "{}()[]|<>", "\x00\x07\u202eabc\u2028d",
    "|x|", "", "n1 --> n2", "x" * 5000,
]  # fmt: skip


def read(text):
    """Labels by node and the edges; fails at any line that is none of what a flowchart may have here."""
    first, *lines = text.split("\n")
    assert first == "flowchart TD"
    nodes, edges = {}, []
    for line in lines:
        if node := NODE.match(line):
            name, opening, words, closing = node.groups()
            assert CLOSED[opening] == closing and name not in nodes
            assert not re.search(r"[\[\]{}|<>`\\;]", re.sub(r"#\d+;|<br/>", "", words)), words
            nodes[name] = words
        elif edge := EDGE.match(line):
            edges.append(edge.groups())
        else:
            assert re.fullmatch(r"  classDef training stroke-dasharray:5 3|  class n\d+(,n\d+)* training", line), line
    assert all(end in nodes for ends in edges for end in ends)
    return nodes, edges


def node(id, kind="conv", **fields):
    return {"id": id, "kind": kind, "title": id, "detail": "", "shape": [4, 2, 2], **fields}


@pytest.mark.parametrize("name", [n for n in catalog.plugins("space") if n != "recurrent"])
def test_networks_of_every_space_are_valid_flowcharts(name):
    cls = catalog.plugins("space")[name]
    space = space_of(cls, cls.Options(), spec("digits"))
    rng = np.random.default_rng(3)
    for _ in range(4):
        drawn = picture(space.plan(space.sample(rng)))
        made, left_out = diagrams(drawn)
        parts = {"": drawn} | {entry["title"]: entry for entry in drawn["details"]}
        assert {d.title for d in made} | set(left_out) == set(parts) and made[0].title == ""
        for diagram in made:
            nodes, edges = read(diagram.text)
            part = parts[diagram.title]
            assert len(nodes) == len(part["nodes"]) <= MOST_NODES and len(edges) == len(part["edges"])
        assert sum(len(read(d.text)[0]) for d in made) <= MOST_IN_ALL


def test_what_a_node_says():
    cell = node("a", "cell", title="cell", detail="×5", repeat=5, n_params=528, n_macs=27_648)
    nodes, edges = read(
        flowchart(
            [node("input", "input", title="image", shape=[1, 8, 8]), cell, node("b", dashed=True), node("c", "add")],
            [{"source": "input", "target": "a", "title": "conv 3×3"}, {"source": "a", "target": "gone"}],
        )
    )
    assert nodes == {
        "n0": "image 1×8×8",
        "n1": "cell ×5 → 4×2×2<br/>528 parameters<br/>27.6 k multiply-adds",
        "n2": "b → 4×2×2<br/>in training only",
        "n3": "+",
    }
    assert edges == [("n0", "n1")]
    assert read(flowchart([{**cell, "detail": "", "n_params": 1, "n_macs": 0}], []))[0] == {
        "n0": "cell ×5 → 4×2×2<br/>1 parameter"
    }
    assert [amount(n) for n in (0, 999, 1000, 2_500_000, 3_210_000_000)] == ["0", "999", "1.0 k", "2.50 M", "3.21 G"]


@pytest.mark.parametrize("kind", ["conv", "pool", "cell", "input", "add", "something new"])
def test_names_cannot_leave_their_label(kind):
    nodes = [node(text, kind, detail=text) for text in HOSTILE]
    edges = [{"source": a, "target": b, "title": a} for a, b in zip(HOSTILE, HOSTILE[1:], strict=False)]
    labels, drawn = read(flowchart(nodes, edges))
    assert len(labels) == len(HOSTILE) and len(drawn) == len(edges)
    assert all(len(words) < 1000 for words in labels.values())


def test_signs_are_written_as_their_numbers():
    assert label("conv 3×3 + relu → 8") == "conv 3×3 + relu → 8"
    assert label('a "b" <c> [d] #e;\n`f`') == "a b #60;c#62; #91;d#93; #35;e#59; f"
    assert "#36;#36;" not in label("$$$x$$") and "fa:fa#45;" not in label("fa:fa-car")


def test_large_networks_and_what_is_left_out_are_said():
    drawn = picture(plans.free_graph(300))
    made, left_out = diagrams(drawn)
    assert (made, left_out) == ([], [""])
    text = "\n".join(_drawn(drawn))
    assert f"It has {len(drawn['nodes'])} steps, too many" in text and "mermaid" not in text

    small = [node("in", "input"), node("a", "cell")]
    large = [node(str(i)) for i in range(MOST_NODES + 1)]
    inner = [
        {"title": "cell <b>", "caption": "", "nodes": large, "edges": []},
        {"title": "other", "caption": "each `x`", "nodes": small, "edges": []},
    ]
    text = "\n".join(_drawn({"nodes": small, "edges": [], "caption": "all of them", "details": inner}))
    assert "Not drawn for its size: cell \\<b\\>." in text and "### Inside: other" in text and "All of them." in text
    assert text.count("```mermaid") == 2 and text.count("```") == 4

    many = [{"title": str(i), "caption": "", "nodes": large[:MOST_NODES], "edges": []} for i in range(5)]
    made, left_out = diagrams({"nodes": small, "edges": [], "caption": "", "details": many})
    assert [d.title for d in made] == ["", "0", "1"] and left_out == ["2", "3", "4"]
