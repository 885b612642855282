"""What a run was made with, for its records."""

from __future__ import annotations

import platform

import numpy as np

from hub import __version__
from hub.backend import paddle
from hub.machine import thread_count


def versions() -> dict[str, str]:
    """The packages, and the machine, that figures depend on."""
    return {
        "ernie-hub": __version__,
        "paddlepaddle": paddle.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {thread_count()} threads",
    }
