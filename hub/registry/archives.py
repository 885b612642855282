"""A model folder as one file to carry, and back: `.tar`, `.tar.gz`, `.tgz`, `.zip`.

An archive may come from anywhere. Only plain files directly inside one folder are taken from it; it
is refused whole if it holds anything else, and nothing is ever written outside the target.
"""

from __future__ import annotations

import contextlib
import gzip
import shutil
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from hub.errors import InputError, ModelError
from hub.files import write_whole
from hub.registry.names import check_file_name

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")
MAX_MEMBERS = 1000
# Weights hardly compress: what unpacks to much more than the archive is a trap.
_MAX_RATIO = 20
_ALWAYS_ALLOWED_BYTES = 64 << 20
_BLOCK = 1 << 20

# What the readers of archives raise; a `gzip.BadGzipFile` is an OSError, unlike the others.
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    ValueError,
    RuntimeError,
)

# A member: its path, and how to open it.
_Member = tuple[str, Callable[[], IO[bytes]]]


def is_archive(path: Path) -> bool:
    """Whether the file's name is that of an archive."""
    return path.name.lower().endswith(SUFFIXES)


def pack(folder: Path, archive: Path) -> None:
    """Write the files of a model folder into an archive; the same files give the same bytes.

    Raises:
        OSError: the archive cannot be written.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file())
    kind = archive.name.lower()

    def write(place: Path) -> None:
        if kind.endswith(".zip"):
            with zipfile.ZipFile(place, "w", zipfile.ZIP_STORED) as zipped:
                for path in files:
                    entry = zipfile.ZipInfo(path.name)  # its time is fixed, in 1980
                    entry.external_attr = 0o644 << 16
                    with zipped.open(entry, "w", force_zip64=True) as target:
                        _copy(path, target)
        elif kind.endswith(".tar"):
            _write_tar(files, place.open("wb"))
        else:
            raw = place.open("wb")
            with raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as squeezed:
                _write_tar(files, squeezed)

    write_whole(archive, write)


def _write_tar(files: list[Path], stream: Any) -> None:
    with stream, tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in files:
            entry = tarfile.TarInfo(path.name)
            entry.size = path.stat().st_size
            entry.mode = 0o644
            with path.open("rb") as source:
                tar.addfile(entry, source)


def unpack(archive: Path, target: Path, *, max_bytes: int) -> None:
    """Write an archive's files into the new folder `target`.

    Args:
        archive: a file whose name says its kind.
        target: a folder that does not exist; it is removed again if the archive is refused.
        max_bytes: how much may be written at most.

    Raises:
        ModelError: the archive is damaged, or holds something that a model folder does not.
    """
    limit = min(max_bytes, max(_ALWAYS_ALLOWED_BYTES, _MAX_RATIO * archive.stat().st_size))
    target.mkdir(parents=True)
    try:
        with contextlib.ExitStack() as stack:
            members = _zip_members if archive.name.lower().endswith(".zip") else _tar_members
            _write_members(members(archive, stack), target, limit)
    except _Refused as error:
        shutil.rmtree(target, ignore_errors=True)
        raise ModelError(f"{archive} was refused: {error}. Nothing of it was kept.") from None
    except _DAMAGE as error:
        shutil.rmtree(target, ignore_errors=True)
        raise ModelError(f"{archive} is damaged ({error}). Copy or download it again.") from error
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise


class _Refused(Exception):
    """The archive holds something that it must not."""


def _write_members(members: Iterator[_Member], target: Path, limit: int) -> None:
    top: str | None = None
    seen: set[str] = set()
    written = 0
    for number, (name, open_member) in enumerate(members):
        if number >= MAX_MEMBERS:
            raise _Refused(f"it has more than {MAX_MEMBERS:,} members")
        folder, file = _split(name)
        if top is None:
            top = folder
        if folder != top:
            raise _Refused(f"{name!r} lies in another folder than the files before it")
        # Names that one file system holds apart are one file on another.
        key = unicodedata.normalize("NFC", file).casefold()
        if key in seen:
            raise _Refused(f"{name!r} is there twice")
        seen.add(key)
        with open_member() as source, (target / file).open("xb") as stored:
            while block := source.read(_BLOCK):
                written += len(block)
                if written > limit:
                    raise _Refused(f"it unpacks to more than {limit:,} bytes")
                stored.write(block)
    if not seen:
        raise _Refused("it is empty")


def _split(name: str) -> tuple[str, str]:
    """The folder ("" for none) and the file name of a member."""
    if "\\" in name or "\0" in name:
        raise _Refused(f"{name!r} has a backslash or a zero byte in its name")
    parts = name.split("/")
    if parts[0] == ".":
        parts = parts[1:]
    if not 1 <= len(parts) <= 2:
        raise _Refused(f"{name!r} is not a file directly in one folder")
    try:
        for part in parts:
            check_file_name(part)
    except InputError:
        raise _Refused(f"{name!r} is not a safe file name") from None
    return (parts[0] if len(parts) == 2 else ""), parts[-1]


def _tar_members(archive: Path, stack: contextlib.ExitStack) -> Iterator[_Member]:
    # Members are read in their order, once; sizes in headers are not believed.
    file: Any = stack.enter_context(archive.open("rb"))
    if archive.name.lower().endswith("gz"):
        # Unlike tarfile's own stream of a gzip file, this one compares the checksum at its end.
        file = stack.enter_context(gzip.GzipFile(fileobj=file))
    stream = _Forwards(file)
    tar = stack.enter_context(tarfile.TarFile(fileobj=stream))  # type: ignore[arg-type]
    number = 0
    while (entry := tar.next()) is not None:
        # Their headers can be long, and nobody asks for them again.
        tar.members.clear()  # type: ignore[attr-defined]
        number += 1
        if number > 2 * MAX_MEMBERS:
            raise _Refused(f"it has more than {MAX_MEMBERS:,} members")
        if entry.isdir() and entry.name.strip("./").count("/") == 0 and ".." not in entry.name:
            continue  # the one folder that the files lie in
        if not entry.isreg() or entry.issparse():
            raise _Refused(f"{entry.name!r} is not a plain file")

        def open_member(entry: tarfile.TarInfo = entry) -> IO[bytes]:
            opened = tar.extractfile(entry)
            assert opened is not None  # it is a regular file
            return opened

        yield entry.name, open_member
    stream.finish()


class _Forwards:
    """A tar as tarfile reads it, which takes a damaged header for the end and reads any length.

    Read forwards only, in pieces of bounded size, up to the end that every tar has: zeros.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._position = 0
        self._last = b""

    def tell(self) -> int:
        """The number of bytes read."""
        return self._position

    def seek(self, position: int) -> int:
        """Go forwards."""
        if position < self._position:
            raise tarfile.ReadError("a member lies before the one it follows")
        while self._position < position:
            self.read(min(_BLOCK, position - self._position))
        return position

    def read(self, size: int) -> bytes:
        """Exactly so many bytes."""
        if not 0 <= size <= _BLOCK:
            raise _Refused(f"a header in it is {size:,} bytes long")
        self._last = self._file.read(size)
        self._position += len(self._last)
        if len(self._last) < size:
            raise tarfile.ReadError("unexpected end of data")
        return self._last

    def finish(self) -> None:
        """See that this is the end, and not a header that cannot be read."""
        rest = self._file.read(_BLOCK)  # up to a gzip file's checksum, which is compared then
        if any(self._last) or any(rest) or len(rest) == _BLOCK:
            raise tarfile.ReadError("a header is damaged, or something follows the end")


def _zip_members(archive: Path, stack: contextlib.ExitStack) -> Iterator[_Member]:
    zipped = stack.enter_context(zipfile.ZipFile(archive))
    end = 0
    for entry in sorted(zipped.infolist(), key=lambda entry: entry.header_offset):
        name = entry.orig_filename
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if entry.flag_bits & 1:
            raise _Refused(f"{name!r} is encrypted")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _Refused(f"{name!r} is not a plain file")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _Refused(f"{name!r} is compressed in a way that is not read")
        if entry.header_offset < end:
            raise _Refused(f"{name!r} overlaps another member")  # one block unpacked many times
        end = entry.header_offset + entry.compress_size
        if name.endswith("/"):
            if name.count("/") > 1 or ".." in name:
                raise _Refused(f"{name!r} is a folder inside a folder")
            continue

        def open_member(entry: zipfile.ZipInfo = entry) -> IO[bytes]:
            return zipped.open(entry)

        yield name, open_member


def _copy(path: Path, target: Any) -> None:
    with path.open("rb") as source:
        shutil.copyfileobj(source, target, _BLOCK)
