"""Rows from data files: each as a dictionary with the line it stands on."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from hub.data import conll
from hub.data.encodings import detect_encoding
from hub.data.examples import BadRow
from hub.data.headers import check_header, without_blank
from hub.data.json_files import is_one_document, read_json
from hub.data.parquet import read_parquet
from hub.data.tables import Row, Rows, Table
from hub.data.workbooks import EXTENSIONS as WORKBOOKS
from hub.data.workbooks import read_workbook
from hub.errors import DataError

# A cell may hold a long document; csv's own limit is 131,072 characters.
csv.field_size_limit(1 << 30)
# What the csv module says of a quoted cell that the file ends in.
_NO_END = "unexpected end of data"

# These import what they need when they are called.
_BINARY: dict[str, Callable[[Path], Table]] = {
    **dict.fromkeys(WORKBOOKS, read_workbook),
    ".parquet": read_parquet,
}
_Reader = Callable[[TextIO, Path], tuple[Rows, list[str] | None]]


def read_table(path: Path) -> Table:
    """Open a data file by its extension, and by its content where that has several meanings.

    Raises:
        DataError: no such file, an unknown extension, not a text file, or no header.
    """
    if not path.exists():
        raise DataError(f"There is no file {path}.")
    extension = path.suffix.lower()
    if extension not in EXTENSIONS:
        raise DataError(
            f"{path}: the extension {path.suffix!r} is unknown; "
            f"{', '.join(sorted(EXTENSIONS))} can be read."
        )
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty.")
    if extension in _BINARY:
        return _BINARY[extension](path)
    name, reader = READERS[extension]
    try:
        encoding = detect_encoding(path)
        file = path.open(encoding=encoding.name, newline="")
        if reader is _read_tsv and conll.looks_like_conll(file):
            name, reader = READERS[".conll"]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    facts = {"encoding": encoding.name}
    notes = (encoding.note,) if encoding.note else ()
    if extension == ".json" and is_one_document(file):
        return replace(read_json(file, path), facts=facts, notes=notes)
    rows, columns = reader(file, path)
    return Table(rows, columns, str(path), name, facts, notes)


def _read_tsv(file: TextIO, path: Path) -> tuple[Rows, list[str]]:
    """One row a line, cells divided by tabs; quotation marks are ordinary characters."""
    columns = file.readline().rstrip("\r\n").split("\t")
    check_header(columns, path)
    named = without_blank(columns)

    def rows() -> Rows:
        with file:
            for number, line in enumerate(file, start=2):
                line = line.rstrip("\r\n")
                if line:
                    yield _match(columns, named, line.split("\t"), number)

    return rows(), named


def _read_csv(file: TextIO, path: Path) -> tuple[Rows, list[str]]:
    """RFC 4180: commas, double quotes around cells that hold commas, quotes or line ends.

    Where the first line has no comma, cells are divided by tabs or semicolons, as Excel does in
    some countries.
    """
    first = file.readline()
    file.seek(0)
    delimiter = next((character for character in ",\t;" if character in first), ",")
    reader = csv.reader(file, strict=True, delimiter=delimiter)
    try:
        columns = next(reader)
    except (StopIteration, csv.Error) as error:
        raise DataError(f"{path}, line 1: the header cannot be read ({error}).") from error
    check_header(columns, path)
    named = without_blank(columns)

    def rows() -> Rows:
        with file:
            while True:
                number = reader.line_num + 1  # a quoted cell may span lines: name its first
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    more = reader.line_num - number
                    if more and str(error) == _NO_END:
                        raise DataError(
                            f"{path}, line {number}: a quotation mark opens a cell here and is "
                            f"never closed, so that the rest of the file, {more:,} more lines, "
                            "cannot be read. Close it, or write it twice within quotation marks."
                        ) from error
                    yield BadRow(number, f"not valid CSV ({error})")
                    for line in range(number + 1, reader.line_num + 1):
                        yield BadRow(line, f"in a quoted cell that line {number} began, not valid")
                    continue
                if cells:
                    yield _match(columns, named, cells, number)

    return rows(), named


def _read_jsonl(file: TextIO, path: Path) -> tuple[Rows, None]:
    """One JSON object a line (https://jsonlines.org)."""

    def rows() -> Rows:
        with file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError as error:
                    yield BadRow(number, f"not valid JSON ({error})")
                    continue
                if isinstance(row, dict):
                    yield number, row
                else:
                    yield BadRow(number, "not a JSON object")

    return rows(), None


READERS: dict[str, tuple[str, _Reader]] = {
    ".tsv": ("TSV", _read_tsv),
    ".txt": ("TSV", _read_tsv),
    ".csv": ("CSV", _read_csv),
    ".jsonl": ("JSON lines", _read_jsonl),
    ".json": ("JSON lines", _read_jsonl),
    **dict.fromkeys(conll.EXTENSIONS, ("CoNLL", conll.read_conll)),
}
# All that can be read, text first.
EXTENSIONS = (*READERS, *_BINARY)


def _match(
    columns: list[str], named: list[str], cells: list[str], number: int
) -> tuple[int, Row] | BadRow:
    """A row of a table with these columns, of which those `named` are read."""
    if len(cells) != len(columns):
        return BadRow(number, f"{len(cells)} columns instead of {len(columns)}")
    row = dict(zip(columns, cells, strict=True))
    return number, row if len(named) == len(columns) else {name: row[name] for name in named}
