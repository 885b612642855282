"""Refusing for a full queue as soon as a request's head is read.

Under overload most of what comes is refused. All that a request passes on its way (a task of its
own, the routes, an exception and what makes an answer of it) would take as much of the processors
as the answers do; here a refusal, which reads the same, takes a fraction of that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hub.serving.gate import Gate
from hub.serving.service import Service

# The addresses that answer texts at once. A batch (`:batch`) waits for room instead.
_PREDICTS = re.compile(
    rb"(?:/v1/models/([\w.-]+):predict|/predict/([\w.-]+)|/v2/models/([\w.-]+)/infer)(?:\?.*)?"
)


class EarlyRefusal:
    """Called with the head of every `POST`.

    Args:
        service: the models, and their queues.
        gate: what a request passes otherwise.
    """

    def __init__(self, service: Service, gate: Gate) -> None:
        self._service, self._gate = service, gate

    def __call__(self, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes | None:
        """The whole answer, without its `date`; None where the request takes its way.

        Args:
            target: the address as it was sent, with its query.
            headers: their names in lower case.
        """
        found = _PREDICTS.fullmatch(target)
        if found is None or self._service.refuses() is not None:
            return None
        served = self._service.models.get((found[1] or found[2] or found[3]).decode())
        if served is None:  # or its name is spelled otherwise
            return None
        versions = list(served.versions.values())
        if any(version.batcher.room(1) for version in versions):
            return None
        path = target.partition(b"?")[0].decode()
        only = versions[0].name if len(versions) == 1 else None
        return self._gate.refuse(path, headers, served.plan.name, only, versions[0].batcher.refusal)
