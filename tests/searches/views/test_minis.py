"""Networks in miniature for the rows of tables: who gets which, limits, what is kept."""

import pytest
from django.urls import reverse

from engine.network.miniature import MOST_STEPS
from searches.models import Trial
from searches.selectors import minis as read

pytestmark = pytest.mark.django_db


@pytest.fixture
def search(seeded):
    return seeded(n_trials=12)


@pytest.fixture(autouse=True)
def nothing_kept():
    read._kept.clear()


def ask(page, search, n):
    return page.get(reverse("searches:minis", args=[search.pk]), {"n": n})


def test_a_batch_has_what_was_asked_for(page, search):
    answer = ask(page, search, "3,1,1,99")
    minis = answer.json()["minis"]
    assert set(minis) == {"1", "3"}
    for mini in minis.values():
        assert set(mini) == {"steps", "arcs", "label"} and 2 < len(mini["steps"]) <= MOST_STEPS
        assert mini["steps"][0][0] == "input" and mini["steps"][-1][0] == "dense"
        assert all(0 <= a < b < len(mini["steps"]) for a, b in mini["arcs"])
        assert "convolution" in mini["label"]
    assert "private" in answer["Cache-Control"]


def test_it_is_the_network_of_the_big_drawing(page, search):
    big = page.get(reverse("searches:picture", args=[search.pk, 2])).json()
    mini = ask(page, search, "2").json()["minis"]["2"]
    assert len(mini["steps"]) == len(big["nodes"])
    assert [s[0] for s in mini["steps"][1:-1]] == [n["kind"] for n in big["nodes"]][1:-1]


@pytest.mark.parametrize("given", ["", "a", "1,,2", "-1", "1.5", "²", "9" * 12, ",".join(map(str, range(1, 62)))])
def test_what_is_no_list_of_numbers_is_refused(page, search, given):
    answer = ask(page, search, given)
    assert answer.status_code == 400 and "1 to 60 trial numbers, e.g. 1,2,3" in answer.json()["error"]
    assert len(answer.content) < 400


def test_sixty_at_once_are_answered(page, search):
    assert len(ask(page, search, ",".join(map(str, range(1, 61)))).json()["minis"]) == 12


def test_other_peoples_searches_are_not_there(page, jonas, seeded, search):
    theirs = seeded(owner=jonas)
    assert ask(page, theirs, "1").status_code == 404
    found = page.get(reverse("searches:minis_of"), {"t": f"{theirs.pk}.1,{search.pk}.2,{search.pk}.77,999.1"})
    assert set(found.json()["minis"]) == {f"{search.pk}.2"}


def test_nobody_is_sent_to_the_login(client, search):
    assert ask(client, search, "1").status_code in (302, 403)
    assert client.get(reverse("searches:minis_of"), {"t": f"{search.pk}.1"}).status_code in (302, 403)


@pytest.mark.parametrize(
    "given", ["", "1", "1.", ".1", "1.2.3", "a.b", "1.-2", "9" * 20 + ".1", ",".join(["1.1"] * 61)]
)
def test_what_is_no_list_of_pairs_is_refused(page, search, given):
    answer = page.get(reverse("searches:minis_of"), {"t": given})
    assert answer.status_code == 400 and "7.24,8.3" in answer.json()["error"]


def test_only_reading_is_allowed(page, search):
    assert page.post(reverse("searches:minis", args=[search.pk]), {"n": "1"}).status_code == 405


def test_choices_that_make_no_network_have_none(page, search):
    search.trials.filter(number=4).update(architecture={})
    search.trials.filter(number=5).update(architecture={"depth": "seven", "x": None})
    minis = ask(page, search, "4,5,6").json()["minis"]
    assert minis["4"] is None and minis["5"] is None and minis["6"]["steps"]


def test_a_network_is_made_once_for_all_searches_of_its_space(page, search, seeded, monkeypatch):
    made = []
    real = read.picture
    monkeypatch.setattr(read, "picture", lambda plan: made.append(1) or real(plan))
    trials = Trial.objects.filter(search=search)
    n = len({str(sorted(t.architecture.items())) for t in trials})
    wanted = ",".join(str(t.number) for t in trials)
    first = ask(page, search, wanted).json()
    assert len(made) == n
    assert ask(page, search, wanted).json() == first
    again = seeded(n_trials=12)  # the same seed makes the same networks
    assert ask(page, again, wanted).json() == first
    assert len(made) == n
    other = seeded(n_trials=12, space_name="darts")
    assert ask(page, other, "1").json()["minis"]["1"]["steps"] != first["minis"]["1"]["steps"]


def test_memory_is_bounded(page, search, monkeypatch):
    monkeypatch.setattr(read, "KEPT", 3)
    ask(page, search, "1,2,3,4,5,6")
    assert len(read._kept) == 3


def test_few_queries(n_queries, search, seeded):
    assert n_queries(f"/searches/{search.pk}/minis/?n=1,2,3,4,5,6,7,8") <= 4  # session, user, search, trials
    other = seeded()
    pairs = ",".join(f"{s.pk}.{n}" for s in (search, other) for n in range(1, 9))
    assert n_queries(f"/minis/?t={pairs}") <= 4


def test_the_tables_ask_for_them(page, search):
    table = page.get(reverse("searches:trials", args=[search.pk])).content.decode()
    assert f'data-minis="/searches/{search.pk}/minis/?n="' in table and table.count('data-mini="') == 12
    listed = page.get("/").content.decode()
    assert 'data-minis="/minis/?t="' in listed and f'data-mini="{search.pk}.{search.best.number}"' in listed
    compared = page.get("/compare/", {"t": [f"{search.pk}.1", f"{search.pk}.2"]}).content.decode()
    assert compared.count('data-mini="') == 2
