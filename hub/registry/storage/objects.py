"""A catalogue in an object store, through fsspec: `s3://`, `oss://` and what else it knows.

Addresses and keys are those of the store's own package: for `s3://` the AWS variables, among them
`AWS_ENDPOINT_URL` for a store in the house.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hub.constants import offline
from hub.errors import CatalogueError, ChecksumError, DownloadError, MissingPackageError
from hub.registry.checksums import Expected, Hashes
from hub.registry.download import progress_bar
from hub.registry.http import Attempts, public_url
from hub.registry.parts import Part

_BLOCK = 8 << 20
_EXTRAS = {"s3": ("s3fs", "s3"), "s3a": ("s3fs", "s3"), "oss": ("ossfs", "oss")}
_Result = TypeVar("_Result")


class ObjectStorage:
    """Files under a prefix of a bucket.

    Args:
        location: `scheme://bucket/prefix`.
        quiet: show no progress bar.
    """

    lists = True

    def __init__(self, location: str, quiet: bool = False) -> None:
        import fsspec

        scheme = location.partition("://")[0]
        self.location = public_url(location)
        self._quiet = quiet
        if offline():
            raise DownloadError(f"{self.location}: the network is forbidden by HUB_OFFLINE.")
        try:
            # Listings are not cached: another process may publish at any moment.
            self._system, self._root = fsspec.core.url_to_fs(location, use_listings_cache=False)
        except ImportError as error:
            package, extra = _EXTRAS.get(scheme, (f"for {scheme}:// in fsspec", scheme))
            raise MissingPackageError(package, extra, f"A catalogue at {scheme}://") from error
        except (ValueError, TypeError) as error:
            raise CatalogueError(f"{self.location} is not a location: {error}.") from error

    def _path(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}"

    def read(self, path: str) -> bytes | None:
        """A short file's content; None if there is no such file."""

        def read() -> bytes | None:
            try:
                return bytes(self._system.cat_file(self._path(path)))
            except FileNotFoundError:
                return None

        return self._ask(read)

    def fetch(self, path: str, target: Path, expected: Expected) -> None:
        """Copy a file to `target`, verified, going on with an earlier try."""
        part = Part(target, expected.sha256 or path)
        where = f"{self.location}/{path}"
        try:
            with progress_bar(target.name, self._quiet) as bar:
                bar.total = expected.size
                resumed = part.size > 0
                try:
                    self._ask(lambda: self._append(path, part, expected, bar)).check(where)
                except ChecksumError:
                    part.discard()
                    if not resumed:
                        raise
                    # An earlier try's bytes may be of another file: once more, from the beginning.
                    self._ask(lambda: self._append(path, part, expected, bar)).check(where)
            part.finish(target)
        except ChecksumError:
            part.discard()
            raise
        except BaseException:
            part.release()
            raise

    def _append(self, path: str, part: Part, expected: Expected, bar: Any) -> Hashes:
        """Fetch what the part lacks; the hashes of the whole."""
        hashes = Hashes(expected)
        with part.path.open("a+b") as stored:
            stored.seek(0)
            while block := stored.read(_BLOCK):
                hashes.update(block)
            bar.n = hashes.size
            # Without a cache every read is one request for just its range.
            with self._system.open(self._path(path), "rb", cache_type="none") as remote:
                if hashes.size:
                    remote.seek(hashes.size)
                while block := remote.read(_BLOCK):
                    hashes.update(block)
                    stored.write(block)
                    bar.update(len(block))
        return hashes

    def names(self, path: str) -> list[str]:
        """The names in the folder `path`."""

        def names() -> list[str]:
            try:
                found = self._system.ls(self._path(path), detail=False)
            except FileNotFoundError:
                return []
            return sorted(name.rstrip("/").rpartition("/")[2] for name in found)

        return self._ask(names)

    def size(self, path: str) -> int | None:
        """A file's size in bytes; None if there is no such file."""

        def size() -> int | None:
            try:
                return int(self._system.info(self._path(path))["size"])
            except FileNotFoundError:
                return None

        return self._ask(size)

    def put(self, source: Path, path: str) -> None:
        """Store a file."""
        self._ask(lambda: self._system.put_file(str(source), self._path(path)))

    def write(self, path: str, content: bytes) -> None:
        """Store a short file in one step, replacing it."""
        self._ask(lambda: self._system.pipe_file(self._path(path), content))

    def create(self, path: str, content: bytes) -> bool:
        """Store a short file in one step unless one is there; whether it was stored."""
        if self.read(path) is not None:
            return False

        def create() -> bool:
            try:
                self._system.pipe_file(self._path(path), content, mode="create")
            except FileExistsError:
                return False
            except (NotImplementedError, TypeError):  # a store that knows no such condition
                self._system.pipe_file(self._path(path), content)
            return True

        return self._ask(create)

    def _ask(self, question: Callable[[], _Result]) -> _Result:
        attempts = Attempts()
        while True:
            try:
                return question()
            except (DownloadError, KeyboardInterrupt):
                raise
            except PermissionError as error:
                raise CatalogueError(
                    f"{self.location} refuses access ({error}). Check the store's keys."
                ) from error
            except Exception as error:  # each store's package has errors of its own
                attempts.failed(
                    DownloadError(
                        f"{self.location} failed ({type(error).__name__}: {error}).",
                        transient=isinstance(error, OSError)
                        and not isinstance(error, FileNotFoundError),
                    )
                )
