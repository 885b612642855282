"""Excel workbooks (.xlsx): the first sheet, its first line that is not empty naming the columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hub.data.headers import check_header
from hub.data.tables import Row, Table
from hub.errors import DataError, MissingPackageError

_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")


def read_workbook(path: Path) -> Table:
    """Open a workbook. Cells are read as text, formulas as the values that Excel computed last.

    The cells of a merged range all have its value: people merge the label of several rows.

    Raises:
        DataError: it is no workbook, or its first sheet is empty.
        MissingPackageError: openpyxl is not installed.
    """
    try:
        import openpyxl
    except ImportError:
        raise MissingPackageError("openpyxl", "excel", "Reading Excel workbooks") from None
    try:
        workbook = openpyxl.load_workbook(path, data_only=True)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # a damaged archive, or one of another kind, fails anywhere
        raise DataError(f"{path} is not an Excel workbook (.xlsx): {error}.") from error
    sheet = workbook.worksheets[0] if workbook.worksheets else None
    lines = [] if sheet is None else list(_lines(sheet))
    if sheet is None or not lines:
        raise DataError(f"{path}: the first sheet is empty.")
    first, header = lines[0]
    names = [str(name or "").strip() for name in header]
    used = [number for number, name in enumerate(names) if name]
    columns = [names[number] for number in used]
    check_header(columns, path, first)
    rows: Iterator[tuple[int, Row]] = (
        (line, {names[number]: cells[number] for number in used}) for line, cells in lines[1:]
    )
    others = len(workbook.worksheets) - 1
    note = f"{path}: the first sheet, {sheet.title!r}, was read; there are {others} more"
    facts = {"sheet": str(sheet.title)}
    return Table(
        rows, columns, str(path), "Excel workbook", facts, (note,) if others else (), "row"
    )


def _lines(sheet: Any) -> Iterator[tuple[int, list[str | None]]]:
    """The rows that are not empty, with their numbers."""
    merged: dict[tuple[int, int], Any] = {}
    for area in sheet.merged_cells.ranges:
        value = sheet.cell(area.min_row, area.min_col).value
        for line, column in area.cells:
            merged[line, column] = value
    for line, cells in enumerate(sheet.iter_rows(), start=1):
        values = [
            _text(merged.get((cell.row, cell.column), cell.value), cell.data_type) for cell in cells
        ]
        # A row with nothing of its own is empty, even if a merged cell reaches into it.
        if any(cell.value is not None for cell in cells):
            yield line, values


def _text(value: Any, data_type: str) -> str | None:
    if data_type == "e":
        return None  # "#N/A" and the like are no values
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    # A workbook writes characters that XML cannot hold, and the end of line CR, as _x000D_.
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), str(value))
