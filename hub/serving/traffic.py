"""Which version answers a request: shares, callers who always meet the same one, and a shadow."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass

from hub.errors import InputError, RequestError

_WHOLE = float(1 << 64)


@dataclass(frozen=True)
class Traffic:
    """How the requests to one model are shared out.

    Attributes:
        arms: versions and their weights, in an order that is kept: a caller's place in it is fixed,
            so that a larger share takes callers from its neighbours and gives none back.
        shadow: the version that answers a copy of every request, unseen.
    """

    arms: tuple[tuple[str, float], ...]
    shadow: str | None = None

    def __post_init__(self) -> None:
        if any(not 0 <= weight < 1e9 for _, weight in self.arms):
            raise InputError("A version's weight must be a number from 0.")
        if not sum(weight for _, weight in self.arms) > 0:
            raise InputError("At least one version must have a share of the traffic.")
        if self.shadow in self.shares:
            raise InputError(f"Version {self.shadow} cannot answer and be the shadow at once.")

    @property
    def versions(self) -> list[str]:
        """Every version that is needed."""
        return [version for version, _ in self.arms] + ([self.shadow] if self.shadow else [])

    @property
    def shares(self) -> dict[str, float]:
        """Each version's share, as a fraction of 1."""
        total = sum(weight for _, weight in self.arms)
        return {version: weight / total for version, weight in self.arms}

    def choose(self, model: str, key: str | None) -> str:
        """The version for a request; the same key of the same model meets the same version."""
        if len(self.arms) == 1:
            return self.arms[0][0]
        place = random.random() if key is None else place_of(model, key)
        reached = 0.0
        for version, share in self.shares.items():
            reached += share
            if place < reached:
                return version
        # Rounding may leave the last border a hair below 1.
        return next(version for version, weight in reversed(self.arms) if weight > 0)

    def with_canary(self, version: str, percent: float) -> Traffic:
        """`percent` of the traffic for one version, the rest shared out as it was."""
        if not 0 <= percent <= 100:
            raise InputError(f"A percentage must be from 0 to 100, not {percent:g}.")
        others = {name: share for name, share in self.shares.items() if name != version}
        total = sum(others.values())
        if not others or total == 0:
            return Traffic(((version, 100.0),), self._shadow_without(version))
        scale = (100.0 - percent) / total
        arms = [
            (name, percent if name == version else share * scale)
            for name, share in self.shares.items()
        ]
        if version not in self.shares:
            arms.append((version, percent))
        return Traffic(tuple(arms), self._shadow_without(version))

    def _shadow_without(self, version: str) -> str | None:
        return None if self.shadow == version else self.shadow


def place_of(model: str, key: str) -> float:
    """Where a caller stands between 0 and 1: by SHA-256, so on every machine and for good."""
    digest = hashlib.sha256(f"{model}\0{key}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / _WHOLE


def traffic_from(weights: Mapping[str, float], shadow: str | None) -> Traffic:
    """Traffic as an administrator writes it: {"3": 90, "4": 10}.

    Raises:
        RequestError: it is not understood.
    """
    try:
        return Traffic(tuple((name, float(weight)) for name, weight in weights.items()), shadow)
    except (TypeError, ValueError) as error:
        raise RequestError(422, "bad_traffic", str(error)) from None
