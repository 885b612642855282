"""What every public source tells: which files a model has there, and how to get them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hub.constants import (
    CONFIG_FILE,
    FILES_BESIDE,
    MANIFEST_FILE,
    PUBLISHED_WORDS_FILE,
    SENTENCEPIECE_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
    VOCABULARY_FILE,
    WEIGHTS_FILE,
    WORDS_FILE,
)
from hub.errors import DownloadError
from hub.registry.download import RemoteFile

# In the order of preference: one is fetched.
WEIGHT_FILES = (WEIGHTS_FILE, "pytorch_model.bin", "model_state.pdparams")
# Fetched where they are.
DESCRIPTION_FILES = (CONFIG_FILE, "model_config.json", TOKENIZER_CONFIG_FILE)
WORDPIECE_FILES = (VOCABULARY_FILE, TOKENIZER_FILE)
ERNIE_TINY_FILES = (VOCABULARY_FILE, SENTENCEPIECE_FILE, PUBLISHED_WORDS_FILE)
# Of a folder that this package wrote.
_OWN_FILES = (
    MANIFEST_FILE, CONFIG_FILE, WEIGHTS_FILE, VOCABULARY_FILE, TOKENIZER_FILE,
    TOKENIZER_CONFIG_FILE, SENTENCEPIECE_FILE, WORDS_FILE, *FILES_BESIDE,
)  # fmt: skip
# The kind of a tokenizer that the catalogue knows nothing of.
AS_PUBLISHED = "as published"


@dataclass(frozen=True)
class Listing:
    """A model's files at one source.

    Attributes:
        revision: the exact version they are of, where the source has versions.
        files: those to fetch.
        token: sent to the origin of the files' addresses.
        token_name: the environment variable it comes from, for messages.
        local: files of the same revision that are on this machine already.
    """

    revision: str | None
    files: Sequence[RemoteFile]
    token: str | None = None
    token_name: str = ""
    local: Mapping[str, Path] = field(default_factory=dict)


class PublicSource(Protocol):
    """One place that has one model.

    Attributes:
        label: how messages call it, such as `huggingface (nghuyong/ernie-3.0-nano-zh)`.
        key: a file name of its own for what is on its way from it.
    """

    label: str
    key: str

    def list_files(self) -> Listing:
        """Find out what there is to fetch.

        Raises:
            DownloadError: the source cannot be reached, or has no such model.
        """

    def list_local(self) -> Listing | None:
        """What another program has fetched from there before, if it is complete; no network."""


class RepositorySource:
    """A model repository of a public hub.

    Args:
        repository: `organisation/name`.
        revision: branch, tag or commit.
        tokenizer_kind: as the catalogue calls it; decides which files are needed.
    """

    kind: str

    def __init__(self, repository: str, revision: str, tokenizer_kind: str) -> None:
        self.repository = repository
        self.revision = revision
        self.tokenizer_kind = tokenizer_kind
        self.label = f"{self.kind} ({repository})"
        self.key = f"{self.kind}-{repository.replace('/', '--')}"

    def list_local(self) -> Listing | None:
        """What another program has fetched from there before, if it is complete; no network."""
        return None


def choose_files(names: Sequence[str], tokenizer_kind: str, label: str) -> list[str]:
    """The files to fetch, of all that a source has.

    Raises:
        DownloadError: weights or tokenizer are not among them.
    """
    if tokenizer_kind == AS_PUBLISHED and {MANIFEST_FILE, WEIGHTS_FILE} <= set(names):
        pictures = [name for name in names if name.endswith(".png") and "/" not in name]
        return [name for name in _OWN_FILES if name in names] + pictures
    weights = [name for name in WEIGHT_FILES if name in names][:1]
    wanted = ERNIE_TINY_FILES if tokenizer_kind == "ernie-tiny" else WORDPIECE_FILES
    tokenizer = [name for name in wanted if name in names]
    complete = len(tokenizer) == len(wanted) if tokenizer_kind == "ernie-tiny" else tokenizer
    if not weights or not complete:
        missing = "weights" if not weights else "a tokenizer"
        raise DownloadError(
            f"{label} has no {missing} of a kind that is read "
            f"({', '.join(WEIGHT_FILES if not weights else wanted)})."
        )
    if VOCABULARY_FILE in tokenizer and tokenizer_kind == "wordpiece":
        tokenizer = [VOCABULARY_FILE]  # the tokenizer is built from it, as the catalogue says
    return weights + tokenizer + [name for name in DESCRIPTION_FILES if name in names]
