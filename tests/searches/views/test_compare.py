"""Comparing trials, also from different searches."""

import csv
import io

import numpy as np
import pytest
from django.urls import reverse

from engine.config import SearchConfig
from searches.models import Search, Trial
from searches.selectors import compare as read

pytestmark = pytest.mark.django_db


def bits(wrong, n=360):
    right = np.ones(n, dtype=bool)
    right[list(wrong)] = False
    return {
        "correct": np.packbits(right).tobytes(),
        "n_samples": n,
        "n_wrong": len(wrong),
        "accuracy": 1 - len(wrong) / n,
    }


def chosen(*trials):
    return reverse("searches:compare") + "?" + "&".join(f"t={t.search_id}.{t.number}" for t in trials)


@pytest.fixture
def search(seeded):
    return seeded(n_trials=12, seed=3)


@pytest.fixture
def three(search):
    """Three finished trials of one search."""
    found = list(search.trials.filter(state=Trial.State.COMPLETED)[:3])
    for t in found:
        t.search = search
    return found


def set_wrong(trial, wrong):
    for name, value in bits(wrong).items():
        setattr(trial, name, value)
    trial.save()


def test_the_addresss_is_read_strictly():
    given = ["7.24", "8.3", "7.24", "x.1", "7", "7.", ".3", "7.1.2", "²." + "1", "9" * 40 + ".1", "7." + "9" * 20]
    assert read.parse_chosen(given) == [(7, 24), (8, 3)]
    assert len(read.parse_chosen([f"1.{i}" for i in range(50)])) == read.MOST


def test_order_of_choice_is_order_of_columns(page, three):
    a, b, c = three
    text = page.get(chosen(c, a, b)).content.decode()
    heads = [
        text.index(f">#{t.number}<") if f">#{t.number}<" in text else text.index(f"#{t.number} ") for t in (c, a, b)
    ]
    assert heads[0] == min(heads)
    found = page.get(chosen(c, a, b).replace("/compare/", "/compare/figure/")).json()
    assert [t["name"].split()[0] for t in found["data"]] == [f"#{t.number}" for t in (c, a, b)]


def test_nothing_chosen_says_what_to_do(page):
    assert "Nothing is chosen yet" in page.get(reverse("searches:compare")).content.decode()


def test_other_peoples_trials_are_left_out(page, seeded, jonas, three):
    other = seeded(owner=jonas, n_trials=4, name="Secret of jonas").trials.first()
    text = page.get(chosen(three[0], other)).content.decode()
    assert "Secret of jonas" not in text and "Compare 1 trial" in text
    assert "1 trial of this address is not there (any more)" in text
    assert len(page.get(chosen(other).replace("/compare/", "/compare/figure/")).json()["data"]) == 0


def test_equal_numbers_of_several_searches_are_told_by_their_names(page, seeded, three):
    other = seeded(n_trials=12, seed=4, name="Another").trials.get(number=three[0].number)
    other.search.refresh_from_db()
    set_wrong(three[0], range(4))
    set_wrong(other, range(2, 9))
    found = read.compare([three[0], other])
    assert found.lead == f"#{other.number} of {three[0].search.name} has 4 wrong"
    assert found.fact.startswith(f", #{other.number} of Another has 7")
    assert [found.pairs[0]["a"], found.pairs[0]["b"]] == [c.label for c in found.columns]


class TestSentence:
    def test_two_that_cannot_be_told_apart(self, three):
        set_wrong(three[0], range(4))
        set_wrong(three[1], range(2, 9))
        found = read.compare(three[:2])
        assert found.lead == f"#{three[0].number} has 4 wrong"
        assert found.fact.startswith(f", #{three[1].number} has 7 at ")
        assert found.caveat == "360 samples do not tell the two apart"

    def test_two_that_can(self, three):
        set_wrong(three[0], range(4))
        set_wrong(three[1], range(30))
        found = read.compare(three[:2])
        assert found.caveat.startswith("all are told apart by 360 samples")
        (pair,) = found.pairs
        assert (pair["wins"], pair["losses"]) == (26, 0) and pair["p"] == "p < 0.001"

    def test_of_three_one_pair_only(self, three):
        a, b, c = three
        set_wrong(a, range(4))
        set_wrong(b, range(8))
        set_wrong(c, range(16))
        found = read.compare(three)
        assert found.caveat == f"360 samples tell apart #{a.number} and #{c.number}, #{b.number} and #{c.number} only"

    def test_many_pairs_need_more(self, three):
        """6 against 0 are p = 0.03: enough for one pair, not for the smallest of three (Holm)."""
        a, b, c = three
        set_wrong(a, range(4))
        set_wrong(b, range(10))
        assert "told apart" in read.compare([a, b]).caveat
        set_wrong(c, range(5))
        assert read.compare(three).caveat == "360 samples do not tell the 3 apart"

    def test_the_same_network_twice_has_nothing_to_tell(self, three):
        set_wrong(three[0], range(4))
        set_wrong(three[1], range(4))
        assert read.compare(three[:2]).pairs[0]["p"] == "p = 1.00"

    def test_without_results(self, three):
        for t in three:
            t.accuracy = t.n_wrong = None
            t.correct = None
        assert read.compare(three).caveat == "none of them has a result yet"


