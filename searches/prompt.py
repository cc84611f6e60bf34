"""Workers that take the next message as soon as a slot is free.

Celery's workers here fetch no message they have no free slot for (`worker_disable_prefetch`), and look again once a
second or when something comes in. A thread that becomes free is nothing that comes in: so it wakes them up.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

from celery.signals import worker_ready
from kombu.asynchronous import get_event_loop


def _nothing() -> None:
    """What the event loop is woken up with."""


def _wake(_done: Future[Any]) -> None:
    loop = get_event_loop()
    if loop is not None:
        loop.call_soon(_nothing)


@worker_ready.connect
def wake_when_free(sender: Any = None, **_kwargs: Any) -> None:
    """Lets every finished task of a worker with threads wake its event loop."""
    executor = getattr(sender.pool, "executor", None)
    if executor is None:
        return
    submit = executor.submit

    def submit_and_wake(*args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = submit(*args, **kwargs)
        future.add_done_callback(_wake)
        return future

    executor.submit = submit_and_wake
