"""What a file must be, and whether it is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from hub.errors import ChecksumError


@dataclass(frozen=True)
class Expected:
    """What is known of a file before it comes; None is unknown.

    Attributes:
        size: bytes.
        sha256, md5: checksums in hexadecimal.
        git_sha1: git's name of the content, which hubs give for small files.
        known_from: where this is known from, for the message when it does not hold.
    """

    size: int | None = None
    sha256: str | None = None
    md5: str | None = None
    git_sha1: str | None = None
    known_from: str = "the catalogue"

    @property
    def has_checksum(self) -> bool:
        """Whether any checksum is known."""
        return bool(self.sha256 or self.md5 or self.git_sha1)


class Hashes:
    """Takes in a file's bytes and tells whether they are the expected ones.

    SHA-256 is always computed: it is what the file is known by from then on.
    """

    def __init__(self, expected: Expected) -> None:
        self.expected = expected
        self.size = 0
        self._hashes: dict[str, Any] = {"sha256": hashlib.sha256()}
        if expected.md5 is not None and expected.sha256 is None:
            self._hashes["md5"] = hashlib.md5(usedforsecurity=False)
        if expected.git_sha1 is not None and expected.size is not None:
            self._hashes["git_sha1"] = hashlib.sha1(
                f"blob {expected.size}\0".encode(), usedforsecurity=False
            )

    def update(self, block: bytes | memoryview) -> None:
        """Take in the next bytes."""
        self.size += len(block)
        for value in self._hashes.values():
            value.update(block)

    @property
    def sha256(self) -> str:
        """The SHA-256 so far, in hexadecimal."""
        return str(self._hashes["sha256"].hexdigest())

    def check(self, where: str) -> None:
        """Compare with what was expected.

        Args:
            where: the file's address, for the message.

        Raises:
            ChecksumError: something differs.
        """
        expected = self.expected
        if expected.size is not None and self.size != expected.size:
            raise mismatch(where, "size", f"{expected.size:,}", f"{self.size:,}", expected)
        for kind, value in self._hashes.items():
            wanted = getattr(expected, kind)
            if wanted is not None and value.hexdigest() != wanted.lower():
                raise mismatch(where, kind, wanted.lower(), value.hexdigest(), expected)


def mismatch(where: str, kind: str, wanted: str, found: str, expected: Expected) -> ChecksumError:
    """The error that says what differs."""
    return ChecksumError(
        f"{where} is not the expected file: {kind} expected {wanted} (from {expected.known_from}), "
        f"found {found}. Nothing of it was kept."
    )
