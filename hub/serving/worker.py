"""A worker: a process of a service of several, started by its supervisor as a program.

`python -m hub.serving.worker FD json|text`: its end of a pair of sockets, and how it logs.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any

from hub.errors import HubError, RequestError, ServingError
from hub.serving.app import create_app
from hub.serving.channel import Channel
from hub.serving.keys import KeyFile, reload_keys
from hub.serving.logs import configure
from hub.serving.metrics import Metrics
from hub.serving.plans import ModelPlan
from hub.serving.server import Process, bind, open_keys, run_loop
from hub.serving.service import Service
from hub.serving.settings import Settings

# How often, in seconds, the supervisor is sent what a killed worker must not take with it.
_REPORT_S = 1.0


class _RemoteFleet:
    """All processes, by way of the supervisor."""

    def __init__(self, channel: Channel, metrics: Metrics) -> None:
        self._channel, self._metrics = channel, metrics

    async def change(self, change: Mapping[str, Any]) -> dict[str, Any]:
        """Make a change everywhere."""
        done: dict[str, Any] = await self._channel.call("change", dict(change), within_s=None)
        return done

    async def metrics(self) -> str:
        """The sum of all processes' metrics."""
        text: str = await self._channel.call("metrics", self._metrics.text())
        return text

    async def refusals(self) -> dict[str, Any]:
        """Why the last new version of a model was refused."""
        refusals: dict[str, Any] = await self._channel.call("refusals")
        return refusals


class Worker:
    """The worker's side of the conversation with its supervisor."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._channel = Channel(self._handle)
        self._settings: asyncio.Future[Settings] = asyncio.get_running_loop().create_future()
        self._serving = asyncio.Event()
        self._metrics = Metrics()
        self._service: Service | None = None
        self._process: Process | None = None
        self._keys: list[KeyFile | None] = []

    async def run(self) -> None:
        """Do what the supervisor says, until it or a signal ends this process."""
        await self._channel.open(self._end)
        settings = await self._settings
        keys, admin_keys = open_keys(settings)
        self._keys = [keys, admin_keys]
        self._service = service = Service(settings, self._metrics)
        listener = bind(settings, shared=True)
        self._process = process = Process(service, settings, listener, self._ask_for_reload)
        process.install_signals()
        fleet = _RemoteFleet(self._channel, self._metrics)
        app = create_app(service, fleet, keys, admin_keys)
        waiting = [
            asyncio.ensure_future(self._serving.wait()),
            asyncio.ensure_future(self._channel.closed.wait()),
        ]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if self._channel.closed.is_set():
            return  # before it was ready, its supervisor ended
        background = [
            asyncio.ensure_future(self._report()),
            asyncio.ensure_future(self._follow()),
        ]
        await process.serve(app)
        for task in (*waiting, *background):
            task.cancel()
        with contextlib.suppress(ServingError):
            await asyncio.wait_for(self._channel.call("report", self._metrics.text()), 1.0)

    async def _ask_for_reload(self) -> None:
        await self._channel.call("change", {"do": "reload"}, within_s=None)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(_REPORT_S)
            with contextlib.suppress(ServingError):
                await self._channel.call("report", self._metrics.text())

    async def _follow(self) -> None:
        """A worker without a supervisor ends."""
        await self._channel.closed.wait()
        if self._process is not None:
            self._process.end(signal.SIGTERM)

    async def _handle(self, method: str, arguments: Any) -> Any:
        if method == "start":
            self._settings.set_result(Settings.from_json(arguments))
            return None
        if self._service is None or self._process is None:
            raise ServingError("The worker has not started.")
        if method == "prepare":
            plans = [ModelPlan.from_json(plan) for plan in arguments["plans"]]
            try:
                await self._service.prepare(plans, arguments["force"])
            finally:
                self._process.install_signals()
        elif method == "commit":
            self._service.commit([ModelPlan.from_json(plan) for plan in arguments["plans"]])
            self._serving.set()
        elif method == "abort":
            self._service.abort()
        elif method == "metrics":
            return self._metrics.text()
        elif method == "keys":
            with contextlib.suppress(RequestError):
                reload_keys(self._keys)
        return None


async def _main(end: socket.socket) -> None:
    await Worker(end).run()


def main() -> None:
    """The program."""
    configure(sys.argv[2] == "json")
    try:
        run_loop(_main(socket.socket(fileno=int(sys.argv[1]))))
    except HubError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
