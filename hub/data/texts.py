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
from hub.data.tables import Table, column_names, peek, tell_bad_rows
from hub.errors import DataError


@dataclass(frozen=True)
class TextFile:
    """A file whose rows have been seen to have a text each; iterating reads them again.

    Attributes:
        path: the file.
        column: the column of the text; None if every line is one.
        count: the number of rows.
        notes: what the user should hear of it.
        pair_column: the column of a pair's second text; None if texts are not pairs, or stand in
            one column.
    """

    path: Path
    column: str | None
    count: int = 0
    notes: Sequence[str] = ()
    pair_column: str | None = None

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[str]:
        """Every row's text, also an empty one, in their order; a tab divides those of a pair.

        Raises:
            DataError: the file was changed meanwhile, and a row has none.
        """
        if self.column is None:
            yield from _lines(self.path)
            return
        table = read_table(self.path)
        for item in table.rows:
            text = _row(item, self.column, self.pair_column)
            if isinstance(text, BadRow):
                raise DataError(_describe([text], table))
            yield text


def read_texts(
    path: Path, column: str | None = None, pair_column: str | None = None, pairs: bool = False
) -> TextFile:
    """See that every row of a file has a text, and count them.

    Args:
        path: a table (`.tsv`, `.csv`, `.jsonl`, `.parquet`, `.xlsx`, ...), or a `.txt` file, in
            which every line is a text. As in every table here, a blank line is no row.
        column: the column of the text; None takes one of a usual name.
        pair_column: the column of a pair's second text.
        pairs: of a table with two columns of usual names, read both; else it is refused.

    Raises:
        DataError: the file cannot be read, has no such column or no rows, or a row has no text.
    """
    if path.suffix.lower() == ".txt" and column is None and pair_column is None:
        if not path.exists():
            raise DataError(f"There is no file {path}.")
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty.")
        note = detect_encoding(path).note
        return TextFile(path, None, sum(1 for _ in _lines(path)), (note,) if note else ())
    table = read_table(path)
    sample, rows = peek(table.rows)
    columns = column_names(table, sample)
    column, pair_column = _choose(table, columns, column, pair_column, pairs)
    count, bad = 0, []
    for item in rows:
        text = _row(item, column, pair_column)
        count += 1
        if isinstance(text, BadRow):
            bad.append(text)
    if bad:
        raise DataError(_describe(bad, table))
    if not count:
        raise DataError(f"{path} has no rows.")
    second = "" if pair_column is None else f", the second {pair_column!r}"
    chosen = [] if column == "text" else [f"{path}: the text is {column!r}{second}"]
    return TextFile(path, column, count, (*table.notes, *chosen), pair_column)


def has_lines(path: Path) -> bool:
    """Whether every line of a file is a text, compressed or not: a column means nothing there."""
    return path.name.lower().endswith((".txt", ".txt.zst"))


def pair_of_line(text: str) -> Any:
    """The two texts of a pair, which a tab divides; a text without one stays as it is."""
    parts = text.split("\t")
    return tuple(parts) if len(parts) == 2 else text


def _choose(
    table: Table, columns: Sequence[str], first: str | None, second: str | None, pairs: bool
) -> tuple[str, str | None]:
    """The columns of the text and, of pairs, of the second text."""
    if first is None and second is None:
        first, second = find_texts(columns)
        if second is not None and not pairs:
            raise DataError(
                f"{table.source} has pairs of texts, {first!r} and {second!r}: name the one to "
                "read with --text-column."
            )
    first = first or find([name for name in columns if name != second], TEXTS)
    for name in (first or "text", second):
        # Where rows name their cells themselves, one without this column is found when it is read.
        unread = first is None or (table.columns is not None and name not in columns)
        if name is not None and unread:
            right = (
                "ones with --text-column and --text-pair-column"
                if pairs or second
                else "one with --text-column"
            )
            raise DataError(
                f"{table.source} has no column {name!r}; it has {', '.join(map(repr, columns))}. "
                f"Name the right {right}. (A file with a text a line has the extension .txt.)"
            )
    assert first is not None
    return first, second


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding=detect_encoding(path).name) as file:
        for line in file:
            yield line.removesuffix("\n")


def _row(item: Any, column: str, pair_column: str | None) -> str | BadRow:
    """A row's text; of a pair both, as a line of a `.txt` file has them."""
    first = _text(item, column)
    if pair_column is None or isinstance(first, BadRow):
        return first
    second = _text(item, pair_column)
    if isinstance(second, BadRow):
        return second
    return "\t".join(text.replace("\t", " ") for text in (first, second))


def _text(item: Any, column: str) -> str | BadRow:
    if isinstance(item, BadRow):
        return item
    number, row = item
    value = row.get(column)
    if isinstance(value, str):
        return value
    if column not in row:
        return BadRow(number, f"no {column!r}, only {', '.join(map(repr, row))}")
    kind = "null" if value is None else f"{type(value).__name__}, not text"
    return BadRow(number, f"{column!r} is {kind}")


def _describe(bad: Sequence[BadRow], table: Table) -> str:
    head = "One row has no text" if len(bad) == 1 else f"{len(bad):,} rows have no text"
    return tell_bad_rows(bad, table, f"{head}:")
