"""A catalogue in a folder: a shared drive, a USB stick, a mounted volume."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from hub.errors import CatalogueError, DownloadError, OutputError
from hub.files import write_whole
from hub.registry.checksums import Expected, Hashes

_BLOCK = 1 << 20


class FolderStorage:
    """Files in a folder.

    Args:
        location: its path; it is made when something is first put into it.
    """

    lists = True

    def __init__(self, location: str) -> None:
        self.location = location
        self._root = Path(location).expanduser()

    def read(self, path: str) -> bytes | None:
        """A short file's content; None if there is no such file."""
        try:
            return (self._root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            if not self._root.parent.exists():
                raise DownloadError(f"There is no folder {self._root}.") from None
            return None
        except OSError as error:
            raise self._unreadable(path, error) from error

    def fetch(self, path: str, target: Path, expected: Expected) -> None:
        """Copy a file to `target`, verified."""
        hashes = Hashes(expected)

        def copy(place: Path) -> None:
            with place.open("wb") as copied:
                for block in self._blocks(path):
                    hashes.update(block)
                    copied.write(block)
            hashes.check(str(self._root / path))

        try:
            write_whole(target, copy)
        except OSError as error:
            raise OutputError(f"{target} cannot be written: {error.strerror}.") from error

    def names(self, path: str) -> list[str]:
        """The names in the folder `path`."""
        try:
            found = [p.name for p in (self._root / path).iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise self._unreadable(path, error) from error
        return sorted(name for name in found if not name.startswith("."))

    def size(self, path: str) -> int | None:
        """A file's size in bytes; None if there is no such file."""
        try:
            return (self._root / path).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._unreadable(path, error) from error

    def put(self, source: Path, path: str) -> None:
        """Store a file."""
        self._written(path, lambda place: shutil.copyfile(source, place))

    def write(self, path: str, content: bytes) -> None:
        """Store a short file in one step, replacing it."""
        self._written(path, lambda place: place.write_bytes(content))

    def _written(self, path: str, write: Callable[[Path], object]) -> None:
        target = self._root / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, write)
        except OSError as error:
            raise CatalogueError(
                f"The catalogue {self.location} cannot be written: {error.strerror or error}."
            ) from error

    def create(self, path: str, content: bytes) -> bool:
        """Store a short file in one step unless one is there; whether it was stored."""
        target = self._root / path
        whole = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            whole.write_bytes(content)
            try:
                # A link is made or refused in one step, on network drives too.
                os.link(whole, target)
            except FileExistsError:
                return False
            except OSError:  # a file system without links
                with target.open("xb") as file:
                    file.write(content)
            return True
        except FileExistsError:
            return False
        except OSError as error:
            raise CatalogueError(
                f"The catalogue {self.location} cannot be written: {error.strerror or error}."
            ) from error
        finally:
            with contextlib.suppress(OSError):
                whole.unlink()

    def _blocks(self, path: str) -> Iterator[bytes]:
        try:
            with (self._root / path).open("rb") as source:
                while block := source.read(_BLOCK):
                    yield block
        except OSError as error:
            raise self._unreadable(path, error) from error

    def _unreadable(self, path: str, error: OSError) -> DownloadError:
        return DownloadError(f"{self._root / path} cannot be read: {error.strerror or error}.")
