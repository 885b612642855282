"""What the HTTP side needs of the processes around it: alone, or one worker among several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hub.serving.keys import KeyFile, reload_keys
from hub.serving.metrics import Metrics
from hub.serving.planner import Planner
from hub.serving.plans import ModelPlan
from hub.serving.service import Service


class Fleet(Protocol):
    """All processes of a service together."""

    async def change(self, change: Mapping[str, Any]) -> dict[str, Any]: ...
    async def metrics(self) -> str: ...
    async def refusals(self) -> dict[str, Any]: ...


class LocalMember:
    """This process, as its planner sees it."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def prepare(self, plans: Sequence[ModelPlan], force: bool) -> None:
        """Load what the plans need."""
        await self._service.prepare(plans, force)

    async def commit(self, plans: Sequence[ModelPlan]) -> None:
        """Serve by them."""
        self._service.commit(plans)

    async def abort(self) -> None:
        """Forget what was prepared."""
        self._service.abort()


class LocalFleet:
    """A process that is alone.

    Args:
        planner: decides what is served.
        metrics: what is counted.
        keys: the key files, which a reload reads again.
    """

    def __init__(
        self, planner: Planner, metrics: Metrics, keys: Sequence[KeyFile | None] = ()
    ) -> None:
        self._planner, self._metrics, self._keys = planner, metrics, keys

    async def change(self, change: Mapping[str, Any]) -> dict[str, Any]:
        """Make a change; errors are `Planner.apply`'s, and `reload_keys`'."""
        if change["do"] == "reload":
            reload_keys(self._keys)
        return await self._planner.apply(change)

    async def metrics(self) -> str:
        """The metrics in Prometheus's text format."""
        return self._metrics.text()

    async def refusals(self) -> dict[str, Any]:
        """Why the last new version of a model was refused."""
        return dict(self._planner.refusals)
