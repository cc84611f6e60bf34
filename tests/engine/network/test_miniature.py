"""Networks small enough for a table's row: the same network as in the big drawing, and apart from its neighbours."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine import catalog
from engine.data.registry import spec
from engine.network.miniature import LOWEST, MOST_STEPS, label, miniature
from engine.network.picture import picture
from engine.spaces.base import space_of
from tests.engine.network import plans


def sound(mini):
    steps, arcs = mini["steps"], mini["arcs"]
    assert 0 < len(steps) <= MOST_STEPS
    for kind, height, share, *repeat in steps:
        assert isinstance(kind, str) and 0 <= height <= LOWEST and 0 <= share <= 100
        assert not repeat or repeat[0] > 1
    assert all(0 <= a < b - 1 < len(steps) - 1 for a, b in arcs)
    assert len({tuple(arc) for arc in arcs}) == len(arcs)
    assert json.loads(json.dumps(mini)) == mini and len(json.dumps(mini)) < 4000


@pytest.mark.parametrize("name", [n for n in catalog.plugins("space") if n not in ("recurrent", "list")])
def test_most_networks_of_a_space_look_different(name):
    cls = catalog.plugins("space")[name]
    space = space_of(cls, cls.Options(), spec("digits"))
    rng = np.random.default_rng(5)
    seen = set()
    for _ in range(12):
        mini = miniature(picture(space.plan(space.sample(rng))))
        sound(mini)
        seen.add(json.dumps([mini["steps"], mini["arcs"]]))
    assert len(seen) >= 8


def test_steps_shares_and_arcs_are_those_of_the_picture():
    drawn = picture(plans.branches(2))
    mini = miniature(drawn)
    at = {node["id"]: i for i, node in enumerate(drawn["nodes"])}
    assert not any(node["kind"] == "cell" for node in drawn["nodes"])
    assert [s[0] for s in mini["steps"][:-1]] == [node["kind"] for node in drawn["nodes"]][:-1]
    assert mini["steps"][-1][0] == "dense" and mini["steps"][-1][1] == LOWEST and mini["steps"][0][1] == 0
    jumps = {(at[e["source"]], at[e["target"]]) for e in drawn["edges"]}
    assert [tuple(a) for a in mini["arcs"]] == sorted((a, b) for a, b in jumps if b - a > 1)
    for step, node in zip(mini["steps"], drawn["nodes"], strict=True):
        assert abs(step[2] - 100 * node["n_macs"] / drawn["n_macs"]) <= 0.5


def test_the_first_of_equal_cells_is_opened_and_the_rest_follow_it():
    mini = miniature(picture(plans.two_input_cells(6)))
    sound(mini)
    kinds = [step[0] for step in mini["steps"]]
    assert "sep" in kinds or "conv" in kinds
    first = kinds.index("cell")
    assert first > 3  # what is inside stands before it
    assert abs(sum(step[2] for step in mini["steps"]) - 100) <= len(kinds) / 2


@pytest.mark.parametrize("n", [60, 300])
def test_long_networks_are_thinned_and_keep_both_ends(n):
    drawn = picture(plans.free_graph(n))
    mini = miniature(drawn)
    sound(mini)
    assert len(mini["steps"]) == MOST_STEPS
    assert mini["steps"][0][0] == "input" and mini["steps"][-1][0] == "dense"


def test_the_label_counts_what_is_folded():
    nodes = [
        {"id": "i", "kind": "input", "title": "image", "repeat": 1},
        {"id": "a", "kind": "conv", "title": "conv", "repeat": 1},
        {"id": "b", "kind": "cell", "title": "cell", "repeat": 5},
        {"id": "c", "kind": "add", "title": "add", "repeat": 1},
        {"id": "d", "kind": "output", "title": "linear", "repeat": 1},
    ]
    edges = [{"source": "a", "target": "c"}]
    assert label({"nodes": nodes, "edges": edges}) == (
        "8 steps: 1 convolution, 5 cells, 1 dense layer; 1 connection skips steps"
    )
    assert label({"nodes": nodes[:2], "edges": []}) == "1 step: 1 convolution"
