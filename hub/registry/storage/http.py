"""A catalogue on an HTTP server: plain files to read, `PUT` to write (RFC 9110, section 9.3.4).

Any server of static files can be read from, as can an object store's public address. `HUB_TOKEN`
is sent as a bearer token, to this server only.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hub.constants import TOKEN_VARIABLE, offline
from hub.errors import CatalogueError, DownloadError
from hub.registry.checksums import Expected
from hub.registry.download import RemoteFile, download
from hub.registry.http import Client, public_url


class HttpStorage:
    """Files under an address.

    Args:
        location: the address of the catalogue's folder.
        quiet: show no progress bar.
    """

    lists = False

    def __init__(self, location: str, quiet: bool = False) -> None:
        self._address = location.rstrip("/")
        self.location = public_url(self._address)
        self._quiet = quiet
        self._client: Client | None = None

    def _open(self) -> Client:
        if offline():
            raise DownloadError(f"{self.location}: the network is forbidden by HUB_OFFLINE.")
        if self._client is None:
            self._client = Client(os.environ.get(TOKEN_VARIABLE), token_name=TOKEN_VARIABLE)
        return self._client

    def _url(self, path: str) -> str:
        return f"{self._address}/{quote(path)}"

    def read(self, path: str) -> bytes | None:
        """A short file's content; None if there is no such file."""
        try:
            return self._open().read(self._url(path))
        except DownloadError as error:
            if error.status in (404, 410):
                return None
            raise

    def fetch(self, path: str, target: Path, expected: Expected) -> None:
        """Copy a file to `target`, verified, going on with an earlier try."""
        file = RemoteFile(target.name, self._url(path), expected)
        download(file, target, self._open(), self._quiet)

    def names(self, path: str) -> list[str]:
        """Not to be had: see `lists`."""
        return []

    def size(self, path: str) -> int | None:
        """A file's size in bytes; None if there is no such file, or the server does not say."""
        try:
            with self._open().send(self._url(path), "HEAD") as response:
                value = response.headers.get("content-length", "")
        except DownloadError as error:
            if error.status in (404, 405, 410, 501):
                return None
            raise
        return int(value) if value.isdigit() else None

    def put(self, source: Path, path: str) -> None:
        """Store a file."""
        with source.open("rb") as content:
            self._put(path, content)

    def write(self, path: str, content: bytes) -> None:
        """Store a short file, replacing it."""
        self._put(path, content)

    def create(self, path: str, content: bytes) -> bool:
        """Store a short file unless one is there; whether it was stored."""
        if self.read(path) is not None:
            return False
        # Servers that know conditional requests refuse a second writer (RFC 9110, section 13.1.2).
        return self._put(path, content, {"If-None-Match": "*"})

    def _put(self, path: str, content: Any, headers: dict[str, str] | None = None) -> bool:
        try:
            self._open().send(
                self._url(path), "PUT", headers, content, allowed=(200, 201, 204)
            ).close()
        except DownloadError as error:
            if error.status == 412:
                return False
            if error.status in (401, 403, 404, 405, 501):
                raise CatalogueError(
                    f"The catalogue {self.location} cannot be written: the server answered "
                    f"{error.status} to PUT. HUB_TOKEN is the token it gets."
                ) from error
            raise
        return True
