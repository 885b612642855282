"""From what an operator names to a folder and a digest of what lies there."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from hub.constants import MANIFEST_FILE
from hub.errors import HubError, InputError, ModelError, ServingError
from hub.models.installation import folder_of
from hub.registry.catalogue import known_model
from hub.registry.manifest import read_manifest
from hub.registry.names import parse_reference
from hub.registry.settings import is_path, setting
from hub.registry.store import Store
from hub.registry.team import TeamCatalogue

# Something that looks like a path, for messages that leave the machine.
_PATH = re.compile(r"(?:[A-Za-z]:)?(?:[/\\][\w.@+~ -]+)+[/\\]?|(?:[\w.@+~-]+/)+[\w.@+~-]+")


@dataclass(frozen=True)
class Resolved:
    """What a source is at a moment.

    Attributes:
        folder: where it lies.
        digest: SHA-256 of its `hub.json`, which has that of every file; without one, of the names,
            sizes and times of its files.
        version: what it is called: its version in a catalogue, else the digest's first digits.
    """

    folder: Path
    digest: str
    version: str


def resolve(source: str, look: bool = False) -> Resolved:
    """Find a source.

    Args:
        source: a folder, or a name such as `travel@prod`.
        look: ask the team's catalogue again what an alias means; otherwise what this machine knows
            is good enough.

    Raises:
        InputError: there is no such folder or model.
        DownloadError: it cannot be fetched.
        ModelError: it is not whole: somebody may still be copying it.
    """
    if look and not Path(source).is_dir() and not is_path(source):
        reference = parse_reference(source)
        location = setting("catalogue")
        if location is not None and known_model(reference.name) is None:
            TeamCatalogue(location, quiet=True).pull(reference.name, reference.version, Store())
    folder = folder_of(source)
    manifest = read_manifest(folder, check_content=False)
    if manifest is None:
        digest = _digest_of_files(folder)
        return Resolved(folder, digest, digest[:8])
    digest = hashlib.sha256((folder / MANIFEST_FILE).read_bytes()).hexdigest()
    return Resolved(folder, digest, manifest.version or digest[:8])


def is_watchable(source: str) -> bool:
    """Whether a change of a source can be told from a change that is only half made.

    `hub.json` is written last and lists every file; a folder without one may be half copied at any
    time, so that only an explicit reload takes it.
    """
    try:
        return not Path(source).is_dir() or (Path(source) / MANIFEST_FILE).exists()
    except OSError:
        return False


def _digest_of_files(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file():
            status = path.stat()
            digest.update(f"{path.name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def public_reason(error: BaseException) -> str:
    """Why a model could not be loaded, without the paths of this machine."""
    if isinstance(error, HubError):
        return _PATH.sub(lambda match: re.split(r"[/\\]", match[0].rstrip("/\\"))[-1], str(error))
    return f"The model failed to load ({type(error).__name__}); the log says more."


def check_unchanged(folder: str, digest: str) -> None:
    """See that a folder is still what it was when it was planned.

    Raises:
        ServingError: it is not.
    """
    try:
        now = resolve(folder)
    except (InputError, ModelError) as error:
        raise ServingError(f"{folder} is gone or not whole any more: {error}") from error
    if now.digest != digest:
        raise ServingError(
            f"{folder} changed since this version was planned: a reload takes what is there now."
        )
