"""Each task in its own queue, nothing but JSON, and early acknowledgement."""

import pytest
import redis

from nasweb.celery import app


@pytest.fixture
def client(redis_server: str):
    """The broker itself, with both queues declared and empty."""
    client = redis.Redis.from_url(redis_server)
    client.flushdb()
    with app.connection_for_write() as connection:
        for queue in app.amqp.queues.values():
            queue(connection.default_channel).declare()
    yield client
    client.flushdb()


@pytest.mark.parametrize(
    ("task", "queue"),
    [
        ("searches.tasks.advance_search", "control"),
        ("searches.tasks.reap", "control"),
        ("searches.tasks.run_job", "trials"),
    ],
)
def test_each_task_goes_to_its_queue_and_to_no_other(client: redis.Redis, task: str, queue: str) -> None:
    app.send_task(task, args=[1])
    assert {name: client.llen(name) for name in ("control", "trials")} == {"control": 0, "trials": 0} | {queue: 1}
    assert b'"content-type": "application/json"' in client.lindex(queue, 0)


def test_redelivery_is_nobodys_business_but_the_reapers() -> None:
    assert app.conf.task_acks_late is False
    assert app.conf.worker_prefetch_multiplier == 1
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_ignore_result is True
    assert app.conf.beat_schedule["reap"]["task"] == "searches.tasks.reap"
