"""One address, one verified file on disk.

A file appears under its name only when it is whole and every checksum known of it holds. What was
fetched before an interruption is kept and gone on with where the server allows it (RFC 9110,
section 14). A server is believed in nothing: not in the length, not in the range it says it sends.
"""

from __future__ import annotations

import base64
import binascii
import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub.constants import show_progress
from hub.errors import ChecksumError, DownloadError, OutputError
from hub.files import readable_size
from hub.registry.checksums import Expected, Hashes, mismatch
from hub.registry.http import Client, public_url
from hub.registry.parts import Part
from hub.registry.transfer import TooLongError, is_encoded, receive

if TYPE_CHECKING:
    import requests

# No model of this kind is larger; a body without an announced length ends here.
MAX_FILE_BYTES = 32 << 30
_BLOCK = 1 << 20


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch.

    Attributes:
        name: its name in the model folder.
        url: its address.
        expected: what is known of it.
    """

    name: str
    url: str
    expected: Expected


@dataclass(frozen=True)
class Fetched:
    """What a fetched file turned out to be."""

    size: int
    sha256: str


class _Restart(Exception):
    """What is on disk cannot be gone on with: fetch the file from its beginning."""


def download(file: RemoteFile, target: Path, client: Client, quiet: bool = False) -> Fetched:
    """Fetch `file` to `target`, whose folder exists, going on with an earlier try.

    Raises:
        ChecksumError: it is not the expected file; nothing of it is kept.
        DownloadError: it cannot be had; what came is kept for the next try.
        OutputError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    part = Part(target, file.expected.sha256 or file.url)
    try:
        with progress_bar(file.name, quiet) as bar:
            fetched = _fetch(file, part, client, bar)
        part.finish(target)
        return fetched
    except OSError as error:
        part.discard()
        raise _unwritable(target, error) from error
    except (ChecksumError, OutputError):
        part.discard()
        raise
    except BaseException:
        part.release()
        raise


def _fetch(file: RemoteFile, part: Part, client: Client, bar: Any) -> Fetched:
    attempts = client.attempts()
    restarted = False
    while True:
        before = part.size
        try:
            return _try(file, part, client, bar)
        except (_Restart, ChecksumError) as error:
            # Bytes of an earlier try may be of another version of the file; those of one try are
            # what the server has.
            if restarted or before == 0:
                if isinstance(error, ChecksumError):
                    raise
                raise DownloadError(
                    f"{public_url(file.url)} cannot be fetched: the server contradicts itself."
                ) from None
            restarted = True
            part.discard()
        except DownloadError as error:
            if part.size > before:
                attempts.progressed()
            attempts.failed(error)


def _try(file: RemoteFile, part: Part, client: Client, bar: Any) -> Fetched:
    """One request, from where the part ends."""
    hashes = Hashes(file.expected)
    have = _take_in(part, hashes) if _resumable(file, part) else 0
    if have and have == file.expected.size:
        hashes.check(public_url(file.url))
        return Fetched(hashes.size, hashes.sha256)
    tag = part.notes.get("etag") if part.notes.get("url") == file.url else None
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and tag:
        headers["If-Range"] = tag
    try:
        response = client.send(file.url, headers=headers, allowed=(200, 206) if have else (200,))
    except DownloadError as error:
        if have and error.status == 416:
            raise _Restart from None
        raise
    with response:
        _check_type(response, file.url)
        # ModelScope answers a range with 200, though with the right Content-Range.
        if response.status_code == 206 or (have and "content-range" in response.headers):
            total = _range_total(response, have)
            if tag and response.headers.get("etag", tag) != tag:
                raise _Restart  # another version, though only the old one was asked for
        else:
            total = _content_length(response)
            hashes, have = Hashes(_with_header(file.expected, response)), 0
        limit = _limit(file, total)
        if limit < MAX_FILE_BYTES:
            _check_space(part.path, limit - have)
            bar.total = limit
        part.notes = {"url": file.url, "etag": _strong_tag(response)}
        _receive(file, response, part, hashes, limit, bar)
    if total is not None and hashes.size < total:
        raise DownloadError(
            f"{public_url(file.url)}: the connection broke off after {hashes.size:,} of "
            f"{total:,} bytes.",
            transient=True,
        )
    hashes.check(public_url(file.url))
    return Fetched(hashes.size, hashes.sha256)


