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

from hub.errors import InputError, ServingError
from hub.serving.connections import Connection
from hub.serving.early_refusal import EarlyRefusal
from hub.serving.gate import Gate
from hub.serving.keys import KeyFile
from hub.serving.logs import event
from hub.serving.service import Service
from hub.serving.settings import Settings


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
        # A class of its own, as uvicorn makes the connections.
        limits: dict[str, Any] = {
            "patience_s": settings.limits.body_s, "unread_s": settings.limits.unread_s
        }  # fmt: skip
        if isinstance(app, Gate):  # not where other sites' pages are answered: they need headers
            limits["refusal"] = EarlyRefusal(self._service, app)
        config = uvicorn.Config(
            app,
            http=type("LimitedConnection", (Connection,), limits),
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
