"""Races of the arena on a real stack: killed control workers, a flushed queue, a search beside them."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from tests.faults.conftest import Site
from tests.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow]


def ended(site: Site, race: int) -> dict[str, Any]:
    wait_until(lambda: site.remote.race_look(race=race)["state"] == "completed", "the race ends", timeout_s=90)
    return dict(site.remote.race_look(race=race))


def test_a_race_goes_on_after_kills_and_a_lost_queue_and_ends_alike(site: Site) -> None:
    seeds = 40  # some eight pieces: a fast machine, too, must be caught in the middle of the race
    plain = ended(site, site.remote.race(seeds=seeds, budget=200))
    race = site.remote.race(seeds=seeds, budget=200)
    for _ in range(2):
        before = site.remote.race_look(race=race)["claim"]
        wait_until(lambda: site.remote.race_look(race=race)["claim"] > before, "another piece begins", timeout_s=60)  # noqa: B023
        site.stack.kill("control")
    wait_until(lambda: site.remote.race_look(race=race)["n_done"] > 0, "something is done", timeout_s=60)
    with redis.Redis(unix_socket_path=str(site.stack.data_dir / "redis" / "redis.sock")) as server:
        server.flushall()
    look = ended(site, race)
    assert len(look["runs"]) == look["n_done"] == look["drawn"] == 2 * seeds
    assert look["runs"] == plain["runs"]


def test_a_search_beside_a_long_race_is_not_kept_waiting(site: Site) -> None:
    race = site.remote.race(seeds=200, budget=1000)
    wait_until(lambda: site.remote.race_look(race=race)["n_done"] > 0, "the race is under way", timeout_s=60)
    look = site.start(trials=6, epochs=3, acted={"epoch_s": 0.01}).ended(timeout_s=45)
    assert look["state"] == "completed"
    assert site.remote.race_look(race=race)["state"] == "running"
