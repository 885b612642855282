"""Files that are one JSON list: of rows, or of Label Studio's tasks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from hub.data import label_studio
from hub.data.examples import BadRow
from hub.data.tables import Table
from hub.errors import DataError


def is_one_document(file: TextIO) -> bool:
    """Whether the file is a list rather than an object a line; it is rewound."""
    first = next((line.strip() for line in file if line.strip()), "")
    file.seek(0)
    return first.startswith("[")


def read_json(file: TextIO, path: Path) -> Table:
    """Open a JSON list of objects. Rows are counted from 1, Label Studio's tasks by their ids.

    Raises:
        DataError: it is not valid JSON.
    """
    with file:
        try:
            items = json.load(file)
        except ValueError as error:
            raise DataError(f"{path} is not valid JSON ({error}).") from error
    if label_studio.is_export(items):
        return Table(
            iter(label_studio.rows_of(items)), None, str(path), "Label Studio JSON", unit="task"
        )
    if label_studio.is_minimal_export(items):
        return Table(
            iter(label_studio.rows_of_minimal(items)), None, str(path), "Label Studio JSON_MIN",
            unit="task",
        )  # fmt: skip
    return Table(_rows(items), None, str(path), "JSON", unit="row")


def _rows(items: list[Any]) -> Iterator[tuple[int, dict[str, Any]] | BadRow]:
    for number, item in enumerate(items, start=1):
        if isinstance(item, dict):
            yield number, item
        else:
            yield BadRow(number, "not a JSON object")
