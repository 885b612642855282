"""Rows of a source that can be read once, read several times: in memory, and the rest in a file."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from itertools import islice

from hub.constants import MANY_ROWS
from hub.data.examples import BadRow
from hub.data.overflow import Overflow, Place
from hub.data.tables import Row, Rows

_Item = tuple[int, Row] | BadRow


class KeptRows:
    """Reads all rows; each iteration gives them again.

    Args:
        rows: the source's.
        in_memory: so many stay there; what follows is written, in blocks of as many, to a file
            that the operating system removes with the process.
    """

    def __init__(self, rows: Rows, in_memory: int = 4 * MANY_ROWS) -> None:
        self._first: list[_Item] = list(islice(rows, in_memory))
        self._places: list[Place] = []  # of each block in the file
        self._last: list[_Item] = []
        self._overflow = Overflow()
        while block := list(islice(rows, in_memory)):
            place = self._overflow.put(pickle.dumps(block, pickle.HIGHEST_PROTOCOL))
            if place is None:
                self._last = [*block, *rows]
            else:
                self._places.append(place)

    def __iter__(self) -> Iterator[_Item]:
        yield from self._first
        for place in self._places:
            yield from pickle.loads(self._overflow.get(place))
        yield from self._last
