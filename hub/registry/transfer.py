"""A response's body to the disk, at the speed of the line.

Hashing takes as long as receiving and writing together. It runs in a thread of its own (hashlib
lets other threads run meanwhile), so that with a core to spare it costs no time.
"""

from __future__ import annotations

import http.client
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hub.registry.checksums import Hashes
from hub.registry.http import explain

if TYPE_CHECKING:
    import requests

# What is lost at most when a connection breaks off.
_PIECE = 1 << 16
# What is handed to the hashing thread at a time; pieces would cost more switching than hashing.
_BUFFER = 1 << 20
_BUFFERS = 4


class TooLongError(Exception):
    """The body is longer than it may be."""


def is_encoded(response: requests.Response) -> bool:
    """Whether the body is compressed: its length is not the file's then."""
    return response.headers.get("content-encoding", "identity").lower() not in ("", "identity")


def receive(
    url: str,
    response: requests.Response,
    stored: Any,
    hashes: Hashes,
    limit: int,
    on_bytes: Callable[[int], object],
) -> None:
    """Append a body to an open file.

    Args:
        url: the address, for messages.
        response: the answer, with its body unread.
        stored: the file, open for writing without a buffer.
        hashes: of what is in the file already; it takes in the rest.
        limit: the size that the file may have in the end.
        on_bytes: told how many bytes were written.

    Raises:
        DownloadError: the connection broke off; what came before is in the file.
        TooLongError: the body is longer than `limit`.
        OSError: the file cannot be written.
    """
    read_into = _reader(response)
    size = hashes.size
    with _Hashing(hashes) as hashing:
        buffer, filled = hashing.free_buffer(), 0
        while True:
            try:
                count = read_into(buffer[filled : filled + _PIECE])
            except Exception as error:  # urllib3's, http.client's and the socket's, all for a break
                raise explain(url, error) from error
            if not count:
                break
            size += count
            if size > limit:
                raise TooLongError
            _write_all(stored, buffer[filled : filled + count])
            on_bytes(count)
            filled += count
            if filled + _PIECE > len(buffer):
                hashing.take(buffer, filled)
                buffer, filled = hashing.free_buffer(), 0
        hashing.take(buffer, filled)


class _Hashing:
    """The thread that hashes; leaving the context waits for it."""

    def __init__(self, hashes: Hashes) -> None:
        self._hashes = hashes
        self._free: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
        self._full: queue.SimpleQueue[tuple[memoryview, int] | None] = queue.SimpleQueue()
        for _ in range(_BUFFERS):
            self._free.put(memoryview(bytearray(_BUFFER)))
        self._thread = threading.Thread(target=self._run, name="hashing", daemon=True)

    def __enter__(self) -> _Hashing:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._full.put(None)
        self._thread.join()

    def free_buffer(self) -> memoryview:
        """A buffer to fill; waits until one was hashed."""
        return self._free.get()

    def take(self, buffer: memoryview, filled: int) -> None:
        """Hash the first bytes of a buffer."""
        self._full.put((buffer, filled))

    def _run(self) -> None:
        while (item := self._full.get()) is not None:
            buffer, filled = item
            self._hashes.update(buffer[:filled])
            self._free.put(buffer)


def _write_all(stored: Any, block: memoryview) -> None:
    while len(block):
        block = block[stored.write(block) :]


def _reader(response: requests.Response) -> Callable[[memoryview], int]:
    """How to read the body into a buffer.

    The connection's own `readinto` spares the copies of urllib3's, a quarter of the time of a fast
    download. It does not say when a body ends too early: the caller counts, as urllib3 would.
    """
    direct = getattr(response.raw, "_fp", None)
    if isinstance(direct, http.client.HTTPResponse) and not is_encoded(response):
        return direct.readinto

    def read_into(buffer: memoryview) -> int:
        block = response.raw.read(len(buffer), decode_content=True)
        buffer[: len(block)] = block
        return len(block)

    return read_into
