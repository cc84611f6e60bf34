"""What a drawing folds away, and what it says instead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.network.assemble import Assembler
from engine.network.operations import OPERATIONS
from engine.network.picture import input_word, picture
from engine.network.plan import NetworkPlan

from . import plans


def titles(drawn: dict) -> list[str]:
    return [f"{n['title']} {n['detail']}".strip() for n in drawn["nodes"]]


def chain(*tails: tuple[str, ...]) -> dict:
    net = Assembler((3, 8, 8))
    x = "input"
    for i, tail in enumerate(tails):
        x = net.add(f"c{i}", "conv2d", x, out_channels=8, kernel_size=3)
        for op in tail:
            x = net.add(f"c{i}_{op}", op, x)
    x = net.add("pool", "global_avg_pool2d", x)
    net.add("output", "linear", x, out_features=4)
    return picture(net.finish())


def test_equal_tails_are_said_once():
    drawn = chain(("batch_norm2d", "relu"), ("batch_norm2d", "relu"))
    assert titles(drawn) == ["image", "conv 3×3", "conv 3×3", "global avg", "linear 4"]
    assert drawn["caption"] == "each convolution is followed by batch norm and relu"
    assert drawn["nodes"][1]["n_params"] == 3 * 8 * 9 + 8 + 16


def test_different_tails_stand_at_the_operation():
    drawn = chain(("batch_norm2d", "relu"), ("group_norm",), ())
    assert titles(drawn)[1:4] == ["conv 3×3 + batch norm + relu", "conv 3×3 + group norm", "conv 3×3"]
    assert drawn["caption"] == ""


def test_no_tails_no_words():
    assert chain((), ())["caption"] == ""


def test_a_norm_that_something_else_reads_too_is_drawn():
    net = Assembler((8, 8, 8))
    x = net.add("c", "conv2d", "input", out_channels=8, kernel_size=3)
    n = net.add("norm", "batch_norm2d", x)
    a = net.add("act", "relu", n)
    x = net.add("sum", "add", x, a, n)
    net.add("pool", "global_avg_pool2d", x)
    drawn = picture(net.finish())
    assert [n["id"] for n in drawn["nodes"]] == ["input", "c", "norm", "act", "sum", "pool"]
    assert {"source": "norm", "target": "sum"} in drawn["edges"]


def test_sums_of_one_and_identities_are_passed_through():
    net = Assembler((8, 4, 4))
    x = net.add("skip", "identity", "input")
    x = net.add("sum", "add", x)
    net.add("pool", "global_avg_pool2d", x)
    drawn = picture(net.finish())
    assert titles(drawn) == ["image", "global avg"]
    assert drawn["edges"] == [{"source": "input", "target": "pool"}]


def cell(net: Assembler, x: str, name: str, *, kernel: int = 3, states: bool = True) -> str:
    prefix = name.replace(".", "_")
    part = {"group": "stage 1", "cell": name}
    a = net.add(f"{prefix}_a", "conv2d", x, out_channels=8, kernel_size=kernel, **part)
    if not states:
        a = net.add(f"{prefix}_b", "relu", a, **part)
    return net.add(f"{prefix}_sum", "add", a, x, **part)


def test_equal_cells_in_a_row_are_one_node():
    net = Assembler((8, 4, 4))
    x = "input"
    for i in range(3):
        x = cell(net, x, f"stage1.cell{i}")
    x = cell(net, x, "stage1.cell3", kernel=1)
    x = cell(net, x, "stage1.cell4")
    net.add("pool", "global_avg_pool2d", x)
    drawn = picture(net.finish())
    assert [(n["title"], n["repeat"]) for n in drawn["nodes"]] == [
        ("image", 1), ("cell 1", 3), ("cell 2", 1), ("cell 1", 1), ("global", 1),
    ]  # fmt: skip
    assert [d["title"] for d in drawn["details"]] == ["cell 1 conv 3×3, 4 times", "cell 2 conv 1×1, once"]
    assert drawn["details"][0]["edges"] == [
        {"source": "in0", "target": "sum", "title": "conv 3×3"},
        {"source": "in0", "target": "sum", "title": ""},
    ]


def test_cells_read_from_elsewhere_are_not_folded():
    net = Assembler((8, 4, 4))
    one = cell(net, "input", "s.cell1")
    two = cell(net, one, "s.cell2")
    x = net.add("sum", "add", one, two)
    net.add("pool", "global_avg_pool2d", x)
    assert [n["repeat"] for n in picture(net.finish())["nodes"] if n["kind"] == "cell"] == [1, 1]


def test_a_cell_of_chains_is_drawn_by_its_operations():
    net = Assembler((8, 4, 4))
    x = cell(net, "input", "s.cell1", states=False)
    net.add("pool", "global_avg_pool2d", x)
    (detail,) = picture(net.finish())["details"]
    assert [n["title"] for n in detail["nodes"]] == ["input", "conv", "add"]
    assert detail["caption"] == "each convolution is followed by relu"
    assert len(detail["edges"]) == 3


def test_cells_that_read_two_cells_are_folded_and_the_auxiliary_head_is_dashed():
    drawn = picture(plans.two_input_cells(20))
    assert len(drawn["nodes"]) <= 25
    cells = [(n["title"], n["repeat"]) for n in drawn["nodes"] if n["kind"] == "cell"]
    assert cells == [
        ("normal cell", 6), ("reduction cell", 1), ("normal cell", 6), ("reduction cell", 1), ("normal cell", 6),
    ]  # fmt: skip
    assert [d["title"] for d in drawn["details"]] == ["normal cell, 18 times", "reduction cell, 2 times"]
    assert "each cell reads the two before it" in drawn["caption"]
    extra = {n["group"] for n in drawn["nodes"] if n["dashed"]}
    assert extra == {"auxiliary head"}
    # what the folded boxes stand for is all there
    assert sum(n["n_params"] for n in drawn["nodes"]) == drawn["n_params"]
    assert sum(n["n_nodes"] for n in drawn["nodes"]) == drawn["n_nodes"]


def test_a_cell_read_in_the_middle_of_a_run_ends_the_run():
    net = Assembler((8, 4, 4))
    x, middle = "input", ""
    for i in range(6):
        x = cell(net, x, f"stage1.cell{i}")
        middle = x if i == 2 else middle
    x = net.add("late", "add", x, middle)
    net.add("pool", "global_avg_pool2d", x)
    drawn = picture(net.finish())
    assert [n["repeat"] for n in drawn["nodes"] if n["kind"] == "cell"] == [3, 3]
    assert {"source": "stage1_cell0", "target": "late"} in drawn["edges"]


def test_equal_blocks_nobody_marked_are_folded_when_the_drawing_is_long():
    drawn = picture(plans.residual_chain(12))
    assert titles(drawn) == ["signal", "conv 1", "block ×12", "global avg", "linear 6"]
    (detail,) = drawn["details"]
    assert detail["title"] == "block, 12 times" == drawn["nodes"][2]["opens"]
    assert drawn["nodes"][2]["group"] == "blocks 1–12"
    assert sum(n["n_params"] for n in drawn["nodes"]) == drawn["n_params"]
    assert len(picture(plans.residual_chain(2))["nodes"]) > 15  # short ones stay as they are


@pytest.mark.parametrize(
    "plan",
    [plans.two_input_cells(), plans.free_graph(300), plans.branches(4), plans.residual_chain(), plans.long_chain()],
)
def test_every_drawing_is_in_order_and_its_costs_are_the_plans(plan):
    drawn = picture(plan)
    for graph in (drawn, *drawn["details"]):
        place = {n["id"]: i for i, n in enumerate(graph["nodes"])}
        assert all(place[e["source"]] < place[e["target"]] for e in graph["edges"])
    opened = {n["opens"] for graph in (drawn, *drawn["details"]) for n in graph["nodes"] if n["opens"]}
    assert opened <= {d["title"] for d in drawn["details"]}
    assert sum(n["n_macs"] for n in drawn["nodes"]) == drawn["n_macs"]


def test_the_input_says_what_it_is():
    words = {(8, 4, 4): "image", (8, 40): "signal", (12,): "table"}
    for shape, word in words.items():
        assert input_word(NetworkPlan(shape, 2, ())) == word
    assert input_word(NetworkPlan((12,), 2, (), "int64")) == "text"


def test_an_operation_that_is_a_graph_opens_a_drawing_of_it(monkeypatch):
    def inside(args):
        nodes = [{"id": "h", "kind": "input", "title": "h"}, {"id": "a", "kind": "act", "title": str(args["p"])}]
        return {"title": "recurrent cell", "nodes": nodes, "edges": [{"source": "h", "target": "a"}]}

    monkeypatch.setitem(OPERATIONS, "dropout", replace(OPERATIONS["dropout"], inside=inside))
    net = Assembler((8,))
    x = "input"
    for i, p in enumerate((0.1, 0.1, 0.2)):
        x = net.add(f"cell{i}", "dropout", x, p=p)
    net.add("output", "linear", x, out_features=2)
    drawn = picture(net.finish())
    assert [n["opens"] for n in drawn["nodes"][1:4]] == ["recurrent cell", "recurrent cell", "recurrent cell (2)"]
    assert [d["title"] for d in drawn["details"]] == ["recurrent cell", "recurrent cell (2)"]


def test_different_graphs_of_one_title_say_their_layers(monkeypatch):
    def inside(args):
        nodes = [{"id": "a", "kind": "act", "title": str(args["p"])}]
        return {"title": "recurrent cell", "nodes": nodes, "edges": []}

    monkeypatch.setitem(OPERATIONS, "dropout", replace(OPERATIONS["dropout"], inside=inside))
    net = Assembler((8,))
    x = "input"
    for i, p in enumerate((0.1, 0.2, 0.2), start=1):
        x = net.add(f"cell{i}", "dropout", x, group=f"layer {i}", p=p)
    net.add("output", "linear", x, out_features=2)
    drawn = picture(net.finish())
    titles = ["recurrent cell, layer 1", "recurrent cell, layer 2 and layer 3"]
    assert [d["title"] for d in drawn["details"]] == titles
    assert {n["opens"] for n in drawn["nodes"] if n.get("opens")} == set(titles)


def test_masks_of_padding_are_said_and_not_drawn():
    net = Assembler((11,), "int64")
    mask = net.add("mask", "padding_mask", "input")
    x = net.add("embedding", "embedding", "input", num_embeddings=30, embedding_dim=8)
    for i in range(3):
        part = {"group": f"block {i + 1}", "cell": f"block{i + 1}"}
        y = net.add(f"block{i + 1}_attention", "self_attention", x, mask, **part, heads=2)
        y = net.add(f"block{i + 1}_drop", "dropout", y, **part, p=0.1)
        x = net.add(f"block{i + 1}_add", "add", x, y, **part)
    x = net.add("mean", "mean_over_time", x, mask)
    net.add("output", "linear", x, out_features=4)
    drawn = picture(net.finish())
    assert titles(drawn) == [
        "text",
        "embedding 8 of 30 words",
        "cell attention 2 heads ×3",
        "mean over time",
        "linear 4",
    ]
    assert drawn["nodes"][2]["group"] == "blocks 1–3"
    assert "padding" in drawn["caption"] and "two before" not in drawn["caption"]
    assert [n["kind"] for n in drawn["details"][0]["nodes"]] == ["input", "attention", "drop", "add"]


def test_an_inverted_bottleneck_is_called_by_what_is_chosen_in_it():
    net = Assembler((16, 8, 8))
    x = "input"
    for i, (kernel, wide) in enumerate(((3, 3), (5, 6), (5, 6)), start=1):
        cell, part = f"block{i}", {"group": f"block {i}", "cell": f"block{i}"}
        y = net.add(f"{cell}_expand", "conv2d", x, **part, out_channels=16 * wide, kernel_size=1, bias=False)
        y = net.add(f"{cell}_norm", "batch_norm2d", y, **part)
        y = net.add(f"{cell}_deep", "depthwise_conv2d", y, **part, kernel_size=kernel)
        y = net.add(f"{cell}_project", "conv2d", y, **part, out_channels=16, kernel_size=1, bias=False)
        x = net.add(f"{cell}_add", "add", x, y, **part)
    x = net.add("pool", "global_avg_pool2d", x)
    drawn = picture(net.finish())
    assert titles(drawn)[1:3] == ["MBConv 3×3 e3", "MBConv 5×5 e6 ×2"]
