"""Tag schemes: how a tag a token says where an entity begins and ends.

BIO (CoNLL-2003: https://aclanthology.org/W03-0419/) and its richer forms BIOES and BMES, which also
mark an entity's last token (E) and an entity of one token (S). Chinese data sets use all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hub.errors import InputError
from hub.wording import must_be_one_of

_BEGINS, _GOES_ON, _ENDS, _ALONE = "B", "IM", "EL", "SU"
_MARKS = frozenset(_BEGINS + _GOES_ON + _ENDS + _ALONE)
_TAG = re.compile(r"O|[BIMELSU][-_]\S.*")
_MARK_LAST = re.compile(r"O|.*\S-[BIMELSU]")

# The type of entities whose tags name none: a mark alone.
UNNAMED = "ENTITY"

# Every scheme that is read, by the marks it writes for an entity's first, inner and last token and
# for its only one. "IOB1" writes B only between two neighbours of one type; "IO" has types alone.
SCHEMES = {
    "BIO": "BIIB",
    "BIOES": "BIES",
    "BMES": "BMES",
    "BILOU": "BILU",
    "IOB1": "IIII",
    "IO": "    ",
}
# Those that hold every entity and are written.
WRITTEN_SCHEMES = ("BIO", "BIOES", "BMES")
_SPELLINGS = {"IOB2": "BIO", "IOB": "IOB1", "IOBES": "BIOES", "BMESO": "BMES", "BIEOS": "BIOES"}


@dataclass(frozen=True, slots=True)
class TaggedSpan:
    """An entity of the type `type`, from the unit numbered `start` to the one before `end`."""

    type: str
    start: int
    end: int


def scheme_name(spelling: str) -> str:
    """A scheme's own name, from any of its spellings.

    Raises:
        InputError: there is no such scheme.
    """
    name = _SPELLINGS.get(spelling.upper(), spelling.upper())
    if name not in SCHEMES:
        raise InputError(must_be_one_of("The tag scheme", SCHEMES, spelling))
    return name


def is_tag(text: str) -> bool:
    """Whether `text` is O, or a type after a mark, as in `B-LOC` or `M_LOC`."""
    return _TAG.fullmatch(text) is not None


def may_be_tag(text: str) -> bool:
    """The same, but for a lower-case mark or one without a type: what stands around it decides."""
    return text.upper() in _MARKS or is_tag(_with_capital(text))


def spellings(tags: Iterable[str], types_alone: bool = False) -> dict[str, str]:
    """How each tag of a file is read: as `O`, or its mark first, a capital letter, then the type.

    Files may write `o`; have all marks behind the type, as PaddleNLP's `P-B` has; write all marks
    as small letters; or have marks alone, where entities are of one type: `UNNAMED`.

    >>> spellings(["O", "B", "I"])
    {'O': 'O', 'B': 'B-ENTITY', 'I': 'I-ENTITY'}

    Args:
        tags: all that occur.
        types_alone: what has no mark is a type, whatever it looks like.
    """
    read = {tag: "O" if tag == "o" else tag for tag in tags}
    own = {tag for tag in read.values() if tag != "O"}
    if all(map(is_tag, own)):
        return read
    if all(map(_MARK_LAST.fullmatch, own)):
        return {tag: with_mark_first(its) for tag, its in read.items()}
    # A type may look like a mark; but some entity must begin.
    begins = any(tag[0].upper() in "BIS" for tag in own)
    if types_alone or not begins:
        return read
    if all(tag.upper() in _MARKS for tag in own):
        return {t: its if its == "O" else f"{its.upper()}-{UNNAMED}" for t, its in read.items()}
    if all(is_tag(_with_capital(tag)) for tag in own):
        return {tag: _with_capital(its) for tag, its in read.items()}
    return read


def _with_capital(tag: str) -> str:
    return tag[:1].upper() + tag[1:]


def with_mark_first(tag: str) -> str:
    """`P-B` as `B-P`, other tags as they are."""
    if tag == "O" or not _MARK_LAST.fullmatch(tag):
        return tag
    return f"{tag[-1]}-{tag[:-2]}"


def parse_tag(tag: str) -> tuple[str, str]:
    """Split a tag into its mark and the entity's type.

    >>> parse_tag("B-LOC"), parse_tag("B_LOC"), parse_tag("O"), parse_tag("LOC")
    (('B', 'LOC'), ('B', 'LOC'), ('O', ''), ('I', 'LOC'))
    """
    if tag == "O":
        return "O", ""
    if tag[1:2] not in ("-", "_") or tag[0] not in _MARKS:
        return "I", tag  # a type alone: neighbours of one type are one entity
    return tag[0], tag[2:]


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


def tags_of(spans: Iterable[TaggedSpan], length: int, scheme: str = "BIO") -> list[str]:
    """Write entities, which may not overlap, as the tags of `length` tokens.

    >>> tags_of([TaggedSpan("LOC", 0, 3), TaggedSpan("PER", 4, 5)], 5, "BMES")
    ['B-LOC', 'M-LOC', 'E-LOC', 'O', 'S-PER']
    """
    first, inner, last, alone = tuple(SCHEMES[scheme])
    tags = ["O"] * length
    for span in spans:
        size = span.end - span.start
        marks = alone if size == 1 else first + inner * (size - 2) + last
        tags[span.start : span.end] = [f"{mark}-{span.type}" for mark in marks]
    return tags


def can_follow(before: str | None, after: str) -> bool:
    """Whether in BIO one tag may follow another; None is the beginning of a text.

    >>> can_follow("B-LOC", "I-LOC"), can_follow("O", "I-LOC"), can_follow(None, "I-LOC")
    (True, False, False)
    """
    mark, kind = parse_tag(after)
    return mark != "I" or (before is not None and parse_tag(before)[1] == kind)


def detect_scheme(sequences: Iterable[Sequence[str]]) -> str:
    """Find out by what scheme the sentences of a file are tagged.

    M is BMES's alone, E and S are BIOES's, L and U BILOU's; with no mark but B and I it is BIO.
    If entities begin with I and B never stands but after an entity of the same type, it is IOB1:
    a file that has both is BIO, some of it broken. Tags without marks are IO.
    """
    marks: set[str] = set()
    bare = begins_with_i = begins_with_b = False
    seen: dict[str, tuple[str, str]] = {}
    for tags in sequences:
        before = ""
        for tag in tags:
            if tag not in seen:
                bare = bare or (tag != "O" and not is_tag(tag))
                seen[tag] = parse_tag(tag)
            mark, kind = seen[tag]
            marks.add(mark)
            begins_with_i = begins_with_i or (mark == "I" and kind != before)
            begins_with_b = begins_with_b or (mark == "B" and kind != before)
            before = kind
    if bare and marks <= {"I", "O"}:
        return "IO"
    if "M" in marks:
        return "BMES"
    if marks & {"L", "U"}:
        return "BILOU"
    if marks & {"E", "S"}:
        return "BIOES"
    return "IOB1" if begins_with_i and not begins_with_b else "BIO"


def fault_in(tags: Sequence[str], scheme: str) -> tuple[int, str] | None:
    """The first place where tags break their scheme, and how.

    >>> fault_in(["O", "I-LOC"], "BIO")
    (1, "'I-LOC' goes on with an entity that did not begin")

    Returns:
        The token's number, from 0, and a sentence; None if there is no fault.
    """
    if scheme == "IO":
        return None
    inner, ends = SCHEMES[scheme][1], scheme in ("BIOES", "BMES", "BILOU")
    allowed = {"O", "B", *SCHEMES[scheme]}
    open_tag, kind = "", ""  # the entity that may, or where ends are marked must, go on
    for number, tag in enumerate(tags):
        mark, its_kind = parse_tag(tag)
        if tag != "O" and not is_tag(tag):
            return number, f"{tag!r} is no tag of {scheme}"
        if mark not in allowed:
            return number, f"{tag!r} has a mark that {scheme} does not have"
        goes_on = mark == inner or (ends and mark == SCHEMES[scheme][2])
        if scheme != "IOB1":
            if goes_on and not open_tag:
                return number, f"{tag!r} goes on with an entity that did not begin"
            if goes_on and its_kind != kind:
                return number, f"{tag!r} goes on with an entity of another type, {open_tag!r}"
            if ends and open_tag and not goes_on:
                return number, f"{tag!r} comes before the end of the entity that {open_tag!r} began"
        closed = mark == "O" or (ends and mark in SCHEMES[scheme][2:])
        open_tag, kind = ("", "") if closed else (tag, its_kind)
    if ends and open_tag:
        return len(tags) - 1, f"the sentence ends within the entity that {open_tag!r} goes on"
    return None
