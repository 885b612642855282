"""Plain texts without the library: each word is looked up, as it was cut when it first came.

Most of what Chinese users write is ideographs, Latin letters, digits and common punctuation. How
such a text is split takes one expression, and its words are few: looking them up takes a tenth of
the time of cutting them again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hub.tokenizers.base import Span

# Letters and digits make words; every other character that is not white space is one, here called
# a sign. Only such characters are here as each style splits alike, wherever they stand, and leaves
# as they are but for their case. "[" is not one: it begins the special tokens.
_PLAIN = re.compile(
    r"[A-Za-z0-9 \t\n\r\u3000!-/:-@\\-`{-~\]"
    r"·—‘’“”…、。《》「」『』【】（）！，：；？\u4e00-\u9fff]*"
)
_BREAK = re.compile(r"([A-Za-z0-9]+)|[ \t\n\r\u3000]+")
# Words that are kept, and their longest: numbers and names never end.
_MOST, _LONGEST = 50_000, 32


def is_plain(text: str) -> bool:
    """Whether a text is of such characters only."""
    return _PLAIN.fullmatch(text) is not None


# Where the first characters of a text stand, to be sliced: making a tuple takes longer.
_PLACES: list[Span] = [(place, place + 1) for place in range(1024)]


class PlainTexts:
    """The tokens of plain texts.

    Args:
        cut: gives the ids of one word and where its pieces stand in it; a sign always is one piece.
    """

    def __init__(self, cut: Callable[[str], tuple[list[int], list[Span]]]) -> None:
        self._cut = cut
        self._words = _Words(cut)
        self._signs = _Signs(cut)

    def __reduce__(self) -> tuple[Any, ...]:
        # What was looked up is not part of what it is: copies of it are alike for those who hash.
        return PlainTexts, (self._cut,)

    def ids(self, text: str) -> list[int]:
        """The ids of one text."""
        words, sign = self._words, self._signs.__getitem__
        parts = _BREAK.split(text)  # signs, a word (None for white space), signs, and so on
        ids = list(map(sign, parts[0]))
        for word, signs in zip(parts[1::2], parts[2::2], strict=True):
            if word:
                ids += words[word][0]
            ids += map(sign, signs)
        return ids

    def ids_and_spans(self, text: str) -> tuple[list[int], list[Span]]:
        """The ids of one text, and where each of its tokens stands."""
        words, sign = self._words, self._signs.__getitem__
        ids: list[int] = []
        spans: list[Span] = []
        place = 0
        for found in _BREAK.finditer(text):
            start, end = found.span()
            if place < start:
                ids += map(sign, text[place:start])
                spans += _singly(place, start)
            if word := found[1]:
                its_ids, its_spans = words[word]
                ids += its_ids
                spans += [(start + a, start + b) for a, b in its_spans]
            place = end
        ids += map(sign, text[place:])
        spans += _singly(place, len(text))
        return ids, spans


def _singly(start: int, end: int) -> list[Span]:
    """The spans of the characters from `start` to the one before `end`."""
    if end <= len(_PLACES):
        return _PLACES[start:end]
    return [(place, place + 1) for place in range(start, end)]


class _Words(dict[str, tuple[list[int], list[Span]]]):
    """Word -> ids, and where its pieces stand in it."""

    def __init__(self, cut: Callable[[str], tuple[list[int], list[Span]]]) -> None:
        super().__init__()
        self._cut = cut

    def __missing__(self, word: str) -> tuple[list[int], list[Span]]:
        pieces = self._cut(word)
        if len(word) <= _LONGEST:
            if len(self) >= _MOST:
                self.clear()
            self[word] = pieces
        return pieces


class _Signs(dict[str, int]):
    """Sign -> id."""

    def __init__(self, cut: Callable[[str], tuple[list[int], list[Span]]]) -> None:
        super().__init__()
        self._cut = cut

    def __missing__(self, sign: str) -> int:
        ((self[sign],), _) = self._cut(sign)
        return self[sign]
