"""Texts from tokens: Chinese characters stand side by side, English words have a space between."""

from __future__ import annotations

from collections.abc import Sequence

from hub.data.examples import Entity
from hub.data.tags import TaggedSpan


def join_tokens(tokens: Sequence[str]) -> tuple[str, list[int]]:
    """Put tokens together to a text, and say where each begins in it.

    Between two neighbours stands one space if both are of ASCII letters and digits alone and at
    least one of them has several: so do words, while single characters are put side by side,
    whatever they are.

    >>> join_tokens(["我", "用", "Hugging", "Face", "4", "0"])
    ('我用Hugging Face 40', [0, 1, 2, 10, 15, 16])
    """
    parts: list[str] = []
    starts: list[int] = []
    position = 0
    before = ""
    for token in tokens:
        if _is_word(before) and _is_word(token) and len(before) + len(token) > 2:
            parts.append(" ")
            position += 1
        starts.append(position)
        parts.append(token)
        position += len(token)
        before = token
    return "".join(parts), starts


def entities_of(
    spans: Sequence[TaggedSpan], tokens: Sequence[str], starts: Sequence[int]
) -> tuple[Entity, ...]:
    """Entities in tokens as entities in the characters of the text that they were joined to."""
    return tuple(
        Entity(starts[span.start], starts[span.end - 1] + len(tokens[span.end - 1]), span.type)
        for span in spans
    )


def _is_word(token: str) -> bool:
    return token.isascii() and token.isalnum()
