"""The line that names a table's columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hub.errors import DataError


def check_header(columns: Sequence[str], path: Path, line: int = 1) -> None:
    """See that columns have names, each its own; those without one are read by nobody.

    Raises:
        DataError: they have not.
    """
    named = without_blank(columns)
    if not named:
        raise DataError(f"{path}, line {line}: it must name the columns; it is blank.")
    if len(set(named)) < len(named):
        raise DataError(f"{path}, line {line}: a column's name stands twice: {', '.join(named)}.")


def without_blank(columns: Sequence[str]) -> list[str]:
    """The columns that have a name: spreadsheets leave others behind the last one."""
    return [name for name in columns if name.strip()]
