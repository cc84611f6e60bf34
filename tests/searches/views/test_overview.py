"""The search page: its sentence, its parts, who may see it, what it costs."""

import numpy as np
import pytest
from django.urls import reverse

from engine.config import SearchConfig
from searches.models import Search, Trial
from searches.selectors import overview as read
from searches.services import lifecycle

pytestmark = pytest.mark.django_db
EVIL = '<script>alert("x")</script>'


def detail(search):
    return reverse("searches:detail", args=[search.pk])


def bits(wrong, n=360):
    right = np.ones(n, dtype=bool)
    right[list(wrong)] = False
    return {
        "correct": np.packbits(right).tobytes(),
        "n_samples": n,
        "n_wrong": len(wrong),
        "accuracy": 1 - len(wrong) / n,
    }


@pytest.fixture
def judged(mira, make):
    """Trials that have exactly these samples wrong: `judged(("random", range(9)), ("evolution", range(4)))`."""

    def made(*trials, **fields):
        search = make(mira, state=fields.pop("state", Search.State.RUNNING), **fields)
        rows = [
            Trial.objects.create(
                search=search, number=i, name=f"net{i}", state=Trial.State.COMPLETED, architecture={}, key=str(i),
                by=by, fidelity=25, **bits(wrong),
            )
            for i, (by, wrong) in enumerate(trials, start=1)
        ]  # fmt: skip
        search.best = max(rows, key=lambda t: t.accuracy)
        search.n_trials = search.n_completed = len(rows)
        search.save()
        return search

    return made


def said(search):
    return read.answer(search, read.config_of(search))


class TestAnswer:
    def test_counts_stand_beside_the_percentage(self, judged):
        found = said(judged(("random", range(9)), ("evolution", range(4))))
        assert (found.lead, found.fact, found.more) == ("Best", "98.9 %", ", 4 of 360 wrong")

    def test_too_few_samples_tell_nothing_apart(self, judged):
        found = said(judged(("random", range(7)), ("evolution", range(4))))
        assert found.caveat == "not distinguishable yet from the one random trial (7 wrong)"

    def test_what_a_paused_search_says_is_a_sentence_and_gone_when_it_goes_on(self, mira, make):
        search = make(mira, state="running")
        lifecycle.search_pause(search=search, by="local")
        search.refresh_from_db()
        assert said(search).caveat == "Paused by local."
        Search.objects.filter(pk=search.pk).update(waiting=[{"what": "the search", "why": "paused by a person"}])
        search.refresh_from_db()
        assert [w["what"] for w in read.waits(search, read.config_of(search), online=1)] == ["Everything"]
        lifecycle.search_resume(search=search, by="local")
        search.refresh_from_db()
        assert search.waiting == []
        assert "paused" not in said(search).caveat

    def test_an_ended_search_does_not_say_yet(self, judged):
        found = said(judged(("random", range(7)), ("evolution", range(4)), state="stopped"))
        assert found.caveat.startswith("not distinguishable from")

    def test_many_samples_that_only_one_has_right_do(self, judged):
        found = said(judged(("random", range(30)), ("evolution", range(4))))
        assert found.caveat == "better than the one random trial (30 wrong), p < 0.001"

    def test_the_same_difference_counts_less_against_the_luckiest_of_many(self, judged):
        """8 samples against 0 are p = 0.008 alone, and nothing out of the best of twenty."""
        one = said(judged(("random", range(12)), ("evolution", range(4))))
        many = said(judged(*[("random", range(12))] * 20, ("evolution", range(4))))
        assert one.caveat.startswith("better than")
        assert many.caveat.startswith("not distinguishable yet from the best of 20 random trials")

    def test_a_best_that_was_drawn_at_random_is_called_that(self, judged):
        found = said(judged(("random", range(4)), ("random", range(9)), ("evolution", range(6))))
        assert found.caveat == "one of 2 random trials, nothing proposed since is better"

    def test_before_anything_else_has_finished_the_random_ones_are_all_there_is(self, judged):
        assert said(judged(("random", range(4)))).caveat == "the first finished trial, drawn at random"
        found = said(judged(("random", range(4)), ("random", range(9))))
        assert found.caveat == "all 2 finished trials were drawn at random"

    def test_random_search_claims_nothing_over_itself(self, judged, mira):
        search = judged(("random", range(4)), ("random", range(9)))
        config = SearchConfig.parse({**search.config, "strategy": {"name": "random"}})
        assert read.answer(search, config).caveat == "every one of the 2 was drawn at random"

    def test_no_random_trials_no_comparison(self, judged):
        assert said(judged(("largest_first", range(4)))).caveat == ""

    def test_the_sealed_test_is_the_number_to_take_away(self, seeded, page):
        search = seeded(final=True)
        found = said(Search.objects.select_related("best").get(pk=search.pk))
        assert found.fact == "98.6 % on the sealed test"
        assert found.more == ", 5 of 360 wrong"
        assert found.caveat == "between 96.8 and 99.4 % with 95 % confidence"
        text = page.get(detail(search)).content.decode()
        assert "98.6 % on the sealed test" in text
        assert "sealed test, after full training" in text and "validation, quick score" in text

    def test_while_it_runs_no_sealed_number_leads(self, seeded, page):
        search = seeded(final=True)
        Search.objects.filter(pk=search.pk).update(state=Search.State.RUNNING)
        assert said(Search.objects.select_related("best").get(pk=search.pk)).lead == "Best"


