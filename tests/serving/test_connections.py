"""A connection's client must read what it is sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from hub.serving.server import Impatient

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
    monkeypatch.setattr(Impatient, "unread_s", 0.5)
    config = uvicorn.Config(send_much, port=0, http=Impatient, lifespan="off", log_config=None)
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
