"""The WebSocket of a search's page, on a real Redis: who may listen, what is told, what is refused."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async
from channels.layers import channel_layers, get_channel_layer
from django.contrib.auth import get_user_model
from django.test import Client

from nasweb.asgi import application
from searches import consumers
from searches.events import CAPACITY, Publisher, group_name
from searches.models import Event, Search
from searches.services import enqueue
from searches.services.writing import writing
from tests.factories import search_make, user_make

pytestmark = pytest.mark.django_db(transaction=True)
ORIGIN = (b"origin", b"http://localhost")


class Socket(ApplicationCommunicator):
    """A WebSocket client without a server (the one of `channels.testing` needs daphne)."""

    def __init__(self, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        super().__init__(
            application,
            {"type": "websocket", "path": path, "query_string": b"", "headers": headers, "subprotocols": []},
        )

    async def connect(self) -> bool:
        """Whether it was accepted."""
        await self.send_input({"type": "websocket.connect"})
        return bool((await self.receive_output(timeout=5))["type"] == "websocket.accept")

    async def say(self, text: str) -> None:
        """Sends a text frame."""
        await self.send_input({"type": "websocket.receive", "text": text})

    async def hear(self, timeout_s: float) -> dict[str, Any]:
        """The next message, read as JSON."""
        message = await self.receive_output(timeout=max(0.01, timeout_s))
        assert message["type"] == "websocket.send", message
        return dict(json.loads(message["text"], parse_constant=lambda name: pytest.fail(f"{name} was sent")))

    async def disconnect(self) -> None:
        """Goes away."""
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(timeout=5)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, redis_server: str) -> None:
    """No messages to workers; a layer of this test's event loop."""
    monkeypatch.setattr(enqueue, "_send", lambda *a: True)
    channel_layers.backends.clear()


def made() -> tuple[Search, dict[str, str]]:
    """A search and its owner's cookies."""
    owner = user_make()
    search = search_make(owner=owner)
    return search, cookies(owner)


def cookies(user: Any) -> dict[str, str]:
    client = Client()
    client.force_login(user)
    return {name: morsel.value for name, morsel in client.cookies.items()}


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Any]]:
    """Opens sockets; closed after the test."""
    open_ones: list[Socket] = []

    async def go(search_id: int, cookie: dict[str, str] | None = None, origin: Any = ORIGIN) -> tuple[Any, bool]:
        text = "; ".join(f"{k}={v}" for k, v in (cookie or {}).items())
        headers = [(b"host", b"localhost"), (b"cookie", text.encode())] + ([origin] if origin else [])
        socket = Socket(f"/ws/searches/{search_id}/", headers)
        accepted = await socket.connect()
        if accepted:
            open_ones.append(socket)
        return socket, accepted

    yield go
    for socket in open_ones:
        await socket.disconnect()


async def next_of(socket: Any, kind: str, timeout_s: float = 5) -> dict[str, Any]:
    deadline = time.monotonic() + timeout_s
    while True:
        message: dict[str, Any] = await socket.hear(deadline - time.monotonic())
        if message["type"] == kind:
            return message


async def test_owner_hears_events_in_order_and_the_head(connect: Any) -> None:
    search, cookie = await database_sync_to_async(made)()
    socket, accepted = await connect(search.pk, cookie)
    assert accepted

    @database_sync_to_async
    def write() -> None:
        for n in range(3):
            with writing(search.pk) as w:
                w.event("log", {"n": n, "loss": float("nan")})

    await write()
    got: list[dict[str, Any]] = []
    while len(got) < 3:  # what was published before the socket joined may still come
        message = await next_of(socket, "event")
        got += [message] if "n" in message["data"] else []
    assert [m["data"] for m in got] == [{"n": n, "loss": None} for n in range(3)]
    assert [m["seq"] for m in got] == list(range(got[0]["seq"], got[0]["seq"] + 3))
    heads = [await next_of(socket, "head") for _ in range(2)]
    assert heads[-1] == {"type": "head", "seq": got[-1]["seq"], "state": "queued"}


async def test_strangers_are_refused_alike(connect: Any) -> None:
    search, _ = await database_sync_to_async(made)()
    other = await database_sync_to_async(lambda: cookies(user_make()))()
    for target, cookie in ((search.pk, None), (search.pk, other), (search.pk + 1000, other)):
        _, accepted = await connect(target, cookie)
        assert not accepted


async def test_foreign_origin_is_refused(connect: Any) -> None:
    search, cookie = await database_sync_to_async(made)()
    for origin in ((b"origin", b"http://evil.example"), (b"origin", b"null"), None):
        _, accepted = await connect(search.pk, cookie, origin)
        assert not accepted
    _, accepted = await connect(search.pk, cookie)
    assert accepted


