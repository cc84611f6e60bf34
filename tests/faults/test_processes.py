"""Processes that are killed, stopped and restarted (FAULTS.md, rows 2-8, and a kill between ask and commit)."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
import redis

from nasweb.supervisor.embedded_redis import redis_answers
from tests.faults.conftest import Run, Site
from tests.faults.test_trials import gone, states, training
from tests.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.slow]


def whole_curves(look: dict[str, Any], trials: int, epochs: int) -> None:
    """Every trial has every epoch exactly once."""
    assert Counter((p[0], p[1]) for p in look["points"]) == {
        (t, e): 1 for t in range(1, trials + 1) for e in range(1, epochs + 1)
    }


def job_of(look: dict[str, Any], trial: int) -> dict[str, Any]:
    return next(j for j in look["jobs"] if j["trial__number"] == trial)


def checkpointed(run: Run, trial: int) -> None:
    """Waits until a running trial has an official checkpoint; it must train long enough to be seen with it."""
    run.until(lambda look: training(trial)(look) and job_of(look, trial)["checkpoint"], "it has a checkpoint")


def test_killed_worker(site: Site) -> None:
    run = site.start(trials=3, epochs=20, acted={"epoch_s": 0.25})
    checkpointed(run, 1)
    child = run.child(1)
    began = time.monotonic()
    site.stack.kill("worker-1")
    wait_until(lambda: gone(child), "its child ends with it", timeout_s=5)
    look = run.ended()
    assert look["state"] == "completed" and states(look) == {"completed": 3}
    whole_curves(look, 3, 20)
    job = job_of(look, 1)
    assert (job["failures"], job["losses"]) == (0, 1)
    assert [c["outcome"] for c in look["claims"] if c["job_id"] == job["id"]] == ["lost", "done"]
    mine = [(epoch, pid) for t, epoch, pid in run.executed() if t == 1]
    first_again = next(epoch for epoch, pid in mine if pid != child)
    assert first_again > 1, "resumed, not begun again"
    assert time.monotonic() - began < 60


def test_killed_workers_on_postgres(make_site: Callable[..., Site], postgres_server: Any) -> None:
    site = make_site(workers=2, env={"NASWEB_DATABASE_URL": postgres_server.create_database("faults")})
    run = site.start(trials=6, epochs=15, parallelism=4, acted={"epoch_s": 0.3}, strategy="regularized_evolution")
    checkpointed(run, 1)
    for name in ("worker-1", "control", "worker-2"):
        site.stack.kill(name)
    look = run.ended()
    assert look["state"] == "completed" and states(look) == {"completed": 6}
    whole_curves(look, 6, 15)
    assert all(j["failures"] == 0 for j in look["jobs"]) and sum(j["losses"] for j in look["jobs"]) >= 1


def test_drained_worker(site: Site) -> None:
    run = site.start(trials=3, epochs=20, acted={"epoch_s": 0.25})
    run.until(lambda look: training(1)(look) and training(2)(look), "two trials train")
    site.stack.kill("worker-1", signal.SIGTERM)
    look = run.ended()
    assert look["state"] == "completed"
    whole_curves(look, 3, 20)
    assert all(j["failures"] == j["losses"] == 0 for j in look["jobs"])
    assert "handed back" in {c["outcome"] for c in look["claims"]}
    assert Counter((t, e) for t, e, _ in run.executed()) == {(t, e): 1 for t in (1, 2, 3) for e in range(1, 21)}


def test_stopped_worker_comes_back_too_late(make_site: Callable[..., Site]) -> None:
    site = make_site(workers=2, concurrency=1)
    run = site.start(trials=2, epochs=40, parallelism=1, acted={"epoch_s": 0.1})
    checkpointed(run, 1)
    first = job_of(run.look(), 1)
    number = "1" if first["worker"].endswith("-1") else "2"
    pid = site.stack.kill(f"worker-{number}", signal.SIGSTOP)
    look = run.until(lambda look: job_of(look, 1)["claim"] == 2, "another worker has it", timeout_s=30)
    assert job_of(look, 1)["worker"] != first["worker"]
    os.kill(pid, signal.SIGCONT)
    look = run.ended()
    whole_curves(look, 2, 40)
    job = job_of(look, 1)
    outcomes = [c["outcome"] for c in look["claims"] if c["job_id"] == job["id"]]
    assert outcomes == ["lost", "done"] and (job["failures"], job["losses"]) == (0, 1)
    assert sum(t["state"] == "completed" for t in look["trials"]) == 2


def test_killed_control_worker_between_ask_and_commit(site: Site) -> None:
    plain = site.start(trials=8, epochs=2, parallelism=1, strategy={"name": "troubled"}, seed=5)
    expected = [t["key"] for t in plain.ended()["trials"]]
    block = site.folder / "block"
    run = site.start(
        trials=8, epochs=2, parallelism=1, seed=5, strategy={"name": "troubled", "block": str(block)},
        acted={"epoch_s": 0.05},
    )  # fmt: skip
    for _ in range(2):
        run.until(lambda look: states(look)["completed"] >= 1, "it is under way")
        before = len(run.look()["trials"])
        if before >= 7:
            break
        block.touch()
        pid = wait_until(lambda: int(block.read_text() or 0), "the control worker has asked and has not committed")
        asked = run.look()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: gone(pid), "it is gone")
        block.unlink()
        run.until(lambda look, asked=asked: len(look["trials"]) > len(asked["trials"]), "it goes on")
    look = run.ended()
    assert [t["key"] for t in look["trials"]] == expected
    assert states(look) == {"completed": 8}


def test_killed_web_server(make_site: Callable[..., Site]) -> None:
    site = make_site(web=True)
    run = site.start(trials=4, epochs=20, acted={"epoch_s": 0.1})
    run.until(training(1), "trial 1 trains")
    cookie = site.remote.session()
    old = events_of(site, run.id, cookie, 0)
    site.stack.kill("web")
    began = time.monotonic()
    missed = wait_until(lambda: events_of(site, run.id, cookie, old["head"]), "the page reconnects", timeout_s=20)
    assert time.monotonic() - began < 15
    assert missed["head"] >= old["head"] and not missed["reload"]
    run.ended()
    rest = events_of(site, run.id, cookie, old["head"])
    stored = [(seq, kind) for seq, kind, _ in site.remote.events(search=run.id)]
    assert [(e["seq"], e["kind"]) for e in [*old["events"], *rest["events"]]] == stored
    assert stored == [(i, kind) for i, (_, kind) in enumerate(stored, start=1)]


def events_of(site: Site, search: int, cookie: str, after: int) -> dict[str, Any]:
    """What a page asks after a gap; empty while nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", site.stack.port or 0, timeout=5)
    try:
        connection.request("GET", f"/searches/{search}/events?after={after}", headers={"Cookie": cookie})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, (answer.status, body[:200])
        return dict(json.loads(body))
    except (OSError, http.client.HTTPException):
        return {}
    finally:
        connection.close()


