"""A shadow costs the requests at most the one text that it computes when they come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

from hub.serving.batching import Batcher
from hub.serving.engine import Computed, Outcome, Wishes
from hub.serving.metrics import Metrics
from hub.serving.shadowing import Shadowing
from tests.serving.client import Connection
from tests.serving.conftest import Threaded
from tests.serving.test_batching import Echo, Silent, batcher


class Labelling(Echo):
    """An engine whose label is the text's first character."""

    def compute(self, texts: Sequence[Any], wishes: Sequence[Wishes]) -> Computed:
        """Labels; of a text that begins with `!` none."""
        found = zip(super().compute(texts, wishes).outcomes, texts, strict=True)
        return Computed([o if o.error else Outcome({"label": text[0]}) for o, text in found])


def shadow(queue: Batcher) -> Any:
    """A version as far as a shadow is asked for it."""
    task = SimpleNamespace(name="text-classification")
    engine = SimpleNamespace(task=task)
    return SimpleNamespace(model="m", name="2", batcher=queue, engine=engine, used=nullcontext)


def counted(metrics: Metrics) -> dict[str, float]:
    """What came of the copies."""
    results = ("same", "different", "failed", "dropped")
    read = metrics.registry.get_sample_value
    values = {
        result: read("hub_shadow_total", {"model": "m", "version": "2", "result": result})
        for result in results
    }
    return {result: value for result, value in values.items() if value}


async def settled(metrics: Metrics, texts: int) -> dict[str, float]:
    """The counts when so many texts are counted."""
    while sum(counted(metrics).values()) < texts:
        await asyncio.sleep(0.005)
    return counted(metrics)


def test_it_computes_a_text_at_a_time_and_only_while_nobody_waits() -> None:
    engine, metrics, busy = Labelling(), Metrics(), [True]
    metrics.begin("m", "2", "0")
    ours = [Outcome({"label": "一"})] * 3

    async def work() -> None:
        queue = batcher(engine, Silent())
        shadowing = Shadowing(metrics, 4, 60.0, lambda: busy[0])
        shadowing.offer(shadow(queue), ["一", "二", "!"], Wishes(), ours)
        shadowing.offer(shadow(queue), ["一", "二"], Wishes(), ours[:2])  # beyond the four
        await asyncio.sleep(0.1)
        assert engine.batches == []
        busy[0] = False
        found = await asyncio.wait_for(settled(metrics, 5), 20)
        assert found == {"same": 1, "different": 1, "failed": 1, "dropped": 2}
        assert engine.batches == [["一"], ["二"], ["!"]]
        shadowing.offer(shadow(queue), ["一"], Wishes(), ours[:1])  # and again
        assert (await asyncio.wait_for(settled(metrics, 6), 20))["same"] == 2
        await queue.stop()

    asyncio.run(work())


def test_what_it_refuses_or_has_no_time_for_is_dropped_and_hurts_nobody() -> None:
    engine, metrics, observer = Labelling(), Metrics(), Silent()
    metrics.begin("m", "2", "0")
    ours = [Outcome({"label": "一"})]

    async def work() -> None:
        full = Batcher(engine, ThreadPoolExecutor(1), Silent(), capacity=0)
        Shadowing(metrics, 9, 60.0, lambda: False).offer(shadow(full), ["一"], Wishes(), ours)
        assert await asyncio.wait_for(settled(metrics, 1), 20) == {"dropped": 1}
        stopped = batcher(engine, observer)
        await stopped.stop()
        Shadowing(metrics, 9, 60.0, lambda: False).offer(shadow(stopped), ["一"], Wishes(), ours)
        assert await asyncio.wait_for(settled(metrics, 2), 20) == {"dropped": 2}
        running = batcher(engine, observer)
        Shadowing(metrics, 9, 0.02, lambda: True).offer(shadow(running), ["一"], Wishes(), ours)
        assert await asyncio.wait_for(settled(metrics, 3), 20) == {"dropped": 3}
        await running.stop()

    asyncio.run(work())
    # It is no request that was refused.
    assert engine.batches == [] and observer.reasons == []


def test_a_request_that_waits_or_is_computed_keeps_the_engine(
    threaded: Callable[..., Threaded],
) -> None:
    service = threaded()
    assert not service.service._busy()
    service.model.blocked.clear()

    async def work() -> list[int]:
        path = "/v1/models/travel:predict"
        sent = [
            asyncio.ensure_future(Connection(service.port).request("POST", path, {"text": "今天"}))
            for _ in range(2)
        ]
        while not service.service._busy():
            await asyncio.sleep(0.005)
        service.model.blocked.set()
        return [(await task).status for task in sent]

    assert asyncio.run(asyncio.wait_for(work(), 30)) == [200, 200]
    while service.service._busy():
        time.sleep(0.005)
