"""Entities given by offsets: are they where they say, and do they count what Python counts?

Programs in JavaScript, Java or C# count UTF-16 units, in which an emoji or a rare character takes
two: behind it their offsets are too large (label-studio#1347, doccano#99).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from hub.data.examples import Entity
from hub.errors import DataError


class Mention(NamedTuple):
    """An entity as a file gives it; `text` is what stands there, if the file says so."""

    start: int
    end: int
    type: str
    text: str | None = None


class Located(NamedTuple):
    """The entities of a text, sorted, by each way of counting that agrees with the file."""

    by_characters: tuple[Entity, ...] | None
    by_utf16: tuple[Entity, ...] | None


def locate(text: str, mentions: Sequence[Mention]) -> Located:
    """The entities of a text by either way of counting.

    Only a file that says what text its entities have can show that it counts UTF-16 units.

    Raises:
        DataError: by neither way the entities are where they should be, or two of them overlap.
    """
    fault = _fault(text, mentions)
    if not any(_is_astral(character) for character in text):
        if fault is not None:
            raise DataError(fault)
        entities = _sorted(text, mentions)
        return Located(entities, entities)
    positions = _utf16_positions(text)
    # An offset within a character has no position: -1 is no place in the text either.
    moved = [
        m._replace(start=positions.get(m.start, -1), end=positions.get(m.end, -1)) for m in mentions
    ]
    seems_utf16 = _fault(text, moved) is None
    by_utf16 = seems_utf16 and all(m.text is not None for m in mentions)
    if fault is not None and not by_utf16:
        hint = "; the offsets seem to count UTF-16 units" if seems_utf16 else ""
        raise DataError(fault + hint)
    return Located(
        None if fault else _sorted(text, mentions), _sorted(text, moved) if by_utf16 else None
    )


def _fault(text: str, mentions: Sequence[Mention]) -> str | None:
    for start, end, kind, expected in mentions:
        if not 0 <= start < end <= len(text):
            return (
                f"the entity {kind} {start}-{end} is not within the text's {len(text)} characters"
            )
        if expected is not None and text[start:end] != expected:
            return (
                f"the entity {kind} {start}-{end} should be {expected!r}, but there stands "
                f"{text[start:end]!r}"
            )
    return None


def _sorted(text: str, mentions: Sequence[Mention]) -> tuple[Entity, ...]:
    unique = {Entity(m.start, m.end, sys.intern(m.type)) for m in mentions}
    entities = sorted(unique, key=lambda entity: (entity.start, entity.end, entity.type))
    for one, other in pairwise(entities):
        if other.start < one.end:
            first, second = text[one.start : one.end], text[other.start : other.end]
            raise DataError(
                f"the entities {one.type} {first!r} and {other.type} {second!r} overlap: a "
                "character can belong to one entity only"
            )
    return tuple(entities)


def _utf16_positions(text: str) -> dict[int, int]:
    """UTF-16 offset -> character offset, for the offsets where a character begins or all end."""
    widths = accumulate((2 if _is_astral(c) else 1 for c in text), initial=0)
    return {offset: position for position, offset in enumerate(widths)}


def _is_astral(character: str) -> bool:
    return character > "\uffff"
