"""Texts longer than a model reads, in overlapping windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hub.errors import InputError
from hub.tokenizers.base import Encoding, Span

# A token at a window's edge knows half of its neighbours only; so much of a window is in the next
# one too, and each token counts in the one where it stands farther from an edge.
OVERLAP = 0.25


@dataclass(frozen=True)
class Window:
    """A part of a text as the model reads it.

    Attributes:
        encoding: the part, with `[CLS]` before and `[SEP]` after it.
        start: the number of its first token among all of the text's own.
    """

    encoding: Encoding
    start: int = 0

    @property
    def end(self) -> int:
        """The number of the token after its last."""
        return self.start + len(self.encoding.input_ids) - 2


def cut_into_windows(whole: Encoding, max_seq_len: int) -> list[Window]:
    """Cut the encoding of one long text into windows of `max_seq_len` tokens.

    Neighbours share a quarter of their tokens, the last two perhaps more: the last window is as
    long as the others and ends with the text.

    Raises:
        InputError: `max_seq_len` is less than 3.
    """
    if max_seq_len < 3:
        raise InputError(f"max_seq_len is {max_seq_len}; a text takes 3 tokens at least.")
    count, room = len(whole.input_ids) - 2, max_seq_len - 2
    if count <= room:
        return [Window(whole)]
    step = max(1, room - round(OVERLAP * room))
    starts = [*range(0, count - room, step), count - room]
    return [Window(_part(whole, start, start + room), start) for start in starts]


def _part(whole: Encoding, start: int, end: int) -> Encoding:
    def cut(values: Sequence[Any]) -> list[Any]:
        return [values[0], *values[1 + start : 1 + end], values[-1]]

    offsets: list[Span] | None = None if whole.offsets is None else cut(whole.offsets)
    return Encoding(cut(whole.input_ids), cut(whole.token_type_ids), False, offsets)


def owned(windows: Sequence[Window]) -> list[range]:
    """For each window of a text the numbers of the tokens that count in it.

    Of two windows that share tokens each has the half that is farther from its edge. Together the
    ranges are all tokens from the first window's start, each once.
    """
    edges = [(before.end + after.start + 1) // 2 for before, after in pairwise(windows)]
    starts, ends = [windows[0].start, *edges], [*edges, windows[-1].end]
    return [range(start, end) for start, end in zip(starts, ends, strict=True)]
