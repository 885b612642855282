"""Changes to what is served: planned once, prepared by every worker, made by all or by none."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from hub.errors import HubError, RequestError
from hub.serving.logs import event
from hub.serving.metrics import Metrics
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

# What cannot be read may be half copied: it is told when so many looks found it alike, or looks
# over so many seconds. By default both are a minute.
_LOOKS = 12
_PATIENCE_S = 60.0


@dataclass
class _Unreadable:
    """A source that could not be read when it was looked at."""

    reason: str
    since: float
    looks: int = 0
    told: bool = False


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
        metrics: where refused versions are counted.
    """

    def __init__(
        self,
        members: Callable[[], Iterable[Member]],
        specs: Sequence[ModelSpec],
        metrics: Metrics | None = None,
    ) -> None:
        self._members = members
        self._specs = list(specs)
        self._metrics = metrics or Metrics()
        self._lock = asyncio.Lock()
        self.plans: dict[str, ModelPlan] = {}
        # Model -> why its last new version was refused.
        self.refusals: dict[str, dict[str, Any]] = {}
        # Source -> digest of what was tried there in vain: it is not tried again.
        self._refused: dict[str, str] = {}
        # Sources of which the log does not say yet that what was rolled back still lies there.
        self._rolled_back: set[str] = set()
        # Model and source -> why it cannot be read, as long as the watch finds it so.
        self._unreadable: dict[tuple[str, str], _Unreadable] = {}

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
        """Bring a new process to where the others are.

        Raises:
            HubError: it cannot load what they serve.
        """
        async with self._lock:
            plans = [await self._joined(member, plan) for plan in list(self.plans.values())]
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
                if change["do"] == "rollback" and plan.before is not None:
                    # What somebody went back from is not taken again because it still lies there.
                    now = {version.digest for version in plan.now.versions}
                    left = {v.source: v.digest for v in plan.before.versions if v.digest not in now}
                    self._refused.update(left)
                    self._rolled_back.update(left)
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
                errors: list[HubError] = []
                found = await self._look(plan, only_watchable, errors)
                if await self._renew(plan, found, errors):
                    self.refusals.pop(plan.name, None)
                    changed.append(plan.name)
                for error in errors:
                    self._note_refusal(plan.name, error)
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
                if shadow or percent is not None:
                    raise RequestError(
                        404,
                        "unknown_model",
                        "There is no such model; the first version of a new one answers every "
                        "request, and takes neither 'shadow' nor 'percent'.",
                    )
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

    async def _joined(self, member: Member, plan: ModelPlan) -> ModelPlan:
        """The plan by which a new process can serve, prepared there.

        An update in place has overwritten what was before: then nobody can go back to it.
        """
        others = list(self._members())
        try:
            await member.prepare([plan], True)
            return plan
        except HubError as error:
            if plan.before is None and others:
                raise
            reason = str(error)
        now = replace(plan, before=None)
        try:
            await member.prepare([now], True)
        except HubError:
            if others:  # they answer by what lay there: one name would have two contents
                raise
            fresh = renewed(now, await self._look(now, False, []))
            now = replace(fresh, before=None)
            await member.prepare([now], True)
        if plan.before is not None:
            event("rollback_lost", logging.WARNING, model=plan.name, reason=reason)
        await asyncio.gather(*(other.commit([now]) for other in others))
        self.plans[now.name] = now
        return now

    async def _renew(
        self, plan: ModelPlan, found: Mapping[str, Resolved], errors: list[HubError]
    ) -> bool:
        """Take over what is new: all of it, or else what proves itself.

        Args:
            plan: what is served.
            found: source -> what lies there now.
            errors: why something was refused is added to it.

        Returns:
            Whether anything was taken over.
        """
        new = {
            version.source: found[version.source]
            for version in plan.now.versions
            if version.source in found and found[version.source].digest != version.digest
        }
        alone = [{source: now} for source, now in new.items()]
        taken = False
        for part in [new, *alone] if len(new) > 1 else alone:
            changed = renewed(self.plans[plan.name], part)
            try:
                await self._make([changed], force=False)
            except HubError as error:
                if len(part) == 1:
                    errors.append(error)
                    await self._remember_refused(part)
                continue
            taken = True
            for source in part:
                self._refused.pop(source, None)
            event("model_renewed", model=plan.name, versions=changed.now.traffic.versions)
            if part is new:
                break
        return taken

    async def _look(
        self, plan: ModelPlan, only_watchable: bool, errors: list[HubError]
    ) -> dict[str, Resolved]:
        found = {}
        for source in dict.fromkeys(version.source for version in plan.now.versions):
            if only_watchable and not is_watchable(source):
                continue
            try:
                resolved = await asyncio.to_thread(resolve, source, True)
            except HubError as error:
                # Half copied, or the catalogue is away: the next look may find it.
                if not only_watchable or self._lasts(plan.name, source, error):
                    errors.append(error)
                continue
            self._can_be_read(plan.name, source)
            if self._refused.get(source) != resolved.digest:
                # Something else lies there: if the refused one comes back, somebody wants it.
                self._refused.pop(source, None)
                self._rolled_back.discard(source)
            elif only_watchable:
                # It was tried or rolled back, and nothing has changed since.
                if source in self._rolled_back:
                    self._rolled_back.discard(source)
                    event("rolled_back_skipped", model=plan.name, version=resolved.version)
                continue
            found[source] = resolved
        return found

    def _lasts(self, model: str, source: str, error: HubError) -> bool:
        """Whether the watch found a source unreadable for so long that it is to be told now."""
        now = time.monotonic()
        known = self._unreadable.get((model, source))
        if known is None or known.reason != public_reason(error):
            known = self._unreadable[model, source] = _Unreadable(public_reason(error), now)
        known.looks += 1
        lasts = known.looks >= _LOOKS or now - known.since >= _PATIENCE_S
        if known.told or not lasts:
            return False
        known.told = True
        return True

    def _can_be_read(self, model: str, source: str) -> None:
        """A source is whole again: what was told of it is over."""
        known = self._unreadable.pop((model, source), None)
        refusal = self.refusals.get(model)
        if known is not None and known.told and refusal and refusal["reason"] == known.reason:
            del self.refusals[model]

    def _note_refusal(self, model: str, error: BaseException) -> None:
        reason = public_reason(error)
        self.refusals[model] = {
            "reason": reason,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        self._metrics.reloads.labels(model, "failed").inc()
        event("version_not_taken", logging.ERROR, model=model, reason=str(error))

    async def _remember_refused(self, tried: Mapping[str, Resolved]) -> None:
        """Not to try again what lies there; what changed meanwhile was not tried."""
        for source, resolved in tried.items():
            with contextlib.suppress(HubError):
                if (await asyncio.to_thread(resolve, source)).digest == resolved.digest:
                    self._refused[source] = resolved.digest
