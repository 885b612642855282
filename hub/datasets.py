"""Data sets in PaddleHub's spelling: those known by name, and classes to derive one's own from.

Each is a `hub.data.TextDataset`. PaddleHub encoded texts when it read them; here the model does it
later, so that `tokenizer` and `max_seq_len` are taken for the sake of its callers and change
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from hub.data.catalogue import find_dataset
from hub.data.examples import TextDataset
from hub.data.headerless import read_by_position
from hub.data.loading import load_dataset
from hub.data.named import open_named
from hub.files import read_utf8

__all__ = [
    "LCQMC",
    "MSRA_NER",
    "ChnSentiCorp",
    "SeqLabelingDataset",
    "TextClassificationDataset",
    "TextMatchingDataset",
]


class _FileDataset(TextDataset):
    """A file with tabs between its columns, which go by their order and not by their names.

    Args:
        base_path: the folder of the file.
        tokenizer: not used; see above.
        max_seq_len: not used.
        mode: "train", "dev" or "test": names the file where `data_file` does not.
        data_file: the file's name in the folder.
        label_file: a file with a label a line.
        label_list: the labels.
        is_file_with_header: whether the first line is to be passed over.

    Attributes:
        label_list: the labels in the order of their numbers, if they were given.

    Raises:
        DataError: the file cannot be read, or has unusable rows.
        InputError: the file of labels cannot be read.
    """

    kind_of_data: ClassVar[str]
    order: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        base_path: str | Path,
        tokenizer: Any = None,
        max_seq_len: int | None = 128,
        mode: str = "train",
        data_file: str | None = None,
        label_file: str | None = None,
        label_list: Sequence[str] | None = None,
        is_file_with_header: bool = False,
        **unused: Any,
    ) -> None:
        folder = Path(base_path)
        path = folder / (data_file or f"{mode}.tsv")
        table = read_by_position(path, self.order, is_file_with_header)
        _take_over(self, load_dataset(table, kind=self.kind_of_data))
        if label_file is not None and label_list is None:
            label_list = _lines(folder / label_file)
        object.__setattr__(self, "label_list", None if label_list is None else list(label_list))

    def get_labels(self) -> list[str] | None:
        """The labels in the order of their numbers, if they were given."""
        labels: list[str] | None = self.__dict__["label_list"]
        return labels


class TextClassificationDataset(_FileDataset):
    """A label and a text a line."""

    kind_of_data: ClassVar[str] = "text-classification"
    order: ClassVar[tuple[str, ...]] = ("label", "text_a")


class TextMatchingDataset(_FileDataset):
    """Two texts and a label a line."""

    kind_of_data: ClassVar[str] = "text-matching"
    order: ClassVar[tuple[str, ...]] = ("text_a", "text_b", "label")


class SeqLabelingDataset(_FileDataset):
    """Tokens and their tags a line, each divided by U+0002."""

    kind_of_data: ClassVar[str] = "token-classification"
    order: ClassVar[tuple[str, ...]] = ("tokens", "tags")


class _NamedDataset(TextDataset):
    """A data set known by name.

    Args:
        tokenizer: not used; see above.
        max_seq_len: not used.
        mode: "train", "dev" or "test".

    Raises:
        DataError: the data set has no such part.
        DownloadError: it is not on this machine and cannot be fetched.
    """

    folder: ClassVar[str]
    kind_of_data: ClassVar[str]
    label_list: ClassVar[list[str]]

    def __init__(
        self, tokenizer: Any = None, max_seq_len: int = 128, mode: str = "train", **unused: Any
    ) -> None:
        entry = find_dataset(self.folder)
        assert entry is not None  # each of them is in the catalogue
        _take_over(self, load_dataset(open_named(entry, mode), kind=self.kind_of_data))

    def get_labels(self) -> list[str]:
        """The labels in the order of their numbers: of a user's own files of that name, theirs."""
        if self.kind == "token-classification":
            return self.label_list
        found = self.label_counts().keys()
        return self.label_list if found <= set(self.label_list) else sorted(found)


class ChnSentiCorp(_NamedDataset):
    """Reviews of hotels, notebooks and books, negative (0) or positive (1)."""

    folder: ClassVar[str] = "chnsenticorp"
    kind_of_data: ClassVar[str] = "text-classification"
    label_list: ClassVar[list[str]] = ["0", "1"]


class LCQMC(_NamedDataset):
    """Pairs of questions that mean the same (1) or not (0)."""

    folder: ClassVar[str] = "lcqmc"
    kind_of_data: ClassVar[str] = "text-matching"
    label_list: ClassVar[list[str]] = ["0", "1"]


class MSRA_NER(_NamedDataset):
    """News with persons, organisations and places."""

    folder: ClassVar[str] = "msra_ner"
    kind_of_data: ClassVar[str] = "token-classification"
    label_list: ClassVar[list[str]] = [
        "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "O",
    ]  # fmt: skip


def _take_over(made: TextDataset, read: TextDataset) -> None:
    """Let `made` be the data set `read`."""
    TextDataset.__init__(
        made, read.examples, read.source, read.skipped, read.notes, read.kind, read.facts, read.unit
    )


def _lines(path: Path) -> list[str]:
    lines = (line.strip() for line in read_utf8(path).split("\n"))
    return [line for line in lines if line]
