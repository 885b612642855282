"""Excel workbooks: the first sheet, its first line that is not empty naming the columns."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub.data.headers import check_header
from hub.data.tables import Rows, Table
from hub.errors import DataError, MissingPackageError

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

EXTENSIONS = (".xlsx", ".xls")


def read_workbook(path: Path) -> Table:
    """Open a workbook. Cells are read as text, formulas as the values that Excel computed last.

    The cells of a merged range all have its value: people merge the label of several rows.

    Raises:
        DataError: it is no workbook, or its first sheet is empty.
        MissingPackageError: python-calamine is not installed.
    """
    try:
        from python_calamine import CalamineWorkbook, SheetTypeEnum
    except ImportError:
        raise MissingPackageError("python-calamine", "excel", "Reading Excel workbooks") from None
    try:
        # What a workbook is its content says: programs write the new kind under the old extension.
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(path.read_bytes()))
        names = [s.name for s in workbook.sheets_metadata if s.typ == SheetTypeEnum.WorkSheet]
        sheet = workbook.get_sheet_by_name(names[0]) if names else None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # a damaged file, or one of another kind, fails anywhere
        kinds = ", ".join(EXTENSIONS)
        raise DataError(f"{path} is not an Excel workbook ({kinds}): {error}.") from error
    lines = iter(()) if sheet is None else _lines(sheet)
    first, header = next(lines, (0, []))
    if not header:
        raise DataError(f"{path}: the first sheet is empty.")
    titles = [_text(cell).strip() for cell in header]
    used = [number for number, title in enumerate(titles) if title]
    columns = [titles[number] for number in used]
    check_header(columns, path, first)
    rows: Rows = (
        (line, {titles[number]: _text(cells[number]) for number in used}) for line, cells in lines
    )
    note = f"{path}: the first sheet, {names[0]!r}, was read; there are {len(names) - 1} more"
    notes = (note,) if len(names) > 1 else ()
    return Table(rows, columns, str(path), "Excel workbook", {"sheet": names[0]}, notes, "row")


def _lines(sheet: CalamineSheet) -> Iterator[tuple[int, list[Any]]]:
    """The rows that are not empty, with their numbers."""
    waiting = sorted(sheet.merged_cell_ranges or (), reverse=True)
    reaching: list[tuple[int, int, int, Any]] = []  # last row, columns from and to, value
    for row, cells in enumerate(sheet.iter_rows()):
        while waiting and waiting[-1][0][0] <= row:
            (_, left), (bottom, right) = waiting.pop()
            right = min(right + 1, len(cells))
            if left < right:
                reaching.append((bottom, left, right, cells[left]))
        reaching = [area for area in reaching if area[0] >= row]
        # A row with nothing of its own is empty, even if a merged cell reaches into it.
        if any(cell != "" for cell in cells):
            for _, left, right, value in reaching:
                cells[left:right] = [value] * (right - left)
            yield row + 1, cells


def _text(value: Any) -> str:
    """A cell as it is written; "" for an empty one, and for an error such as "#N/A"."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)
