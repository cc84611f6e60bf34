"""Drawings of all kinds of networks in a real Chromium: what is drawn, what keyboard and pointer find, what differs."""

from __future__ import annotations

import copy

import pytest

from engine.network.picture import picture
from tests.engine.network import plans
from tests.ui.test_core_scripts import BOXES, DRAW, address, context, overlaps, page, until  # noqa: F401

pytestmark = pytest.mark.browser
START = "bare"

PICTURES = {
    "cells": picture(plans.two_input_cells()),
    "graph": picture(plans.free_graph(30)),
    "large graph": picture(plans.free_graph(300)),
    "branches": picture(plans.branches(4)),
    "blocks": picture(plans.residual_chain()),
    "chain": picture(plans.long_chain()),
}
STEPS = """() => [...document.querySelector("svg.arch:not(.arch-map)").querySelectorAll("g.node")]
  .map((g) => g.dataset.id)"""
WIDEST = (
    """() => Math.max(...[...document.querySelectorAll("svg.arch:not(.arch-map)")].map((e) => e.width.baseVal.value))"""
)
LABELS = [{"name": "#1"}, {"name": "#2"}]


def draw(page, first, name="drawPicture", *rest, width=1400):  # noqa: F811
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate(DRAW, [first, name, *rest])


@pytest.mark.parametrize("width", [1400, 800, 390])
@pytest.mark.parametrize("name", PICTURES)
def test_every_step_is_drawn_once_and_none_covers_another(page, name, width):  # noqa: F811
    draw(page, PICTURES[name], width=width)
    assert sorted(page.evaluate(STEPS)) == sorted(node["id"] for node in PICTURES[name]["nodes"])
    assert overlaps(page.evaluate(BOXES)) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [1400, 1000, 700])
@pytest.mark.parametrize("name", ["cells", "blocks", "chain", "graph"])
def test_what_can_be_cut_into_rows_does_not_scroll_sideways(page, name, width):  # noqa: F811
    draw(page, PICTURES[name], width=width)
    assert page.evaluate(WIDEST) <= width


LAYERS = """async (graph) => {
  const { layered } = await import("/static/js/core/arch-layers.js");
  const start = performance.now();
  const edges = graph.edges.map((e) => [e.source, e.target]);
  const { at, wires } = layered(graph.nodes.map((n) => n.id), edges, () => ({ w: 60, h: 40 }), {});
  const took = performance.now() - start;
  const backwards = edges.filter(([a, b]) => at.get(a).x >= at.get(b).x).length;
  // every edge can be followed: from its source over lines that lead on to its target, the last of which ends there
  const lost = edges.filter(([a, b]) => {
    const mine = wires.filter((w) => w.source === a && w.targets.has(b));
    return !mine.some((w) => w.start === a) || !mine.some((w) => w.end === b);
  }).length;
  const stray = wires.filter((w) => w.end !== null && !edges.some(([a, b]) => a === w.source && b === w.end)).length;
  return { took, backwards, lost, stray };
}"""


@pytest.mark.parametrize("name", ["graph", "large graph", "branches"])
def test_layers_keep_every_connection_and_its_direction(page, name):  # noqa: F811
    found = page.evaluate(LAYERS, PICTURES[name])
    assert (found["backwards"], found["lost"], found["stray"]) == (0, 0, 0)
    assert found["took"] < 5000  # a few hundred ms on an idle machine


def test_the_keyboard_walks_through_a_network_and_into_its_cells(page):  # noqa: F811
    draw(page, PICTURES["cells"])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.id") == "input"
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.id") == "cell0"
    said = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert "normal cell ×6" in said and "6 times" in said
    card = page.locator(".arch-card").inner_text()
    assert "stands for" in card and "% of the network" in card and "32 × 32×32" in card
    page.keyboard.press("Escape")
    assert not page.locator(".arch-card").is_visible()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.dataset.inside") == "normal cell, 18 times"


def test_a_step_under_the_pointer_explains_itself_and_lights_its_lines(page):  # noqa: F811
    draw(page, PICTURES["graph"])
    drawn = PICTURES["graph"]
    node = next(n for n in drawn["nodes"] if n["kind"] == "sep")
    page.locator(f'g.node[data-id="{node["id"]}"]').hover()
    card = page.locator(".arch-card").inner_text()
    assert f"{node['n_macs']:,}" in card and "null" not in card
    touching = [e for e in drawn["edges"] if node["id"] in (e["source"], e["target"])]
    assert 2 <= page.locator(".wire.lit").count() <= 3 * len(touching)
    page.mouse.move(1390, 890)
    assert page.locator(".wire.lit").count() == 0


def test_the_map_moves_what_is_in_view(page):  # noqa: F811
    draw(page, PICTURES["large graph"])
    box = page.locator(".arch-map").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 10)
    left = page.evaluate("document.querySelector('.arch-panned .scroll').scrollLeft")
    assert left > 2000
    until(page, "Number(document.querySelector('.map-frame').getAttribute('x')) > 2000")


