"""Files that are one JSON list: of rows, or of Label Studio's tasks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

from hub.data import label_studio
from hub.data.examples import BadRow
from hub.data.tables import Rows, Table
from hub.errors import DataError

_CHUNK = 1 << 20
_SPACE = re.compile(r"[ \t\r\n]*")


def is_one_document(file: TextIO) -> bool:
    """Whether the file is a list rather than an object a line; it is rewound."""
    first = next((line.strip() for line in file if line.strip()), "")
    file.seek(0)
    return first.startswith("[")


def read_json(file: TextIO, path: Path) -> Table:
    """Open a JSON list of objects. Rows are counted from 1, Label Studio's tasks by their ids.

    Raises:
        DataError: it is not valid JSON; where that shows late, when its rows are read.
    """
    items = _items(file, path)
    first = list(islice(items, label_studio.TOLD_BY))
    items = chain(first, items)
    if label_studio.is_export(first):
        rows, kind = label_studio.rows_of(items), "Label Studio JSON"
    elif label_studio.is_minimal_export(first):
        rows, kind = label_studio.rows_of_minimal(items), "Label Studio JSON_MIN"
    else:
        return Table(_rows(items), None, str(path), "JSON", unit="row")
    return Table(iter(rows), None, str(path), kind, unit="task")


def _rows(items: Iterator[Any]) -> Rows:
    for number, item in enumerate(items, start=1):
        if isinstance(item, dict):
            yield number, item
        else:
            yield BadRow(number, "not a JSON object")


def _items(file: TextIO, path: Path) -> Iterator[Any]:
    """The items of a list, each read when it is asked for: the file may not fit into memory."""
    with file:
        text = _Window(file, path)
        text.pass_over("[")
        if text.next_character() == "]":
            text.pass_over("]")
        else:
            separator = ","
            while separator == ",":
                yield text.value()
                separator = text.next_character()
                text.pass_over("," if separator == "," else "]")
        if extra := text.next_character():
            raise text.error(f"{extra!r} stands behind the list's end")


class _Window:
    """The part of a JSON file that is being read."""

    def __init__(self, file: TextIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._decoder = json.JSONDecoder()
        self._text = ""
        self._at = 0
        self._line = 1  # of the window's start

    def next_character(self) -> str:
        """What comes after white space, which is passed over; "" at the file's end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._extend():
                return ""

    def pass_over(self, character: str) -> None:
        """Pass over a character that has to come next."""
        if self.next_character() != character:
            raise self.error(f"{character!r} is missing")
        self._at += 1

    def value(self) -> Any:
        """The next value, which is passed over."""
        self.next_character()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                # It may be cut off where the window ends: a string, or what is before the end.
                cut = error.msg.startswith("Unterminated") or error.pos + 16 > len(self._text)
                if not (cut and self._extend()):
                    raise self.error(error.msg, error.pos) from error
            except RecursionError:
                raise self.error("too deeply nested") from None
            else:
                # A number goes on behind the window, or what is in it ends as in "1.5e".
                is_number = isinstance(value, int | float)
                cut = end == len(self._text) or (is_number and self._text[end] in ".eE+-")
                if not (cut and self._extend()):
                    self._at = end
                    return value

    def error(self, what: str, position: int | None = None) -> DataError:
        """What is wrong at a position, or where the window is read."""
        at = self._at if position is None else position
        line = self._line + self._text.count("\n", 0, at)
        return DataError(f"{self._path}, line {line}: not valid JSON ({what}).")

    def _extend(self) -> bool:
        """Read more: twice what there is, so that a long value is not tried often."""
        self._line += self._text.count("\n", 0, self._at)
        self._text, self._at = self._text[self._at :], 0
        more = self._file.read(max(_CHUNK, len(self._text)))
        self._text += more
        return bool(more)
