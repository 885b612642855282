"""A service of several processes that share a port; one that dies is replaced.

The supervisor listens to nobody: it holds the port (SO_REUSEPORT, without listening), decides what
is served, and keeps the count of what dead workers had counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

from hub.constants import THREADS_VARIABLE
from hub.errors import HubError, RequestError, ServingError
from hub.machine import thread_count
from hub.serving.channel import Channel
from hub.serving.keys import reload_keys
from hub.serving.logs import event
from hub.serving.metrics import Metrics, add_up
from hub.serving.planner import Planner
from hub.serving.plans import ModelPlan, to_json
from hub.serving.server import bind, open_keys, run_loop
from hub.serving.settings import ModelSpec, Settings

logger = logging.getLogger(__name__)

# A worker that dies again within this many seconds is replaced more slowly each time.
_SOON_S = 10.0
_SLOWEST_S = 30.0


def supervise(settings: Settings, specs: Sequence[ModelSpec]) -> None:
    """Serve with several processes until a signal comes.

    Raises:
        HubError: they cannot start.
    """

    async def work() -> None:
        await Supervisor(settings, specs).run()

    run_loop(work())


class _Child:
    """A worker, as the supervisor sees it; it is the planner's `Member`."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self.channel = Channel(self._handle)
        self.process: asyncio.subprocess.Process | None = None
        self.started = time.monotonic()
        self.serving = False
        self.reported = ""

    async def start(self, settings: Settings) -> None:
        """Start the process.

        Raises:
            OSError: the system has no room for it.
            ServingError: it ended at once, or does not answer.
        """
        ours, theirs = socket.socketpair()
        try:
            await self._spawn(settings, theirs)
            await self.channel.open(ours)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        await self.channel.call("start", settings.to_json())

    async def _spawn(self, settings: Settings, theirs: socket.socket) -> None:
        environment = dict(os.environ)
        if settings.threads is not None:
            environment[THREADS_VARIABLE] = str(settings.threads)
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "hub.serving.worker",
            str(theirs.fileno()),
            "json" if settings.json_logs else "text",
            pass_fds=[theirs.fileno()],
            env=environment,
            # Ctrl-C is the supervisor's: a second signal would cut short what is in flight.
            start_new_session=True,
        )

    async def prepare(self, plans: Sequence[ModelPlan], force: bool) -> None:
        """Load what the plans need."""
        call = {"plans": to_json(plans), "force": force}
        await self.channel.call("prepare", call, within_s=None)

    async def commit(self, plans: Sequence[ModelPlan]) -> None:
        """Serve by them. A worker that cannot is replaced by one that knows them."""
        try:
            await self.channel.call("commit", {"plans": to_json(plans)})
            self.serving = True
        except ServingError:
            self.kill(signal.SIGKILL)

    async def abort(self) -> None:
        """Forget what was prepared."""
        await self.channel.call("abort")

    def kill(self, number: int) -> None:
        """Send the process a signal, if it is there."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    async def _handle(self, method: str, arguments: Any) -> Any:
        if method == "report":
            self.reported = arguments
            return None
        if method == "metrics":
            self.reported = arguments
            return await self._supervisor.metrics(self)
        if method == "refusals":
            return self._supervisor.planner.refusals
        if method == "change":
            return await self._supervisor.change(arguments)
        raise RequestError(500, "defect", f"There is no {method}.")


class Supervisor:
    """The processes of a service.

    Args:
        settings: how it runs.
        specs: what it begins with.
    """

    def __init__(self, settings: Settings, specs: Sequence[ModelSpec]) -> None:
        if settings.threads is None:
            settings = settings.with_threads(max(1, thread_count() // settings.workers))
        self._settings = settings
        self._keys = open_keys(settings)  # a bad file is told before anything starts
        self._children: list[_Child] = []
        self._departed = ""
        self._ending = False
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._started = False
        self._metrics = Metrics()  # what the planner counts
        self.planner = Planner(self._members, specs, self._metrics)

    async def run(self) -> None:
        """Start, supervise, and end the workers."""
        holder = bind(self._settings, shared=True)
        self._settings = self._settings.at(holder.getsockname()[1])
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._start(self.reload()))
        begun = time.monotonic()
        try:
            for _ in range(self._settings.workers):
                await self._add()
            await self.planner.start()
            self._started = True
        except HubError:
            await self._stop_all()
            raise
        except OSError as error:
            await self._stop_all()
            raise ServingError(f"A worker cannot be started: {error}.") from error
        event(
            "ready",
            address=self._settings.address,
            models=list(self.planner.plans),
            workers=self._settings.workers,
            took_s=round(time.monotonic() - begun, 2),
        )
        for child in list(self._children):
            self._start(self._keep(child))
        if self._settings.watch_s is not None:
            self._start(self.planner.watch(self._settings.watch_s))
        await self._ended.wait()
        await self._stop_all()
        holder.close()

    async def change(self, change: dict[str, Any]) -> dict[str, Any]:
        """Make a change in every worker."""
        if change["do"] == "reload":
            await self._reload_keys()
        return await self.planner.apply(change)

    async def reload(self) -> None:
        """Read the keys and look at every source again."""
        with contextlib.suppress(RequestError):
            await self._reload_keys()
        await self.planner.refresh()

    async def metrics(self, asking: _Child) -> str:
        """The sum of all workers' metrics, the dead ones' counts included."""

        async def ask(child: _Child) -> None:
            with contextlib.suppress(ServingError, asyncio.TimeoutError):
                child.reported = await asyncio.wait_for(child.channel.call("metrics"), 2.0)

        await asyncio.gather(*(ask(c) for c in self._children if c is not asking))
        texts = [child.reported for child in self._children]
        own = only_counts(self._metrics.text())
        return await asyncio.to_thread(add_up, [*texts, self._departed, own])

    def _members(self) -> list[_Child]:
        # One that takes a dead one's place learns everything at once, by `Planner.join`.
        alive = [child for child in self._children if not child.channel.closed.is_set()]
        return [child for child in alive if child.serving or not self._started]

    # --- within ----------------------------------------------------------------------------------

    async def _add(self) -> _Child:
        child = _Child(self)
        try:
            await child.start(self._settings)
        except BaseException:
            child.kill(signal.SIGKILL)
            raise
        self._children.append(child)
        return child

    async def _keep(self, child: _Child) -> None:
        """Replace a worker when it ends."""
        delay = 0.0
        while True:
            assert child.process is not None  # `_add` starts it
            code = await child.process.wait()
            self._children.remove(child)
            self._departed = only_counts(add_up([self._departed, child.reported]))
            if self._ending:
                return
            lived = time.monotonic() - child.started
            delay = 0.0 if lived > _SOON_S else _slower(delay)
            event("worker_ended", logging.ERROR, pid=child.process.pid, code=code, wait_s=delay)
            await asyncio.sleep(delay)
            while (new := await self._successor()) is None:
                delay = _slower(delay)
                await asyncio.sleep(delay)
            child = new

    async def _successor(self) -> _Child | None:
        """A worker in a dead one's place; None if there could be none.

        One that started and cannot join is killed, and thereby replaced.
        """
        child = None
        try:
            child = await self._add()
            await self.planner.join(child)
        except (HubError, OSError) as error:
            event("worker_failed", logging.ERROR, reason=str(error))
            if child is not None:
                child.kill(signal.SIGKILL)
        else:
            event("worker_replaced", pid=child.process.pid if child.process else None)
        return child

    async def _reload_keys(self) -> None:
        """Read the keys again, here to know that they can be used, and in every worker.

        Raises:
            RequestError: they cannot.
        """
        reload_keys(self._keys)
        for child in list(self._children):
            with contextlib.suppress(ServingError):
                await child.channel.call("keys")

    def _end(self) -> None:
        if self._ending:
            for child in self._children:
                child.kill(signal.SIGKILL)
        self._ending = True
        self._ended.set()

    async def _stop_all(self) -> None:
        self._ending = True
        for child in self._children:
            if not child.serving:
                child.channel.close()  # it waits for what to serve, and ends
            child.kill(signal.SIGTERM)
        patience = self._settings.drain_s + self._settings.drain_delay_s + 5

        async def gone(child: _Child) -> None:
            if child.process is None:
                return
            try:
                await asyncio.wait_for(child.process.wait(), patience)
            except asyncio.TimeoutError:
                child.kill(signal.SIGKILL)

        await asyncio.gather(*(gone(child) for child in list(self._children)))

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _slower(delay_s: float) -> float:
    return min(_SLOWEST_S, 2 * delay_s + 0.1)


def only_counts(text: str) -> str:
    """Metrics without gauges: a dead worker's queue is gone, what it answered is not.

    Nor has the supervisor a queue of its own.
    """
    from prometheus_client.parser import text_string_to_metric_families

    gauges = {f.name for f in text_string_to_metric_families(text) if f.type == "gauge"}
    lines = []
    for line in text.splitlines(keepends=True):
        words = line.split(maxsplit=3)
        name = words[2] if line.startswith("#") and len(words) > 2 else line.partition("{")[0]
        if name.split()[0] not in gauges:
            lines.append(line)
    return "".join(lines)
