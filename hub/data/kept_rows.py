"""Rows of a source that can be read once, read several times: in memory, and the rest in a file."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from itertools import islice
from typing import Any

from hub.constants import MANY_ROWS
from hub.data.arrow_rows import temporary_file
from hub.data.examples import BadRow
from hub.data.tables import Row, Rows

logger = logging.getLogger(__name__)

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
        self._starts: list[int] = []  # of each block in the file
        self._last: list[_Item] = []
        self._file: Any = None
        while block := list(islice(rows, in_memory)):
            try:
                self._write(block)
            except OSError as error:
                logger.warning(
                    "There is no room on the disk for a large data set (%s): it is kept in memory.",
                    error.strerror or error,
                )
                self._last = [*block, *rows]

    def _write(self, block: list[_Item]) -> None:
        self._file = self._file or temporary_file()
        start = self._file.tell()
        pickle.dump(block, self._file, protocol=pickle.HIGHEST_PROTOCOL)
        self._file.flush()
        self._starts.append(start)

    def __iter__(self) -> Iterator[_Item]:
        yield from self._first
        for start in self._starts:
            self._file.seek(start)
            yield from pickle.load(self._file)
        yield from self._last
