"""A client for tests under load: keep-alive connections on an event loop, and nothing hidden."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass
class Answer:
    """What came back: status 0 is a connection that broke."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float
    client: int = 0  # which of several clients had it; each sends one request after the other

    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


class Connection:
    """One connection, opened again where the server closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request and wait for its answer."""
        content = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: test", f"Content-Length: {len(content)}"]
        lines += ["Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        begun = time.perf_counter()
        try:
            if self._writer is None:
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
            assert self._reader is not None
            self._writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
            await self._writer.drain()
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            found = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
            answer = await self._reader.readexactly(int(found.get("content-length", 0)))
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return Answer(0, {}, b"", time.perf_counter() - begun)
        if found.get("connection") == "close":
            self.close()
        return Answer(int(head[0].split()[1]), found, answer, time.perf_counter() - begun)

    def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def closed_loop(
    port: int,
    path: str,
    bodies: Sequence[Any],
    clients: int,
    done: Callable[[], bool] | None = None,
) -> list[Answer]:
    """Send every body once (or until `done`, from the start again), `clients` at a time."""
    answers: list[Answer] = [Answer(0, {}, b"", 0.0)] * len(bodies)
    more: list[Answer] = []
    numbers = iter(range(len(bodies))) if done is None else iter(range(1 << 60))

    async def client(who: int) -> None:
        connection = Connection(port)
        for number in numbers:
            if done is not None and done():
                break
            answer = await connection.request("POST", path, bodies[number % len(bodies)])
            answer.client = who
            if done is None:
                answers[number] = answer
            else:
                more.append(answer)
        connection.close()

    await asyncio.gather(*(client(who) for who in range(clients)))
    return answers if done is None else more


async def open_loop(
    port: int, path: str, body: Any, per_second: float, seconds: float
) -> list[Answer]:
    """Send requests at a steady rate, however slowly they are answered."""
    idle: list[Connection] = []
    tasks = []

    async def one() -> Answer:
        connection = idle.pop() if idle else Connection(port)
        answer = await connection.request("POST", path, body)
        idle.append(connection)
        return answer

    begun = time.perf_counter()
    for number in range(int(per_second * seconds)):
        wait = begun + number / per_second - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.ensure_future(one()))
    answers = await asyncio.gather(*tasks)
    for connection in idle:
        connection.close()
    return list(answers)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
