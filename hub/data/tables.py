"""What a reader makes of a source: rows with named cells, not yet examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from hub.data.examples import BadRow

Row = dict[str, Any]
# Each row with its number in the source, counted from 1.
Rows = Iterator[tuple[int, Row] | BadRow]
# In a row of tokens with tags, the line of each: an entry beside the columns, for messages.
LINES = "\0lines"

# As many of the first rows are looked at where the format does not fix the columns beforehand.
_SAMPLE = 100
_SHOWN_BAD_ROWS = 5


@dataclass(frozen=True)
class Table:
    """An opened source.

    Attributes:
        rows: its rows, read as they are asked for.
        columns: the names of the columns, if the format fixes them beforehand.
        source: the file, folder or name, for messages.
        format: what it was recognised as.
        facts: what else was recognised, such as the character encoding.
        notes: what the user should hear of it.
        unit: what the numbers of rows count.
    """

    rows: Rows
    columns: list[str] | None
    source: str
    format: str
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unit: str = "line"


def divided(cell: Any) -> list[Any]:
    """A cell with tokens or tags as a list; PaddleHub's files divide them by the character U+0002.

    Empty where there is no list.
    """
    if isinstance(cell, str):
        return cell.split("\2")
    return cell if isinstance(cell, list) else []


def peek(rows: Rows) -> tuple[list[Row], Rows]:
    """The first rows, and all of them."""
    first = list(islice(rows, _SAMPLE))
    return [item[1] for item in first if not isinstance(item, BadRow)], chain(first, rows)


def column_names(table: Table, sample: Sequence[Row]) -> list[str]:
    """The columns of a table, or where its format does not fix them those of its first rows."""
    columns = table.columns or list(dict.fromkeys(name for row in sample for name in row))
    return [name for name in columns if name != LINES]


def tell_bad_rows(bad: Sequence[BadRow], table: Table, head: str) -> str:
    """`head`, and under it the first of the bad rows of a table."""
    place = f"{table.source}, {table.unit}"
    shown = [f"  {place} {row.line}: {row.reason}" for row in bad[:_SHOWN_BAD_ROWS]]
    if len(bad) > _SHOWN_BAD_ROWS:
        shown.append(f"  ... and {len(bad) - _SHOWN_BAD_ROWS:,} more")
    return "\n".join([head, *shown])
