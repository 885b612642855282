"""Texts of many requests in one batch: nobody waits, pays or fails for another."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import hub
from hub.errors import ModelError, RequestError
from hub.serving.batching import Batcher
from hub.serving.engine import Computed, Engine, Outcome, Wishes
from tests.serving.client import Connection, closed_loop
from tests.serving.conftest import Program, Slow, Threaded

PREDICT = "/v1/models/travel:predict"


class Silent:
    """An observer that counts."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def queued(self, texts: int) -> None:
        """Nothing."""

    def rejected(self, reason: str, count: int = 1) -> None:
        """Count it."""
        self.reasons += [reason] * count

    def computed(self, result: Computed, waits_s: Sequence[float]) -> None:
        """Nothing."""


class Echo:
    """An engine that answers each text with itself."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.batches: list[list[str]] = []

    def size_of(self, text: Any, wishes: Wishes) -> int:
        """A token a character."""
        return len(text)

    def compute(self, texts: Sequence[Any], wishes: Sequence[Wishes]) -> Computed:
        """The texts; one that begins with `!` fails."""
        time.sleep(self.seconds)
        self.batches.append(list(texts))
        bad = RequestError(422, "bad", "bad")
        return Computed(
            [Outcome(error=bad) if t.startswith("!") else Outcome({"text": t}) for t in texts]
        )


def batcher(engine: Echo, observer: Silent, **options: Any) -> Batcher:
    """A batcher that runs; on the event loop."""
    made = Batcher(engine, ThreadPoolExecutor(1), observer, **options)
    made.start()
    return made


# --- answers -------------------------------------------------------------------------------------


def test_a_thousand_texts_of_64_clients_have_the_answers_they_have_alone(
    travel: Program, exported: Path
) -> None:
    """Each answer is its own text's: labels equal, probabilities to 1e-5."""
    generator = random.Random(7)
    characters = "雨雪风晴听唱歌曲车票站铁的一是在不了有和人这中大"
    lengths = [generator.randint(1, 60) for _ in range(1000)]
    texts = ["".join(generator.choices(characters, k=length)) for length in lengths]
    bodies = [{"text": text, "probabilities": True} for text in texts]
    answers = asyncio.run(closed_loop(travel.port, PREDICT, bodies, 64))
    expected = hub.Predictor(exported).predict(texts, probabilities=True, batch_size=1)
    assert {answer.status for answer in answers} == {200}
    for answer, wanted in zip(answers, expected, strict=True):
        found = answer.json()["predictions"][0]
        assert found["label"] == wanted["label"]
        assert found["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-5)
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 1000
    text = travel.get("/metrics").text
    executions = next(x for x in text.splitlines() if x.startswith("hub_executions_total"))
    assert float(executions.split()[1]) < 900  # they were computed together


def test_one_bad_text_harms_no_other(exported: Path) -> None:
    """200 rounds of eight, one of which makes the network fail."""
    model = Slow(exported)
    marked = model.tokenizer.encode(["雪雪雪"], None)[0].input_ids
    compute = model.compute

    def failing(batch: Any) -> np.ndarray:
        if any(list(row[: len(marked)]) == marked for row in batch.input_ids):
            raise RuntimeError("a kernel failed")
        return compute(batch)

    model.compute = failing  # type: ignore[method-assign]
    engine = Engine(model, 32)
    for number in range(200):
        texts = ["今天下雨"] * 8
        texts[number % 8] = "雪雪雪"
        outcomes = engine.compute(texts, [Wishes()] * 8).outcomes
        assert [outcome.answer is not None for outcome in outcomes].count(True) == 7
        error = outcomes[number % 8].error
        assert error is not None and error.status == 500 and "雪" not in str(error)


def test_numbers_that_are_none_are_an_error_and_not_an_answer(exported: Path) -> None:
    model = Slow(exported)
    model.compute = lambda batch: np.full((len(batch), 3), np.nan)  # type: ignore[method-assign]
    outcome = Engine(model, 32).compute(["今天"], [Wishes()]).outcomes[0]
    assert outcome.answer is None and outcome.error is not None and outcome.error.status == 500


def test_an_engine_without_a_task_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(ModelError, match="no task"):
        Engine(hub.Module(directory=tiny_folder), 32)  # type: ignore[arg-type]


# --- batches -------------------------------------------------------------------------------------


def test_texts_of_like_length_are_put_together_and_nobody_starves() -> None:
    engine, observer = Echo(0.002), Silent()

    async def work() -> None:
        queue = batcher(engine, observer, batch_size=8, delay_s=0.0)
        texts = ["长" * 120 if number % 2 else "短" * 8 for number in range(64)]
        jobs = [queue.submit([text], Wishes(), time.monotonic() + 5) for text in texts]
        for text, job in zip(texts, jobs, strict=True):
            assert (await queue.wait(job))[0].answer == {"text": text}
        await queue.stop()

    asyncio.run(work())
    for batch in engine.batches:
        lengths = {len(text) for text in batch}
        assert len(lengths) == 1, "short and long texts in one batch"
    padded = sum(len(batch) * max(map(len, batch)) for batch in engine.batches)
    assert padded == 32 * 120 + 32 * 8  # not one token of padding
    assert max(map(len, engine.batches)) == 8


def test_a_batch_is_bounded_in_tokens() -> None:
    engine, observer = Echo(0.005), Silent()

    async def work() -> None:
        queue = batcher(engine, observer, batch_size=32, batch_tokens=400)
        jobs = [queue.submit(["长" * 100], Wishes(), time.monotonic() + 5) for _ in range(20)]
        for job in jobs:
            await queue.wait(job)
        await queue.stop()

    asyncio.run(work())
    assert max(map(len, engine.batches)) == 4


def test_an_idle_engine_starts_at_once_and_a_busy_one_gathers() -> None:
    engine, observer = Echo(0.02), Silent()

    async def work() -> tuple[float, int]:
        queue = batcher(engine, observer, delay_s=0.5)
        begun = time.monotonic()
        await queue.wait(queue.submit(["一"], Wishes(), begun + 5))
        alone = time.monotonic() - begun
        first = queue.submit(["一"], Wishes(), begun + 5)
        await asyncio.sleep(0.005)
        later = [queue.submit(["二"], Wishes(), begun + 5) for _ in range(32)]
        await asyncio.gather(*(queue.wait(job) for job in (first, *later)))
        await queue.stop()
        return alone, len(engine.batches)

    alone, batches = asyncio.run(work())
    assert alone < 0.1  # not the half second of delay
    assert batches == 3


def test_a_text_waits_no_longer_than_the_delay_for_company() -> None:
    engine, observer = Echo(0.01), Silent()

    async def work() -> float:
        queue = batcher(engine, observer, delay_s=0.1)
        jobs = [queue.submit(["一"], Wishes(), time.monotonic() + 5)]
        await asyncio.sleep(0.005)
        begun = time.monotonic()
        jobs.append(queue.submit(["二"], Wishes(), begun + 5))
        await asyncio.gather(*map(queue.wait, jobs))
        await queue.stop()
        return time.monotonic() - begun

    assert 0.08 < asyncio.run(work()) < 0.25


# --- what is not computed ------------------------------------------------------------------------


def test_expired_and_abandoned_texts_are_not_computed(threaded: Callable[..., Threaded]) -> None:
    from hub.serving.settings import Limits

    service = threaded(limits=Limits(deadline_s=1.5))
    service.model.blocked.clear()

    async def work() -> tuple[list[int], int]:
        text = {"text": "一"}
        first = asyncio.ensure_future(Connection(service.port).request("POST", PREDICT, text))
        await asyncio.sleep(0.05)  # the engine has it, and is blocked
        connections = [Connection(service.port) for _ in range(150)]
        sent = [
            asyncio.ensure_future(connection.request("POST", PREDICT, text))
            for connection in connections
        ]
        await asyncio.sleep(0.6)
        for connection in connections[:50]:
            connection.close()  # these hang up
        statuses = [(await task).status for task in sent[50:]]
        service.model.blocked.set()
        await first
        await asyncio.sleep(0.2)
        return statuses, len(service.model.batches)

    statuses, batches = asyncio.run(work())
    assert statuses == [504] * 100
    assert batches == 1 and service.batcher.executions == 1
    assert service.metric("hub_rejected_total", model="travel", reason="cancelled") == 50
    assert service.metric("hub_rejected_total", model="travel", reason="expired") == 101
    assert service.metric("hub_queue_depth", model="travel", version="1") == 0


def test_a_full_queue_refuses_whole_requests_and_says_when_to_come_back() -> None:
    engine, observer = Echo(0.05), Silent()

    async def work() -> None:
        queue = batcher(engine, observer, capacity=10, batch_size=4)
        jobs = [queue.submit(["一"], Wishes(), time.monotonic() + 5) for _ in range(9)]
        with pytest.raises(RequestError) as refused:
            queue.submit(["二", "三"], Wishes(), time.monotonic() + 5)
        assert refused.value.status == 429 and refused.value.retry_after_s is not None
        assert refused.value.retry_after_s >= 1
        assert queue.depth == 9  # nothing of it was taken
        await asyncio.gather(*map(queue.wait, jobs))
        await queue.stop()

    asyncio.run(work())
    assert observer.reasons == ["full"]


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["submit", "cancel", "expire", "fail", "wait"]), st.integers(1, 5)
        ),
        max_size=30,
    ),
    capacity=st.integers(1, 12),
)
def test_every_job_ends_exactly_once(steps: list[tuple[str, int]], capacity: int) -> None:
    """Whatever callers do, each has one answer or one error, and the queue is empty at the end."""

    async def work() -> None:
        observer, engine = Silent(), Echo()
        queue = batcher(engine, observer, capacity=capacity, batch_size=3, delay_s=0.0)
        jobs = []
        for action, count in steps:
            if action == "wait":
                await asyncio.sleep(0)
            elif action == "cancel" and jobs:
                queue.give_up(jobs[-1][0], "cancelled")
            else:
                texts = [f"{'!' if action == 'fail' else ''}{n}" for n in range(count)]
                seconds = 0.0 if action == "expire" else 5.0
                try:
                    job = queue.submit(texts, Wishes(), time.monotonic() + seconds)
                    jobs.append((job, texts, action))
                except RequestError as error:
                    assert error.status == 429
        for job, texts, action in jobs:
            try:
                outcomes = await queue.wait(job)
            except RequestError as error:
                assert error.status in (499, 504)
            else:
                assert len(outcomes) == len(texts)
                for text, outcome in zip(texts, outcomes, strict=True):
                    assert (outcome.error is None) == (action != "fail")
                    assert outcome.answer is None or outcome.answer == {"text": text}
            assert job.done.done()
        await asyncio.sleep(0.01)
        assert queue.depth == 0
        await queue.stop()

    asyncio.run(work())


def test_no_thread_is_left_behind(threaded: Callable[..., Threaded]) -> None:
    before = threading.active_count()
    service = threaded()
    service.stop()
    deadline = time.monotonic() + 5
    while threading.active_count() > before + 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() <= before + 1
