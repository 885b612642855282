"""What a full queue refuses by a request's head reads, and is noted, as any other refusal."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hub.serving.keys import KeyFile
from hub.serving.settings import Limits
from tests.serving.client import Connection
from tests.serving.conftest import Threaded

PREDICT = "/v1/models/travel:predict"
Head = dict[str, str]


@pytest.fixture
def full(threaded: Callable[..., Threaded]) -> Threaded:
    """A service whose queue takes one text, and is to be filled by `fill`."""
    service = threaded(limits=Limits(queue_texts=1, deadline_s=20, body_s=0.6))
    service.model.blocked.clear()
    return service


async def fill(service: Threaded) -> list[asyncio.Future[object]]:
    """Two requests: one is computed, and one waits."""
    waiting: list[asyncio.Future[object]] = []
    for _ in range(2):
        sent = Connection(service.port).request("POST", PREDICT, {"text": "今天"})
        waiting.append(asyncio.ensure_future(sent))
        await asyncio.sleep(0.15)
    return waiting


async def ask(
    service: Threaded, path: str = PREDICT, head: str = "", body: bytes = b'{"text": "a"}'
) -> tuple[Head, bytes]:
    """The status line as "", the headers and the body of an answer on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    lines = f"POST {path} HTTP/1.1\r\nHost: t\r\n{head}Content-Length: {len(body)}\r\n\r\n"
    writer.write(lines.encode() + body)
    first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    found = {"": first, **dict(line.lower().split(": ", 1) for line in rest)}
    answer = await reader.readexactly(int(found["content-length"]))
    writer.close()
    return found, answer


@pytest.mark.parametrize("path", [PREDICT, "/predict/travel", "/v2/models/travel/infer"])
def test_it_reads_as_the_refusal_of_a_request_that_went_its_way(full: Threaded, path: str) -> None:
    async def work() -> None:
        waiting = await fill(full)
        known = "X-Request-Id: mine\r\n"
        early, body = await ask(full, path, known)
        # A connection that is to be closed takes the usual way.
        usual, usual_body = await ask(full, path, known + "Connection: close\r\n")
        assert early[""] == usual[""] == "HTTP/1.1 429 Too Many Requests"
        assert body == usual_body
        assert usual.pop("connection") == "close"
        for found in (early, usual):
            found.pop("date")
        assert early == usual
        assert early["retry-after"] == "1" and early["x-model-version"] == "1"
        full.model.blocked.set()
        await asyncio.gather(*waiting)

    asyncio.run(work())
    counted = {"model": "travel", "version": "1", "arm": "none", "code": "429"}
    assert full.metric("hub_requests_total", **counted) == 2
    assert full.metric("hub_rejected_total", model="travel", reason="full") == 2


def test_what_is_no_question_for_the_queue_takes_its_way(full: Threaded) -> None:
    async def work() -> list[str]:
        waiting = await fill(full)
        found = [
            (await ask(full, path))[0][""].split()[1]
            for path in ("/v1/models/other:predict", "/v1/models/Travel:predict", "/nowhere")
        ]
        full.model.blocked.set()
        await asyncio.gather(*waiting)
        found.append((await ask(full))[0][""].split()[1])
        return found

    # Another spelling of the name is the model; with room again, texts are answered.
    assert asyncio.run(work()) == ["404", "429", "404", "200"]


def test_who_has_no_key_is_told_that_and_not_when_to_come_back(
    full: Threaded, tmp_path: Path
) -> None:
    (tmp_path / "keys").write_text("0123456789abcdef-secret\n")

    async def work() -> list[str]:
        waiting = await fill(full)
        full.gate._keys = KeyFile(tmp_path / "keys")
        found = [
            (await ask(full, head=head))[0][""].split()[1]
            for head in ("", "X-Api-Key: wrong\r\n", "X-Api-Key: 0123456789abcdef-secret\r\n")
        ]
        full.model.blocked.set()
        await asyncio.gather(*waiting)
        return found

    assert asyncio.run(work()) == ["401", "401", "429"]


def test_a_refused_connection_goes_on_and_its_body_must_come(full: Threaded) -> None:
    async def work() -> tuple[int, float]:
        waiting = await fill(full)
        request = f"POST {PREDICT} HTTP/1.1\r\nHost: t\r\nContent-Length: 13\r\n\r\n".encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", full.port)
        for pause in (0.0, 1.0, 0.0):  # longer than a request may take
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            assert json.loads(await reader.readexactly(length))["error"]["code"] == "queue_full"
            for part in (b'{"text"', b': "a"}'):
                await asyncio.sleep(0.05)
                writer.write(part)
            await asyncio.sleep(pause)
        full.model.blocked.set()
        await asyncio.gather(*waiting)
        writer.write(request + b'{"text": "a"}')
        status = int((await reader.readuntil(b"\r\n\r\n")).split()[1])
        writer.close()
        # The body of this one never comes.
        full.model.blocked.clear()
        waiting = await fill(full)
        reader, writer = await asyncio.open_connection("127.0.0.1", full.port)
        writer.write(request)
        await reader.readuntil(b"\r\n\r\n")
        begun = time.monotonic()
        await asyncio.wait_for(reader.read(), 10)
        took = time.monotonic() - begun
        full.model.blocked.set()
        await asyncio.gather(*waiting)
        return status, took

    status, took = asyncio.run(work())
    assert status == 200
    assert took < 5  # cut off, as any sender that falls silent
