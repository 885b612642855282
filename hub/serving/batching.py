"""Dynamic batching: texts of many requests are computed together, and never later than promised.

One engine computes at a time. While it does, texts wait in a bounded queue; when it is free, the
oldest of them is taken with others of like length. An idle engine starts at once. All state belongs
to the event loop: only `Engine.compute` runs in a thread.

Every job ends exactly once: answered, refused because the queue is full (429), or given up because
its deadline passed (504) or its caller left. What was given up is not computed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Protocol

from hub.errors import RequestError
from hub.serving.engine import Computed, Outcome, Wishes
from hub.tokenizers import Text

logger = logging.getLogger(__name__)

# Texts are put together if the longest has no more than this times the tokens of the shortest, and
# a few more: short texts cost about the same.
_LIKE, _AND_A_FEW = 1.5, 8

# What a job's caller is told, by the reason for which it was given up.
_GIVEN_UP = {
    "expired": (504, "deadline", "The answer did not come in time."),
    "cancelled": (499, "left", "The caller left before the answer came."),
}


class Computing(Protocol):
    """What the batcher needs of an engine."""

    def size_of(self, text: Text, wishes: Wishes) -> int: ...
    def compute(self, texts: Sequence[Text], wishes: Sequence[Wishes]) -> Computed: ...


class Observer(Protocol):
    """Who is told what happens; see `metrics`."""

    def queued(self, texts: int) -> None: ...
    def rejected(self, reason: str, count: int = 1) -> None: ...
    def computed(self, result: Computed, waits_s: Sequence[float]) -> None: ...


class Job:
    """The texts of one request on their way through the queue."""

    __slots__ = ("arrived", "deadline", "done", "outcomes", "queued_s", "remaining")

    def __init__(self, count: int, deadline: float, done: asyncio.Future[list[Outcome]]) -> None:
        self.arrived = time.monotonic()
        self.deadline = deadline
        self.done = done
        self.outcomes: list[Outcome] = [Outcome()] * count
        self.remaining = count
        self.queued_s = 0.0


@dataclass(eq=False)
class _Item:
    """One text of a job."""

    job: Job
    index: int
    text: Text
    wishes: Wishes
    size: int


@dataclass
class Batcher:
    """The queue before one engine.

    Args:
        engine: computes.
        executor: runs the engine in a thread; several batchers may share it.
        observer: is told of queue, batches and rejections.
        batch_size: texts computed at a time.
        batch_tokens: tokens computed at a time, padding included.
        delay_s: the longest that a text waits for company while the engine is free.
        capacity: texts that may wait.
    """

    engine: Computing
    executor: Executor
    observer: Observer
    batch_size: int = 32
    batch_tokens: int = 8192
    delay_s: float = 0.002
    capacity: int = 256
    busy_since: float | None = None
    executions: int = 0
    _waiting: deque[_Item] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None
    _stopped: bool = False
    # Texts a second, as far as it is known: what a refused caller is told to wait for.
    _rate: float = 0.0
    _finished: float = 0.0

    def start(self) -> None:
        """Begin to answer; called on the event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Stop; whoever still waits is told that the service ends."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for item in self._waiting:
            _refuse(item.job, _stopping())
        self._waiting.clear()

    @property
    def depth(self) -> int:
        """How many texts wait."""
        return len(self._waiting)

    def room(self, count: int) -> bool:
        """Whether so many more texts may wait."""
        return len(self._waiting) + count <= self.capacity

    def has_time(self, count: int, within_s: float) -> bool:
        """Whether so many more texts may wait, and what waits is computed within some seconds.

        Before the first batch nobody knows how long one takes: then only an idle engine has time.
        """
        if not self._rate:
            return self.room(count) and not self._waiting and self.busy_since is None
        return self.room(count) and len(self._waiting) / self._rate <= within_s

    def submit(self, texts: Sequence[Text], wishes: Wishes, deadline: float) -> Job:
        """Put a request's texts into the queue.

        Args:
            texts: one or more.
            wishes: what is asked of them.
            deadline: by when they are of use, on `time.monotonic`.

        Raises:
            RequestError: the queue is full, or nobody takes from it any more.
        """
        if self._stopped:
            raise _stopping()
        wait = len(self._waiting) / self._rate if self._rate else 0.0
        if not self.room(len(texts)) or wait > deadline - time.monotonic() > 0:
            # What could only expire is better told to come back now than given up later.
            raise self.refusal()
        job = Job(len(texts), deadline, asyncio.get_running_loop().create_future())
        size_of = self.engine.size_of
        for index, text in enumerate(texts):
            self._waiting.append(_Item(job, index, text, wishes, size_of(text, wishes)))
        self.observer.queued(len(self._waiting))
        self._wake.set()
        return job

    def refusal(self) -> RequestError:
        """Count a request as refused, and say so."""
        self.observer.rejected("full")
        return RequestError(
            429,
            "queue_full",
            "Too many texts are waiting; try again in a moment.",
            retry_after_s=self.retry_after_s(),
        )

    def retry_after_s(self) -> float:
        """How long it takes until the queue is worked off, as far as is known."""
        return max(1.0, len(self._waiting) / self._rate) if self._rate else 1.0

    async def wait(self, job: Job) -> list[Outcome]:
        """A job's outcomes, in the order of its texts.

        Raises:
            RequestError: they did not come in time, or the caller left.
        """
        remaining = max(0.0, job.deadline - time.monotonic())
        timer = job.done.get_loop().call_later(remaining, self.give_up, job, "expired")
        try:
            return await job.done
        finally:
            timer.cancel()

    def give_up(self, job: Job, reason: str) -> None:
        """Forget a job whose answer is of no use any more: it is not computed.

        Args:
            job: the job; one that is done is left as it is.
            reason: "expired", or "cancelled" if its caller left.
        """
        if not job.done.done():
            self.observer.rejected(reason)
            _refuse(job, RequestError(*_GIVEN_UP[reason]))
            job.done.exception()  # nobody need be waiting for it

    # --- the loop --------------------------------------------------------------------------------

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        was_busy = False
        while True:
            if not self._waiting:
                was_busy = False
                self._wake.clear()
                await self._wake.wait()
                # Requests that came in the same moment are read before the first batch is chosen.
                await asyncio.sleep(0)
            elif was_busy:
                await self._company()
            followed, was_busy = was_busy, False
            batch = self._take()
            self.observer.queued(len(self._waiting))
            if not batch:
                continue
            now = time.monotonic()
            self.busy_since = now
            waits = [now - item.job.arrived for item in batch]
            for item, waited in zip(batch, waits, strict=True):
                item.job.queued_s = max(item.job.queued_s, waited)
            texts, wishes = [item.text for item in batch], [item.wishes for item in batch]
            try:
                result = await loop.run_in_executor(
                    self.executor, self.engine.compute, texts, wishes
                )
            except Exception as error:
                logger.exception("the engine failed")
                for item in batch:
                    _refuse(item.job, _failure(error))
                continue
            finally:
                self.busy_since, was_busy = None, True
            self.executions += 1
            # While texts wait, what happens between two batches counts too.
            finished = time.monotonic()
            since = self._finished if followed else now
            self._learn_rate(len(batch), finished - since)
            self._finished = finished
            self.observer.computed(result, waits)
            for item, outcome in zip(batch, result.outcomes, strict=True):
                _deliver(item, outcome)

    async def _company(self) -> None:
        """Wait until the batch would be full, or the oldest text has waited long enough."""
        end = self._waiting[0].job.arrived + self.delay_s
        while len(self._waiting) < self.batch_size:
            remaining = end - time.monotonic()
            if remaining <= 0:
                return
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), remaining)
            except asyncio.TimeoutError:
                return

    def _take(self) -> list[_Item]:
        """The next batch: the oldest text, with others of like length; those given up fall out."""
        now = time.monotonic()
        alive: deque[_Item] = deque()
        for item in self._waiting:
            if item.job.done.done():
                continue
            if now >= item.job.deadline:
                self.give_up(item.job, "expired")
                continue
            alive.append(item)
        self._waiting = alive
        if not alive:
            return []
        chosen = set(map(id, alike(alive, self.batch_size, self.batch_tokens)))
        batch = [item for item in alive if id(item) in chosen]
        self._waiting = deque(item for item in alive if id(item) not in chosen)
        return batch

    def _learn_rate(self, texts: int, seconds: float) -> None:
        rate = texts / max(seconds, 1e-6)
        self._rate = rate if not self._rate else 0.9 * self._rate + 0.1 * rate


