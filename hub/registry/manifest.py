"""`hub.json`: what a folder written by this package holds, with the checksum of every file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hub.constants import CARD_FILE, MANIFEST_FILE
from hub.errors import ModelError
from hub.files import sha256_of, write_text
from hub.registry.names import check_file_name

FORMAT_VERSION = 1
# Files a person may edit without making the model another one.
_FREE_FILES = {CARD_FILE}


@dataclass(frozen=True)
class Manifest:
    """The content of `hub.json`.

    Attributes:
        kind: "model" (weights to go on with) or "inference" (an exported graph).
        task: the task's stored name; None for a pretrained model.
        labels: the labels in the order of their numbers.
        task_options: what the task is besides, such as the thresholds of its labels.
        max_seq_len: the length in tokens that is read at a time.
        base_model: the name of the model it was fine-tuned from.
        package_version: the version of this package that wrote the folder.
        engine: for "inference", the engine that runs the graph.
        precision: for "inference", what it computes in: "fp32", "bf16" or "int8".
        long_text: what is done with longer texts, "cut" or "window".
        files: name -> {"size", "sha256"}.
        name, version: what a catalogue calls the model.
        origin: for a fetched model, the source and the original files with their checksums.
    """

    kind: str
    task: str | None
    labels: list[str]
    max_seq_len: int
    base_model: str
    package_version: str
    engine: str | None = None
    precision: str = "fp32"
    long_text: str = "cut"
    task_options: dict[str, Any] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    name: str | None = None
    version: str | None = None
    origin: dict[str, Any] | None = None
    format_version: int = FORMAT_VERSION

    @property
    def size_bytes(self) -> int:
        """The size of all files together."""
        return sum(int(file["size"]) for file in self.files.values())

    def to_json(self) -> str:
        """The text of `hub.json`."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"


def write_manifest(folder: Path, manifest: Manifest, names: Iterable[str]) -> None:
    """Write `hub.json` for the files `names` of `folder`; it is the last file to appear."""
    files = {
        name: {"size": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)}
        for name in sorted(names)
    }
    write_text(folder / MANIFEST_FILE, replace(manifest, files=files).to_json())


def read_manifest(folder: Path, check_content: bool = True) -> Manifest | None:
    """Read `hub.json` and check the files it lists; None if there is no `hub.json`.

    Args:
        folder: the model folder.
        check_content: compute every file's checksum; otherwise only sizes are compared.

    Raises:
        ModelError: it is damaged or newer than this package, or a file is missing or changed.
    """
    try:
        text = (folder / MANIFEST_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / MANIFEST_FILE} is damaged ({error}).") from error
    manifest = parse_manifest(text, str(folder / MANIFEST_FILE))
    for name, file in manifest.files.items():
        _check(folder / name, file["size"], file["sha256"] if check_content else None)
    return manifest


def parse_manifest(text: str, where: str) -> Manifest:
    """Understand the text of a `hub.json`; `where` names it in errors.

    Raises:
        ModelError: it is damaged or newer than this package.
    """
    try:
        values = json.loads(text)
        version = values["format_version"]
        if version > FORMAT_VERSION:
            raise ModelError(
                f"{where} is of format {version}; this package reads up to {FORMAT_VERSION}. "
                "Upgrade it with: pip install --upgrade ernie-hub"
            )
        manifest = Manifest(**values)
        _check_types(manifest)
        files = {
            check_file_name(name): {"size": int(file["size"]), "sha256": str(file["sha256"])}
            for name, file in manifest.files.items()
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{where} is damaged ({error}).") from error
    return replace(manifest, files=files)


def _check_types(manifest: Manifest) -> None:
    """See that what is used without a look is of its kind.

    Raises:
        ValueError: it is not.
    """
    labels, options = manifest.labels, manifest.task_options
    if not (isinstance(labels, list) and all(isinstance(label, str) for label in labels)):
        raise ValueError(f"its labels are {labels!r:.40}")
    if not (isinstance(options, dict) and isinstance(manifest.files, dict)):
        raise ValueError("its task_options or files are no object")
    if not isinstance(manifest.max_seq_len, int) or manifest.max_seq_len < 1:
        raise ValueError(f"its max_seq_len is {manifest.max_seq_len!r:.40}")
    for value in (manifest.task, manifest.name, manifest.version, manifest.engine):
        if not (value is None or isinstance(value, str)):
            raise ValueError(f"{value!r:.40} is no name")


def _check(path: Path, size: int, sha256: str | None) -> None:
    if not path.exists():
        raise ModelError(f"{path} is missing, though {MANIFEST_FILE} lists it.")
    if path.name in _FREE_FILES:
        return
    if path.stat().st_size != size or (sha256 is not None and sha256_of(path) != sha256):
        raise ModelError(
            f"{path} is not the file that {MANIFEST_FILE} lists: it was changed or damaged. "
            f"Restore it (or, to keep the change, delete {MANIFEST_FILE} and load the folder as a "
            "plain Hugging Face folder)."
        )
