"""The data sets known by name, read from `hub/datasets.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hub.registry.catalogue import SourceFile

_PATH = Path(__file__).parent.parent / "datasets.json"
_GITHUB = "https://raw.githubusercontent.com"


@dataclass(frozen=True)
class DatasetSource:
    """One place that has a data set: an archive with its files, or the files themselves.

    Attributes:
        archive: the archive; None if there are files.
        files: name in the data set's folder -> where it is.
    """

    archive: SourceFile | None = None
    files: Mapping[str, SourceFile] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DatasetSource:
        """Read the form that `datasets.json` has."""
        if values["kind"] == "archive":
            return cls(SourceFile(values["url"], values.get("sha256"), size=values.get("size")))
        # A commit's files never change; so do their checksums.
        base = f"{_GITHUB}/{values['repository']}/{values['revision']}"
        return cls(
            files={
                name: SourceFile(f"{base}/{file['path']}", file["sha256"], size=file["size"])
                for name, file in values["files"].items()
            }
        )


@dataclass(frozen=True)
class DatasetEntry:
    """One data set of the catalogue.

    Attributes:
        name: its name, and that of its folder.
        summary: one line.
        task: what its labels are, as `hub.load_dataset`'s `kind`, or "text-matching".
        licence: what is known of it, in words.
        homepage: where it is described.
        sources: where it is, each place whole in itself, tried in this order.
        rows: how many rows each part has, where that is known.
        columns: "text", "text_pair" or "label" -> the column to take for it, where its usual names
            would mislead.
    """

    name: str
    summary: str
    task: str
    licence: str
    homepage: str
    sources: Sequence[DatasetSource]
    rows: Mapping[str, int] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)


@cache
def list_datasets() -> tuple[DatasetEntry, ...]:
    """Every data set of the catalogue, in its order."""
    values = json.loads(_PATH.read_text(encoding="utf-8"))["datasets"]
    return tuple(
        DatasetEntry(**{**entry, "sources": [DatasetSource.from_dict(s) for s in entry["sources"]]})
        for entry in values
    )


def near_datasets(name: str) -> list[str]:
    """The names of data sets that are spelt nearly so."""
    import difflib

    wanted = name.lower().replace("-", "_")
    return difflib.get_close_matches(wanted, [entry.name for entry in list_datasets()], cutoff=0.75)


def find_dataset(name: str) -> DatasetEntry | None:
    """The data set of a name, in any case and with hyphens or underscores."""
    wanted = name.lower().replace("-", "_")
    return next((entry for entry in list_datasets() if entry.name == wanted), None)
