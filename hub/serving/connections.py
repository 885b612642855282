"""Connections to callers: the protocol's parser with limits, and what is sent put together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

# The longest that a request's headers may be, in bytes; or what stands between two parts of a body.
_LONGEST_HEAD = 64 << 10
_HEAD_TOO_LONG = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"connection: close\r\ncontent-length: 0\r\n\r\n"
)


# The whole answer to a request that is refused by its head, or None; see `early_refusal`.
_Refusal = Callable[[bytes, Sequence[tuple[bytes, bytes]]], "bytes | None"]


class _Refused:
    """In the place of uvicorn's side of a request that was answered before it had one."""

    response_complete = True

    def __init__(self) -> None:
        self.message_event = asyncio.Event()  # nobody waits for it


REFUSED: Any = _Refused()

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError:  # httptools is compiled; where it is not, Python parses, and has a limit itself
    _Protocol = H11Protocol
else:

    class _Bounded(HttpToolsProtocol):
        """A connection whose headers have an end: what is parsed keeps them, however many come."""

        refusal: _Refusal | None
        _head = 0

        def data_received(self, data: bytes) -> None:
            self._head += len(data)
            super().data_received(data)
            if self._head > _LONGEST_HEAD and not self.transport.is_closing():
                self._refuse()

        def on_headers_complete(self) -> None:
            self._head = 0
            # Their end may come with what made them too long: then nothing was noticed before.
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > _LONGEST_HEAD:
                self._refuse()
                raise ValueError("The headers are too long.")  # ends the parsing
            if self._is_refused():
                return
            super().on_headers_complete()
            if self.scope["http_version"] == "1.0":
                _send_without_chunks(self.cycle)

        def on_body(self, body: bytes) -> None:
            self._head = 0
            super().on_body(body)

        def on_message_complete(self) -> None:
            self._head = 0
            if self.cycle is REFUSED:
                self.on_response_complete()
            super().on_message_complete()

        def _is_refused(self) -> bool:
            """Whether the request was refused by its head; its body is passed over."""
            waits = self.cycle is not None and not self.cycle.response_complete
            if (
                self.refusal is None
                or waits
                or self.expect_100_continue
                or self.parser.get_method() != b"POST"
                or self.parser.get_http_version() != "1.1"
                or not self.parser.should_keep_alive()
            ):
                return False
            answer = self.refusal(self.url, self.headers)
            if answer is None:
                return False
            status, rest = answer.split(b"\r\n", 1)
            own = b"".join(b"%b: %b\r\n" % line for line in self.server_state.default_headers)
            self.transport.write(b"%b\r\n%b%b" % (status, own, rest))
            self.cycle = REFUSED
            return True

        def _refuse(self) -> None:
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(_HEAD_TOO_LONG)
            self.transport.close()

    _Protocol = _Bounded  # type: ignore[assignment,misc]


def _send_without_chunks(cycle: Any) -> None:
    """Let the end of the connection end an answer of unknown length, as HTTP/1.0 has no chunks.

    Args:
        cycle: uvicorn's side of the request. It closes the connection of an HTTP/1.0 client, and
            yet knows no third way between chunks and a length.
    """
    send = cycle.send
    has_length = False

    async def send_plain(message: Any) -> None:
        nonlocal has_length
        if message["type"] == "http.response.start":
            has_length = any(
                name.lower() == b"content-length" for name, _ in message.get("headers", [])
            )
            if not has_length:
                cycle.chunked_encoding = False
        elif not has_length:
            cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    cycle.send = send_plain


class Joining:
    """A transport that sends what is written in one turn of the loop together.

    The head and the body of an answer are written one after the other: joined they cost the service
    one call of the kernel, and wake the caller once.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._written: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send `data` at the end of the turn."""
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)

    def close(self) -> None:
        """Close the connection when all is sent."""
        self._send()
        self._transport.close()

    def get_write_buffer_size(self) -> int:
        """The bytes that are not sent yet."""
        size: int = self._transport.get_write_buffer_size()
        return size + sum(map(len, self._written))

    def _send(self) -> None:
        data, self._written = b"".join(self._written), []
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Connection(_Protocol):
    """A connection that must send its headers in time, and go on reading its answer."""

    patience_s = 10.0
    unread_s = 60.0
    refusal: _Refusal | None = None
    _timer: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        joining: Any = Joining(transport, self.loop)
        super().connection_made(joining)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        self._is_read()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._expect()
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()

    def on_response_complete(self) -> None:
        # What was refused by its head is complete when the rest of it has come.
        self._stop()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reading()

    def resume_writing(self) -> None:
        self._is_read()
        super().resume_writing()

    def _watch_reading(self) -> None:
        """Cut the connection off if until then nothing more of its answer is read."""
        unsent = self.transport.get_write_buffer_size()

        def look() -> None:
            if self.transport.get_write_buffer_size() < unsent:
                self._watch_reading()  # slow, but it reads
            else:
                self.transport.abort()

        self._unread = self.loop.call_later(self.unread_s, look)

    def _is_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _expect(self) -> None:
        self._timer = self.loop.call_later(self.patience_s, self.transport.close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
