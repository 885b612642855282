"""API keys and the administrator's token: files with a secret a line, read again when they change.

A line is the secret itself, or `sha256:` and its SHA-256 in hexadecimal; a line that begins with
`#` is a comment. A key may have a name before a space, which the log then gives:
`mobile-app 3fa9...`.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from hub.errors import InputError, RequestError
from hub.serving.logs import event
from hub.serving.sources import public_reason

# How often, in seconds, a file is looked at for a change.
_LOOK_S = 1.0
_SHORTEST = 16


class KeyFile:
    """The secrets of a file.

    Args:
        path: the file.

    Raises:
        InputError: it cannot be read, or holds no usable secret.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        # What the file was when it was read last, with or without success.
        self._stamp: tuple[int, int, int] | None = None
        self._looked = 0.0
        self._digests: list[tuple[str, bytes]] = []
        self.reload()

    def reload(self) -> None:
        """Read the file again.

        Raises:
            InputError: it cannot be read, or holds no usable secret; the old ones stay valid.
        """
        with self._lock:
            try:
                self._stamp = _stamp_of(self._path)
                # Windows' programs begin a file with a mark, which is no part of a key.
                lines = self._path.read_text(encoding="utf-8-sig").splitlines()
            except (OSError, ValueError) as error:
                raise InputError(f"The keys of {self._path} cannot be read: {error}.") from error
            digests = [_digest_of(line, self._path) for line in lines if _is_secret(line)]
            if not digests:
                raise InputError(f"{self._path} holds no key: write a key a line.")
            self._digests = digests

    def name_of(self, secret: str | None) -> str | None:
        """The name of the key that `secret` is, `key N` without one; None if it is none.

        The time it takes does not depend on how much of a key was guessed, nor on which it is.
        """
        self._look()
        given = hashlib.sha256((secret or "").encode("utf-8", "surrogatepass")).digest()
        found = None
        for name, digest in self._digests:
            if hmac.compare_digest(given, digest):
                found = name
        return found if secret else None

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK_S:
            return
        self._looked = now
        with contextlib.suppress(OSError):  # gone for a moment, while it is replaced
            if _stamp_of(self._path) != self._stamp:
                with contextlib.suppress(RequestError):
                    reload_keys([self])


def reload_keys(files: Iterable[KeyFile | None]) -> None:
    """Read key files again.

    Raises:
        RequestError: one cannot be used: it is half written, or wrong. Its old keys, revoked ones
            too, stay valid, and the log says so.
    """
    for file in files:
        if file is not None:
            try:
                file.reload()
            except InputError as error:
                event("keys_not_taken", logging.ERROR, reason=str(error))
                raise RequestError(422, "bad_keys", public_reason(error)) from error


def _stamp_of(path: Path) -> tuple[int, int, int]:
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size, status.st_ino


def _is_secret(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _digest_of(line: str, path: Path) -> tuple[str, bytes]:
    parts = line.split()
    name = parts[0] if len(parts) == 2 else ""
    secret = parts[-1]
    if secret.startswith("#") or (len(parts) > 2 and any(part[0] == "#" for part in parts)):
        raise InputError(f"{path} has a comment behind a key: write it on a line of its own.")
    if len(parts) > 2:
        raise InputError(f"{path} has a line of more than a name and a key.")
    if secret.startswith("sha256:"):
        try:
            digest = bytes.fromhex(secret[7:])
        except ValueError:
            digest = b""
        if len(digest) != 32:
            raise InputError(f"{path} has a 'sha256:' that is not 64 hexadecimal digits.")
    else:
        if len(secret) < _SHORTEST:
            raise InputError(f"{path} has a key of fewer than {_SHORTEST} characters.")
        digest = hashlib.sha256(secret.encode()).digest()
    return name or f"key {digest.hex()[:6]}", digest
