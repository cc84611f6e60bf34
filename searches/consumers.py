"""The WebSocket of a search's page: its events, and every second the number of the last one.

The numbers come through the channel layer like the events, so that their silence tells the page that the layer is away;
a number ahead of the page tells it that it has missed something.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, deque
from typing import Any

from channels.db import database_sync_to_async
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import get_channel_layer

from searches.events import group_name
from searches.models import Search

log = logging.getLogger(__name__)
HEAD_S = 1.0
#: how often a socket's right to listen is looked at again (logout, deleted search)
RIGHTS_S = 5.0
#: a page has nothing to say: more frames than this in `FLOOD_S` seconds, or longer ones, close the socket
MOST_FRAMES = 20
FLOOD_S = 10.0
LONGEST_FRAME = 1_024
CLOSE_LOGIN, CLOSE_GONE, CLOSE_POLICY = 4401, 4404, 1008
SEND_TIMEOUT_S = 0.9
#: a page that takes nothing for so long is cut off: what waits for it would grow without bound; it comes back and asks
SLOW_S = 5.0


class Heads:
    """Sends the head of every search with an open page in this process: one query a second for all of them."""

    def __init__(self) -> None:
        self._open: Counter[int] = Counter()
        self._task: asyncio.Task[None] | None = None

    def add(self, search_id: int) -> None:
        """One more page is open."""
        self._open[search_id] += 1
        if self._task is None or self._task.done() or self._task.get_loop() is not asyncio.get_running_loop():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="heads")

    def remove(self, search_id: int) -> None:
        """One page less."""
        self._open[search_id] -= 1
        if self._open[search_id] <= 0:
            del self._open[search_id]

    async def _run(self) -> None:
        layer = get_channel_layer()
        while self._open:
            began = time.monotonic()
            try:
                rows = await _heads(list(self._open))
                for search_id, seq, state in rows:
                    message = {"type": "search.head", "seq": seq, "state": state}
                    await asyncio.wait_for(layer.group_send(group_name(search_id), message), SEND_TIMEOUT_S)
            except Exception as e:  # the database or the layer is away: silence is what tells the pages
                log.debug("no heads: %s", e)
            await asyncio.sleep(max(0.05, HEAD_S - (time.monotonic() - began)))


@database_sync_to_async
def _heads(ids: list[int]) -> list[tuple[int, int, str]]:
    return list(Search.objects.filter(pk__in=ids).values_list("id", "seq", "state"))


heads = Heads()


class SearchConsumer(AsyncJsonWebsocketConsumer):
    """One page of one search; only its owner's."""

    async def connect(self) -> None:
        """Refuses strangers and other people's searches alike."""
        self.search_id = int(self.scope["url_route"]["kwargs"]["id"])
        self.joined = False
        self._frames: deque[float] = deque(maxlen=MOST_FRAMES + 1)
        self._guard: asyncio.Task[None] | None = None
        problem = await self._problem()
        if problem is not None:
            await self.close(code=problem)  # before the accept: answered with 403
            return
        await self.accept()
        try:
            await asyncio.wait_for(
                self.channel_layer.group_add(group_name(self.search_id), self.channel_name), SEND_TIMEOUT_S * 2
            )
        except Exception as e:  # without the layer there is nothing to hear; the page polls and comes back
            log.debug("socket of search %s: no channel layer: %s", self.search_id, e)
            await self.close(code=1013)
            return
        self.joined = True
        heads.add(self.search_id)
        self._guard = asyncio.create_task(self._watch())

    async def disconnect(self, code: int) -> None:
        """Leaves the group."""
        if self._guard is not None:
            self._guard.cancel()
        if self.joined:
            self.joined = False
            heads.remove(self.search_id)
            with contextlib.suppress(Exception):  # a layer that is away has forgotten the group anyway
                await asyncio.wait_for(
                    self.channel_layer.group_discard(group_name(self.search_id), self.channel_name), SEND_TIMEOUT_S
                )

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **_kwargs: Any) -> None:
        """A page has nothing to say; a flood or a large frame closes the socket."""
        now = time.monotonic()
        self._frames.append(now)
        flood = len(self._frames) > MOST_FRAMES and now - self._frames[0] < FLOOD_S
        if flood or len(text_data or "") > LONGEST_FRAME or len(bytes_data or b"") > LONGEST_FRAME:
            await self.close(code=CLOSE_POLICY)

    async def search_events(self, message: dict[str, Any]) -> None:
        """Events from the publisher of some process."""
        for seq, kind, data in message["events"]:
            await self._tell({"type": "event", "seq": seq, "kind": kind, "data": data})

    async def search_head(self, message: dict[str, Any]) -> None:
        """The number of the last event."""
        await self._tell({"type": "head", "seq": message["seq"], "state": message["state"]})

    async def _tell(self, message: dict[str, Any]) -> None:
        try:
            await asyncio.wait_for(self.send_json(message), SLOW_S)
        except TimeoutError:
            await self.disconnect(1006)
            raise StopConsumer from None

    async def _watch(self) -> None:
        """Closes the socket when its person logs out or its search is deleted."""
        while True:
            await asyncio.sleep(RIGHTS_S)
            try:
                problem = await self._problem(again=True)
            except Exception as e:  # the database is away for a moment
                log.debug("rights of a socket: %s", e)
                continue
            if problem is not None:
                await self.close(code=problem)
                return

    @database_sync_to_async
    def _problem(self, *, again: bool = False) -> int | None:
        """Why this person may not listen, as a close code."""
        user, session = self.scope.get("user"), self.scope.get("session")
        if user is None or not user.is_authenticated:
            return CLOSE_LOGIN
        if again and session is not None and session.session_key and not session.exists(session.session_key):
            return CLOSE_LOGIN
        if not Search.objects.filter(pk=self.search_id, owner_id=user.pk).exists():
            return CLOSE_GONE
        return None


async def closed(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Any other address: refused."""
    await receive()
    await send({"type": "websocket.close", "code": CLOSE_GONE})
