"""What a worker's process is told by the one that starts it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hub.serving import supervisor
from hub.serving.settings import Settings


class Started(Exception):
    pass


def test_workers_compute_with_the_threads_that_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the environment says another number."""
    told: dict[str, str] = {}

    async def start(*command: str, env: dict[str, str], **options: Any) -> None:
        told.update(env)
        raise Started

    monkeypatch.setenv("HUB_NUM_THREADS", "4")
    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    settings = Settings(threads=1)
    child = supervisor._Child(supervisor.Supervisor(settings, []))
    with pytest.raises(Started):
        asyncio.run(child.start(settings))
    assert told["HUB_NUM_THREADS"] == "1"