def test_redis_restarts_empty(site: Site) -> None:
    run = site.start(trials=6, epochs=15, parallelism=4, acted={"epoch_s": 0.1})
    run.until(training(1), "trial 1 trains")
    socket = site.stack.data_dir / "redis" / "redis.sock"
    site.stack.kill("redis", restart=False)
    wait_until(lambda: not redis_answers(socket), "Redis is away")
    running = {j["trial__number"] for j in run.look()["jobs"] if j["state"] == "running"}
    run.until(
        lambda look: all(t["state"] == "completed" for t in look["trials"] if t["number"] in running),
        "running trials finish without Redis",
    )
    for file in (site.stack.data_dir / "redis").rglob("*.aof"):
        file.unlink()  # what was queued is lost
    # row 6: Start is answered while Redis is away, and starts by itself later
    began = time.monotonic()
    second = site.start(trials=2, epochs=2)
    assert time.monotonic() - began < 2.5
    assert second.look()["state"] == "queued"
    site.stack.revive("redis")
    wait_until(lambda: redis_answers(socket), "Redis is back")
    flushed(site)
    for search, trials in ((run, 6), (second, 2)):
        look = search.ended(timeout_s=60)
        assert look["state"] == "completed" and states(look) == {"completed": trials}
        assert all(j["failures"] == j["losses"] == 0 for j in look["jobs"])