def alike(waiting: Sequence[_Item], batch_size: int, batch_tokens: int) -> list[_Item]:
    """The first of `waiting`, and the next in line of like length that one batch may hold.

    In the order in which they came: were the nearest in length preferred, newcomers of a common
    length would overtake the others again and again.
    """
    shortest = longest = waiting[0].size
    batch: list[_Item] = []
    for item in waiting:
        low, high = min(shortest, item.size), max(longest, item.size)
        fits = high <= _LIKE * low + _AND_A_FEW and high * (len(batch) + 1) <= batch_tokens
        if fits or not batch:
            batch.append(item)
            shortest, longest = low, high
            if len(batch) == batch_size:
                break
    return batch


def _deliver(item: _Item, outcome: Outcome) -> None:
    job = item.job
    job.outcomes[item.index] = outcome
    job.remaining -= 1
    if not job.remaining and not job.done.done():
        job.done.set_result(job.outcomes)


def _refuse(job: Job, error: RequestError) -> None:
    if not job.done.done():
        job.done.set_exception(error)


def _stopping() -> RequestError:
    return RequestError(503, "stopping", "The service is stopping.")


def _failure(error: Exception) -> RequestError:
    if isinstance(error, RequestError):
        return error
    return RequestError(500, "engine_failed", "The model failed on these texts.")
