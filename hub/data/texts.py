"""The texts of a file without labels, read a row at a time: files may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.data.columns import TEXTS, find, find_texts
from hub.data.encodings import detect_encoding
from hub.data.examples import BadRow
from hub.data.readers import read_table
from hub.data.tables import LINES, Table, peek, tell_bad_rows
from hub.errors import DataError


@dataclass(frozen=True)
class TextFile:
    """A file whose rows have been seen to have a text each; iterating reads them again.

    Attributes:
        path: the file.
        column: the column of the text; None if every line is one.
        count: the number of rows.
        notes: what the user should hear of it.
    """

    path: Path
    column: str | None
    count: int = 0
    notes: Sequence[str] = ()

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[str]:
        """Every row's text, also an empty one, in their order.

        Raises:
            DataError: the file was changed meanwhile, and a row has none.
        """
        if self.column is None:
            yield from _lines(self.path)
            return
        table = read_table(self.path)
        for item in table.rows:
            text = _text(item, self.column)
            if isinstance(text, BadRow):
                raise DataError(_describe([text], table))
            yield text


def read_texts(path: Path, column: str | None = None) -> TextFile:
    """See that every row of a file has a text, and count them.

    Args:
        path: a table (`.tsv`, `.csv`, `.jsonl`, `.parquet`, `.xlsx`, ...), or a `.txt` file, in
            which every line is a text. As in every table here, a blank line is no row.
        column: the column of the text; None takes one of a usual name.

    Raises:
        DataError: the file cannot be read, has no such column or no rows, or a row has no text.
    """
    if path.suffix.lower() == ".txt" and column is None:
        if not path.exists():
            raise DataError(f"There is no file {path}.")
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty.")
        note = detect_encoding(path).note
        return TextFile(path, None, sum(1 for _ in _lines(path)), (note,) if note else ())
    table = read_table(path)
    sample, rows = peek(table.rows)
    columns = table.columns or list(dict.fromkeys(name for row in sample for name in row))
    column = _choose(table, [name for name in columns if name != LINES], column)
    count, bad = 0, []
    for item in rows:
        text = _text(item, column)
        count += 1
        if isinstance(text, BadRow):
            bad.append(text)
    if bad:
        raise DataError(_describe(bad, table))
    if not count:
        raise DataError(f"{path} has no rows.")
    chosen = [] if column == "text" else [f"{path}: the text is {column!r}"]
    return TextFile(path, column, count, (*table.notes, *chosen))


def pair_of_line(text: str) -> Any:
    """The two texts of a pair, which a tab divides; a text without one stays as it is."""
    parts = text.split("\t")
    return tuple(parts) if len(parts) == 2 else text


def _choose(table: Table, columns: Sequence[str], given: str | None) -> str:
    pair = find_texts(columns)
    if given is None and pair[1] is not None:
        raise DataError(
            f"{table.source} has pairs of texts, {pair[0]!r} and {pair[1]!r}: name the one to read "
            "with --text-column."
        )
    column = given or find(columns, TEXTS)
    # Where rows name their cells themselves, one without this column is found when it is read.
    if column is None or (table.columns is not None and column not in columns):
        raise DataError(
            f"{table.source} has no column {column or 'text'!r}; it has "
            f"{', '.join(map(repr, columns))}. Name the right one with --text-column. (A file with "
            "a text a line has the extension .txt.)"
        )
    return column


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding=detect_encoding(path).name) as file:
        for line in file:
            yield line.removesuffix("\n")


def _text(item: Any, column: str) -> str | BadRow:
    if isinstance(item, BadRow):
        return item
    number, row = item
    value = row.get(column)
    if isinstance(value, str):
        return value
    if column not in row:
        return BadRow(number, f"no {column!r}; there is {', '.join(map(repr, row))}")
    kind = "null" if value is None else f"{type(value).__name__}, not text"
    return BadRow(number, f"{column!r} is {kind}")


def _describe(bad: Sequence[BadRow], table: Table) -> str:
    head = "One row has no text" if len(bad) == 1 else f"{len(bad):,} rows have no text"
    return tell_bad_rows(bad, table, f"{head}:")
