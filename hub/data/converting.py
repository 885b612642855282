"""One file of labelled texts into another, whatever either's format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from hub.data.conll import EXTENSIONS
from hub.data.examples import Example, TextDataset
from hub.data.records import columns_of, doccano_record, flat_record, record, tagged_record
from hub.data.tags import WRITTEN_SCHEMES, scheme_name
from hub.data.writers import FLAT, WRITERS, write_rows, write_safely
from hub.errors import DataError, InputError, OutputError

_DOCCANO = ".doccano.jsonl"
_T = TypeVar("_T")


def check_target(path: Path, overwrite: bool = False) -> None:
    """See that a file may be written, before any work is done.

    Raises:
        OutputError: its extension is unknown, or it is there already.
    """
    known = (*WRITERS, *EXTENSIONS)
    if path.suffix.lower() not in known:
        raise OutputError(
            f"{path}: the extension {path.suffix!r} cannot be written; "
            f"{', '.join(sorted((*known, _DOCCANO)))} can."
        )
    if path.is_dir():
        raise OutputError(f"{path} is a folder.")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} is there already: replace it with --overwrite.")


def write_dataset(
    data: TextDataset, path: Path, *, scheme: str = "BIO", overwrite: bool = False
) -> None:
    """Write labelled texts in the format of the path's extension.

    Args:
        data: the examples.
        path: the file: `.tsv`, `.csv`, `.jsonl`, `.json`, `.parquet`, `.xlsx`, a file of tags
            (`.conll`, `.bio`, `.bmes` and so on) or `.doccano.jsonl`.
        scheme: how tags are written: BIO, BIOES or BMES.
        overwrite: replace what is there.

    Raises:
        DataError: the format cannot hold the data.
        InputError: tags cannot be written in this scheme.
        OutputError: the file is there, or cannot be written.
    """
    check_target(path, overwrite)
    extension = path.suffix.lower()
    if extension in EXTENSIONS:
        if data.kind != "token-classification":
            raise DataError(
                f"{path} cannot hold {data.source}: a file of tags holds single texts with "
                f"entities only, and this is data for {data.kind}."
            )
        _write_conll(data, path, scheme)
        return
    pairs = any(isinstance(example.text, tuple) for example in data)
    if pairs and not all(isinstance(example.text, tuple) for example in data):
        raise DataError(f"{data.source} has single texts and pairs: a file holds one or the other.")
    columns = columns_of(data.kind, pairs)
    if path.name.lower().endswith(_DOCCANO):
        rows = _each(data, path, doccano_record)
    elif extension in FLAT:
        rows = _each(data, path, lambda e: flat_record(e, data.kind))
    else:
        rows = _each(data, path, lambda e: record(e, data.kind))
    write_rows(path, columns, rows)


def _write_conll(data: TextDataset, path: Path, scheme: str) -> None:
    scheme = scheme_name(scheme)
    if scheme not in WRITTEN_SCHEMES:
        raise InputError(
            f"Tags are written in {', '.join(WRITTEN_SCHEMES)}; {scheme} is only read."
        )

    def write(temporary: Path) -> None:
        sentences = _each(data, path, lambda e: tagged_record(e, scheme))
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            for number, (text, tags) in enumerate(sentences):
                if number:
                    file.write("\n")
                _check_characters(text + "".join(tags), path, data, number)
                file.writelines(f"{c}\t{tag}\n" for c, tag in zip(text, tags, strict=True))

    write_safely(path, write)


def _check_characters(text: str, path: Path, data: TextDataset, number: int) -> None:
    # At the start of a file U+FEFF would be taken for its byte-order mark.
    if any(c in text for c in "\t\r\n\0") or (number == 0 and text.startswith("\ufeff")):
        raise DataError(
            f"{path} cannot hold the text of {data.place(data[number])}: a tab, an end of line "
            "or a null character cannot be a token. Write .jsonl instead."
        )


def _each(data: TextDataset, path: Path, form: Callable[[Example], _T]) -> Iterator[_T]:
    for example in data:
        try:
            yield form(example)
        except DataError as error:
            raise DataError(f"{path} cannot hold {data.place(example)}: {error}.") from None
