"""/healthz: all is well, or the reason, soon."""

import time
from collections.abc import Callable

import pytest
import redis
from django.conf import settings
from django.test import Client

from nasweb import health
from searches.services.workers import worker_register
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]


def test_all_is_well(client: Client, redis_server: str) -> None:
    # each part has half a second to answer, which a machine that does much else may miss
    wait_until(lambda: client.get("/healthz").status_code == 200, "all is well")
    assert client.get("/healthz").json() == {"database": "ok", "redis": "ok", "workers": 0}
    worker_register(name="one", kind="cpu", slots=2, device={}, host="here")
    assert client.get("/healthz").json()["workers"] == 1


def test_no_redis(client: Client, settings, tmp_path) -> None:
    settings.REDIS_URL = f"unix://{tmp_path}/none.sock"
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["database"] == "ok"
    assert "none.sock" in answer.json()["redis"]


def test_a_database_that_hangs_or_fails(
    client: Client, redis_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> int:
        raise RuntimeError("disk I/O error\nSELECT secret FROM somewhere")

    monkeypatch.setattr(health, "_count_workers", fails)
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["database"]) == (503, "disk I/O error")
    monkeypatch.setattr(health, "_count_workers", lambda: time.sleep(2.5) or 0)
    began = time.monotonic()
    answer = client.get("/healthz")
    assert time.monotonic() - began < 2
    assert answer.status_code == 503
    assert answer.json()["workers"] is None
    assert "no answer" in answer.json()["database"]


def test_publishing_into_a_frozen_or_dead_redis_does_not_stall(
    redis_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pressing Start must get an answer within two seconds when Redis hangs (FACTS: measured 1.0 to 1.5 s)."""
    import os
    import signal

    from kombu.exceptions import OperationalError

    from nasweb.celery import app

    def duration_s(publish: Callable[[], object]) -> float:
        began = time.monotonic()
        with pytest.raises((OperationalError, redis.exceptions.RedisError, OSError)):
            publish()
        return time.monotonic() - began

    client = redis.Redis.from_url(settings.REDIS_URL)
    pid = int(client.info("server")["process_id"])
    client.delete("control")  # what other tests have published
    app.send_task("searches.tasks.reap")
    assert client.llen("control") == 1
    os.kill(pid, signal.SIGSTOP)
    try:
        assert duration_s(lambda: app.send_task("searches.tasks.reap")) < 2
    finally:
        os.kill(pid, signal.SIGCONT)
    client.delete("control")
