"""One process at a time does a thing; the others wait and are told for whom, or are refused."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hub.errors import DownloadError, OutputError
from hub.files import write_text

logger = logging.getLogger(__name__)

MESSAGE_EVERY_S = 10.0
TIMEOUT_S = 3600.0


@contextmanager
def locked(path: Path, purpose: str, timeout_s: float = TIMEOUT_S) -> Iterator[None]:
    """Hold the lock `path`, whose folder exists, while the body runs.

    The operating system frees the lock of a process that dies, however it dies.

    Args:
        path: the lock file; it stays, empty, for the next time.
        purpose: what is being done, for the message to those who wait.
        timeout_s: how long to wait for another process.

    Raises:
        DownloadError: the other process took longer than `timeout_s`.
    """
    import filelock

    lock = filelock.FileLock(path)
    holder = path.with_suffix(".json")
    start = time.monotonic()
    while True:
        left_s = timeout_s - (time.monotonic() - start)
        try:
            lock.acquire(timeout=max(0.0, min(MESSAGE_EVERY_S, left_s)), poll_interval=0.05)
            break
        except filelock.Timeout:
            if left_s <= MESSAGE_EVERY_S:
                raise DownloadError(
                    f"Waited {timeout_s:.0f} s for {_describe(holder)}, which is {purpose}. "
                    f"If it hangs, end it and try again (lock: {path})."
                ) from None
            logger.warning("Waiting for %s, which is %s.", _describe(holder), purpose)
    try:
        with suppress(OSError):
            me = {"process": os.getpid(), "machine": socket.gethostname()}
            write_text(holder, json.dumps(me))
        yield
    finally:
        with suppress(OSError):
            holder.unlink()
        lock.release()


@contextmanager
def alone(path: Path, refusal: str) -> Iterator[None]:
    """Hold the lock `path` while the body runs; the file goes with whoever holds it.

    Args:
        path: the lock file.
        refusal: what is said to who finds it held.

    Raises:
        OutputError: another process holds it.
    """
    import filelock

    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise OutputError(refusal) from None
    except (OSError, NotImplementedError) as error:
        # Not every network's file system has locks. What cannot be written is told when it is.
        logger.debug("%s cannot be locked: %s", path, error)
    try:
        yield
    finally:
        with suppress(OSError):  # some systems keep a file that is open
            path.unlink()  # while it is held: nobody can be writing
        lock.release()


def _describe(holder: Path) -> str:
    try:
        values = json.loads(holder.read_text(encoding="utf-8"))
        return f"process {values['process']} on {values['machine']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
