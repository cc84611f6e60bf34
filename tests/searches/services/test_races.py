"""Races go on in pieces: exactly once each, through kills, stops and lost messages, and never two at a time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.files.storage import default_storage
from django.utils import timezone

from engine.arena import race as arena
from searches.models import Race, RaceRun, RaceTable
from searches.services import race_pieces, racing
from searches.services.writing import Rejected
from tests.engine.arena.small import OPTIONS, rows, text

pytestmark = pytest.mark.django_db(transaction=True)
SMALL = {"name": "nasbench201", **OPTIONS}


@pytest.fixture
def mira():
    return get_user_model().objects.create_user("mira")


@pytest.fixture
def sent(monkeypatch):
    """Messages that would go to the control worker."""
    out = []

    def send(race_id, claim):
        assert not race_pieces._turn.locked()  # a message may arrive before its sender goes on
        out.append((race_id, claim))
        return True

    for module in (race_pieces, racing):
        monkeypatch.setattr(module, "race_enqueue", send)
    race_pieces._courses.clear()
    return out


@pytest.fixture
def table(mira, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "storage"
    fields = {"space": SMALL, "data": {"shape": [3, 32, 32], "classes": None}, "key": ["key"],
              "numbers": ["a", "b", "c"], "n_rows": 729}  # fmt: skip
    return racing.table_create(owner=mira, name="small", content=text(rows(0.5)), fields=fields)


@pytest.fixture
def make(mira, table, sent):
    def made(entrants=("random", "local_search"), seeds=3, budget=12, **more):
        problem = {"reward": ["a"], "report": ["b"], "limit": "", **more.pop("problem", {})}
        return racing.race_create(
            owner=mira, name="x", table=table, problem=problem, entrants=entrants, budget=budget, seeds=seeds, **more
        )

    return made


def deliver(sent, most=200, seconds=0.02):
    """Delivers messages until none is left; gives how many were worth something."""
    worth = 0
    while sent and most:
        most -= 1
        worth += race_pieces.race_piece(race_id=sent[0][0], claim=sent.pop(0)[1], seconds=seconds)
    return worth


def test_a_race_goes_on_in_pieces_to_its_end(make, sent):
    race = make()
    assert sent == [(race.pk, 0)]
    assert deliver(sent) > 1
    race.refresh_from_db()
    assert (race.state, race.n_done, race.n_drawn) == ("completed", 6, 6) and race.ended_at and race.spent_s > 0
    assert [c["seeds"] for c in race.figures["curves"]] == [3, 3]
    row = race.runs.get(entrant="random", seed=2)
    problem = race_pieces.problem_of(race)
    expected = arena.run(problem, arena.Entrant("random", "strategy", "random"), 12, 2)
    assert row.result["rows"] == expected.rows


def test_a_message_delivered_five_times_is_one_piece(make, sent):
    race = make()
    message = sent.pop()
    done = [race_pieces.race_piece(race_id=message[0], claim=message[1], seconds=0.01) for _ in range(5)]
    assert done == [True, False, False, False, False] and len(sent) == 1
    race.refresh_from_db()
    assert race.claim == 1


def test_a_kill_in_the_middle_of_a_run_changes_nothing(make, sent):
    whole, cut = make(), None
    deliver(sent)
    cut = make()
    for _ in range(4):
        race_id, claim = sent.pop()
        race_pieces.race_piece(race_id=race_id, claim=claim, seconds=0.001)
        race_pieces._courses.clear()  # what a kill leaves: nothing in memory
    deliver(sent)
    results = [
        {(r.entrant, r.seed): (r.result["rows"], r.result["recommended"]) for r in race.runs.all()}
        for race in (whole, cut)
    ]
    assert len(results[0]) == 6 and results[0] == results[1]


def test_a_stopped_race_stays_as_it_is_and_the_others_go_on(make, sent, mira):
    race, other = make(seeds=50), make(seeds=2)
    del sent[1:]
    deliver(sent, most=3)
    racing.race_stop(race=race)
    state = Race.objects.values("claim", "n_done", "state").get(pk=race.pk)
    deliver(sent)
    assert Race.objects.values("claim", "n_done", "state").get(pk=race.pk) == state
    other.refresh_from_db()
    assert other.state == "completed"
    with pytest.raises(Rejected, match="ended already"):
        racing.race_stop(race=race)


def test_races_take_turns_and_a_piece_that_meets_another_leaves_it_alone(make, sent):
    races = [make(seeds=2), make(seeds=2)]
    with race_pieces._turn:
        assert not race_pieces.race_piece(race_id=races[0].pk, claim=0)
    deliver(sent, seconds=0.005)
    assert {r.state for r in Race.objects.all()} == {"completed"}
    assert RaceRun.objects.count() == 8


def test_lost_messages_are_sent_again_and_only_then(make, sent, settings):
    race = make()
    sent.clear()
    assert not race_pieces.races_reap()  # it has just begun
    Race.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    assert race_pieces.races_reap() and sent == [(race.pk, 0)]
    race_pieces.race_piece(race_id=race.pk, claim=0, seconds=0.001)
    sent.clear()
    assert not race_pieces.races_reap()
    Race.objects.update(beat_at=timezone.now() - timedelta(minutes=5))
    assert race_pieces.races_reap() and sent == [(race.pk, 1)]


def test_a_strategy_that_fails_is_out_and_the_others_finish(make, sent, monkeypatch):
    from engine.strategies.local_search import LocalSearch

    monkeypatch.setattr(LocalSearch, "propose", lambda self, number, rng: 1 / 0)
    race = make()
    deliver(sent)
    race.refresh_from_db()
    assert race.state == "completed" and "ZeroDivisionError" in race.failures["local_search"]
    assert race.n_runs == race.n_done == 3
    alone = make(entrants=("local_search",))
    deliver(sent)
    alone.refresh_from_db()
    assert (alone.state, alone.reason) == ("failed", "Every strategy failed.")


def test_a_table_that_is_gone_fails_the_race_with_the_reason(make, sent, table):
    race = make()
    default_storage.delete(table.file)
    from searches.services import race_problems

    race_problems._of_table.cache_clear()
    deliver(sent)
    race.refresh_from_db()
    assert race.state == "failed" and "not in the storage any more" in race.reason


def test_a_second_press_of_the_button_makes_nothing(make, sent):
    first, second = (make(submit_token="t" * 20) for _ in range(2))
    assert first == second and Race.objects.count() == 1


def test_a_table_is_deleted_with_its_file_unless_something_needs_it(mira, table, make, sent):
    race = make()
    with pytest.raises(Rejected, match="1 race on this table"):
        racing.table_delete(table=table)
    racing.race_delete(race=race)
    twin = RaceTable.objects.get(pk=table.pk)
    twin.pk = None
    twin.save()
    racing.table_delete(table=table)
    assert default_storage.exists(table.file)
    racing.table_delete(table=twin)
    assert not default_storage.exists(table.file)


def test_one_person_has_so_many_races_under_way(make, monkeypatch):
    monkeypatch.setattr(racing, "MOST_LIVE", 2)
    make(), make()
    with pytest.raises(Rejected, match="2 of your races are under way"):
        make()