class TestWarnings:
    @pytest.fixture
    def other(self, seeded):
        """A trial of a second search."""

        def made(**changes):
            search = seeded(n_trials=6, seed=5, name="Second")
            config = SearchConfig.parse({**search.config, **changes.pop("config", {})})
            search.config = config.to_json()
            search.data_spec = {**search.data_spec, **changes.pop("data", {})}
            search.save()
            trial = search.trials.filter(state=Trial.State.COMPLETED).first()
            trial.search = search
            for name, value in changes.items():
                setattr(trial, name, value)
            trial.save()
            return trial

        return made

    def test_all_alike(self, three, other):
        found = read.compare([three[0], other()])
        assert found.warnings == []
        assert found.agrees == "same epochs, same seeds, same data sets, same splits, same recipes"

    def test_seeds(self, page, three, other):
        trial = other(config={"seed": 11})
        assert read.compare([three[0], trial]).warnings == ["Seeds differ: 7, 11"]
        text = page.get(chosen(three[0], trial)).content.decode()
        assert "Seeds differ: 7, 11" in text and "chip-warn" in text and "Second" in text

    def test_epochs(self, three, other):
        assert read.compare([three[0], other(fidelity=2)]).warnings == ["Epochs differ: 6, 2"]

    def test_splits_and_no_paired_test_across_them(self, three, other):
        found = read.compare([three[0], other(data={"split_digest": "f" * 64})])
        assert len(found.warnings) == 1 and found.warnings[0].startswith("Splits differ: 360 samples, ")
        assert found.caveat == "not judged on the same samples: no paired test" and found.pairs == []

    def test_recipes(self, three, other):
        found = read.compare([three[0], other(config={"training": {"learning_rate": 0.01}})])
        assert found.warnings == ["Recipes differ: AdamW 0.003, batch 64, cosine, AdamW 0.01, batch 64, cosine"]

    def test_other_spaces_are_compared_without_common_choices(self, page, three, seeded):
        cell = seeded(n_trials=4, space_name="nasbench201").trials.filter(state=Trial.State.COMPLETED).first()
        assert read.compare([three[0], Trial.objects.select_related("search").get(pk=cell.pk)]).same_space is False
        assert "different search spaces" in page.get(chosen(three[0], cell)).content.decode()


def test_what_differs_in_the_choices(three):
    found = read.compare(three[:2])
    a, b = (t.architecture for t in three[:2])
    assert len(found.differing) == sum(a.get(k) != b.get(k) for k in {**a, **b})
    assert {row.name for row in found.differing}.isdisjoint(row.name for row in found.shared)


def test_export_holds_no_formula(page, search, three):
    Search.objects.filter(pk=search.pk).update(name='=HYPERLINK("http://x")')
    Trial.objects.filter(pk=three[0].pk).update(worker="@SUM(A1)", name="=1+1")
    response = page.get(chosen(*three) + "&format=csv")
    assert response["Content-Disposition"] == 'attachment; filename="comparison.csv"'
    rows = list(csv.reader(io.StringIO(response.content.decode())))
    assert len({len(row) for row in rows}) == 1
    assert not [cell for row in rows for cell in row if cell[:1] in ("=", "+", "@")]


def test_names_are_escaped(page, search, three):
    Search.objects.filter(pk=search.pk).update(name="</script><script>x</script>")
    Trial.objects.filter(search=search).update(name="<img src=x>")
    text = page.get(chosen(*three)).content.decode()
    assert "<script>x" not in text and "<img src=x" not in text


def test_queries_do_not_grow_with_the_columns(n_queries, search):
    found = list(search.trials.filter(state=Trial.State.COMPLETED)[:6])
    assert n_queries(chosen(*found)) <= n_queries(chosen(*found[:2])) <= 12


def test_inherited_training_is_warned_of(three):
    assert not any("nherited" in r.name for r in read.compare(three).rows)
    three[1].cost = {**three[1].cost, "inherited_epochs": 12}
    comparison = read.compare(three)
    (row,) = [r for r in comparison.rows if r.name == "inherited epochs"]
    assert [c.text for c in row.cells] == ["0", "12", "0"] and row.warn
    assert "Inherited epochs differ: 0, 12" in comparison.warnings
