"""A connection's client must read what it is sent."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from hub.errors import InputError
from hub.serving.connections import Connection
from hub.serving.server import bind
from hub.serving.settings import Settings

_PART, _PARTS = 1 << 20, 40  # more than the kernel keeps for a client

Client = Callable[[asyncio.StreamReader], Awaitable[int]]


async def send_much(scope: Any, receive: Any, send: Any) -> None:
    """An answer of 40 MB, a part at a time as a streamed batch is, or the whole at once."""
    parts = [_PART] * _PARTS if scope["path"] == "/parts" else [_PART * _PARTS]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for size in parts:
        await send({"type": "http.response.body", "body": b"x" * size, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def exchange(path: str, client: Client, monkeypatch: pytest.MonkeyPatch) -> int:
    """What `client` makes of the connection; the server has none when it ends."""
    monkeypatch.setattr(Connection, "unread_s", 0.5)
    config = uvicorn.Config(send_much, port=0, http=Connection, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    try:
        got = await client(reader)
        until = time.monotonic() + 10
        while server.server_state.connections and time.monotonic() < until:
            await asyncio.sleep(0.05)
        assert not server.server_state.connections
    finally:
        writer.close()
        server.should_exit = True
        await serving
    return got


@pytest.mark.parametrize("path", ["/parts", "/whole"])
def test_who_reads_nothing_is_cut_off(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(reader: asyncio.StreamReader) -> int:
        await asyncio.sleep(2)
        return 0

    assert asyncio.run(exchange(path, silent, monkeypatch)) == 0


@pytest.mark.parametrize("path", ["/parts", "/whole"])
def test_who_reads_slowly_gets_everything(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(reader: asyncio.StreamReader) -> int:
        got = 0
        while part := await reader.read(1 << 21):
            got += len(part)
            await asyncio.sleep(0.002)
        return got

    assert asyncio.run(exchange(path, slow, monkeypatch)) > _PART * _PARTS


@pytest.mark.parametrize(
    ("host", "found"),
    [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("", "0.0.0.0"), ("::1", "::1"),
     ("[::1]", "::1"), ("six", "::1")],
)  # fmt: skip
def test_it_listens_where_the_host_says(
    host: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address of either kind, in brackets too, and a name that has either or both."""
    asked = socket.getaddrinfo

    def names(name: str | None, *others: Any, **more: Any) -> Any:
        known = {"six": ["::1"], "localhost": ["::1", "127.0.0.1"]}.get(str(name), [name])
        return [entry for address in known for entry in asked(address, *others, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", names)
    with bind(Settings(host=host, port=0)) as listener:
        assert listener.getsockname()[0] == found
    assert Settings(host="[::1]", port=80).address == "http://[::1]:80"


def test_a_host_that_is_none_is_told() -> None:
    for host in ("nowhere.invalid", "a" * 70, "1.2.3.4.5"):
        with pytest.raises(InputError, match="cannot be bound"):
            bind(Settings(host=host, port=0))