def test_of_many_insides_the_chosen_one_is_shown(page):  # noqa: F811
    drawn = copy.deepcopy(PICTURES["cells"])
    third = {**copy.deepcopy(drawn["details"][0]), "title": "another cell, once"}
    drawn["details"].append(third)
    draw(page, drawn)
    assert page.locator("[data-inside]").count() == 1
    page.get_by_role("button", name="another cell").click()
    assert page.locator("[data-inside]").get_attribute("data-inside") == "another cell, once"
    page.locator('g.node[data-id="cell6"]').click()
    assert page.locator("[data-inside]").get_attribute("data-inside") == "reduction cell, 2 times"


def test_cells_that_differ_are_compared_inside(page):  # noqa: F811
    other = copy.deepcopy(PICTURES["cells"])
    changed = next(n for n in other["details"][0]["nodes"] if n["id"] == "node0_op0")
    changed |= {"title": "dilated", "detail": "5×5"}
    draw(page, [PICTURES["cells"], other], "drawDifference", LABELS)
    assert "Around their cells the networks are the same" in page.locator("#here").inner_text()
    assert "The same inside: reduction cell" in page.locator("#here").inner_text()
    assert page.locator("g.node:has(.op.hot) text").all_text_contents() == ["dilated", "5×5"]


def test_graphs_that_differ_are_laid_over_each_other(page):  # noqa: F811
    one = PICTURES["graph"]
    other = copy.deepcopy(one)
    gone = next(n["id"] for n in one["nodes"] if n["kind"] == "act" and n["id"].startswith("node"))
    source = next(e["source"] for e in one["edges"] if e["target"] == gone)
    other["nodes"] = [n for n in other["nodes"] if n["id"] != gone]
    other["edges"] = [e for e in other["edges"] if e["target"] != gone]
    for edge in other["edges"]:
        edge["source"] = source if edge["source"] == gone else edge["source"]
    draw(page, [one, other], "drawDifference", LABELS)
    assert page.locator("svg.diff .lack").count() == 1
    assert page.locator("svg.diff .op.hot, svg.diff .joint.hot").count() == 0
    assert page.locator("svg.diff .wire.hot").count() >= 1
    draw(page, [one, one], "drawDifference", LABELS)


OUTLINE = {
    "parts": [
        {"id": "input", "kind": "input", "title": "image", "detail": "3 × 8×8", "decisions": [], "repeat": None},
        {
            "id": "block", "kind": "conv", "title": "block", "detail": "each by itself", "repeat": "2 times",
            "decisions": [
                {"name": "op1", "names": ["op1", "op2"], "title": "operation", "options": ["conv 3×3", "none", "skip"],
                 "values": [3, None, True]},
                {"name": "width", "names": ["width"], "title": "width", "options": ["8", "16"], "values": [8, 16]},
            ],
        },
        {"id": "side", "kind": "pool", "title": "pool", "detail": "", "decisions": [], "repeat": None},
        {"id": "output", "kind": "output", "title": "linear", "detail": "", "decisions": [], "repeat": None},
    ],
    "edges": [
        {"source": "input", "target": "block", "title": "", "dashed": False},
        {"source": "input", "target": "side", "title": "", "dashed": False},
        {"source": "block", "target": "output", "title": "", "dashed": True},
        {"source": "side", "target": "output", "title": "", "dashed": False},
    ],
}  # fmt: skip
FORM = """async (outline) => {
  const { drawOutline } = await import("/static/js/core/arch.js");
  window.said = [];
  window.form = drawOutline(document.getElementById("here"), outline, {
    restrict: { op1: [3, true], width: [16] },
    onToggle: (...what) => said.push(what), onSelect: (id) => { said.push(id); form.select(id); } });
}"""


@pytest.mark.parametrize("width", [1400, 390])
def test_the_outline_as_a_form_asks_for_what_is_pressed(page, width):  # noqa: F811
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate(FORM, OUTLINE)
    pressed = {b.inner_text(): b.get_attribute("aria-pressed") for b in page.locator(".outline-option").all()}
    # "none" is left out of the first of the two places the row stands for
    assert pressed == {"conv 3×3": "true", "none": "mixed", "skip": "true", "8": "false", "16": "true"}
    page.locator(".outline-option", has_text="none").click()
    page.locator(".outline-option", has_text="skip").click()
    page.locator(".outline-option", has_text="16").click(force=True)  # the last one: stays
    assert page.evaluate("said") == [[["op1", "op2"], None, True], [["op1", "op2"], True, False]]
    page.locator(".outline-option", has_text="skip").focus()
    page.evaluate("form.restrict({op1: [3], op2: [3]})")
    page.evaluate("form.redraw()")
    assert page.evaluate("document.activeElement.textContent") == "skip"
    assert page.locator(".outline-option", has_text="skip").get_attribute("aria-pressed") == "false"
    page.get_by_role("button", name="block").press("Enter")
    assert page.evaluate("said.at(-1)") == "block"
    assert page.get_by_role("button", name="block").get_attribute("aria-pressed") == "true"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_an_outline_may_be_any_graph(page):  # noqa: F811
    draw(page, OUTLINE, "drawOutline")
    # input -> block straight down; the other three beside it, each on its own way
    assert page.locator("svg.arch .wire").count() == 4
    assert page.locator("svg.arch").get_attribute("aria-label").startswith("image; block, operation: conv 3×3")
