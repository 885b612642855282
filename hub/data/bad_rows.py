"""Rows that cannot be used, in a few bytes each: a file of any size may be of another format."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from typing import overload

from hub.data.examples import BadRow

# The same fault names other tags, labels and numbers in every row.
_NAMED = re.compile(r"'[^']*'|\d[\d-]*")
# As many reasons are kept word for word.
_MOST_REASONS = 10_000


def without_specifics(reason: str) -> str:
    """A reason without what is the row's own.

    >>> without_specifics("1 columns instead of 2")
    '… columns instead of …'
    """
    return _NAMED.sub("…", reason)


class BadRows(Sequence[BadRow]):
    """Bad rows; each is made when it is asked for."""

    def __init__(self) -> None:
        self._lines = array("q")
        self._numbers = array("I")
        self._reasons: dict[str, int] = {}
        self._listed: list[str] = []

    def append(self, row: BadRow) -> None:
        """Put a row behind the others."""
        reason = row.reason
        if len(self._reasons) >= _MOST_REASONS and reason not in self._reasons:
            reason = without_specifics(reason)
        number = self._reasons.setdefault(reason, len(self._listed))
        if number == len(self._listed):
            self._listed.append(reason)
        self._lines.append(row.line)
        self._numbers.append(number)

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[BadRow]:
        return map(BadRow, self._lines, map(self._listed.__getitem__, self._numbers))

    @overload
    def __getitem__(self, index: int) -> BadRow: ...

    @overload
    def __getitem__(self, index: slice) -> list[BadRow]: ...

    def __getitem__(self, index: int | slice) -> BadRow | list[BadRow]:
        if isinstance(index, slice):
            return [self[row] for row in range(len(self))[index]]
        return BadRow(self._lines[index], self._listed[self._numbers[index]])