@pytest.mark.parametrize("end", ["logout", "delete"])
async def test_closed_when_the_right_to_listen_ends(connect: Any, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.setattr(consumers, "RIGHTS_S", 0.1)
    search, cookie = await database_sync_to_async(made)()
    socket, accepted = await connect(search.pk, cookie)
    assert accepted

    @database_sync_to_async
    def change() -> None:
        if end == "delete":
            Event.objects.filter(search=search).delete()
            Search.objects.filter(pk=search.pk).update(owner=get_user_model().objects.create_user("heir"))
        else:
            client = Client()
            client.cookies.load(cookie)
            client.logout()

    await change()
    deadline = time.monotonic() + 5
    while True:
        message = await socket.receive_output(timeout=max(0.01, deadline - time.monotonic()))
        if message["type"] == "websocket.close":
            assert message["code"] == (consumers.CLOSE_LOGIN if end == "logout" else consumers.CLOSE_GONE)
            return


@pytest.mark.parametrize("frames", [["x" * 1_000_000], ["x"] * (consumers.MOST_FRAMES + 1)])
async def test_floods_and_large_frames_close_the_socket(connect: Any, frames: list[str]) -> None:
    search, cookie = await database_sync_to_async(made)()
    socket, _ = await connect(search.pk, cookie)
    for frame in frames:
        await socket.say(frame)
    deadline = time.monotonic() + 5
    while (message := await socket.receive_output(timeout=max(0.01, deadline - time.monotonic())))["type"] != (
        "websocket.close"
    ):
        pass
    assert message["code"] == consumers.CLOSE_POLICY


async def test_a_reader_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "SLOW_S", 0.3)
    search, cookie = await database_sync_to_async(made)()
    text = "; ".join(f"{k}={v}" for k, v in cookie.items()).encode()
    scope = {
        "type": "websocket", "path": f"/ws/searches/{search.pk}/", "query_string": b"", "subprotocols": [],
        "headers": [(b"host", b"localhost"), (b"cookie", text), ORIGIN],
    }  # fmt: skip
    said = asyncio.Queue[dict[str, Any]]()
    said.put_nowait({"type": "websocket.connect"})
    accepted = asyncio.Event()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.accept":
            accepted.set()
        else:
            await asyncio.sleep(3600)  # its network takes no more

    socket = asyncio.create_task(application(scope, said.get, send))
    await asyncio.wait_for(accepted.wait(), 5)
    await asyncio.wait_for(socket, 5)  # the first head was too much
    assert search.pk not in consumers.heads._open
    assert not get_channel_layer()._get_layer().groups.get(group_name(search.pk))


def test_other_addresses_are_refused() -> None:
    async def go() -> bool:
        return await Socket("/ws/anything/", [(b"host", b"localhost"), ORIGIN]).connect()

    assert asyncio.run(go()) is False


def test_publisher_never_waits_and_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck:
        async def group_send(self, group: str, message: Any) -> None:
            await asyncio.sleep(3600)

    monkeypatch.setattr("channels.layers.get_channel_layer", lambda: Stuck())
    publisher = Publisher()
    began = time.monotonic()
    for n in range(4 * CAPACITY):
        publisher.put(1, [(n, "log", {})])
    assert time.monotonic() - began < 2
    assert len(publisher._queue) <= CAPACITY and publisher.dropped > 0


def test_events_api(client: Client) -> None:
    search, cookie = made()
    url = f"/searches/{search.pk}/events"
    assert client.get(url).status_code == 302  # to the login
    client.cookies.load(cookie)
    answer = client.get(url, {"after": 0}).json()
    head = answer["head"]
    assert [e["seq"] for e in answer["events"]] == list(range(1, head + 1)) and not answer["reload"]
    assert client.get(url, {"after": head}).json()["events"] == []
    assert client.get(url, {"after": head + 5}).json()["reload"]
    assert client.get(url, {"after": "x"}).status_code == 400
    with writing(search.pk) as write:
        for n in range(1_100):
            write.event("log", {"n": n})
    assert client.get(url, {"after": head}).json()["reload"]
    assert len(client.get(url, {"after": head + 200}).json()["events"]) == 900
    Event.objects.filter(search=search, seq__lte=head + 300).delete()
    assert client.get(url, {"after": head + 200}).json()["reload"]
    client.cookies.load(cookies(user_make()))
    assert client.get(url, {"after": 0}).status_code == 404
