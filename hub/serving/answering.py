"""From a request's texts to outcomes: the version is chosen, waited for, and counted."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hub.errors import RequestError
from hub.serving.engine import Outcome, Wishes
from hub.serving.gate import Record, encode_json, record_of
from hub.serving.service import Served, Service, Version
from hub.serving.settings import Limits
from hub.tokenizers import Text

# Most answers are there before it is worth asking whether anybody still waits for them.
_PATIENT_S = 0.05
# So many texts of a batch are logged, where texts are: its line in the log has an end.
_SAID = 100


class Json(Response):
    """A JSON answer whose Chinese is readable."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """UTF-8."""
        return encode_json(content)


class Lines(Response):
    """Lines of JSON as they come, while the request's body may still be on its way.

    Starlette's own streaming response would read the body to learn of a disconnection, and so take
    it from whoever understands it.
    """

    media_type = "application/x-ndjson"

    def __init__(self, lines: AsyncGenerator[bytes, None]) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them; the first is there before the status is."""
        try:
            first = await anext(self._lines, b"")
            start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await send(start)
            await send({"type": "http.response.body", "body": first, "more_body": True})
            async for line in self._lines:
                await send({"type": "http.response.body", "body": line, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await self._lines.aclose()


class Answerer:
    """What the protocols share.

    Args:
        service: the models.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.limits: Limits = service.settings.limits
        self._user_header = service.settings.user_header.lower()

    def admit(self, request: Request, record: Record, can_wait: bool = False) -> None:
        """Let a request in, or not, before its body is read.

        Args:
            request: the request.
            record: what is known of it.
            can_wait: whether it waits for room in the queue by itself.

        Raises:
            RequestError: the service takes no requests, there is no such model, or too much waits
                for it.
        """
        record.counted = True
        reason = self.service.refuses()
        if reason is not None:
            self.service.metrics.rejected.labels("", reason).inc()
            raise RequestError(503, reason, f"The service is {reason}.", retry_after_s=1)
        served = self.service.find(request.path_params["name"])
        record.model = served.plan.name
        versions = list(served.versions.values())
        if not can_wait and not any(version.batcher.room(1) for version in versions):
            # Refused before its body is read: under overload that leaves time for the others.
            if len(versions) == 1:
                record.version = versions[0].name
            raise versions[0].batcher.refusal()

    def version(
        self, request: Request, record: Record, served: Served, pinned: str | None, user: str | None
    ) -> Version:
        """The version for a request; it may go as soon as the event loop has another turn.

        Raises:
            RequestError: the version that was asked for is not loaded.
        """
        key = user or request.headers.get(self._user_header)
        pinned = pinned or request.headers.get("x-model-version")
        version, record.arm = self.service.choose(served, pinned, key)
        record.version = version.name
        return version

    async def answer(
        self,
        request: Request,
        texts: Sequence[Text],
        wishes: Wishes,
        pinned: str | None = None,
        user: str | None = None,
    ) -> tuple[Version, list[Outcome]]:
        """A request's outcomes, all of one version.

        Raises:
            RequestError: they could not be had.
        """
        record = record_of(request.scope)
        # Found again: while a body comes slowly, versions change. From here on the version is held.
        served = self.service.find(request.path_params["name"])
        version = self.version(request, record, served, pinned, user)
        record.texts = len(texts)
        deadline = time.monotonic() + self.limits.deadline_s
        with version.used(), self.service.metrics.inflight.track_inprogress():
            job = version.batcher.submit(texts, wishes, deadline)
            with _watched(request, lambda: version.batcher.give_up(job, "cancelled")):
                outcomes = await version.batcher.wait(job)
        record.queued_s = job.queued_s
        if record.arm == "split":
            self.service.shadow(served, texts, wishes, outcomes)
        if self.service.settings.log_texts:
            record.said = [
                {"text": text, "answer": outcome.answer}
                for text, outcome in zip(texts, outcomes, strict=True)
            ]
        return version, outcomes

    async def stream(
        self,
        request: Request,
        version: Version,
        texts: AsyncIterator[tuple[int, Text | RequestError]],
        wishes: Wishes,
    ) -> AsyncGenerator[bytes, None]:
        """A line of JSON for each text of a large batch, in their order, as they are computed.

        A batch takes its turn: it never fills the queue that single requests wait in, nor lets a
        text wait for more than a part of its deadline. What is wrong with a text is its line's
        error; what ends the batch, after lines were sent, is a last line without an index.

        Raises:
            RequestError: the batch is refused before any line of it was sent.
        """
        record = record_of(request.scope)
        window: deque[tuple[int, Text | RequestError, Any]] = deque()
        begun, fatal = False, None
        # So much is left to single requests; of a small queue, half.
        room = min(2 * self.service.settings.batch_size, max(1, version.batcher.capacity // 2))
        within_s = self.limits.deadline_s / 4
        with version.used(), self.service.metrics.inflight.track_inprogress():
            try:
                try:
                    async for number, text in texts:
                        record.texts += 1
                        while len(window) >= room or not version.batcher.has_time(room, within_s):
                            if window:
                                begun = True
                                yield await self._line(record, version, *window.popleft())
                            else:
                                await asyncio.sleep(0.005)
                        window.append((number, text, self._submitted(version, text, wishes)))
                except RequestError as error:
                    if not begun:
                        raise
                    record.code, fatal = error.code, error
                while window and not await request.is_disconnected():
                    yield await self._line(record, version, *window.popleft())
                if fatal is not None:
                    yield _line_of(_told(fatal))
            finally:
                for _, _, job in window:
                    if not isinstance(job, RequestError):
                        version.batcher.give_up(job, "cancelled")

    def _submitted(self, version: Version, text: Text | RequestError, wishes: Wishes) -> Any:
        """The job of a text, or why it has none."""
        if isinstance(text, RequestError):
            return text
        try:
            return version.batcher.submit([text], wishes, time.monotonic() + self.limits.deadline_s)
        except RequestError as error:
            return error

    async def _line(
        self, record: Record, version: Version, number: int, text: Text | RequestError, job: Any
    ) -> bytes:
        error, answer = None, None
        if isinstance(job, RequestError):
            error = job
        else:
            try:
                outcome = (await version.batcher.wait(job))[0]
                error, answer = outcome.error, outcome.answer
            except RequestError as refusal:
                error = refusal
            record.queued_s = max(record.queued_s, job.queued_s)
        if self.service.settings.log_texts and not isinstance(text, RequestError):
            record.said = record.said or []
            if len(record.said) < _SAID:
                record.said.append({"text": text, "answer": answer})
        if error is not None:
            return _line_of({"index": number, **_told(error)})
        return _line_of({"index": number, **(answer or {})})


def _told(error: RequestError) -> dict[str, Any]:
    return {"error": {"code": error.code, "message": str(error)}}


def _line_of(body: dict[str, Any]) -> bytes:
    return encode_json(body) + b"\n"


@contextmanager
def _watched(request: Request, on_left: Callable[[], None]) -> Iterator[None]:
    """While entered for longer than most requests take, see whether the caller leaves."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        on_left()

    watchers: list[asyncio.Task[None]] = []
    loop = asyncio.get_running_loop()
    timer = loop.call_later(_PATIENT_S, lambda: watchers.append(loop.create_task(watch())))
    try:
        yield
    finally:
        timer.cancel()
        for watcher in watchers:
            watcher.cancel()


def first_error(outcomes: Sequence[Outcome]) -> RequestError | None:
    """The error of the first text that has one; the number of the text is in it."""
    for number, outcome in enumerate(outcomes):
        if outcome.error is not None:
            error = outcome.error
            return RequestError(error.status, error.code, f"Text {number}: {error}")
    return None