def _resumable(file: RemoteFile, part: Part) -> bool:
    """Whether a part may be gone on with: its end can be checked, or the server names its version.

    A part longer than the file is none of it.
    """
    size = file.expected.size
    if size is not None and part.size > size:
        return False
    same = part.notes.get("url") == file.url and bool(part.notes.get("etag"))
    return file.expected.has_checksum or same


def _take_in(part: Part, hashes: Hashes) -> int:
    if not part.size:
        return 0
    with part.path.open("rb") as stored:
        while block := stored.read(_BLOCK):
            hashes.update(block)
    return hashes.size


def _check_type(response: requests.Response, url: str) -> None:
    kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml"):
        raise ChecksumError(
            f"{public_url(url)} answered with a web page ({kind}) and not with the file: a login "
            "page, or a proxy's message. Nothing of it was kept."
        )


def _range_total(response: requests.Response, have: int) -> int | None:
    found = re.fullmatch(
        r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("content-range", "").strip()
    )
    if found is None or int(found[1]) != have or int(found[2]) < have:
        raise _Restart
    # A server may send less than was asked for (RFC 9110, section 15.3.7): then the next request
    # goes on where this one ends.
    return None if found[3] == "*" else int(found[3])


def _content_length(response: requests.Response) -> int | None:
    if is_encoded(response):
        return None  # the length is that of the compressed form
    value = response.headers.get("content-length", "")
    return int(value) if value.isdigit() else None


def _limit(file: RemoteFile, total: int | None) -> int:
    """The number of bytes after which a body is too long.

    Raises:
        ChecksumError: the announced size is not the registered one.
        DownloadError: nothing would tell a whole file from one cut short.
    """
    size = file.expected.size
    if size is None:
        return MAX_FILE_BYTES if total is None else total
    if total is not None and total != size:
        where = public_url(file.url)
        raise mismatch(where, "size", f"{size:,}", f"{total:,}", file.expected)
    return size


def _with_header(expected: Expected, response: requests.Response) -> Expected:
    """Without a published checksum, the one that the server sends along (RFC 1864)."""
    value = response.headers.get("content-md5")
    if expected.has_checksum or not value or is_encoded(response):
        return expected
    try:
        md5 = base64.b64decode(value, validate=True).hex()
    except binascii.Error:
        return expected
    if len(md5) != 32:
        return expected
    return replace(expected, md5=md5, known_from="the server's Content-MD5")


def _strong_tag(response: requests.Response) -> str | None:
    tag = response.headers.get("etag", "")
    return tag if tag.startswith('"') and not is_encoded(response) else None


def _receive(
    file: RemoteFile,
    response: requests.Response,
    part: Part,
    hashes: Hashes,
    limit: int,
    bar: Any,
) -> None:
    """Append the body to the part; stop at the first byte too many."""
    whole_known = file.expected.has_checksum or file.expected.size is not None
    if not whole_known and not _is_delimited(response):
        raise DownloadError(
            f"{public_url(file.url)}: the server does not say how long the file is, and nothing "
            "else is known of it: a file cut short could not be told from a whole one."
        )
    bar.n = hashes.size
    bar.refresh()
    with part.path.open("ab" if hashes.size else "wb", buffering=0) as stored:
        try:
            receive(file.url, response, stored, hashes, limit, bar.update)
        except TooLongError:
            where = public_url(file.url)
            raise mismatch(where, "size", f"{limit:,}", "more", file.expected) from None


def _is_delimited(response: requests.Response) -> bool:
    headers = response.headers
    return "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()


def _check_space(path: Path, size: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if size > free:
        raise OutputError(
            f"{path.parent} has too little room: {readable_size(size)} are needed, "
            f"{readable_size(free)} are free."
        )


def _unwritable(target: Path, error: OSError) -> OutputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutputError(
            f"The disk is full: {target} could not be written. Nothing of it is left."
        )
    return OutputError(f"{target} cannot be written: {error.strerror or error}.")


@contextmanager
def progress_bar(name: str, quiet: bool) -> Iterator[Any]:
    """One bar for one file, with speed and time left; none without a terminal."""
    from tqdm.auto import tqdm

    silent = True if quiet or not show_progress() else None  # None: tqdm asks the terminal
    with tqdm(desc=name, unit="B", unit_scale=True, disable=silent) as bar:
        yield bar
