"""The entities of a row in the forms that programs and data sets write them.

All of these, in a cell of a table also as JSON:

- `[{"start": 0, "end": 2, "type": "LOC"}]`: also `label`, `start_offset`, `end_offset`, and `text`
- `[[0, 2, "LOC"]]`: doccano's
- `[{"start": 0, "end": 2, "text": "北京", "labels": ["LOC"]}]`: Label Studio's
- `{"LOC": {"北京": [[0, 1]]}}`: CLUENER's, where the end is the last character's own number
- `{"LOC": "北京"}`: values alone, as in SMP2019-ECDT; each is where it first stands in the text
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeGuard

from hub.data.offsets import Mention
from hub.errors import DataError

_STARTS = ("start", "start_offset")
_ENDS = ("end", "end_offset")
_TYPES = ("type", "label", "labels")
_TEXTS = ("text", "mention", "word", "value")


def looks_like_entities(cell: Any) -> bool:
    """Whether a cell that is not empty holds entities rather than labels."""
    if isinstance(cell, str) and cell.lstrip()[:1] in ("[", "{"):
        try:
            return looks_like_entities(json.loads(cell))
        except ValueError:
            return False
    if isinstance(cell, Mapping):
        return bool(cell)
    return isinstance(cell, list) and bool(cell) and isinstance(cell[0], list | tuple | Mapping)


def mentions_in(cell: Any, column: str, text: str) -> list[Mention]:
    """Read the entities of a row with this text.

    Raises:
        DataError: the cell has none of the forms above; the sentence says what is wrong.
    """
    if isinstance(cell, str):
        try:
            cell = json.loads(cell) if cell.strip() else []
        except ValueError:
            raise DataError(f"{column!r} is no list of entities: {cell:.40}") from None
    if isinstance(cell, Mapping):
        if any(isinstance(value, Mapping) for value in cell.values()):
            return _from_cluener(cell, column)
        return _from_values(cell, column, text)
    if not isinstance(cell, list | tuple):
        raise DataError(f"{column!r} is {type(cell).__name__}, not a list of entities")
    return [_mention(item, column) for item in cell]


def _mention(item: Any, column: str) -> Mention:
    if isinstance(item, Mapping):
        start, end, kind, text = (
            next((item[name] for name in names if name in item), None)
            for names in (_STARTS, _ENDS, _TYPES, _TEXTS)
        )
        if isinstance(kind, list) and len(kind) == 1:
            kind = kind[0]
    elif isinstance(item, list | tuple) and len(item) == 3:
        (start, end, kind), text = item, None
    else:
        raise DataError(f"{column!r} has an entity that cannot be read: {item!r:.60}")
    if not (_is_offset(start) and _is_offset(end)):
        raise DataError(
            f"{column!r} has an entity without whole numbers as its offsets: {item!r:.60}"
        )
    if not isinstance(kind, str) or not kind.strip():
        raise DataError(f"{column!r} has an entity without one type: {item!r:.60}")
    return Mention(start, end, kind.strip(), text if isinstance(text, str) else None)


def _from_cluener(cell: Mapping[str, Any], column: str) -> list[Mention]:
    found = []
    for kind, by_text in cell.items():
        if not isinstance(by_text, Mapping):
            raise DataError(f"{column!r} has no entities under {kind!r}: {by_text!r:.60}")
        for text, places in by_text.items():
            for place in places if isinstance(places, list) else [places]:
                if not (
                    isinstance(place, list) and len(place) == 2 and all(map(_is_offset, place))
                ):
                    raise DataError(f"{column!r} has no offsets for {text!r}: {place!r:.60}")
                found.append(Mention(place[0], place[1] + 1, kind, text))
    return found


def _from_values(cell: Mapping[str, Any], column: str, text: str) -> list[Mention]:
    found = []
    for kind, values in cell.items():
        for value in values if isinstance(values, list) else [values]:
            if not isinstance(value, str) or not value or value not in text:
                raise DataError(
                    f"{column!r} has for {kind!r} what is not in the text: {value!r:.40}"
                )
            start = text.index(value)
            found.append(Mention(start, start + len(value), kind, value))
    return found


def _is_offset(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
