"""Rows into files of every format, each file whole or not at all."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from hub.data.tables import Row
from hub.errors import DataError, MissingPackageError, OutputError
from hub.files import write_whole

_EXCEL_ROWS = 1_048_576  # that of the columns' names included
_EXCEL_CHARACTERS = 32_767
_NOT_IN_EXCEL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write rows in the format of the path's extension.

    Args:
        path: the file.
        columns: their names, in order.
        rows: each with text in every column; for JSON and Parquet also lists and numbers.

    Raises:
        DataError: a row has what the format cannot hold.
        OutputError: the extension is unknown, or the file cannot be written.
    """
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise OutputError(
            f"{path}: the extension {path.suffix!r} cannot be written; "
            f"{', '.join(sorted(WRITERS))} can."
        )
    write_safely(path, lambda temporary: writer(temporary, columns, rows))


def write_safely(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make the file, or leave what is there.

    Raises:
        DataError: the file cannot hold the data.
        OutputError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, write)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}.") from error
    except UnicodeEncodeError as error:
        # Half of a character beyond the basic plane, alone: a broken escape in a JSON file.
        raise DataError(
            f"{path} cannot be written: a text has {error.object[error.start]!a}, which is no "
            "character."
        ) from error


def _write_tsv(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        for number, row in enumerate(_with_header(columns, rows)):
            for name, cell in row.items():
                if any(character in cell for character in "\t\n\r\0"):
                    raise DataError(
                        f"TSV cannot hold row {number}: its {name!r} has a tab, an end of line "
                        f"or a null character ({cell[:30]!r}). Write .csv or .jsonl instead."
                    )
            file.write("\t".join(row[name] for name in columns) + "\n")


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        for number, row in enumerate(_with_header(columns, rows)):
            cells = [row[name] for name in columns]
            if any("\0" in cell for cell in cells):
                raise DataError(
                    f"CSV cannot hold row {number}: it has a null character. Write .jsonl instead."
                )
            writer.writerow(cells)


def _write_jsonl(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _write_json(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        lines = (json.dumps(row, ensure_ascii=False) for row in rows)
        file.write("[\n" + ",\n".join(lines) + "\n]\n")


def _write_parquet(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    import pyarrow
    from pyarrow import parquet

    text, whole = pyarrow.string(), pyarrow.int64()
    entity = pyarrow.struct([("start", whole), ("end", whole), ("type", text)])
    types = {"labels": pyarrow.list_(text), "entities": pyarrow.list_(entity)}
    schema = pyarrow.schema([(name, types.get(name, text)) for name in columns])
    parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema=schema), path)


def _write_workbook(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    try:
        import openpyxl
        from openpyxl.cell import WriteOnlyCell
    except ImportError:
        raise MissingPackageError("openpyxl", "excel", "Writing Excel workbooks") from None
    lines = list(_with_header(columns, rows))
    _check_for_excel(lines)  # beforehand: a workbook begun cannot be given up cleanly
    workbook = openpyxl.Workbook(write_only=True)
    sheet = workbook.create_sheet("data")
    for row in lines:
        cells = [WriteOnlyCell(sheet, value=_escaped(row[name])) for name in columns]
        for cell in cells:
            cell.data_type = "s"  # "=1+1" is a text here, and so is "#N/A"
        sheet.append(cells)
    workbook.save(path)


def _check_for_excel(rows: Sequence[Row]) -> None:
    if len(rows) > _EXCEL_ROWS:
        raise DataError(f"A sheet of Excel holds {_EXCEL_ROWS:,} rows. Write .csv instead.")
    for number, row in enumerate(rows):
        for name, cell in row.items():
            if _NOT_IN_EXCEL.search(cell) or len(cell) > _EXCEL_CHARACTERS:
                raise DataError(
                    f"Excel cannot hold row {number}: its {name!r} has a control character, or "
                    f"more than {_EXCEL_CHARACTERS:,} characters. Write .csv or .jsonl instead."
                )


def _escaped(text: str) -> str:
    """`text` so that it is read back: `_x000D_` stands for a character in a workbook."""
    escaped = re.sub(r"_(?=x[0-9A-Fa-f]{4}_)", "_x005F_", text)
    return escaped.replace("\r", "_x000D_")


WRITERS: dict[str, Callable[[Path, Sequence[str], Iterable[Row]], None]] = {
    ".tsv": _write_tsv,
    ".txt": _write_tsv,
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
    ".json": _write_json,
    ".parquet": _write_parquet,
    ".xlsx": _write_workbook,
}
# Those whose cells are text.
FLAT = (".tsv", ".txt", ".csv", ".xlsx")


def _with_header(columns: Sequence[str], rows: Iterable[Row]) -> Iterable[Row]:
    yield {name: name for name in columns}
    yield from rows
