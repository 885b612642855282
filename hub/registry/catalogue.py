"""The models known by name, read from `hub/registry.json`."""

from __future__ import annotations

import difflib
import fnmatch
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from hub.errors import UnknownModelError
from hub.registry.checksums import Expected
from hub.registry.names import normalize

_PACKAGE = Path(__file__).parent.parent
_EMBEDDED = Path(__file__).parent / "embedded"
_REVISIONS = {"huggingface": "main", "modelscope": "master"}


@dataclass(frozen=True)
class SourceFile:
    """A file at a fixed address, with what is published of it."""

    url: str
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None

    @property
    def expected(self) -> Expected:
        """What is known of it before it comes."""
        return Expected(size=self.size, sha256=self.sha256, md5=self.md5)


@dataclass(frozen=True)
class Source:
    """One place that has a model.

    Attributes:
        kind: "embedded" (in this package), "baidu" (files at fixed addresses), "modelscope" or
            "huggingface" (a repository).
        folder: of an embedded model, its folder's name.
        repository: `organisation/name`.
        revision: branch, tag or commit of the repository; its main branch unless given.
        files: name in the model folder -> where the file is.
    """

    kind: str
    folder: str | None = None
    repository: str | None = None
    revision: str = ""
    files: Mapping[str, SourceFile] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.revision:
            object.__setattr__(self, "revision", _REVISIONS.get(self.kind, ""))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Source:
        """Read the form that `registry.json` has."""
        files = {name: SourceFile(**file) for name, file in values.get("files", {}).items()}
        return cls(**{**values, "files": files})


@dataclass(frozen=True)
class ModelEntry:
    """One model of the catalogue; the fields are those of `registry.schema.json`.

    Attributes:
        name: its name, in lower case with hyphens.
        version: major.minor.patch.
        summary: one line.
        tokenizer: its kind and settings.
        sources: where its files are, each place whole in itself.
        aliases: other names that find it: PaddleHub's, PaddleNLP's, repositories on public hubs.
        language: ISO 639-1.
        architecture: the shape, in the terms of `config.json`.
        parameters: the exact number of the encoder's parameters.
        licence: SPDX identifier.
        pretrained: whether the weights were trained at all.
        trained_on: on what, in a sentence.
        scores: published figures, each with its source.
        seed: for a model that is not pretrained, where its random weights come from.
        finetuning: values of `TrainingArguments` that suit this model better than the defaults.
    """

    name: str
    version: str
    summary: str
    tokenizer: Mapping[str, Any]
    sources: Sequence[Source]
    aliases: Sequence[str] = ()
    language: str = ""
    architecture: Mapping[str, Any] = field(default_factory=dict)
    parameters: int = 0
    licence: str = "unknown"
    pretrained: bool = True
    trained_on: str = ""
    scores: Sequence[Mapping[str, Any]] = ()
    seed: int = 0
    finetuning: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path | None:
        """The folder inside this package, of a model that is embedded in it."""
        names = (source.folder for source in self.sources if source.kind == "embedded")
        name = next(names, None)
        return None if name is None else _EMBEDDED / name

    def to_dict(self) -> dict[str, Any]:
        """The entry as `registry.json` holds it, defaults included."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**values, "sources": [_source_to_dict(source) for source in self.sources]}


def _source_to_dict(source: Source) -> dict[str, Any]:
    def known(values: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if value}

    files = {name: known(dict(vars(file))) for name, file in source.files.items()}
    values = known({**vars(source), "files": files})
    if source.revision == _REVISIONS.get(source.kind):
        del values["revision"]
    return values


@cache
def _entries() -> tuple[ModelEntry, ...]:
    text = (_PACKAGE / "registry.json").read_text(encoding="utf-8")
    return tuple(
        ModelEntry(**{**model, "sources": [Source.from_dict(s) for s in model["sources"]]})
        for model in json.loads(text)["models"]
    )


@cache
def _names() -> dict[str, ModelEntry]:
    return {name: entry for entry in _entries() for name in (entry.name, *entry.aliases)}


def list_models(pattern: str | None = None) -> list[ModelEntry]:
    """Every model of the catalogue, in its order.

    Args:
        pattern: only those whose name or an alias matches it, such as `ernie-3.0-*`.
    """
    if pattern is None:
        return list(_entries())
    wanted = normalize(pattern)
    return [
        entry
        for entry in _entries()
        if any(fnmatch.fnmatchcase(name, wanted) for name in (entry.name, *entry.aliases))
    ]


def search_models(words: str) -> list[ModelEntry]:
    """The models whose name, aliases, summary or training data hold every one of the words."""
    wanted = normalize(words).split()

    def text_of(entry: ModelEntry) -> str:
        parts = [entry.name, *entry.aliases, entry.summary, entry.trained_on, entry.licence]
        return normalize(" ".join(parts))

    return [entry for entry in _entries() if all(word in text_of(entry) for word in wanted)]


def known_model(name: str) -> ModelEntry | None:
    """The model called `name`, if the catalogue has one; `-` and `_`, case are the same."""
    return _names().get(normalize(name))


def find_model(name: str, version: str | None = None) -> ModelEntry:
    """The model called `name`; `-` and `_`, upper and lower case are the same.

    Raises:
        UnknownModelError: there is none of this name or version; the message has the nearest names.
    """
    entry = known_model(name)
    if entry is None:
        raise UnknownModelError(
            f"There is no model {name!r}, neither in the catalogue nor as a folder."
            f"{_did_you_mean(normalize(name))} `hub list` shows what there is."
        )
    if version is not None and version != entry.version:
        raise UnknownModelError(
            f"{entry.name} has no version {version!r}: its only version is {entry.version}."
        )
    return entry


def _did_you_mean(wanted: str) -> str:
    near = [name for name in _names() if name.startswith(f"{wanted}-")]  # a family's name
    if not near:
        near = difflib.get_close_matches(wanted, _names(), n=6, cutoff=0.6)
        scores = [difflib.SequenceMatcher(None, name, wanted).ratio() for name in near]
        near = [name for name, score in zip(near, scores, strict=True) if score > scores[0] - 0.1]
    # Several names of one model are one proposal.
    names = list(dict.fromkeys(_names()[name].name for name in near))[:3]
    return f" Did you mean {' or '.join(map(repr, names))}?" if names else ""
