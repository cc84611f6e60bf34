"""The page of methods: what leads from it, names as people write them, measured figures."""

from __future__ import annotations

import re

from engine import catalog

METHODS = "/methods/"


def test_every_method_leads_to_a_search_and_a_race_with_it(page):
    text = page.get(METHODS).content.decode()
    for name in catalog.methods():
        assert f"/searches/new/?strategy={name}" in text
        # a race asks tables, from which no supernet can be trained
        races = f"/arena/new/?entrants={name}&amp;entrants=random" in text
        assert races is (name in catalog.plugins("strategy"))
    form = page.get("/searches/new/?strategy=mcts").content.decode()
    assert re.search(r'<input[^>]*value="mcts"[^>]* checked', form)
    assert page.get("/searches/new/?strategy=nobody").status_code == 200


def test_names_in_its_texts_are_written_as_people_write_them(page):
    said = re.sub(r"<[^>]+>", " ", page.get(METHODS).content.decode())
    assert "`" not in said and "gnn_predictor" not in said and ".md" not in said
    assert "From a hundred trials on EHVI fills" in said and "BANANAS and GNN predictor learn sooner" in said


def test_measured_figures_can_be_read(page):
    assert "/methods/measured/" in page.get(METHODS).content.decode()
    answer = page.get("/methods/measured/")
    text = answer.content.decode()
    assert answer.status_code == 200
    assert "<table>" in text and "NAS-Bench-201" in text and "|---" not in text
