"""The counters add up to what clients saw."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.serving.client import Connection
from tests.serving.conftest import Program


@pytest.mark.slow
def test_the_counters_are_the_clients_tally(exported: Path, tmp_path: Path) -> None:
    """5,000 requests of every kind: each is counted once, and strangers make no series."""
    program = Program([f"travel@3={exported}"], tmp_path / "log.txt").wait_until_ready()
    kinds: list[tuple[str, Any]] = [
        ("/v1/models/travel:predict", {"text": "今天"}),
        ("/v1/models/travel:predict", {"texts": ["今天", "听歌"]}),
        ("/predict/travel", {"data": [["今天"]]}),
        ("/v1/models/travel:predict", {"texts": []}),
        ("/v1/models/travel:predict", {"text": "今天", "version": "3"}),
    ]
    tally: Counter[int] = Counter()
    texts = 0

    async def client(number: int) -> None:
        nonlocal texts
        connection = Connection(program.port)
        for turn in range(5000 // 20):
            path, body = kinds[(number + turn) % len(kinds)]
            if (number + turn) % 50 == 49:
                path = f"/v1/models/stranger-{number}-{turn}:predict"
            answer = await connection.request("POST", path, body)
            tally[answer.status] += 1
            if answer.status == 200:
                texts += len(body.get("texts", "1"))
        connection.close()

    async def work() -> None:
        await asyncio.gather(*(client(number) for number in range(20)))

    try:
        asyncio.run(work())
        begun = time.perf_counter()
        text = program.get("/metrics").text
        assert time.perf_counter() - begun < 0.2
        samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]
        counted: Counter[int] = Counter()
        for sample in samples:
            if sample.name == "hub_requests_total":
                counted[int(sample.labels["code"])] += int(sample.value)
        assert counted == tally and sum(tally.values()) == 5000
        assert set(tally) == {200, 404, 422}
        values = {s.name: s.value for s in samples if s.labels.get("version") == "3"}
        assert values["hub_inferences_total"] == texts
        assert values["hub_queue_depth"] == 0
        assert len(samples) <= 200
        assert "stranger" not in text
    finally:
        program.stop()
