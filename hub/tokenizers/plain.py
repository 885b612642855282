"""Plain texts without the library: each word is looked up, as it was cut when it first came.

Most of what Chinese users write is ideographs, Latin letters, digits and common punctuation. How
such a text is split takes one expression, and its words are few: looking them up takes a tenth of
the time of cutting them again.
"""

from __future__ import annotations

import re
from collections.abc import Callable

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


class PlainTexts:
    """The ids of plain texts.

    Args:
        cut: gives the ids of one word; a sign always has one.
    """

    def __init__(self, cut: Callable[[str], list[int]]) -> None:
        self._words = _Words(cut)
        self._signs = _Signs(cut)

    def ids(self, text: str) -> list[int]:
        """The ids of one text."""
        words, sign = self._words, self._signs.__getitem__
        parts = _BREAK.split(text)  # signs, a word (None for white space), signs, and so on
        ids = list(map(sign, parts[0]))
        for word, signs in zip(parts[1::2], parts[2::2], strict=True):
            if word:
                ids += words[word]
            ids += map(sign, signs)
        return ids


class _Words(dict[str, list[int]]):
    """Word -> ids."""

    def __init__(self, cut: Callable[[str], list[int]]) -> None:
        super().__init__()
        self._cut = cut

    def __missing__(self, word: str) -> list[int]:
        ids = self._cut(word)
        if len(word) <= _LONGEST:
            if len(self) >= _MOST:
                self.clear()
            self[word] = ids
        return ids


class _Signs(dict[str, int]):
    """Sign -> id."""

    def __init__(self, cut: Callable[[str], list[int]]) -> None:
        super().__init__()
        self._cut = cut

    def __missing__(self, sign: str) -> int:
        (self[sign],) = self._cut(sign)
        return self[sign]
