"""The shadow: a version that answers a copy of the requests, unseen, when nobody else waits.

It has the engine's thread only while no request waits for it, and for one text at a time: a
request that comes then waits for that text at most. What it has no time for is dropped.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from hub.errors import RequestError
from hub.serving.answers import essence
from hub.serving.engine import Outcome, Wishes
from hub.serving.metrics import Metrics
from hub.tokenizers import Text

if TYPE_CHECKING:
    from hub.serving.service import Version

# How often, in seconds, it is looked whether the engine is free.
_LOOK_S = 0.005


class _Copy(NamedTuple):
    """A text that was answered, and until when, on `time.monotonic`, it is of interest."""

    version: Version
    text: Text
    wishes: Wishes
    outcome: Outcome
    until: float


class Shadowing:
    """The copies that wait for a shadow.

    Args:
        metrics: counts what came of them.
        capacity: texts that may wait.
        patience_s: how long they may.
        busy: whether a request waits for the engine.
    """

    def __init__(
        self, metrics: Metrics, capacity: int, patience_s: float, busy: Callable[[], bool]
    ) -> None:
        self._metrics, self._capacity, self._patience_s = metrics, capacity, patience_s
        self._busy = busy
        self._waiting: deque[_Copy] = deque()
        self._task: asyncio.Task[None] | None = None

    def offer(
        self, version: Version, texts: Sequence[Text], wishes: Wishes, outcomes: Sequence[Outcome]
    ) -> None:
        """Let a version answer texts too, if there is time, and compare."""
        if len(self._waiting) + len(texts) > self._capacity:
            self._count(version, "dropped", len(texts))
            return
        until = time.monotonic() + self._patience_s
        for text, outcome in zip(texts, outcomes, strict=True):
            self._waiting.append(_Copy(version, text, wishes, outcome, until))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            while self._waiting:
                if self._waiting[0].until < time.monotonic():
                    self._count(self._waiting.popleft().version, "dropped")
                elif self._busy():
                    await asyncio.sleep(_LOOK_S)
                else:
                    copy = self._waiting.popleft()
                    self._count(copy.version, await self._compare(copy))
        finally:
            self._task = None

    async def _compare(self, copy: _Copy) -> str:
        version = copy.version
        try:
            with version.used():
                deadline = time.monotonic() + self._patience_s
                job = version.batcher.submit([copy.text], copy.wishes, deadline)
                (theirs,) = await version.batcher.wait(job)
        except RequestError as error:
            return "failed" if error.status == 500 else "dropped"
        if copy.outcome.answer is None or theirs.answer is None:
            return "failed"
        task = version.engine.task.name
        same = essence(task, copy.outcome.answer) == essence(task, theirs.answer)
        return "same" if same else "different"

    def _count(self, version: Version, result: str, texts: int = 1) -> None:
        self._metrics.compared(version.model, version.name, result, texts)
