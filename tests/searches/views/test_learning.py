"""What a new search learns from: offered where the strategy learns, related ones chosen, frozen when it is made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from searches.models import Job, Search
from searches.runner import run_job
from searches.services.advance import advance_search
from tests.factories import search_make

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]
NEW = "/searches/new/"


@pytest.fixture(autouse=True)
def storage(settings, tmp_path: Path):
    settings.MEDIA_ROOT = tmp_path / "storage"


def ended(owner, **fields):
    """A search that has run to its end here."""
    search = search_make(owner=owner, **{"final": {"enabled": False}, **fields})
    while True:
        advance_search(search_id=search.pk)
        waiting = list(Job.objects.filter(search=search, state=Job.State.WAITING))
        for job in waiting:
            run_job(job.pk, job.claim, worker="here")
        if not waiting:
            break
    search.refresh_from_db()
    return search


def boxes(text):
    """Number of each search offered -> whether it is chosen."""
    inputs = re.findall(r"<input[^>]*name=\"learn\"[^>]*>", text)
    return {re.search(r'value="([^"]*)"', box)[1]: " checked" in box for box in inputs}


def form(page, **fields):
    return page.post(f"{NEW}fields/", {"form:key": "new", "name": "Mine", **fields}).content.decode()


TABLE = {"strategy.name": "transfer", "evaluator.name": "tabular"}


def test_only_a_strategy_that_learns_asks(page, mira, jonas):
    mine = ended(mira, name="Before")
    ended(jonas, name="Not mine")
    assert boxes(form(page, **{**TABLE, "strategy.name": "random"})) == {}
    assert boxes(form(page, **TABLE)) == {str(mine.pk): True}


def test_the_strategy_line_says_what_the_chosen_ones_do(page, mira):
    mine = ended(mira, name="Before")
    asked = {"form:key": "new", "name": "Mine", **TABLE, "strategy.name": "auto", "learn:for": "shown"}
    text = page.post(f"{NEW}summary/", {**asked, "learn": str(mine.pk)}).content.decode()
    assert "best networks of related searches" in text
    assert "best networks of related searches" not in page.post(f"{NEW}summary/", asked).content.decode()


def test_what_is_chosen_is_frozen_and_stays_with_a_clone(page, mira):
    mine, other = ended(mira, name="Before"), ended(mira, name="Elsewhere", space={"name": "nasbench201", "cells": 1})
    assert boxes(form(page, **TABLE)) == {str(mine.pk): True, str(other.pk): False}
    page.post(NEW, {"name": "Mine", **TABLE})
    made = Search.objects.get(name="Mine")
    assert len(made.config["experience"]) == 1
    clone = boxes(page.get(f"{NEW}?from={made.pk}").content.decode())
    assert clone[made.config["experience"][0]] and not clone[str(mine.pk)]


def test_none_can_be_chosen(page, mira):
    ended(mira, name="Before")
    page.post(NEW, {"name": "Mine", **TABLE, "learn:for": "shown"})
    assert Search.objects.get(name="Mine").config["experience"] == []


def test_nobody_learns_from_somebody_elses(page, mira, jonas):
    theirs = ended(jonas, name="Not mine")
    ended(mira, name="Before")
    page.post(NEW, {"name": "Mine", **TABLE, "learn:for": "shown", "learn": str(theirs.pk)})
    assert Search.objects.get(name="Mine").config["experience"] == []
