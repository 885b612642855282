"""TSV files whose columns go by their order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hub.data.encodings import detect_encoding
from hub.data.examples import BadRow
from hub.data.tables import Rows, Table
from hub.errors import DataError


def read_by_position(path: Path, columns: Sequence[str], has_header: bool) -> Table:
    """Open a TSV file, calling its first columns `columns`; more than these are passed over.

    Raises:
        DataError: it cannot be read, or is not text.
    """
    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    try:
        encoding = detect_encoding(path)
        file = path.open(encoding=encoding.name, newline="")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error

    def rows() -> Rows:
        with file:
            for number, line in enumerate(file, start=1):
                line = line.rstrip("\r\n")
                if not line or (number == 1 and has_header):
                    continue
                cells = line.split("\t")
                if len(cells) < len(columns):
                    yield BadRow(number, f"{len(cells)} columns instead of {len(columns)}")
                else:
                    yield number, dict(zip(columns, cells, strict=False))

    notes = (encoding.note,) if encoding.note else ()
    return Table(rows(), list(columns), str(path), "TSV", {"encoding": encoding.name}, notes)
