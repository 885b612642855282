"""Where a service starts: in this process, or in several under a supervisor."""

from __future__ import annotations

from collections.abc import Sequence

from hub.serving.logs import configure
from hub.serving.settings import ModelSpec, Settings


def run(settings: Settings, specs: Sequence[ModelSpec]) -> None:
    """Serve until a signal ends it.

    Raises:
        HubError: it cannot start.
    """
    configure(settings.json_logs)
    if settings.workers == 1:
        from hub.serving.alone import serve

        serve(settings, specs)
    else:
        from hub.serving.supervisor import supervise

        supervise(settings, specs)
