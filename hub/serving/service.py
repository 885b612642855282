"""The models of one process: loading beside the old, switching in one step, answering."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hub.errors import HubError, RequestError
from hub.registry.names import normalize
from hub.serving.batching import Batcher
from hub.serving.engine import Engine, Outcome, Wishes
from hub.serving.loading import open_version
from hub.serving.logs import event
from hub.serving.metrics import Metrics, VersionMetrics
from hub.serving.plans import ModelPlan, VersionPlan
from hub.serving.settings import Settings
from hub.serving.shadowing import Shadowing
from hub.serving.sources import public_reason
from hub.serving.traffic import Traffic
from hub.tokenizers import Text

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Version:
    """A loaded version."""

    model: str
    plan: VersionPlan
    engine: Engine
    batcher: Batcher
    loaded_at: float = field(default_factory=time.time)
    users: int = 0

    @property
    def name(self) -> str:
        """What it is called."""
        return self.plan.version

    @contextmanager
    def used(self) -> Iterator[Version]:
        """While the body runs, the version stays."""
        self.users += 1
        try:
            yield self
        finally:
            self.users -= 1


@dataclass(frozen=True)
class Served:
    """A model as it is served: one object, so that a change is one step."""

    plan: ModelPlan
    versions: dict[str, Version]

    @property
    def traffic(self) -> Traffic:
        """How requests are shared out."""
        return self.plan.now.traffic


class Service:
    """What a process serves.

    Args:
        settings: how.
        metrics: what is counted.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings, self.metrics = settings, metrics
        self.models: dict[str, Served] = {}
        # Whether it shall end: `/readyz` says so. When its port closes, it takes no more requests.
        self.draining = self.closing = False
        # One thread computes for all versions: the processors are theirs together.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="engine")
        # One thread loads, as each one that ever allocated keeps memory of its own.
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._prepared: dict[tuple[str, str, str], Version] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        limits = settings.limits
        self._shadowing = Shadowing(metrics, limits.queue_texts, limits.deadline_s, self._busy)
        metrics.ready.set_function(lambda: float(self.not_ready() is None))

    # --- changing --------------------------------------------------------------------------------

    async def prepare(self, plans: Sequence[ModelPlan], force: bool = False) -> None:
        """Load and try whatever the plans need and is not loaded; nothing that is served changes.

        Raises:
            HubError: a version cannot be loaded, or did not prove itself.
        """
        for plan in plans:
            served = self.models.get(plan.name)
            for version in plan.versions:
                key = (plan.name, version.version, version.digest)
                if key in self._prepared or self._loaded(served, version) is not None:
                    continue
                like = None
                if served is not None:
                    arms = served.traffic.shares
                    like = served.versions[max(arms, key=lambda arm: arms[arm])].engine.task
                try:
                    engine = await asyncio.get_running_loop().run_in_executor(
                        self._loader, open_version, version, self.settings, like, force
                    )
                except HubError as error:
                    event(
                        "version_refused",
                        logging.ERROR,
                        model=plan.name,
                        version=version.version,
                        reason=str(error),
                    )
                    raise
                self._prepared[key] = self._version(plan.name, version, engine)

    def commit(self, plans: Sequence[ModelPlan]) -> None:
        """Serve by the plans from now on; what they need was prepared."""
        for plan in plans:
            served = self.models.get(plan.name)
            versions = {}
            for version in plan.versions:
                loaded = self._loaded(served, version)
                if loaded is None:
                    key = (plan.name, version.version, version.digest)
                    loaded = self._prepared.pop(key)
                    loaded.batcher.start()
                    self.metrics.reloads.labels(plan.name, "loaded").inc()
                    # Counted by the planner. Prometheus sees a rise only of what it saw before.
                    self.metrics.reloads.labels(plan.name, "failed").inc(0)
                    self.metrics.begin(plan.name, version.version, version.digest)
                versions[version.version] = loaded
            self.models[plan.name] = Served(plan, versions)
            if served is not None:
                kept = set(map(id, versions.values()))
                for old in served.versions.values():
                    if id(old) not in kept:
                        self._retire(old)
        self.abort()

    def abort(self) -> None:
        """Forget what was prepared and is not needed."""
        self._prepared.clear()

    async def stop(self) -> None:
        """End every batcher."""
        self._shadowing.stop()
        for served in self.models.values():
            for version in served.versions.values():
                await version.batcher.stop()
        for task in list(self._retiring):
            task.cancel()
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._loader.shutdown(wait=False, cancel_futures=True)

    def _version(self, model: str, plan: VersionPlan, engine: Engine) -> Version:
        settings = self.settings
        batcher = Batcher(
            engine,
            self._executor,
            VersionMetrics(self.metrics, model, plan.version),
            settings.batch_size,
            settings.batch_tokens,
            settings.batch_delay_ms / 1000,
            settings.limits.queue_texts,
        )
        return Version(model, plan, engine, batcher)

    @staticmethod
    def _loaded(served: Served | None, plan: VersionPlan) -> Version | None:
        version = None if served is None else served.versions.get(plan.version)
        return version if version is not None and version.plan.digest == plan.digest else None

    def _retire(self, version: Version) -> None:
        async def end() -> None:
            while version.users or version.batcher.depth:
                await asyncio.sleep(0.02)
            await version.batcher.stop()
            served = self.models.get(version.model)
            # A version of the same name may have taken its place.
            if served is None or version.name not in served.versions:
                self.metrics.forget(version.model, version.name)
            event("version_unloaded", model=version.model, version=version.name)

        task = asyncio.get_running_loop().create_task(end())
        self._retiring.add(task)

        def forget(done: asyncio.Task[None]) -> None:
            self._retiring.discard(done)
            # A network's memory is in cycles of its session: not at some later time, but now.
            asyncio.get_running_loop().call_later(0.1, self._loader.submit, _give_back)

        task.add_done_callback(forget)

    # --- answering -------------------------------------------------------------------------------

    def find(self, name: str) -> Served:
        """A model, by any spelling of its name.

        Raises:
            RequestError: there is none.
        """
        served = self.models.get(name)
        if served is None:
            wanted = normalize(name)
            served = next(
                (s for other, s in self.models.items() if normalize(other) == wanted), None
            )
        if served is None:
            raise RequestError(404, "unknown_model", "There is no such model; see /v1/models.")
        return served

    def choose(self, served: Served, version: str | None, key: str | None) -> tuple[Version, str]:
        """The version for a request, and why it: "pinned" or "split".

        Raises:
            RequestError: the version that was asked for is not loaded.
        """
        if version is not None:
            found = served.versions.get(version)
            if found is None:
                raise RequestError(404, "unknown_version", "The model has no such version.")
            return found, "pinned"
        return served.versions[served.traffic.choose(served.plan.name, key)], "split"

    def shadow(
        self, served: Served, texts: Sequence[Text], wishes: Wishes, outcomes: Sequence[Outcome]
    ) -> None:
        """Let the shadow version answer too, if there is one and it has time."""
        name = served.traffic.shadow
        version = None if name is None else served.versions.get(name)
        if version is not None:
            self._shadowing.offer(version, texts, wishes, outcomes)

    def _busy(self) -> bool:
        """Whether a request waits for the engine, or for what it computes."""
        return any(
            version.batcher.depth or version.batcher.busy_since is not None
            for served in self.models.values()
            for version in served.versions.values()
        )

    # --- telling ---------------------------------------------------------------------------------

    def not_ready(self) -> str | None:
        """Why no request should come here; None if they should."""
        if self.draining:
            return "draining"
        if (reason := self.refuses()) is not None:
            return reason
        now = time.monotonic()
        for served in self.models.values():
            for version in served.versions.values():
                since = version.batcher.busy_since
                if since is not None and now - since > self.settings.stuck_s:
                    return "engine_stuck"
        return None

    def refuses(self) -> str | None:
        """Why no request is taken; None if they are."""
        if self.closing:
            return "draining"
        return None if self.models else "loading"

    def status(self) -> list[dict[str, Any]]:
        """Every model with its versions and their shares; without paths."""
        return [status_of(served) for served in self.models.values()]


def _give_back() -> None:
    """Give the memory of what is not used any more back to the system."""
    gc.collect()
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def status_of(served: Served) -> dict[str, Any]:
    """A model with its versions and their shares; without paths."""
    shares, shadow = served.traffic.shares, served.traffic.shadow
    now = {plan.version for plan in served.plan.now.versions}
    versions = []
    for version in served.versions.values():
        role = (
            "shadow" if version.name == shadow else "serving" if version.name in now else "before"
        )
        versions.append(
            {
                "version": version.name,
                "role": role,
                "share": round(shares.get(version.name, 0.0), 6),
                "sha256": version.plan.digest,
                "loaded_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(version.loaded_at)),
                "queue": version.batcher.depth,
            }
        )
    first = served.versions[served.traffic.versions[0]].engine
    return {
        "name": served.plan.name,
        "task": first.task.name,
        "labels": list(first.task.labels),
        "pairs": bool(first.task.pairs),
        "max_seq_len": first.max_seq_len,
        "versions": versions,
    }


def as_refusal(error: BaseException) -> RequestError:
    """Why a version was refused, as an answer to an administrator."""
    if isinstance(error, RequestError):
        return error
    return RequestError(422, "version_refused", public_reason(error))
