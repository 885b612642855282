"""Rows with entities, by offsets or by tags, and perhaps an intent beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hub.data.annotations import mentions_in
from hub.data.columns import Chosen
from hub.data.examples import BadRow, Entity, Example, Label, Text, Utterance
from hub.data.kept_rows import KeptRows
from hub.data.offsets import Located, locate
from hub.data.schemas import Schema, cell, label_name
from hub.data.tables import LINES, Row, Rows, divided
from hub.data.tags import (
    detect_scheme,
    fault_in,
    scheme_name,
    spans_of,
    spellings,
)
from hub.data.tokens import entities_of, join_tokens
from hub.errors import DataError


class _Entities(Schema):
    """What both ways of writing entities share: an intent may stand beside them."""

    def __init__(self, columns: Chosen, group_column: str | None = None) -> None:
        super().__init__(columns, group_column)
        self.kind = "token-classification" if columns.intent is None else "intent-slots"

    def _with_intent(self, entities: tuple[Entity, ...], row: Mapping[str, Any]) -> Label:
        column = self.columns.intent
        return entities if column is None else Utterance(label_name(cell(row, column)), entities)


class SpanEntities(_Entities):
    """Entities by offsets; those that count UTF-16 units are corrected."""

    def __init__(self, columns: Chosen, group_column: str | None = None) -> None:
        super().__init__(columns, group_column)
        self._corrected = 0
        self._last: Located = Located((), ())

    def label(self, row: Mapping[str, Any], text: Text) -> Label:
        """The entities as their offsets in characters say."""
        if not isinstance(text, str):
            raise DataError("entities are of one text, not of a pair")
        column = self.columns.label
        self._last = locate(text, mentions_in(cell(row, column), column, text))
        by_characters, by_utf16 = self._last
        entities = by_utf16 if by_characters is None else by_characters
        assert entities is not None  # `locate` found one of them
        return self._with_intent(entities, row)

    def examples(self, rows: Rows) -> Iterator[Example | BadRow]:
        """Every row as an example.

        A program counts in one way throughout. Where both ways agree with a row, as may happen
        between two equal emoji, the rest of the file decides.
        """
        # Those behind the first row that the rest of the file decides.
        waiting: list[tuple[Example | BadRow, tuple[Entity, ...] | None]] = []
        for item in super().examples(rows):
            other: tuple[Entity, ...] | None = None
            if isinstance(item, Example):
                by_characters, by_utf16 = self._last
                if by_characters is None:
                    self._corrected += 1
                elif by_utf16 is not None and by_utf16 != by_characters:
                    other = by_utf16
            if waiting or other is not None:
                waiting.append((item, other))
            else:
                yield item
            if self._corrected:
                yield from self._decided(waiting)
                waiting = []
        yield from self._decided(waiting)

    def _decided(
        self, waiting: Sequence[tuple[Example | BadRow, tuple[Entity, ...] | None]]
    ) -> Iterator[Example | BadRow]:
        """Rows, with their other entities if the file was found to count UTF-16 units."""
        for item, entities in waiting:
            if not self._corrected or entities is None or isinstance(item, BadRow):
                yield item
                continue
            self._corrected += 1
            label: Label = entities
            if isinstance(item.label, Utterance):
                label = Utterance(item.label.intent, entities)
            yield replace(item, label=label)

    def notes(self, source: str) -> list[str]:
        """How many rows were corrected."""
        if not self._corrected:
            return []
        rows = "one row" if self._corrected == 1 else f"{self._corrected:,} rows"
        return [f"{source}: the offsets of {rows} counted UTF-16 units, and were corrected"]


class TagEntities(_Entities):
    """Entities by a tag a token.

    Args:
        columns: where in a row everything stands.
        group_column: what rows belong together by.
        scheme: the tags' scheme; None finds it out from all of them.
        repair: read tags that break the scheme for what they can mean, instead of refusing the row.
    """

    def __init__(
        self,
        columns: Chosen,
        group_column: str | None = None,
        scheme: str | None = None,
        repair: bool = False,
    ) -> None:
        super().__init__(columns, group_column)
        self._scheme = None if scheme is None else scheme_name(scheme)
        self._repair = repair
        self._repaired = 0
        self._broken = 0
        self._spellings: dict[str, str] = {}

    def examples(self, rows: Rows) -> Iterator[Example | BadRow]:
        """Every row as an example; all tags are looked at first."""
        kept = KeptRows(rows)
        tags = {tag for tags in _tags_in(kept, self.columns.label) for tag in tags}
        self._spellings = spellings(sorted(tags), types_alone=self._scheme == "IO")
        if self._scheme is None:
            self._scheme = detect_scheme(map(self._read, _tags_in(kept, self.columns.label)))
        return super().examples(iter(kept))

    def _read(self, tags: list[str]) -> list[str]:
        return [self._spellings.get(tag, tag) for tag in tags]

    def example(self, number: int, row: Mapping[str, Any]) -> Example | BadRow:
        """Join a row's tokens, and read its tags."""
        assert self._scheme is not None
        tokens = _strings(cell(row, self.columns.text), self.columns.text, "token")
        tags = self._read(_strings(cell(row, self.columns.label), self.columns.label, "tag"))
        if len(tokens) != len(tags):
            raise DataError(f"{len(tokens)} tokens, but {len(tags)} tags")
        text, starts = join_tokens(tokens)
        if not text.strip():
            raise DataError("the text is empty")
        fault = fault_in(tags, self._scheme)
        if fault is not None and not self._repair:
            self._broken += 1
            position, reason = fault
            if LINES in row:
                return BadRow(row[LINES][position], reason)
            raise DataError(f"{reason} (token {position + 1})")
        self._repaired += fault is not None
        entities = entities_of(spans_of(tags), tokens, starts)
        return Example(text, self._with_intent(entities, row), number, self.group(row))

    def label(self, row: Mapping[str, Any], text: Text) -> Label:
        """Not asked for: text and label come from the same tokens."""
        raise NotImplementedError

    def facts(self) -> dict[str, str]:
        """The tags' scheme."""
        return {"tag scheme": self._scheme or ""}

    def notes(self, source: str) -> list[str]:
        """How many rows were repaired."""
        if not self._repaired:
            return []
        rows = "one row" if self._repaired == 1 else f"{self._repaired:,} rows"
        return [f"{source}: the tags of {rows} broke {self._scheme}, and were repaired"]

    def remedy(self) -> str:
        """How broken tags can be read, if there were any."""
        return "--repair-tags reads broken tags for what they can mean" if self._broken else ""


def _tags_in(items: Iterable[tuple[int, Row] | BadRow], column: str) -> Iterator[list[str]]:
    for item in items:
        if not isinstance(item, BadRow):
            yield [tag for tag in divided(item[1].get(column)) if isinstance(tag, str)]


def _strings(value: Any, column: str, what: str) -> list[str]:
    parts = divided(value)
    if not parts:
        raise DataError(f"{column!r} is {type(value).__name__}, not a list of {what}s")
    for part in parts:
        if not isinstance(part, str):
            raise DataError(f"{column!r} has a {what} that is {type(part).__name__}, not text")
    return parts