def flushed(site: Site) -> redis.Redis:
    """Everything in Redis is lost: the queues, the layer, who listens."""
    server = redis.Redis(unix_socket_path=str(site.stack.data_dir / "redis" / "redis.sock"))
    server.flushall()
    return server


def test_flushed_queue_is_rebuilt(site: Site) -> None:
    """Jobs wait in the queue behind a busy worker when the queue is lost; whatever waits gets its message again."""
    run = site.start(trials=8, epochs=25, parallelism=8, acted={"epoch_s": 0.1})
    run.until(lambda look: training(1)(look) and training(2)(look), "two trials train")
    assert len(waiting(run)) == 6
    server = flushed(site)
    assert server.llen("trials") == 0
    wait_until(lambda: set() < waiting(run) <= queued(server), "every waiting job has its message again")
    look = run.ended(timeout_s=90)
    assert look["state"] == "completed" and states(look) == {"completed": 8}
    whole_curves(look, 8, 25)
    assert all(j["failures"] == j["losses"] == 0 for j in look["jobs"])


def waiting(run: Run) -> set[int]:
    """Jobs that wait for a worker."""
    return {j["id"] for j in run.look()["jobs"] if j["state"] == "waiting"}


def queued(server: redis.Redis) -> set[int]:
    """Jobs whose message lies in the queue."""
    bodies = (json.loads(message)["body"] for message in server.lrange("trials", 0, -1))
    return {int(json.loads(base64.b64decode(body))[0][0]) for body in bodies}


def test_frozen_redis_does_not_stall(site: Site) -> None:
    pid = site.stack.pids()["redis"]
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        run = site.start(trials=2, epochs=2)
        assert time.monotonic() - began < 2.5
    finally:
        os.kill(pid, signal.SIGCONT)
    assert run.ended()["state"] == "completed"


def test_start_over_http_while_redis_is_frozen(make_site: Callable[..., Site]) -> None:
    site = make_site(web=True)
    cookie = site.remote.session()
    status, headers, page = asked(site, "GET", "/searches/new/", cookie)
    assert status == 200
    cookie = "; ".join([cookie, *(value.split(";")[0] for name, value in headers if name == "set-cookie")])
    fields = {
        "name": "Pressed while Redis stood still",
        **{name: hidden(page, name) for name in ("token", "csrfmiddlewaretoken")},
    }
    pid = site.stack.kill("redis", signal.SIGSTOP)
    try:
        began = time.monotonic()
        status, headers, page = asked(site, "POST", "/searches/new/", cookie, urlencode(fields))
        seconds = time.monotonic() - began
        assert status == 302, page[:500]
        assert seconds < 2, f"{seconds:.1f} s"
        search = int(dict(headers)["location"].strip("/").split("/")[-1])
        assert site.remote.state(search=search) == "queued"
        again, headers, _ = asked(site, "POST", "/searches/new/", cookie, urlencode(fields))
        assert (again, int(dict(headers)["location"].strip("/").split("/")[-1])) == (302, search)
    finally:
        os.kill(pid, signal.SIGCONT)
    site.remote.until(search, lambda look: look["state"] == "running" and look["trials"], "it starts by itself")
    site.remote.act(action="cancel", search=search)
    assert site.remote.ended(search)["state"] == "stopped"


def asked(
    site: Site, method: str, path: str, cookie: str, body: str | None = None
) -> tuple[int, list[tuple[str, str]], str]:
    """What a browser gets: status, headers (names in lower case), text."""
    connection = http.client.HTTPConnection("127.0.0.1", site.stack.port or 0, timeout=20)
    try:
        headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, [(k.lower(), v) for k, v in answer.getheaders()], answer.read().decode()
    finally:
        connection.close()


def hidden(page: str, name: str) -> str:
    """Value of a hidden field."""
    found = re.search(rf'name="{re.escape(name)}" value="([^"]*)"', page)
    assert found is not None, name
    return found[1]
