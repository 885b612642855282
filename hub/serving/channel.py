"""Calls between a supervisor and its workers: JSON lines over a pair of sockets, both ways."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from hub.errors import RequestError, ServingError

logger = logging.getLogger(__name__)

Handler = Callable[[str, Any], Awaitable[Any]]
_LONGEST = 64 << 20
# The longest, in seconds, that another process takes for what is not loading a model.
PATIENCE_S = 60.0


class Channel:
    """One end.

    Args:
        handler: answers the other end's calls: a method's name and its arguments.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._numbers = itertools.count()
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._writer: asyncio.StreamWriter | None = None
        self.closed = asyncio.Event()

    async def open(self, end: socket.socket) -> None:
        """Begin to listen."""
        reader, self._writer = await asyncio.open_connection(sock=end, limit=_LONGEST)
        self._start(self._read(reader))

    async def call(
        self, method: str, arguments: Any = None, within_s: float | None = PATIENCE_S
    ) -> Any:
        """Ask the other end.

        Args:
            method: what it shall do.
            arguments: with what.
            within_s: the seconds it may take; None is any time.

        Raises:
            ServingError: it is not there, could not do it, or did not answer in time.
            RequestError: it refuses.
        """
        if self._writer is None or self.closed.is_set():
            raise ServingError("The other process is not there.")
        number = next(self._numbers)
        future = asyncio.get_running_loop().create_future()
        self._calls[number] = future
        self._send({"call": number, "method": method, "arguments": arguments})
        try:
            return await asyncio.wait_for(future, within_s)
        except asyncio.TimeoutError:
            raise ServingError(f"The other process did not answer within {within_s} s.") from None
        finally:
            self._calls.pop(number, None)

    def close(self) -> None:
        """End it."""
        if self._writer is not None:
            self._writer.close()

    def _send(self, message: dict[str, Any]) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode() + b"\n")

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                message = json.loads(line)
                if "method" in message:
                    self._start(self._answer(message))
                else:
                    self._settle(message)
        self.closed.set()
        for future in self._calls.values():
            if not future.done():
                future.set_exception(ServingError("The other process ended."))
        self.close()

    def _settle(self, message: dict[str, Any]) -> None:
        future = self._calls.get(message["call"])
        if future is None or future.done():
            return
        error = message.get("error")
        if error is None:
            future.set_result(message.get("result"))
        elif "status" in error:
            future.set_exception(RequestError(error["status"], error["code"], error["message"]))
        else:
            future.set_exception(ServingError(error["message"]))

    async def _answer(self, message: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"call": message["call"]}
        try:
            answer["result"] = await self._handler(message["method"], message["arguments"])
        except RequestError as error:
            answer["error"] = {
                "status": error.status,
                "code": error.code,
                "message": str(error),
            }
        except Exception as error:
            logger.debug("a call from another process failed", exc_info=error)
            answer["error"] = {"message": str(error) or type(error).__name__}
        self._send(answer)
