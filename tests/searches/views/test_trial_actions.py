"""Buttons of the trial page, and that nobody reaches what belongs to somebody else."""

from __future__ import annotations

import csv
import io

import pytest
from django.urls import reverse

from searches.models import Search, Trial
from tests.searches.views.conftest import config_json


def said(response):
    return [str(m) for m in response.context["messages"]]


def test_what_cannot_be_done_with_a_trial_is_said(page, mira, make):
    search = make(mira, accuracies=[0.9], failed=1, data_spec={})
    at = reverse("searches:trial_cancel", args=[search.pk, 1])
    assert page.post(at).status_code == 302
    answer = page.post(reverse("searches:train", args=[search.pk, 2]))
    assert answer.status_code == 302
    told = said(page.get(reverse("searches:list")))
    assert any("completed" in text for text in told) and any("failed" in text for text in told)


def test_a_waiting_trial_is_cancelled(page, mira, make):
    search = make(mira, accuracies=[0.9], state=Search.State.RUNNING)
    Trial.objects.filter(search=search).update(state=Trial.State.WAITING)
    Search.objects.filter(pk=search.pk).update(n_waiting=1, n_completed=0)
    assert page.post(reverse("searches:trial_cancel", args=[search.pk, 1])).status_code == 302
    search.refresh_from_db()
    assert search.trials.get().state == "cancelled" and (search.n_waiting, search.n_cancelled) == (0, 1)


OTHERS = [
    ("searches:detail", []), ("searches:trials", []), ("searches:export", []), ("searches:insight", []),
    ("searches:figure", ["best"]), ("searches:parts", ["overview"]), ("searches:picture", [1]), ("searches:log", []),
    ("searches:events", []), ("searches:trial", [1]), ("searches:trial_figure", [1]), ("searches:bundle", [1]),
    ("searches:bundle_file", [1, "model.py"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "more"), OTHERS)
def test_somebody_elses_pages_are_not_there(page, jonas, make, name, more):
    search = make(jonas, "Secret name", accuracies=[0.9])
    answer = page.get(reverse(name, args=[search.pk, *more]))
    assert answer.status_code == 404 and b"Secret name" not in answer.content


@pytest.mark.parametrize("name", ["searches:train", "searches:trial_cancel"])
def test_somebody_elses_trials_cannot_be_acted_on(page, jonas, make, name):
    search = make(jonas, accuracies=[0.9])
    assert page.post(reverse(name, args=[search.pk, 1])).status_code == 404


def test_somebody_elses_trials_cannot_be_compared(page, jonas, make):
    search = make(jonas, "Secret name", accuracies=[0.9, 0.8])
    for at in (reverse("searches:compare"), reverse("searches:compare_figure")):
        answer = page.get(at, {"t": [f"{search.pk}.1", f"{search.pk}.2"]})
        assert b"Secret name" not in answer.content and b"d3 conv1" not in answer.content


def test_time_can_be_added(page, mira, make):
    config = config_json("Digits") | {"budget": {"trials": 5, "epochs": 2, "minutes": 7}}
    search = make(mira, accuracies=[0.9], config=config, state=Search.State.RUNNING)
    text = page.get(reverse("searches:insight", args=[search.pk])).content.decode()
    assert 'name="minutes"' in text and 'value="7' in text


def test_an_empty_cell_of_the_export_stays_empty(page, mira, make):
    search = make(mira, accuracies=[0.9])
    Trial.objects.filter(search=search).update(why="=HYPERLINK(1)")
    answer = page.get(reverse("searches:export", args=[search.pk]))
    head, row = csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig")))
    cells = dict(zip(head, row, strict=True))
    assert (cells["reason"], cells["worker"], cells["parents"]) == ("", "", "")
    assert cells["why"] == "'=HYPERLINK(1)"
