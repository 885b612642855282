"""Changes to what is served: planned once, prepared by every worker, made by all or by none."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from hub.errors import HubError, InputError, RequestError
from hub.serving.logs import event
from hub.serving.plans import (
    ModelPlan,
    deployed,
    first_plan,
    renewed,
    with_traffic,
    without_version,
)
from hub.serving.service import as_refusal
from hub.serving.settings import ModelSpec, check_model_name
from hub.serving.sources import Resolved, is_watchable, public_reason, resolve
from hub.serving.traffic import Traffic, traffic_from


class Member(Protocol):
    """A process that serves."""

    async def prepare(self, plans: Sequence[ModelPlan], force: bool) -> None: ...
    async def commit(self, plans: Sequence[ModelPlan]) -> None: ...
    async def abort(self) -> None: ...


class Planner:
    """Who decides what is served.

    Args:
        members: the processes that serve, as they are at the moment.
        specs: what to begin with.
    """

    def __init__(self, members: Callable[[], Iterable[Member]], specs: Sequence[ModelSpec]) -> None:
        self._members = members
        self._specs = list(specs)
        self._lock = asyncio.Lock()
        self.plans: dict[str, ModelPlan] = {}
        # Model -> why its last new version was refused.
        self.refusals: dict[str, dict[str, Any]] = {}
        self._refused: dict[str, str] = {}  # source -> digest

    async def start(self) -> None:
        """Load what the service begins with.

        Raises:
            HubError: something of it cannot be served.
        """
        async with self._lock:
            plans = []
            for name in dict.fromkeys(spec.name for spec in self._specs):
                specs = [spec for spec in self._specs if spec.name == name]
                found = [await asyncio.to_thread(resolve, spec.source) for spec in specs]
                plans.append(first_plan(specs, found))
            await self._make(plans, force=False)

    async def join(self, member: Member) -> None:
        """Bring a new process to where the others are."""
        async with self._lock:
            plans = list(self.plans.values())
            await member.prepare(plans, True)
            await member.commit(plans)

    async def apply(self, change: Mapping[str, Any]) -> dict[str, Any]:
        """Make a change that an administrator asks for.

        Args:
            change: `do` is "deploy", "traffic", "rollback", "unload" or "reload"; the rest is what
                that takes.

        Returns:
            What was changed.

        Raises:
            RequestError: it cannot be done; nothing was changed.
        """
        try:
            if change["do"] == "reload":
                return {"changed": await self.refresh()}
            async with self._lock:
                name = change["model"]
                begun = time.monotonic()
                plan = await self._planned(name, change)
                await self._make([plan], force=bool(change.get("force")))
                self.refusals.pop(name, None)
                took = round(time.monotonic() - begun, 3)
                event("traffic_changed", model=name, do=change["do"], took_s=took)
                return {"model": name, "took_s": took}
        except HubError as error:
            refusal = as_refusal(error)
            if change["do"] == "deploy" and refusal.code == "version_refused":
                self._note_refusal(change["model"], error)
            raise refusal from error

    async def refresh(self, only_watchable: bool = False) -> list[str]:
        """Look at every source again, and take over what is new.

        A source that cannot be read, or holds a version that does not prove itself, changes
        nothing; the log and the status say why.

        Returns:
            The models that changed.
        """
        changed = []
        async with self._lock:
            for plan in list(self.plans.values()):
                try:
                    new = renewed(plan, await self._look(plan, only_watchable))
                    if new is plan:
                        continue
                    await self._make([new], force=False)
                except HubError as error:
                    self._note_refusal(plan.name, error)
                    for version in plan.now.versions:
                        self._remember_refused(version.source)
                else:
                    self.refusals.pop(plan.name, None)
                    changed.append(plan.name)
                    event("model_renewed", model=plan.name, versions=new.now.traffic.versions)
        return changed

    async def watch(self, every_s: float) -> None:
        """Look at the sources again and again."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.refresh(only_watchable=True)
            except Exception:
                logging.getLogger(__name__).exception("the sources could not be looked at")

    # --- within ----------------------------------------------------------------------------------

    async def _make(self, plans: Sequence[ModelPlan], force: bool) -> None:
        members = list(self._members())
        try:
            await asyncio.gather(*(member.prepare(plans, force) for member in members))
        except BaseException:
            await asyncio.gather(*(member.abort() for member in members), return_exceptions=True)
            raise
        await asyncio.gather(*(member.commit(plans) for member in members))
        for plan in plans:
            self.plans[plan.name] = plan

    async def _planned(self, name: str, change: Mapping[str, Any]) -> ModelPlan:
        plan = self.plans.get(name)
        if change["do"] == "deploy":
            source = change["source"]
            found = await asyncio.to_thread(resolve, source, True)
            version, percent = change.get("version"), change.get("percent")
            shadow = bool(change.get("shadow"))
            if plan is None:
                spec = ModelSpec(check_model_name(name), source, version, 100.0)
                return first_plan([spec], [found])
            return deployed(plan, source, found, version, percent, shadow)
        if plan is None:
            raise RequestError(404, "unknown_model", "There is no such model; see /v1/models.")
        if change["do"] == "rollback":
            return plan.rolled_back()
        if change["do"] == "unload":
            return without_version(plan, change["version"])
        traffic: Traffic = traffic_from(change["weights"], change.get("shadow"))
        return with_traffic(plan, traffic)

    async def _look(self, plan: ModelPlan, only_watchable: bool) -> dict[str, Resolved]:
        found = {}
        for version in plan.now.versions:
            if only_watchable and not is_watchable(version.source):
                continue
            try:
                resolved = await asyncio.to_thread(resolve, version.source, True)
            except HubError:
                if not only_watchable:
                    raise
                continue  # half copied, or the catalogue is away: the next look may find it
            if only_watchable and self._refused.get(version.source) == resolved.digest:
                continue  # it was tried, and nothing has changed since
            found[version.source] = resolved
        return found

    def _note_refusal(self, model: str, error: BaseException) -> None:
        reason = public_reason(error)
        self.refusals[model] = {
            "reason": reason,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        event("version_not_taken", logging.ERROR, model=model, reason=str(error))

    def _remember_refused(self, source: str) -> None:
        try:
            self._refused[source] = resolve(source).digest
        except (HubError, InputError):
            self._refused.pop(source, None)
