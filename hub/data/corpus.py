"""The texts of a corpus: files of any number and size, read a text at a time."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hub.data.columns import TEXTS, find
from hub.data.texts import has_lines, read_texts
from hub.errors import DataError, MissingPackageError

# What a folder is searched for; a file that is named may be any that `read_texts` reads.
_COMPRESSED = (".txt.zst", ".jsonl.zst")
_ALL = (".txt", ".jsonl", ".parquet", ".tsv", ".csv", *_COMPRESSED)
# zstd's --long writes windows of up to 128 MiB.
_MOST_WINDOW_BYTES = 1 << 27


def corpus_files(paths: Sequence[str | Path] | str | Path) -> list[Path]:
    """The files of a corpus, in the order of `paths` and, in a folder, of their names.

    Args:
        paths: files (or one file), and folders, whose own `.txt`, `.jsonl`, `.parquet`, `.tsv`,
            `.csv`, `.txt.zst` and `.jsonl.zst` files are taken.

    Raises:
        DataError: one is missing, or a folder holds none.
    """
    files: list[Path] = []
    given = [paths] if isinstance(paths, str | Path) else paths
    for path in map(Path, given):
        if path.is_dir():
            found = sorted(p for p in path.iterdir() if p.name.lower().endswith(_ALL))
            if not found:
                raise DataError(f"The folder {path} holds no {', '.join(_ALL)} files.")
            files += found
        elif path.exists():
            files.append(path)
        else:
            raise DataError(f"There is no file or folder {path}.")
    if not files:
        raise DataError("No corpus was given.")
    return files


def read_corpus(
    files: Sequence[Path],
    column: str | None = None,
    pair_column: str | None = None,
    pairs: bool = False,
) -> Iterator[str]:
    """Every text that is not blank, without the white space around it.

    Args:
        files: what `corpus_files` gave: a text a line (`.txt`), or tables.
        column: the tables' column of the text; None takes one of a usual name.
        pair_column, pairs: for pairs of texts, which a tab divides: see `read_texts`.

    Raises:
        DataError: a file cannot be read, a row of it has no text, or a column is given and there is
            no table.
        MissingPackageError: a file is compressed and `zstandard` is not installed.
    """
    if column is not None and all(map(has_lines, files)):
        raise DataError(
            f"{files[0]} has a text a line and no columns: leave --text-column out, or give a "
            "table another extension, such as .tsv."
        )
    for path in files:
        if path.suffix.lower() == ".zst":
            texts: Iterable[str] = _compressed(path, column)
        elif has_lines(path):
            texts = read_texts(path, pairs=pairs)
        else:
            texts = read_texts(path, column, pair_column, pairs)
        for text in texts:
            if stripped := text.strip():
                yield text if pairs else stripped  # a tab at its end divides it from an empty text


def _compressed(path: Path, column: str | None) -> Iterator[str]:
    """The texts of a `.txt.zst` or `.jsonl.zst` file, which are always UTF-8."""
    name = path.name.lower()
    if not name.endswith(_COMPRESSED):
        raise DataError(f"{path} is compressed; of these, {' and '.join(_COMPRESSED)} are read.")
    try:
        import zstandard
    except ImportError:
        raise MissingPackageError("zstandard", "pretrain", f"reading {path}") from None
    is_table = name.endswith(".jsonl.zst")
    with path.open("rb") as raw:
        decompressor = zstandard.ZstdDecompressor(max_window_size=_MOST_WINDOW_BYTES)
        stream = io.TextIOWrapper(decompressor.stream_reader(raw), encoding="utf-8-sig")
        try:
            for number, line in enumerate(stream, start=1):
                if not is_table:
                    yield line
                elif line.strip():
                    text, column = _text_of(line, column, f"{path}, line {number}")
                    yield text
        except (zstandard.ZstdError, UnicodeDecodeError) as error:
            raise DataError(f"{path} is damaged or not UTF-8: {error}.") from error


def _text_of(line: str, column: str | None, place: str) -> tuple[str, str]:
    """The text of a JSON line, and the column it stands in."""
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise DataError(f"{place}: not JSON ({error}).") from error
    if not isinstance(row, dict):
        raise DataError(f"{place}: a {type(row).__name__}, not an object with a text.")
    column = column or find(list(row), TEXTS)
    text = row.get(column) if column is not None else None
    if column is None or not isinstance(text, str):
        raise DataError(
            f"{place}: no text in {column or 'text'!r}, only in {', '.join(map(repr, row))}. "
            "Name the column with --text-column."
        )
    return text, column
