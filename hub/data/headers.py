"""The line that names a table's columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hub.errors import DataError


def check_header(columns: Sequence[str], path: Path, line: int = 1) -> None:
    """See that columns have names, each its own.

    Raises:
        DataError: they have not.
    """
    if not any(columns):
        raise DataError(f"{path}, line {line}: it must name the columns; it is blank.")
    if len(set(columns)) < len(columns):
        raise DataError(f"{path}, line {line}: a column's name stands twice: {', '.join(columns)}.")
