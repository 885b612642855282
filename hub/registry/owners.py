"""Whose an unfinished file or folder is: its name tells the machine and process that made it."""

from __future__ import annotations

import os
import re
import socket
import time
import uuid
from pathlib import Path

# What another machine has not touched for so long is taken for abandoned.
ABANDONED_S = 3600.0


def owner_mark() -> str:
    """The end of a name that nobody else gives: machine, process, and a random part."""
    machine = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())
    return f"{machine}.{os.getpid()}.{uuid.uuid4().hex[:8]}"


def is_abandoned(path: Path) -> bool:
    """Whether the process that made `path`, whose name ends with a mark, is gone.

    Raises:
        OSError: the path is gone itself.
        ValueError: the name has no mark.
    """
    machine, process, _ = path.name.rsplit(".", 2)
    touched = path.stat().st_mtime
    own = machine.endswith(owner_mark().rsplit(".", 2)[0])
    if own and os.name == "posix":  # elsewhere signal 0 is no question, but ends the process
        return not _is_alive(int(process))
    return time.time() - touched > ABANDONED_S


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
