"""Messages to the workers. The database is the truth: what does not get through is sent again by the reaper."""

from __future__ import annotations

import logging
import threading
import time

from django.db import transaction
from django.db.models.functions import Now

from searches.models import Job

log = logging.getLogger(__name__)
#: after a failure nothing is sent for so long: a frozen Redis costs one timeout, not one per message
BREAK_S = 2.0


class _Breaker:
    """Remembers that Redis was away."""

    def __init__(self) -> None:
        self._lock, self._until = threading.Lock(), 0.0

    @property
    def open(self) -> bool:
        return time.monotonic() < self._until

    def trip(self, error: Exception) -> None:
        with self._lock:
            if not self.open:
                log.warning("The queue cannot be reached (%s); work is kept and sent later.", repr(error))
            self._until = time.monotonic() + BREAK_S


_breaker = _Breaker()


def _send(name: str, args: tuple[int, ...], queue: str) -> bool:
    from nasweb.celery import app

    if _breaker.open:
        return False
    try:
        app.send_task(name, args=args, queue=queue, ignore_result=True)
    except Exception as e:  # whatever the transport raises, a write must not fail for it
        _breaker.trip(e)
        return False
    return True


def job_enqueue(*, job_id: int, claim: int) -> None:
    """Sends `(job_id, claim)` to the workers once the transaction is committed; never raises when Redis is away."""
    transaction.on_commit(lambda: _send("searches.tasks.run_job", (job_id, claim), "trials"))


def jobs_enqueue_again(jobs: list[tuple[int, int]]) -> int:
    """Sends messages again and notes when; returns how many got through."""
    sent = [job_id for job_id, claim in jobs if _send("searches.tasks.run_job", (job_id, claim), "trials")]
    for start in range(0, len(sent), 500):
        Job.objects.filter(pk__in=sent[start : start + 500]).update(enqueued_at=Now())
    return len(sent)


def advance_enqueue(search_id: int) -> bool:
    """Asks the control worker to look at a search now."""
    return _send("searches.tasks.advance_search", (search_id,), "control")


def race_enqueue(race_id: int, claim: int) -> bool:
    """Asks the control worker for a piece of a race."""
    return _send("searches.tasks.race_piece", (race_id, claim), "control")


def queue_length() -> int | None:
    """Messages waiting for the trial workers, None when Redis is away."""
    import redis
    from django.conf import settings

    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5) as client:
            return int(client.llen("trials"))
    except redis.RedisError:
        return None
