"""A worker that ends has a successor, even if its start fails; nobody is waited for in vain."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from hub.errors import ServingError
from hub.serving import supervisor
from hub.serving.channel import Channel
from hub.serving.plans import ModelPlan
from hub.serving.settings import Settings


class Child:
    """A worker that lives until it is killed, and whose start fails when the test says so."""

    failures = 0

    def __init__(self, owner: supervisor.Supervisor) -> None:
        self.ended = asyncio.Event()
        self.process = SimpleNamespace(pid=7, wait=self._wait)
        self.channel = Channel(self._wait)  # type: ignore[arg-type]
        self.started, self.reported, self.serving = 0.0, "", False

    async def _wait(self) -> int:
        await self.ended.wait()
        return -9

    async def start(self, settings: Settings) -> None:
        """Start, or not."""
        if Child.failures:
            Child.failures -= 1
            raise OSError("Too many open files")

    async def commit(self, plans: Sequence[ModelPlan]) -> None:
        """Serve."""
        self.serving = True

    def kill(self, number: int) -> None:
        """End."""
        self.ended.set()


def test_a_start_that_fails_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervisor, "_Child", Child)
    caplog.set_level(logging.INFO, "hub.serving")

    async def work() -> None:
        owner = supervisor.Supervisor(Settings(workers=1), [])
        first: Any = await owner._add()
        keeping = asyncio.ensure_future(owner._keep(first))
        Child.failures = 2
        first.kill(9)

        async def replaced() -> None:
            while not (owner._children and owner._children[0].serving):
                await asyncio.sleep(0.01)

        await asyncio.wait_for(replaced(), 20)
        assert len(owner._children) == 1 and owner._children[0] is not first
        assert not keeping.done()
        # Keys are read again by those that are there; one that is not connected holds up nobody.
        await asyncio.wait_for(owner._reload_keys(), 20)
        keeping.cancel()

    asyncio.run(work())
    told = [record.message for record in caplog.records if record.message.startswith("worker_")]
    assert told == ["worker_ended", "worker_failed", "worker_failed", "worker_replaced"]


def test_a_call_to_nobody_or_without_an_answer_ends() -> None:
    async def silent(method: str, arguments: Any) -> None:
        await asyncio.sleep(60)

    async def work() -> None:
        ours, theirs = socket.socketpair()
        here, there = Channel(silent), Channel(silent)
        with pytest.raises(ServingError, match="not there"):
            await here.call("metrics")
        await here.open(ours)
        await there.open(theirs)
        with pytest.raises(ServingError, match="did not answer within"):
            await here.call("metrics", within_s=0.05)
        there.close()
        with pytest.raises(ServingError):
            await here.call("metrics")
        here.close()

    asyncio.run(work())


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
