"""Unfinished downloads: bytes kept on disk, so that the next try goes on where the last one ended.

A part belongs to one process at a time. It is claimed by renaming it, which works on every file
system, network ones without locks included; when a process ends in order it gives the part back,
and when it was killed the next one takes it over.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from hub.registry.owners import is_abandoned, owner_mark


class Part:
    """The bytes of a file so far.

    Args:
        target: where the whole file will be; parts lie beside it.
        key: tells which content it is (a checksum, or the address): parts are resumed only for the
            same content.
    """

    def __init__(self, target: Path, key: str) -> None:
        short = hashlib.sha256(key.encode()).hexdigest()[:12]
        self._free = target.with_name(f".{target.name}.{short}.part")
        self._notes = target.with_name(f".{target.name}.{short}.json")
        self.path = self._claim()

    def _claim(self) -> Path:
        own = self._free.with_name(f"{self._free.name}.{owner_mark()}")
        for candidate in [self._free, *self._abandoned()]:
            with contextlib.suppress(OSError):  # another process was faster, or there is none
                candidate.rename(own)
                return own
        return own

    def _abandoned(self) -> list[Path]:
        """Parts of this content whose process is gone, the longest first."""
        found = []
        for path in self._free.parent.glob(f"{_escaped(self._free.name)}.*"):
            with contextlib.suppress(OSError, ValueError):
                if is_abandoned(path):
                    found.append((path.stat().st_size, path))
        return [path for _, path in sorted(found, reverse=True)]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def notes(self) -> dict[str, Any]:
        """What is known of the content: the address and the entity tag it came with."""
        try:
            values = json.loads(self._notes.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return values if isinstance(values, dict) else {}

    @notes.setter
    def notes(self, values: dict[str, Any]) -> None:
        # Not in one step: half a note is no note, and then the file is fetched from its beginning.
        self._notes.write_text(json.dumps(values), encoding="utf-8")

    def release(self) -> None:
        """Leave the bytes for the next try."""
        if not self.size:
            self.discard()
            return
        with contextlib.suppress(OSError):
            self.path.replace(self._free)

    def discard(self) -> None:
        """Remove the bytes, and what was noted of them."""
        for path in (self.path, self._notes):
            with contextlib.suppress(OSError):
                path.unlink()

    def finish(self, target: Path) -> None:
        """Make the bytes the whole file."""
        self.path.replace(target)
        with contextlib.suppress(OSError):
            self._notes.unlink()


def _escaped(name: str) -> str:
    return re.sub(r"([\[\]*?])", r"[\1]", name)
