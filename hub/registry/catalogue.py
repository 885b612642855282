"""The models known by name, read from `hub/registry.json`."""

from __future__ import annotations

import difflib
import json
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hub.errors import UnknownModelError

_PACKAGE = Path(__file__).parent.parent
_EMBEDDED = Path(__file__).parent / "embedded"


@dataclass(frozen=True)
class ModelEntry:
    """One model of the catalogue; the fields are those of `registry.schema.json`.

    Attributes:
        name: its name, in lower case with hyphens.
        aliases: other names that find it.
        version: major.minor.patch.
        summary: one line.
        language: ISO 639-1.
        architecture: the shape, in the terms of `config.json`.
        parameters: the exact number of the encoder's parameters.
        tokenizer: its kind and settings.
        source: where the files are.
        licence: SPDX identifier.
        pretrained: whether the weights were trained at all.
        trained_on: on what, in a sentence.
        scores: published figures, each with its source.
        seed: for a model that is not pretrained, where its random weights come from.
        finetuning: values of `TrainingArguments` that suit this model better than the defaults.
    """

    name: str
    aliases: list[str]
    version: str
    summary: str
    language: str
    architecture: dict[str, Any]
    parameters: int
    tokenizer: dict[str, Any]
    source: dict[str, Any]
    licence: str
    pretrained: bool
    trained_on: str
    scores: list[dict[str, Any]]
    seed: int = 0
    finetuning: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the model's files are on this machine."""
        return _EMBEDDED / str(self.source["embedded"])

    def to_dict(self) -> dict[str, Any]:
        """The entry as `registry.json` holds it."""
        return asdict(self)


@cache
def _entries() -> tuple[ModelEntry, ...]:
    text = (_PACKAGE / "registry.json").read_text(encoding="utf-8")
    return tuple(ModelEntry(**model) for model in json.loads(text)["models"])


def _normalize(name: str) -> str:
    return name.strip().lower().replace("_", "-")


def list_models() -> list[ModelEntry]:
    """Every model of the catalogue, in its order."""
    return list(_entries())


def search_models(words: str) -> list[ModelEntry]:
    """The models whose name, aliases, summary or training data hold every one of the words."""
    wanted = _normalize(words).split()

    def text_of(entry: ModelEntry) -> str:
        parts = [entry.name, *entry.aliases, entry.summary, entry.trained_on, entry.licence]
        return _normalize(" ".join(parts))

    return [entry for entry in _entries() if all(word in text_of(entry) for word in wanted)]


def find_model(name: str, version: str | None = None) -> ModelEntry:
    """The model called `name`; `-` and `_`, upper and lower case are the same.

    Raises:
        UnknownModelError: there is none of this name or version; the message has the nearest names.
    """
    wanted = _normalize(name)
    names = {spelling: entry for entry in _entries() for spelling in (entry.name, *entry.aliases)}
    entry = names.get(wanted)
    if entry is None:
        near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise UnknownModelError(
            f"There is no model {name!r}, neither in the catalogue nor as a folder.{hint} "
            "`hub list` shows what there is."
        )
    if version is not None and version != entry.version:
        raise UnknownModelError(
            f"{entry.name} has no version {version!r}; there is {entry.version}."
        )
    return entry
