"""Publishes committed events to the pages: one thread per process, a bounded queue, and nobody waits for Redis.

What is dropped here is not lost: pages see the gap in the numbers and read the database.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import deque
from typing import Any

log = logging.getLogger(__name__)
Message = tuple[int, str, dict[str, Any]]
#: messages kept while the layer is slow; older ones are dropped first
CAPACITY = 5_000
#: events of one search sent in one message at most
BATCH = 50
SEND_TIMEOUT_S = 1.0
RETRY_S = 0.5


def group_name(search_id: int) -> str:
    """The channel group of a search."""
    return f"search.{search_id}"


class Publisher:
    """The thread and its queue."""

    def __init__(self) -> None:
        self._queue: deque[tuple[int, Message]] = deque(maxlen=CAPACITY)
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._pid = 0
        self._away = False
        self.dropped = 0

    def put(self, search_id: int, messages: list[Message]) -> None:
        """Adds events; never blocks, never raises."""
        self.dropped += max(0, len(self._queue) + len(messages) - CAPACITY)
        self._queue.extend((search_id, m) for m in messages)
        if self._pid != os.getpid():
            self._start()
        self._wake.set()

    def _start(self) -> None:
        with self._lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                threading.Thread(target=self._run, name="publisher", daemon=True).start()

    def _take(self) -> tuple[int, list[Message]]:
        search_id, first = self._queue.popleft()
        batch = [first]
        while self._queue and self._queue[0][0] == search_id and len(batch) < BATCH:
            batch.append(self._queue.popleft()[1])
        return search_id, batch

    def _run(self) -> None:
        # The waiting is this thread's own: a wait in the loop's executor would keep the process from ever ending.
        with asyncio.Runner() as runner:
            while True:
                self._wake.wait()
                self._wake.clear()
                runner.run(self._drain())

    async def _drain(self) -> None:
        from channels.layers import get_channel_layer

        layer = get_channel_layer()
        while self._queue:
            try:
                search_id, batch = self._take()
            except IndexError:  # another put() dropped the last ones
                break
            message = {"type": "search.events", "events": [list(m) for m in batch]}
            try:
                await asyncio.wait_for(layer.group_send(group_name(search_id), message), SEND_TIMEOUT_S)
                self._away = False
            except Exception as e:  # whatever the layer raises: the pages will find the gap
                self.dropped += len(batch)
                if not self._away:
                    log.warning("Live updates cannot be sent (%s: %s).", type(e).__name__, e)
                self._away = True
                await asyncio.sleep(RETRY_S)


_publisher = Publisher()


def publish(search_id: int, messages: list[Message]) -> None:
    """Hands committed events of a search to the publisher thread."""
    _publisher.put(search_id, messages)
