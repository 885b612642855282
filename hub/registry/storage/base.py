"""What a catalogue asks of the place it lies in."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from hub.registry.checksums import Expected


class Storage(Protocol):
    """Files under one location; paths inside have `/` between their parts.

    Every method raises `DownloadError` if the place cannot be reached and `CatalogueError` if it
    refuses what is asked of it.

    Attributes:
        location: the place, as the user wrote it, without secrets.
        lists: whether `names` works: an HTTP server cannot list its folders.
    """

    location: str
    lists: bool

    def read(self, path: str) -> bytes | None:
        """A short file's content; None if there is no such file."""

    def fetch(self, path: str, target: Path, expected: Expected) -> None:
        """Copy a file to `target`, verified, going on with an earlier try."""

    def names(self, path: str) -> list[str]:
        """The names of files and folders in the folder `path`; none if there is no such folder."""

    def size(self, path: str) -> int | None:
        """A file's size in bytes; None if there is no such file."""

    def put(self, source: Path, path: str) -> None:
        """Store a file."""

    def write(self, path: str, content: bytes) -> None:
        """Store a short file in one step, replacing it."""

    def create(self, path: str, content: bytes) -> bool:
        """Store a short file in one step unless one is there; whether it was stored."""
