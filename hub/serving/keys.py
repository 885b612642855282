"""API keys and the administrator's token: files with a secret a line, read again when they change.

A line is the secret itself, or `sha256:` and its SHA-256 in hexadecimal; `#` begins a comment. A
key may have a name before a space, which the log then gives: `mobile-app 3fa9...`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
import time
from pathlib import Path

from hub.errors import InputError, ServingError

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
                status = os.stat(self._path)
                lines = self._path.read_text(encoding="utf-8").splitlines()
            except (OSError, ValueError) as error:
                raise InputError(f"The keys of {self._path} cannot be read: {error}.") from error
            digests = [_digest_of(line, self._path) for line in lines if _is_secret(line)]
            if not digests:
                raise InputError(f"{self._path} holds no key: write a key a line.")
            self._digests = digests
            self._stamp = (status.st_mtime_ns, status.st_size, status.st_ino)

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
        try:
            status = os.stat(self._path)
            if (status.st_mtime_ns, status.st_size, status.st_ino) != self._stamp:
                self.reload()
        except (OSError, InputError, ServingError):
            return  # half written, or gone: the keys that were read stay valid


def _is_secret(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _digest_of(line: str, path: Path) -> tuple[str, bytes]:
    parts = line.split()
    name = parts[0] if len(parts) == 2 else ""
    secret = parts[-1]
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
