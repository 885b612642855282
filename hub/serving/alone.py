"""A service of one process."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence

from hub.errors import HubError, RequestError
from hub.serving.app import create_app
from hub.serving.fleet import LocalFleet, LocalMember
from hub.serving.keys import reload_keys
from hub.serving.logs import event
from hub.serving.metrics import Metrics
from hub.serving.planner import Planner
from hub.serving.server import Process, bind, open_keys, run_loop
from hub.serving.service import Service
from hub.serving.settings import ModelSpec, Settings


def serve(settings: Settings, specs: Sequence[ModelSpec]) -> None:
    """Serve until a signal comes.

    Raises:
        HubError: it cannot start.
    """
    run_loop(_serve(settings, specs))


async def _serve(settings: Settings, specs: Sequence[ModelSpec]) -> None:
    keys, admin_keys = open_keys(settings)
    metrics = Metrics()
    service = Service(settings, metrics)

    class Member(LocalMember):
        async def prepare(self, plans: Sequence[object], force: bool) -> None:
            try:
                await super().prepare(plans, force)  # type: ignore[arg-type]
            finally:
                process.install_signals()

    planner = Planner(lambda: [Member(service)], specs, metrics)

    async def reload() -> None:
        with contextlib.suppress(RequestError):
            reload_keys([keys, admin_keys])
        await planner.refresh()

    listener = bind(settings)
    port = listener.getsockname()[1]
    process = Process(service, settings, listener, reload)
    process.install_signals()
    app = create_app(service, LocalFleet(planner, metrics, [keys, admin_keys]), keys, admin_keys)
    failure: list[HubError] = []
    begun = time.monotonic()

    async def start() -> None:
        try:
            await planner.start()
        except HubError as error:
            failure.append(error)
            process.end(0)
            return
        event(
            "ready",
            address=settings.at(port).address,
            models=[model["name"] for model in service.status()],
            took_s=round(time.monotonic() - begun, 2),
        )
        if settings.watch_s is not None:
            await planner.watch(settings.watch_s)

    # The socket listens while the models load: /readyz says so.
    starting = asyncio.ensure_future(start())
    await process.serve(app)
    starting.cancel()
    if failure:
        raise failure[0]
