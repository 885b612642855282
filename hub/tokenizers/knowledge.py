"""Phrases and entities that are masked as one: ERNIE's knowledge masking.

ERNIE 1.0 masks phrases and named entities as a whole, so that they cannot be guessed from their
own other half (https://arxiv.org/abs/1904.09223, section 3.2). Here they come from a file of the
user's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from hub.errors import InputError
from hub.files import read_utf8


class Mention(NamedTuple):
    """A phrase or entity of the type `type` ("" if it has none) at `start` to `end` of a text."""

    start: int
    end: int
    type: str


class KnowledgeDictionary:
    """Finds phrases and entities in texts.

    Args:
        entries: each phrase with its type; "" is none.

    Raises:
        InputError: a phrase is blank, or there is none at all.
    """

    def __init__(self, entries: Iterable[tuple[str, str]]) -> None:
        self._types = dict(entries)
        if not self._types:
            raise InputError("The dictionary of phrases is empty.")
        if any(not phrase.strip() for phrase in self._types):
            raise InputError("The dictionary of phrases has a blank one.")
        # For each first character the lengths of its phrases, the longest first.
        lengths: dict[str, set[int]] = {}
        for phrase in self._types:
            lengths.setdefault(phrase[0], set()).add(len(phrase))
        self._lengths = {first: sorted(found, reverse=True) for first, found in lengths.items()}

    @classmethod
    def from_file(cls, path: str | Path) -> KnowledgeDictionary:
        """Read a UTF-8 file with a phrase a line and, after a tab, its type if it has one.

        Raises:
            InputError: the file cannot be read or has no phrase.
        """
        cells = [line.strip("\r").split("\t") for line in read_utf8(Path(path)).split("\n")]
        entries = [
            (row[0].strip(), row[1].strip() if len(row) > 1 else "")
            for row in cells
            if row[0].strip()
        ]
        if not entries:
            raise InputError(f"{path} has no phrase: it takes one a line.")
        return cls(entries)

    def __len__(self) -> int:
        return len(self._types)

    @property
    def fingerprint(self) -> str:
        """A digest of the phrases."""
        content = "\n".join(f"{phrase}\t{kind}" for phrase, kind in sorted(self._types.items()))
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def find(self, text: str) -> list[Mention]:
        """The mentions in `text`, from the left, each the longest that begins there.

        A phrase of Latin letters or digits is found only as a whole word: `AI` is not in `MAIN`.

        >>> KnowledgeDictionary([("北京", "LOC"), ("北京大学", "ORG")]).find("我在北京大学")
        [Mention(start=2, end=6, type='ORG')]
        """
        mentions: list[Mention] = []
        start = 0
        while start < len(text):
            for length in self._lengths.get(text[start], ()):
                phrase = text[start : start + length]
                if phrase in self._types and not _cuts_a_word(text, start, start + length):
                    mentions.append(Mention(start, start + length, self._types[phrase]))
                    start += length
                    break
            else:
                start += 1
        return mentions


def _cuts_a_word(text: str, start: int, end: int) -> bool:
    return _inside_a_word(text, start) or _inside_a_word(text, end)


def _inside_a_word(text: str, place: int) -> bool:
    return 0 < place < len(text) and _is_latin(text[place - 1]) and _is_latin(text[place])


def _is_latin(character: str) -> bool:
    return character.isascii() and character.isalnum()
