"""Names and versions that are safe as file names on every system and in every address."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hub.errors import InputError

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.+-]*[A-Za-z0-9])?")
_MAX_LENGTH = 100
# Windows opens a device for these, with any extension.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))}


@dataclass(frozen=True)
class Reference:
    """What a user writes for a model: `NAME`, `NAME@VERSION` or `NAME@ALIAS`.

    `NAME==VERSION`, as PaddleHub has it, is `NAME@VERSION`.

    Attributes:
        name: the normalised name.
        version: the version or alias, if there is one.
        given: the name as it was written, for messages.
    """

    name: str
    version: str | None
    given: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}@{self.version}"


def normalize(name: str) -> str:
    """The spelling by which names are compared: lower case, `-` for `_`."""
    return name.strip().lower().replace("_", "-")


def parse_reference(text: str, version: str | None = None) -> Reference:
    """Read `NAME[@VERSION]`; `version` is one given beside it.

    Raises:
        InputError: two versions were given.
    """
    name, at, own = text.strip().replace("==", "@", 1).partition("@")
    if at and version is not None and own != version:
        raise InputError(f"{text!r} names a version, and version={version!r} another one.")
    return Reference(normalize(name), own if at else version, name)


def check_name(name: str) -> str:
    """The normalised name, if a new model may have it.

    Raises:
        InputError: it would not be safe everywhere.
    """
    result = normalize(name)
    if not _is_safe(_NAME, result):
        raise InputError(
            f"{name!r} cannot name a model: use a to z, 0 to 9, '-' and '.', starting and ending "
            f"with a letter or digit, at most {_MAX_LENGTH} characters."
        )
    return result


def check_version(version: str) -> str:
    """The version or alias, if a new one may be called so.

    Raises:
        InputError: it would not be safe everywhere.
    """
    if not _is_safe(_VERSION, version):
        raise InputError(
            f"{version!r} cannot be a version or an alias: use letters, digits, '.', '-' and '+', "
            "such as 1.0.0 or prod."
        )
    return version


def check_file_name(name: str) -> str:
    """The name of a file inside a model folder, if it may lie there.

    Raises:
        InputError: it would lie elsewhere, or mean something else on another system.
    """
    safe = (
        name not in (".", "..")
        and 0 < len(name.encode()) <= 200
        and not re.search(r'[\x00-\x1f/\\:*?"<>|]', name)
        and not name.endswith((" ", "."))
        and name.split(".")[0].lower() not in _DEVICES
    )
    if not safe:
        raise InputError(f"{name!r} is not a safe file name.")
    return name


def _is_safe(pattern: re.Pattern[str], text: str) -> bool:
    return (
        pattern.fullmatch(text) is not None
        and len(text) <= _MAX_LENGTH
        and ".." not in text
        and text.split(".")[0].lower() not in _DEVICES
    )


def tell_versions(versions: Sequence[str], aliases: Mapping[str, str]) -> str:
    """What there is of a model, for messages: `1.0.0, 1.1.0, prod (1.0.0)`."""
    return ", ".join([*versions, *(f"{alias} ({aliases[alias]})" for alias in sorted(aliases))])


def version_order(version: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts 1.10.0 after 1.9.0, v10 after v9, and 1.0.0-rc1 before 1.0.0."""
    release, _, before = version.partition("-")

    def parts(text: str) -> list[tuple[int, int, str]]:
        found = re.findall(r"([0-9]+)|([^0-9.+]+)", text)
        return [(1, int(digits), "") if digits else (0, 0, other) for digits, other in found]

    # A pre-release sorts before the end of its release.
    end = [(-1, 0, ""), *parts(before)] if before else [(0, 0, "")]
    return (*parts(release), *end)
