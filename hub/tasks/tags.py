"""Tag schemes: how a tag a token says where an entity begins and ends.

BIO (CoNLL-2003: https://aclanthology.org/W03-0419/) and its richer forms BIOES and BMES, which also
mark an entity's last token (E) and an entity of one token (S). Chinese data sets use all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_BEGINS, _GOES_ON, _ENDS, _ALONE = "B", "IM", "EL", "SU"


@dataclass(frozen=True)
class TaggedSpan:
    """An entity of the type `type`, from the unit numbered `start` to the one before `end`."""

    type: str
    start: int
    end: int


def parse_tag(tag: str) -> tuple[str, str]:
    """Split a tag into its mark and the entity's type.

    >>> parse_tag("B-LOC"), parse_tag("O"), parse_tag("LOC")
    (('B', 'LOC'), ('O', ''), ('I', 'LOC'))
    """
    if tag == "O":
        return "O", ""
    mark, dash, kind = tag.partition("-")
    if not dash or mark not in {*_BEGINS, *_GOES_ON, *_ENDS, *_ALONE}:
        return "I", tag  # a type alone: neighbours of one type are one entity
    return mark, kind


def spans_of(tags: Sequence[str]) -> list[TaggedSpan]:
    """The entities of a sequence of tags.

    Tags that break their scheme are read for what they can mean, as `seqeval` does by default: an
    entity begins wherever a tag cannot go on with the one before.

    >>> spans_of(["B-LOC", "I-LOC", "O", "I-PER", "B-PER", "S-ORG"])
    ... # doctest: +NORMALIZE_WHITESPACE
    [TaggedSpan(type='LOC', start=0, end=2), TaggedSpan(type='PER', start=3, end=4),
     TaggedSpan(type='PER', start=4, end=5), TaggedSpan(type='ORG', start=5, end=6)]
    """
    spans: list[TaggedSpan] = []
    start, kind = 0, ""  # of the entity that is open, if `kind` is not empty
    for number, tag in enumerate([*tags, "O"]):
        mark, its_kind = parse_tag(tag)
        begins = mark in _BEGINS or mark in _ALONE or its_kind != kind
        if kind and begins:
            spans.append(TaggedSpan(kind, start, number))
            kind = ""
        if its_kind and begins:
            start, kind = number, its_kind
        if kind and (mark in _ENDS or mark in _ALONE):
            spans.append(TaggedSpan(kind, start, number + 1))
            kind = ""
    return spans
