"""`hub.json`: what a folder written by this package holds, with the checksum of every file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hub.constants import CARD_FILE, MANIFEST_FILE
from hub.errors import ModelError
from hub.files import sha256_of, write_text

FORMAT_VERSION = 1
# Files a person may edit without making the model another one.
_FREE_FILES = {CARD_FILE}


@dataclass(frozen=True)
class Manifest:
    """The content of `hub.json`.

    Attributes:
        kind: "model" (weights to go on with) or "inference" (an exported graph).
        task: the task's stored name.
        labels: the labels in the order of their numbers.
        max_seq_len: the length in tokens to which texts are cut.
        base_model: the name of the model it was fine-tuned from.
        package_version: the version of this package that wrote the folder.
        engine: for "inference", the engine that runs the graph.
        files: name -> {"size", "sha256"}.
    """

    kind: str
    task: str
    labels: list[str]
    max_seq_len: int
    base_model: str
    package_version: str
    engine: str | None = None
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION


def write_manifest(folder: Path, manifest: Manifest, names: Iterable[str]) -> None:
    """Write `hub.json` for the files `names` of `folder`; it is the last file to appear."""
    files = {
        name: {"size": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)}
        for name in sorted(names)
    }
    values = asdict(manifest) | {"files": files}
    write_text(folder / MANIFEST_FILE, json.dumps(values, ensure_ascii=False, indent=2) + "\n")


def read_manifest(folder: Path) -> Manifest | None:
    """Read `hub.json` and check the files it lists; None if there is no `hub.json`.

    Raises:
        ModelError: it is damaged or newer than this package, or a file is missing or changed.
    """
    path = folder / MANIFEST_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        version = values["format_version"]
        if version > FORMAT_VERSION:
            raise ModelError(
                f"{path} is of format {version}; this package reads up to {FORMAT_VERSION}. "
                "Upgrade it with: pip install --upgrade ernie-hub"
            )
        manifest = Manifest(**values)
        expected = {
            name: (int(file["size"]), str(file["sha256"])) for name, file in manifest.files.items()
        }
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{path} is damaged ({error}).") from error
    for name, (size, sha256) in expected.items():
        _check(folder / name, size, sha256)
    return manifest


def _check(path: Path, size: int, sha256: str) -> None:
    if not path.exists():
        raise ModelError(f"{path} is missing, though {MANIFEST_FILE} lists it.")
    if path.name in _FREE_FILES:
        return
    if path.stat().st_size != size or sha256_of(path) != sha256:
        raise ModelError(
            f"{path} is not the file that {MANIFEST_FILE} lists: it was changed or damaged. "
            f"Restore it (or, to keep the change, delete {MANIFEST_FILE} and load the folder as a "
            "plain Hugging Face folder)."
        )
