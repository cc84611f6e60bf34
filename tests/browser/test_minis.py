"""Miniatures of networks in a real Chromium: what is drawn, what it is called, and when it is asked for."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from engine.network.miniature import MOST_STEPS, miniature
from engine.network.picture import picture
from tests.engine.network import plans
from tests.ui.test_core_scripts import address, context, page, until  # noqa: F401

pytestmark = pytest.mark.browser
START = "bare"

MINIS = {
    "cells": miniature(picture(plans.two_input_cells())),
    "graph": miniature(picture(plans.free_graph(30))),
    "large graph": miniature(picture(plans.free_graph(300))),
    "branches": miniature(picture(plans.branches(2))),
    "chain": miniature(picture(plans.long_chain())),
    "repeats": {"steps": [["input", 0, 0], *[["cell", 1, 5, 9]] * 19], "arcs": [], "label": "many cells"},
    "one": {"steps": [["dense", 4, 100]], "arcs": [], "label": "1 step"},
    "unknown": {"steps": [["input", 0, 0], ["something new", 9, 100]], "arcs": [], "label": "<b>new</b>"},
}
DRAW = """async (mini) => {
  const { drawMini } = await import("/static/js/core/arch-mini.js");
  const here = document.querySelector("#here");
  here.replaceChildren(document.createElement("span"));
  drawMini(here.firstChild, mini);
  const svg = here.querySelector("svg");
  const paths = [...svg.querySelectorAll("path")];
  const boxes = paths.map((p) => p.getBBox());
  return {
    size: [svg.getBoundingClientRect().width, svg.getBoundingClientRect().height],
    role: svg.getAttribute("role"), label: svg.getAttribute("aria-label"),
    left: Math.min(...boxes.map((b) => b.x)), top: Math.min(...boxes.map((b) => b.y)),
    right: Math.max(...boxes.map((b) => b.x + b.width)), bottom: Math.max(...boxes.map((b) => b.y + b.height)),
    shapes: paths.filter((p) => !p.classList.contains("wire")).map((p) => p.getAttribute("d").split("M").length - 1),
    classes: paths.map((p) => p.getAttribute("class")),
    arcs: (svg.querySelector(".wire")?.getAttribute("d").match(/M/g) || []).length,
    inline: svg.querySelectorAll("[fill], [stroke], [style]").length,
    broken: paths.some((p) => /NaN|undefined/.test(p.getAttribute("d"))),
    fills: [...new Set(paths.filter((p) => p.classList.contains("op")).map((p) => getComputedStyle(p).fill))].length,
  };
}"""


@pytest.mark.parametrize("name", MINIS)
def test_every_step_stands_inside_the_picture(page, name):  # noqa: F811
    mini = MINIS[name]
    found = page.evaluate(DRAW, mini)
    assert found["size"] == [120, 26] and not found["broken"] and found["inline"] == 0
    assert found["left"] >= 0 and found["top"] >= 0 and found["right"] <= 120 and found["bottom"] <= 26
    assert (found["role"], found["label"]) == ("img", mini["label"])
    assert len(mini["steps"]) <= sum(found["shapes"]) and len(found["classes"]) < 16
    assert found["arcs"] == len(mini["arcs"])
    assert len(mini["steps"]) <= MOST_STEPS


def test_kinds_have_the_colours_of_the_big_drawing(page):  # noqa: F811
    kinds = ["conv", "sep", "dense", "cell", "attention", "recurrent", "embed", "pool"]
    found = page.evaluate(DRAW, {"steps": [[k, 1, 10] for k in kinds], "arcs": [], "label": "all"})
    assert {f"op k-{k}" for k in kinds} == set(found["classes"]) and found["fills"] == len(kinds)


ROWS = """async (n) => {
  const { loadMinis } = await import("/static/js/core/arch-mini.js");
  const here = document.querySelector("#here");
  here.innerHTML = `<table class="table" data-minis="/minis?n=">${
    Array.from({ length: n }, (_, i) => `<tr><td data-mini="${i + 1}"></td></tr>`).join("")}</table>`;
  window.minis = loadMinis(here.firstChild);
}"""


def test_only_rows_in_view_are_asked_for_and_each_once(page):  # noqa: F811
    asked = []

    def answer(route):
        names = parse_qs(urlsplit(route.request.url).query)["n"][0].split(",")
        asked.append(names)
        minis = {n: None if n == "2" else MINIS["branches"] for n in names}
        route.fulfill(body=json.dumps({"minis": minis}), content_type="application/json")

    page.route("**/minis?**", answer)
    page.set_viewport_size({"width": 1000, "height": 600})
    page.evaluate(ROWS, 400)
    until(page, "document.querySelectorAll('svg.arch-mini').length > 10")
    page.wait_for_timeout(200)
    seen = [n for names in asked for n in names]
    assert seen[:3] == ["1", "2", "3"] and len(seen) < 60 and all(len(names) <= 60 for names in asked)
    assert page.evaluate("document.querySelector('[data-mini=\"2\"]').childElementCount") == 0
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    until(page, "document.querySelector('[data-mini=\"400\"] svg') !== null")
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(300)
    every = [n for names in asked for n in names]
    assert len(every) == len(set(every)) < 120 and "200" not in every
    heights = page.evaluate("[...new Set([...document.querySelectorAll('tr')].map((r) => r.offsetHeight))]")
    assert heights == [32]


def test_an_answer_that_fails_leaves_the_rows_as_they_are(page):  # noqa: F811
    page.route("**/minis?**", lambda route: route.fulfill(status=500, body="broken"))
    page.evaluate(ROWS, 5)
    page.wait_for_timeout(300)
    assert page.evaluate("document.querySelectorAll('svg.arch-mini').length") == 0
    assert page.evaluate("document.querySelectorAll('[data-mini]').length") == 5
