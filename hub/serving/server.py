"""One process of a service: the socket, the signals, the loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from hub.errors import InputError, ServingError
from hub.serving.keys import KeyFile
from hub.serving.logs import event
from hub.serving.service import Service
from hub.serving.settings import Settings

# The longest that a request's headers may be, in bytes; or what stands between two parts of a body.
_LONGEST_HEAD = 64 << 10
_HEAD_TOO_LONG = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"connection: close\r\ncontent-length: 0\r\n\r\n"
)

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError:  # httptools is compiled; where it is not, Python parses, and has a limit itself
    _Protocol = H11Protocol
else:

    class _Bounded(HttpToolsProtocol):
        """A connection whose headers have an end: what is parsed keeps them, however many come."""

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
            super().on_headers_complete()
            if self.scope["http_version"] == "1.0":
                _send_without_chunks(self.cycle)

        def on_body(self, body: bytes) -> None:
            self._head = 0
            super().on_body(body)

        def on_message_complete(self) -> None:
            self._head = 0
            super().on_message_complete()

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


def bind(settings: Settings, shared: bool = False) -> socket.socket:
    """A socket at the service's address, not yet listening.

    Args:
        settings: the address.
        shared: let other processes bind the same port.

    Raises:
        InputError: the address cannot be had.
    """
    found = None
    try:
        addresses = socket.getaddrinfo(
            settings.host or None,
            settings.port,
            type=socket.SOCK_STREAM,
            proto=socket.IPPROTO_TCP,
            flags=socket.AI_PASSIVE,
        )
        # Of a name that has both, as `localhost`, the address that every client knows.
        addresses.sort(key=lambda address: address[0] != socket.AF_INET)
        family, _, _, _, address = addresses[0]
        # With its protocol named: asyncio switches Nagle's algorithm off only where it sees TCP.
        found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        found.bind(address)
    except (OSError, UnicodeError) as error:
        if found is not None:
            found.close()
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise InputError(
                f"Port {settings.port} of {settings.host} is in use: choose another with --port."
            ) from None
        raise InputError(f"{settings.host}:{settings.port} cannot be bound: {error}.") from None
    found.set_inheritable(False)
    return found


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


class Impatient(_Protocol):
    """A connection that must send its headers in time, and go on reading its answer."""

    patience_s = 10.0
    unread_s = 60.0
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


class Server(uvicorn.Server):
    """uvicorn's server, whose signals and exit code are this package's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Leave the signals to `Process`."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End when every request is answered, whether or not idle clients hang up."""

        async def hang_up() -> None:
            # An idle client need not answer the end of its TLS session: it is not waited for.
            while True:
                await asyncio.sleep(0.2)
                if self.server_state.tasks:
                    continue
                for connection in list(self.server_state.connections):
                    transport = connection.transport
                    if not transport.get_write_buffer_size():
                        transport.abort()

        hanging_up = asyncio.ensure_future(hang_up())
        try:
            await super().shutdown(sockets)
        finally:
            hanging_up.cancel()


class Process:
    """A process that serves.

    Args:
        service: its models.
        settings: how it runs.
        listener: the bound socket.
        reload: called on SIGHUP.
    """

    def __init__(
        self,
        service: Service,
        settings: Settings,
        listener: socket.socket,
        reload: Callable[[], Awaitable[Any]],
    ) -> None:
        self._service, self._settings, self._listener = service, settings, listener
        self._reload = reload
        self._server: Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def install_signals(self) -> None:
        """Take the signals; again after each load, as importing Paddle takes them away."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            loop.add_signal_handler(number, self._on_end, number)
        if hasattr(signal, "SIGHUP"):
            loop.remove_signal_handler(signal.SIGHUP)
            loop.add_signal_handler(signal.SIGHUP, self._on_hangup)

    def end(self, number: int) -> None:
        """Drain, and end when every request in flight is answered."""
        if self._service.draining:
            return
        self._service.draining = True
        if not self._service.models:  # nobody was told that it is ready
            self._close()
            return
        event("draining", signal=number)
        self._start(self._drain())

    async def _drain(self) -> None:
        # Load balancers that ask /readyz need a moment to send their requests elsewhere.
        await asyncio.sleep(self._settings.drain_delay_s)
        self._close()

    def _close(self) -> None:
        self._service.closing = True
        if self._server is not None:
            self._server.should_exit = True

    def _on_end(self, number: int) -> None:
        """Drain; the second time, stop at once."""
        if self._service.draining:
            _exit_at_once(number)
        self.end(number)

    def _on_hangup(self) -> None:
        self._start(self._reload())

    def _start(self, work: Awaitable[Any]) -> None:
        task: asyncio.Task[Any] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def serve(self, app: Any) -> None:
        """Answer until a signal ends it, and every request in flight is answered."""
        settings = self._settings
        Impatient.patience_s = settings.limits.body_s
        Impatient.unread_s = settings.limits.unread_s
        config = uvicorn.Config(
            app,
            http=Impatient,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # who the caller says to be changes no answer but /docs (`pages`)
            timeout_graceful_shutdown=int(settings.drain_s),
            timeout_keep_alive=30,
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
            backlog=2048,
        )
        try:
            config.load()
        except OSError as error:
            raise InputError(f"The TLS files cannot be used: {error}.") from error
        self._server = Server(config)
        await self._server.serve([self._listener])
        await self._service.stop()


def _exit_at_once(number: int) -> None:
    """End the process without waiting for the engine's thread, as Python would."""
    logging.shutdown()
    os._exit(128 + number)


def open_keys(settings: Settings) -> tuple[KeyFile | None, KeyFile | None]:
    """The callers' and the administrators' keys.

    Raises:
        InputError: a file cannot be used.
    """
    keys = None if settings.api_keys is None else KeyFile(settings.api_keys)
    admin = None if settings.admin_token is None else KeyFile(settings.admin_token)
    return keys, admin


def run_loop(work: Any) -> None:
    """Run a coroutine on the fastest event loop that is installed.

    Raises:
        ServingError: it was interrupted before it could end by itself.
    """
    # The engine's thread gives the interpreter back this often: at Python's 5 ms, each request that
    # comes while texts are cut into tokens would wait so long at every step.
    sys.setswitchinterval(0.001)
    try:
        import uvloop

        loop_factory: Any = uvloop.new_event_loop
    except ImportError:
        loop_factory = asyncio.new_event_loop
    loop = loop_factory()
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(work)
    except KeyboardInterrupt:
        raise ServingError("Interrupted.") from None
    finally:
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        if pending:
            loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        asyncio.set_event_loop(None)
        loop.close()
