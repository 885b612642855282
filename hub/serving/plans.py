"""What is to be served: plain data that a supervisor makes, sends to its workers and keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from hub.errors import RequestError
from hub.serving.settings import ModelSpec, check_version_name
from hub.serving.sources import Resolved
from hub.serving.traffic import Traffic


@dataclass(frozen=True)
class VersionPlan:
    """A version of a model.

    Attributes:
        version: what it is called.
        source: the folder or name that was given.
        folder: where it lies.
        digest: SHA-256 of what lies there, so that every worker loads the same.
        label: the name that the operator gave it, if any.
    """

    version: str
    source: str
    folder: str
    digest: str
    label: str | None = None


@dataclass(frozen=True)
class State:
    """Versions and how the requests are shared among them."""

    versions: tuple[VersionPlan, ...]
    traffic: Traffic

    def version(self, name: str) -> VersionPlan | None:
        """The version of this name."""
        return next((plan for plan in self.versions if plan.version == name), None)

    def with_version(self, plan: VersionPlan, traffic: Traffic) -> State:
        """With one version more, and other traffic; what nobody needs any more is left out."""
        kept = tuple(other for other in self.versions if other.version != plan.version)
        return State((*kept, plan), traffic).needed()

    def needed(self) -> State:
        """Without versions that have no part in the traffic."""
        used = set(self.traffic.versions)
        return replace(self, versions=tuple(p for p in self.versions if p.version in used))


@dataclass(frozen=True)
class ModelPlan:
    """A model: what it is now, and what it was before, which stays loaded for a rollback."""

    name: str
    now: State
    before: State | None = None

    @property
    def versions(self) -> list[VersionPlan]:
        """Every version that has to be loaded."""
        plans = {plan.version: plan for plan in (self.before.versions if self.before else ())}
        return list({**plans, **{plan.version: plan for plan in self.now.versions}}.values())

    def changed(self, now: State) -> ModelPlan:
        """After a change; the state until now becomes the one before."""
        return ModelPlan(self.name, now, self.now)

    def rolled_back(self) -> ModelPlan:
        """The state before, again.

        Raises:
            RequestError: there is none.
        """
        if self.before is None:
            raise RequestError(409, "nothing_before", "There is no earlier state to go back to.")
        return ModelPlan(self.name, self.before, self.now)

    def to_json(self) -> dict[str, Any]:
        """For another process."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ModelPlan:
        """What `to_json` gave."""
        before = values["before"]
        return cls(
            values["name"], _state(values["now"]), None if before is None else _state(before)
        )


def _state(values: Mapping[str, Any]) -> State:
    traffic = values["traffic"]
    arms = tuple((version, float(weight)) for version, weight in traffic["arms"])
    versions = tuple(VersionPlan(**plan) for plan in values["versions"])
    return State(versions, Traffic(arms, traffic["shadow"]))


def first_plan(specs: Sequence[ModelSpec], resolved: Sequence[Resolved]) -> ModelPlan:
    """The plan for the specs of one model."""
    plans = [
        VersionPlan(
            spec.version or found.version,
            spec.source,
            str(found.folder),
            found.digest,
            spec.version,
        )
        for spec, found in zip(specs, resolved, strict=True)
    ]
    pairs = list(zip(plans, specs, strict=True))
    arms = tuple((plan.version, spec.weight) for plan, spec in pairs if not spec.shadow)
    shadow = next((plan.version for plan, spec in pairs if spec.shadow), None)
    return ModelPlan(specs[0].name, State(tuple(plans), Traffic(arms, shadow)))


def deployed(
    plan: ModelPlan,
    source: str,
    found: Resolved,
    version: str | None,
    percent: float | None,
    shadow: bool,
) -> ModelPlan:
    """The plan with a new version: for all requests, a percentage of them, or as a shadow.

    Raises:
        RequestError: another version has this name.
    """
    label = version if version is None else check_version_name(version)
    name = label or found.version
    existing = plan.now.version(name)
    if existing is not None and existing.digest != found.digest:
        if label is not None:
            raise RequestError(
                409, "version_taken", "Another version has this name: choose a new one."
            )
        name = f"{name}+{found.digest[:8]}"
    made = VersionPlan(name, source, str(found.folder), found.digest, label)
    traffic = plan.now.traffic
    if shadow:
        arms = tuple((arm, weight) for arm, weight in traffic.arms if arm != name)
        if not arms:
            raise RequestError(409, "only_version", "The only version cannot be the shadow.")
        traffic = Traffic(arms, name)
    elif percent is None:
        traffic = Traffic(((name, 100.0),), None if traffic.shadow == name else traffic.shadow)
    else:
        traffic = traffic.with_canary(name, percent)
    return plan.changed(plan.now.with_version(made, traffic))


def with_traffic(plan: ModelPlan, traffic: Traffic) -> ModelPlan:
    """The plan with other shares among the versions that are loaded.

    Raises:
        RequestError: a version is not loaded.
    """
    known = {version.version: version for version in plan.versions}
    missing = [version for version in traffic.versions if version not in known]
    if missing:
        raise RequestError(404, "unknown_version", "A version in 'weights' is not loaded.")
    state = State(tuple(known[version] for version in traffic.versions), traffic)
    return plan.changed(state)


def without_version(plan: ModelPlan, version: str) -> ModelPlan:
    """The plan without a version that answers nobody.

    Raises:
        RequestError: it has a share of the traffic, or is not there.
    """
    if version not in {known.version for known in plan.versions}:
        raise RequestError(404, "unknown_version", "There is no such version.")
    if plan.now.traffic.shares.get(version, 0.0) > 0:
        raise RequestError(409, "in_use", "The version has a share of the traffic.")
    traffic = plan.now.traffic
    arms = tuple((arm, weight) for arm, weight in traffic.arms if arm != version)
    shadow = None if traffic.shadow == version else traffic.shadow
    now = State(plan.now.versions, Traffic(arms, shadow)).needed()
    before = plan.before
    if before is not None and before.version(version) is not None:
        before = None
    return ModelPlan(plan.name, now, before)


def renewed(plan: ModelPlan, found: Mapping[str, Resolved]) -> ModelPlan:
    """The plan after its sources were looked at again: what changed takes the old one's place.

    Args:
        plan: the plan.
        found: source -> what lies there now.
    """
    names = {}
    versions = []
    for version in plan.now.versions:
        now = found.get(version.source)
        if now is None or now.digest == version.digest:
            names[version.version] = version.version
            versions.append(version)
            continue
        name = now.version
        if version.label is not None:
            name = f"{version.label}+{now.digest[:8]}"
        taken = {other.version for other in plan.versions if other is not version}
        if name in taken or name == version.version:
            name = f"{name}+{now.digest[:8]}"
        names[version.version] = name
        versions.append(
            VersionPlan(name, version.source, str(now.folder), now.digest, version.label)
        )
    if tuple(versions) == plan.now.versions:
        return plan
    traffic = plan.now.traffic
    arms = tuple((names[arm], weight) for arm, weight in traffic.arms)
    shadow = None if traffic.shadow is None else names[traffic.shadow]
    return plan.changed(State(tuple(versions), Traffic(arms, shadow)))


def to_json(plans: Iterable[ModelPlan]) -> list[dict[str, Any]]:
    """Several plans for another process."""
    return [plan.to_json() for plan in plans]
