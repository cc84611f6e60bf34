"""The Trials tab: table, filters, sorting, choice, export."""

import csv
import io
import re

import pytest
from django.urls import reverse

from searches.models import Trial
from searches.selectors import trials as read
from searches.views.trials import csv_safe

pytestmark = pytest.mark.django_db


def table(search, **query):
    return reverse("searches:trials", args=[search.pk]), query


def numbers(response):
    return [int(n) for n in re.findall(r'<tr data-id="(\d+)"', response.content.decode())]


@pytest.fixture
def search(seeded):
    return seeded(n_trials=24, running=2)


def test_the_best_stand_first_and_quick_scores_apart(page, search):
    response = page.get(*table(search))
    shown = numbers(response)
    assert sorted(shown) == list(range(1, 25))
    states = dict(search.trials.values_list("number", "state"))
    done = [n for n in shown if states[n] == "completed"]
    assert shown[: len(done)] == done
    scores = dict(search.trials.values_list("number", "accuracy"))
    assert [scores[n] for n in done] == sorted((scores[n] for n in done), reverse=True)
    assert response.content.decode().count("not ranked with the trials above") == 1
    assert ">completed<" not in re.sub(r"(?s)^.*<tbody>", "", response.content.decode())  # a trial is "done"


@pytest.mark.parametrize("sort", sorted(read.SORTS))
def test_sorting_is_by_allowed_names(page, search, sort):
    column = read.SORTS[sort][0]
    values = dict(search.trials.values_list("number", column))
    if sort == "accuracy":  # the ended ones are ranked, the others follow
        values = dict(search.trials.filter(state="completed").values_list("number", column))
    found = [values[n] for n in numbers(page.get(*table(search, sort=sort))) if values.get(n) is not None]
    assert found == sorted(found)


@pytest.mark.parametrize("sort", ["search__owner__password", "-search__owner__password", "?", "key", "", "--number"])
def test_other_names_fall_back_to_the_best_first(page, search, sort):
    assert numbers(page.get(*table(search, sort=sort))) == numbers(page.get(*table(search)))


@pytest.mark.parametrize(
    ("state", "states"),
    [
        ("done", {"completed"}),
        ("running", {"running", "waiting", "paused"}),
        ("stopped", {"pruned"}),
        ("failed", {"failed"}),
    ],
)
def test_filters(page, search, state, states):
    search.trials.filter(number=3).update(state="failed")
    expected = set(search.trials.filter(state__in=states).values_list("number", flat=True))
    assert set(numbers(page.get(*table(search, state=state)))) == expected


def test_a_filter_that_is_none_shows_all(page, search):
    assert len(numbers(page.get(*table(search, state="search__owner=1")))) == 24


def test_text_finds_names_choices_and_reasons(page, search):
    search.trials.filter(number=7).update(reason="loss became infinite")
    assert numbers(page.get(*table(search, q="BECAME inf"))) == [7]
    assert 12 in numbers(page.get(*table(search, q="#12")))
    assert numbers(page.get(*table(search, q="no such thing"))) == []
    assert page.get(*table(search, q="\x00%_'\"")).status_code == 200
    assert "No trial fits this filter" in page.get(*table(search, q="no such thing")).content.decode()


def test_only_rows_for_htmx(page, search):
    text = page.get(*table(search), headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in text and "<table" in text


def test_the_choice_stands_in_the_address(page, search):
    text = page.get(*table(search, t="5,3,banana,99999999999999999999,²")).content.decode()
    assert set(re.findall(r'choose #(\d+) to compare" checked', text)) == {"3", "5"}
    assert "t=5,3" in text  # the chart gets it in the order of choice


def test_pages(page, seeded):
    search = seeded(n_trials=230, n_epochs=1)
    seen = [n for k in (1, 2, 3) for n in numbers(page.get(*table(search, page=k)))]
    assert sorted(seen) == list(range(1, 231))
    assert numbers(page.get(*table(search, page="last"))) == seen[:100]


def test_names_are_escaped(page, search):
    search.trials.update(name="<script>x</script>", why='"><img src=x onerror=1>')
    text = page.get(*table(search)).content.decode()
    assert "<script>x" not in text and "<img src=x" not in text


class TestExport:
    def rows(self, page, search, **query):
        response = page.get(reverse("searches:export", args=[search.pk]), query)
        assert response["Content-Disposition"] == f'attachment; filename="search-{search.pk}-trials.csv"'
        return list(csv.DictReader(io.StringIO(b"".join(response).decode())))

    def test_all_of_the_filter_with_exact_values(self, page, search):
        rows = self.rows(page, search)
        assert [int(r["trial"]) for r in rows] == list(range(1, 25))
        first = search.trials.get(number=1)
        assert float(rows[0]["accuracy"]) == first.accuracy and int(rows[0]["n_params"]) == first.n_params
        assert len(self.rows(page, search, state="done")) == search.n_completed

    @pytest.mark.parametrize("formula", ["=cmd()", "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1"])
    def test_no_cell_is_a_formula(self, page, search, formula):
        Trial.objects.filter(search=search, number=1).update(name=formula, why=formula, reason=formula, worker=formula)
        row = self.rows(page, search)[0]
        for name in ("name", "why", "reason", "worker"):
            assert row[name] == "'" + formula

    def test_numbers_stay_numbers(self):
        assert csv_safe(-0.5) == -0.5 and csv_safe("plain") == "plain" and csv_safe(None) is None
