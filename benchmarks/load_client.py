"""A client that loads an HTTP service on this machine, and takes little of its processors.

    python benchmarks/load_client.py PORT PATH SECONDS [--clients 64] [--rate R] < BODIES

BODIES is a JSON list of what is posted in turn. Without --rate every client asks again as soon as
it is answered; with it so many requests a second are sent, whether or not earlier ones are
answered, on as many connections as that takes. Prints a JSON object: `per_s`, the requests a second
answered with 200; the quantiles of their milliseconds, and of those refused with 429; how often
each status came (0: hung up without an answer); and how many were never answered.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

# How long the last answers are waited for.
PATIENCE_S = 30.0


class Connection:
    """A keep-alive connection that has one request on its way at most.

    Attributes:
        asked_at: when that was sent, on `time.perf_counter`; None while there is none.
    """

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.asked_at: float | None = None
        self._received = b""

    def ask(self, request: bytes) -> None:
        """Send a request."""
        self.asked_at = time.perf_counter()
        with suppress(OSError):  # the service hung up: what is received next says so
            self.socket.sendall(request)

    def receive(self) -> tuple[int | None, bool]:
        """What came: the status, if an answer is whole, and whether the connection goes on."""
        try:
            data = self.socket.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            return (None if self.asked_at is None else 0), False
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return None, True
        head = head.lower()
        length = int(head.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0])
        if len(body) < length:
            return None, True
        self._received = b""
        return int(head[9:12]), b"connection: close" not in head


class Load:
    """Requests to one service, and what became of them."""

    def __init__(self, port: int, path: str, bodies: Sequence[object]) -> None:
        self.port = port
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        encoded = [json.dumps(body, ensure_ascii=False).encode() for body in bodies]
        self.requests = [
            f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in encoded
        ]
        self.sent = 0
        self.taken: list[tuple[int, float]] = []
        self._selector = selectors.DefaultSelector()
        self._idle: list[Connection] = []

    def run(self, seconds: float, clients: int, rate: float | None) -> float:
        """Ask for so long, and wait for the answers; the seconds it took."""
        for _ in range(clients):
            self._connect()
        begun = time.perf_counter()
        while (now := time.perf_counter() - begun) < seconds:
            due = self.sent + len(self._idle) if rate is None else int(now * rate) + 1
            while self.sent < due:
                self._ask()
            self._receive(min(seconds - now, 0.001))
        while len(self.taken) < self.sent and now < seconds + PATIENCE_S:
            self._receive(0.1)
            now = time.perf_counter() - begun
        return time.perf_counter() - begun

    def _connect(self) -> None:
        connection = Connection(self.port)
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        self._idle.append(connection)

    def _ask(self) -> None:
        if not self._idle:
            self._connect()
        self._idle.pop().ask(self.requests[self.sent % len(self.requests)])
        self.sent += 1

    def _receive(self, timeout: float) -> None:
        for key, _ in self._selector.select(timeout):
            connection: Connection = key.data
            status, goes_on = connection.receive()
            if status is not None:
                assert connection.asked_at is not None
                self.taken.append((status, time.perf_counter() - connection.asked_at))
                connection.asked_at = None
            if not goes_on:
                self._selector.unregister(connection.socket)
                connection.socket.close()
                if status is None:
                    self._idle.remove(connection)
                self._connect()
            elif status is not None:
                self._idle.append(connection)

    def figures(self, elapsed: float) -> dict[str, object]:
        """What is printed."""
        good = sorted(took for status, took in self.taken if status == 200)
        refused = sorted(took for status, took in self.taken if status == 429)
        return {
            "per_s": round(len(good) / elapsed, 1),
            "p50_ms": _quantile_ms(good, 0.5),
            "p99_ms": _quantile_ms(good, 0.99),
            "refused_p99_ms": _quantile_ms(refused, 0.99),
            "statuses": {str(k): n for k, n in Counter(s for s, _ in self.taken).items()},
            "unanswered": self.sent - len(self.taken),
        }


def _quantile_ms(ordered: Sequence[float], share: float) -> float | None:
    if not ordered:
        return None
    return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--rate", type=float)
    given = parser.parse_args()
    load = Load(given.port, given.path, json.load(sys.stdin))
    elapsed = load.run(given.seconds, given.clients, given.rate)
    print(json.dumps(load.figures(elapsed)))


if __name__ == "__main__":
    main()
