"""What of a row is read, for each kind of label: a row in, an `Example` or a `BadRow` out."""

from __future__ import annotations

import json
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any

from hub.data.columns import Chosen
from hub.data.examples import BadRow, Example, Label, Text
from hub.data.tables import Rows
from hub.errors import DataError

_COMMAS = re.compile("[,，]")


class Schema(ABC):
    """Reads rows of one kind.

    Args:
        columns: where in a row everything stands.
        group_column: what rows belong together by.
    """

    kind: str

    def __init__(self, columns: Chosen, group_column: str | None = None) -> None:
        self.columns = columns
        self.group_column = group_column

    @abstractmethod
    def label(self, row: Mapping[str, Any], text: Text) -> Label:
        """The label of a row.

        Raises:
            DataError: there is none that can be used; the sentence is the reason.
        """

    def text(self, row: Mapping[str, Any]) -> Text:
        """The text of a row, or the pair of texts.

        Raises:
            DataError: there is none.
        """
        first = cell(row, self.columns.text)
        if self.columns.pair is not None:
            pair = cell(row, self.columns.pair)
            return _string(first, self.columns.text), _string(pair, self.columns.pair)
        if isinstance(first, list | tuple) and len(first) == 2:
            return _string(first[0], self.columns.text), _string(first[1], self.columns.text)
        return _string(first, self.columns.text)

    def examples(self, rows: Rows) -> Iterator[Example | BadRow]:
        """Every row as an example, or with the reason why it is none."""
        for item in rows:
            if isinstance(item, BadRow):
                yield item
                continue
            number, row = item
            try:
                yield self.example(number, row)
            except DataError as error:
                yield BadRow(number, str(error))

    def example(self, number: int, row: Mapping[str, Any]) -> Example | BadRow:
        """One row as an example.

        Raises:
            DataError: it cannot be used; the sentence is the reason.
        """
        text = self.text(row)
        return Example(text, self.label(row, text), number, self.group(row))

    def group(self, row: Mapping[str, Any]) -> str | None:
        """What the row belongs to.

        Raises:
            DataError: the column is missing.
        """
        return None if self.group_column is None else str(cell(row, self.group_column))

    def facts(self) -> dict[str, str]:
        """What was recognised while the rows were read."""
        return {}

    def notes(self, source: str) -> list[str]:
        """What the user should hear once the rows were read."""
        return []

    def remedy(self) -> str:
        """An option that would make bad rows usable, and what it does; empty if there is none."""
        return ""


class Classes(Schema):
    """One label a text, or a pair of texts."""

    kind = "text-classification"

    def label(self, row: Mapping[str, Any], text: Text) -> str:
        """The label without the space around it; doccano writes it as a list of one."""
        value = cell(row, self.columns.label)
        if isinstance(value, list | tuple) and len(value) == 1:
            value = value[0]
        value = _number(value)
        if value is None or isinstance(value, dict | list | tuple | float):
            raise DataError(f"{self.columns.label!r} is {type(value).__name__}, not one label")
        return label_name(value)


class SeveralLabels(Schema):
    """Any number of labels a text, none included.

    In a file of text they are divided by commas, also full-width ones, or are a JSON list, which
    can hold labels with commas in them.
    """

    kind = "multi-label-classification"

    def label(self, row: Mapping[str, Any], text: Text) -> tuple[str, ...]:
        """The labels in the order of the row, each once."""
        column = self.columns.label
        value = cell(row, column)
        if isinstance(value, str):
            if value.lstrip().startswith("["):
                try:
                    value = json.loads(value)
                except ValueError as error:
                    raise DataError(f"{column!r} is not valid JSON ({error})") from None
            else:
                value = [part for part in _COMMAS.split(value) if part.strip()]
        elif isinstance(_number(value), int):
            value = [value]
        if not isinstance(value, list | tuple):
            raise DataError(f"{column!r} is {type(value).__name__}, not a list of labels")
        value = [_number(part) for part in value]
        for part in value:
            if not isinstance(part, str | int):
                raise DataError(f"{column!r} has a {type(part).__name__} among the labels")
        return tuple(dict.fromkeys(map(label_name, value)))


def cell(row: Mapping[str, Any], column: str) -> Any:
    """The cell of a row.

    Raises:
        DataError: it is not there, or null.
    """
    if column not in row:
        raise DataError(f"no {column!r}, only {', '.join(map(repr, row))}")
    if row[column] is None:
        raise DataError(f"{column!r} is null")
    return row[column]


def _number(value: Any) -> Any:
    """A number as Python's own, of `int` if it is whole: programs make floats of whole numbers, as
    pandas does where one is missing. Anything else as it is."""
    if isinstance(value, str | int) or not isinstance(value, Real):
        return value
    number = float(value)
    return int(number) if number.is_integer() else number


def _string(value: Any, column: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{column!r} is {type(value).__name__}, not text")
    if not value.strip():
        raise DataError("the text is empty")
    return value


def label_name(value: Any) -> str:
    """A label's name, without the space around it; JSON's true and false as it writes them.

    Raises:
        DataError: nothing is left.
    """
    number = _number(value)
    name = str(number).lower() if isinstance(number, bool) else str(number).strip()
    if not name:
        raise DataError("the label is empty")
    return sys.intern(name)  # a million rows share a few labels
