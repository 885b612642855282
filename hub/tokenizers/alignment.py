"""Where SentencePiece's pieces stand in the text that a user wrote."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from hub.tokenizers.base import Span

_SPACE = "▁"  # SentencePiece's sign for the space before a word


def lowered(text: str) -> tuple[str, Sequence[int]]:
    """The text in lower case, and for each of its characters the position in `text`.

    Each character is lowered alone, without regard to its neighbours (as a final sigma has), and a
    few become two.

    >>> lowered("İA")
    ('i̇a', [0, 0, 1])
    """
    lower = text.lower()
    if len(lower) == len(text) and "Σ" not in text:
        return lower, range(len(text))
    characters = [(c, place) for place, upper in enumerate(text) for c in upper.lower()]
    return "".join(c for c, _ in characters), [place for _, place in characters]


def place_pieces(
    pieces: Sequence[str], sources: Sequence[int], joined: str, places: Sequence[int]
) -> list[Span]:
    """The (start, end) of every piece in the user's text.

    Pieces have no white space at their ends, so that a `▁` that stands for a space, or was put
    between words, has none at all: an empty place before what follows. Pieces share a place where
    one character became several (㍿ is read as 株式会社).

    Args:
        pieces: one after the other they are SentencePiece's normalised text.
        sources: for each character of the normalised text, the position in `joined` of what it was
            made of, and the length of `joined` at the end.
        joined: what SentencePiece was given.
        places: for each character of `joined` its position in the user's text, and the end of it.
    """
    spans = []
    position = 0
    for piece in pieces:
        begin, end = sources[position], sources[position + len(piece)]
        if piece == _SPACE:
            # What became a space may be invisible, or the user's own ▁.
            while begin < end and _is_blank(joined[begin]):
                begin += 1
        else:
            if piece[0] == _SPACE:
                begin = sources[position + 1]
            end = max(end, min(begin + 1, len(joined)))  # one character that became several
        while begin < end and joined[end - 1].isspace():
            end -= 1
        spans.append((places[begin], places[end - 1] + 1 if begin < end else places[begin]))
        position += len(piece)
    return spans


def _is_blank(character: str) -> bool:
    """Whether nothing is to be seen: white space, a control character, a zero-width one."""
    return character.isspace() or unicodedata.category(character) in ("Cc", "Cf")
