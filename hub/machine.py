"""The machine, and what this process may use of it."""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path

from hub.constants import THREADS_VARIABLE
from hub.errors import InputError

_CGROUP = Path("/sys/fs/cgroup")


def cpu_count() -> int:
    """The number of processors this process may use: of `taskset`'s, and of a container's share."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    share = container_share(_CGROUP)
    return count if share is None else max(1, min(count, math.ceil(share)))


def has_instructions(*names: str) -> bool:
    """Whether the processor has any of these, by Linux' names such as "avx2"; elsewhere False."""
    return any(f" {name} " in _processor() for name in names)


def is_amd() -> bool:
    """Whether the processor is AMD's; False where that is not known."""
    return "AuthenticAMD" in _processor()


@cache
def _processor() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:  # not Linux
        return ""


def container_share(cgroup: Path) -> float | None:
    """How many processors' time a container is given, as `docker run --cpus` and Kubernetes'
    limits say it; None is no such limit.

    Args:
        cgroup: where the kernel shows a container its control group, of version 2 or 1.
    """
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota, period = (
                (cgroup / "cpu" / f"cpu.cfs_{name}_us").read_text(encoding="ascii").strip()
                for name in ("quota", "period")
            )
        share = float(quota) / float(period)
    except (OSError, ValueError, ZeroDivisionError):  # no control groups, or "max"
        return None
    return share if share > 0 else None


def thread_count() -> int:
    """The number of threads to compute with: `HUB_NUM_THREADS`, else all processors.

    Raises:
        InputError: `HUB_NUM_THREADS` is not a positive whole number.
    """
    value = os.environ.get(THREADS_VARIABLE)
    if value is None:
        return cpu_count()
    if not (value.isascii() and value.isdigit()) or int(value) == 0:
        raise InputError(f"{THREADS_VARIABLE} must be a whole number from 1, not {value!r}.")
    return int(value)
