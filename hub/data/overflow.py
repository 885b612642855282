"""What is beyond memory's share of a large data set: in a file without a name.

The operating system removes it when the data set, or the process, is gone.
"""

from __future__ import annotations

import logging
import os
import tempfile
from typing import Any

from hub.constants import home

logger = logging.getLogger(__name__)

# Where something lies in the file: its start, and how many bytes it has.
Place = tuple[int, int]


class Overflow:
    """Keeps pieces of bytes in a file, which is there from the first of them on.

    Attributes:
        written: how many bytes it holds.
        is_full: whether the disk is, after which nothing more is taken.
    """

    def __init__(self) -> None:
        self.written = 0
        self.is_full = False
        self._file: Any = None

    def put(self, content: bytes | memoryview) -> Place | None:
        """Where a piece lies from now on; None if there is no room for it, which is told once."""
        if self.is_full:
            return None
        size = memoryview(content).nbytes
        try:
            self._file = self._file or temporary_file()
            self._file.write(content)
            self._file.flush()
        except OSError as error:
            logger.warning(
                "There is no room on the disk for a large data set (%s): it is kept in memory.",
                error.strerror or error,
            )
            self.is_full = True  # the file may end with a part of the piece: nothing follows it
            return None
        self.written += size
        return self.written - size, size

    def get(self, place: Place) -> bytes:
        """The piece that lies there."""
        start, size = place
        return os.pread(self._file.fileno(), size, start)


def temporary_file() -> Any:
    """A file without a name: where models are kept, as a system's own place may be memory."""
    try:
        home().mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=home())
    except OSError:
        return tempfile.TemporaryFile()
