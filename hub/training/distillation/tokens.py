"""Which of a teacher's tokens stands where a student's token stands: vocabularies may differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hub.data.encoded import EncodedTexts, NumberRows
from hub.tokenizers import Tokenizer

# A student's token where the teacher has none: its text was cut there.
NOWHERE = -1


def matching_tokens(
    student: EncodedTexts, teacher: EncodedTexts, tokenizers: tuple[Tokenizer, Tokenizer]
) -> Sequence[np.ndarray]:
    """For each of the student's tokens the number of the teacher's token over its first character.

    Args:
        student, teacher: the same N texts, each as its own tokenizer encodes them, with offsets.
        tokenizers: the student's and the teacher's.

    Returns:
        For each text int64 [T], T being the student's tokens; `NOWHERE` for those without one.
        `[CLS]` matches `[CLS]`, and the first `[SEP]` the first one.
    """
    ends = [tokenizer.token_to_id("[SEP]") for tokenizer in tokenizers]
    return NumberRows.of(
        _matching(_Tokens(student, row, ends[0]), _Tokens(teacher, row, ends[1]))
        for row in range(len(student))
    )


class _Tokens:
    """A text's tokens: where they stand in it, and which of them are `[SEP]`."""

    def __init__(self, texts: EncodedTexts, row: int, separator: int | None) -> None:
        assert texts.offsets is not None  # they were asked for
        part = slice(int(texts.starts[row]), int(texts.starts[row + 1]))
        spans = texts.offsets[part].astype(np.int64)
        # The second text of a pair comes after all characters of the first.
        shift = texts.segments[part].astype(np.int64) << 32
        self.starts, self.ends = spans[:, 0] + shift, spans[:, 1] + shift
        self.separators = np.flatnonzero(texts.input_ids[part] == separator)
        self.own = np.flatnonzero(spans[:, 0] < spans[:, 1])

    def __len__(self) -> int:
        return len(self.starts)


def _matching(ours: _Tokens, theirs: _Tokens) -> np.ndarray:
    result = np.full(len(ours), NOWHERE, np.int64)
    result[0] = 0  # [CLS]
    count = min(len(ours.separators), len(theirs.separators))
    result[ours.separators[:count]] = theirs.separators[:count]
    if len(theirs.own):
        starts = ours.starts[ours.own]
        before = np.searchsorted(theirs.starts[theirs.own], starts, side="right") - 1
        found = theirs.own[np.maximum(before, 0)]
        covers = (before >= 0) & (theirs.ends[found] > starts)
        result[ours.own] = np.where(covers, found, NOWHERE)
    return result