class TestStates:
    def test_a_queued_search_says_what_it_will_do(self, mira, make, page):
        text = page.get(detail(make(mira, state="queued"))).content.decode()
        assert "Queued." in text and "random networks, then" in text
        assert "no worker is online" in text

    def test_with_a_worker_nothing_is_said_of_missing_ones(self, mira, make, page, worker):
        assert "no worker" not in page.get(detail(make(mira, state="queued"))).content.decode()

    def test_a_failed_search_gives_each_reason_once(self, mira, make, page):
        search = make(mira, state="failed", reason="every trial failed", failed=3)
        search.trials.update(reason="the folder holds no classes")
        text = page.get(detail(search)).content.decode()
        assert "Failed:" in text and "every trial failed" in text
        assert text.count("the folder holds no classes") == 1
        assert "Edit and start again" in text

    def test_a_paused_search_offers_to_resume(self, mira, make, page):
        text = page.get(detail(make(mira, state="paused", accuracies=[0.9]))).content.decode()
        assert "Resume" in text and ">Pause<" not in text

    def test_a_verified_bundle_is_the_primary_button(self, seeded, page):
        search = seeded(final=True)
        text = page.get(detail(search)).content.decode()
        address = reverse("searches:bundle", args=[search.pk, search.best.number])
        assert f'<a class="btn btn-primary" href="{address}" download>' in text

    def test_budgets_that_grew_are_counted(self, mira, make, page):
        search = make(mira, state="running", accuracies=[0.9], extra_trials=20)
        assert "1 of 50 trials ended" in page.get(detail(search)).content.decode()

    def test_names_from_people_are_escaped(self, mira, make, page):
        search = make(mira, EVIL, state="running", accuracies=[0.9], waiting=[{"what": EVIL, "why": EVIL}])
        search.trials.update(name=EVIL[:40], why=EVIL)
        assert "<script>alert" not in page.get(detail(search)).content.decode()
        parts = page.get(reverse("searches:parts", args=[search.pk, "overview"])).json()["parts"]
        assert "<script>alert" not in "".join(parts.values())


class TestParts:
    def test_all_parts_of_the_page_are_in_the_answer(self, seeded, page):
        search = seeded(running=1)
        answer = page.get(reverse("searches:parts", args=[search.pk, "overview"])).json()
        assert set(answer["parts"]) == {"status", "answer", "facts", "acts", "winner", "running", "waiting"}
        assert answer["title"].startswith("11/12 ")
        assert answer["winner"] == search.best.number and answer["seq"] == search.seq
        assert [t["state"] for t in answer["ticks"]].count("running") == 1
        text = page.get(detail(search)).content.decode()
        assert all(f'data-part="{name}"' in text for name in answer["parts"])

    def test_a_tab_that_is_none_is_not_found(self, seeded, page):
        assert page.get(reverse("searches:parts", args=[seeded().pk, "nothing"])).status_code == 404

    def test_above_120_trials_the_ticks_become_shares(self, seeded, page):
        search = seeded(n_trials=130, n_epochs=2)
        answer = page.get(reverse("searches:parts", args=[search.pk, "trials"])).json()
        assert answer["ticks"] is None
        assert sum(answer["shares"].values()) == 130


class TestPicture:
    def test_a_network_is_drawn_with_a_digit_at_its_input(self, seeded, page):
        search = seeded()
        drawn = page.get(reverse("searches:picture", args=[search.pk, 1])).json()
        assert drawn["nodes"] and drawn["edges"] and drawn["n_params"] == search.trials.get(number=1).n_params
        assert len(drawn["pixels"]) == 64 and max(drawn["pixels"]) <= 16

    @pytest.mark.parametrize("number", [99, 0, 10**30])
    def test_no_such_trial(self, seeded, page, number):
        assert page.get(f"/searches/{seeded().pk}/pictures/{number}/").status_code == 404


def test_the_log_shows_the_newest_lines_escaped(seeded, page):
    search = seeded()
    search.lines.create(at=search.created_at, what="note", message=EVIL)
    text = page.get(reverse("searches:log", args=[search.pk])).content.decode()
    assert "started on cpu-1" in text and "&lt;script&gt;" in text and "<script>" not in text


@pytest.mark.parametrize("name", ["detail", "trials", "insight", "export", "log"])
def test_somebody_elses_search_is_not_there(seeded, jonas, page, name):
    search = seeded(owner=jonas)
    assert page.get(reverse(f"searches:{name}", args=[search.pk])).status_code == 404
    assert page.get(reverse("searches:parts", args=[search.pk, "overview"])).status_code == 404
    assert page.get(reverse("searches:picture", args=[search.pk, 1])).status_code == 404


@pytest.mark.parametrize("name", ["detail", "trials", "insight", "export"])
def test_queries_do_not_grow_with_the_trials(seeded, n_queries, name):
    few, many = seeded(n_trials=10, seed=1), seeded(n_trials=60, seed=1)
    counts = [n_queries(reverse(f"searches:{name}", args=[s.pk])) for s in (few, many)]
    assert counts[1] <= counts[0] <= 16
