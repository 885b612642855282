"""Encoded texts in flat arrays: a million of 30 tokens take 0.1 GB, and not 2."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar, overload

import numpy as np

from hub.tokenizers import Encoding

T = TypeVar("T")
# As many rows are packed at a time.
_PACKED_ROWS = 10_000


@dataclass(frozen=True, eq=False)
class EncodedTexts(Sequence[Encoding]):
    """N encoded texts; each `Encoding` is made when it is asked for.

    Attributes:
        input_ids: the ids of all texts one after the other, uint16 or int32 [tokens].
        starts: where each text begins among them, int64 [N + 1]; the last is their end.
        truncated: whether the text's end was left out, bool [N].
        token_type_ids: the segments, uint8 [tokens]; None is 0 everywhere.
        offsets: where each token stands in its text, uint16 or int32 [tokens, 2], if asked for.
    """

    input_ids: np.ndarray
    starts: np.ndarray
    truncated: np.ndarray
    token_type_ids: np.ndarray | None = None
    offsets: np.ndarray | None = None

    @classmethod
    def of(cls, encodings: Sequence[Encoding]) -> EncodedTexts:
        """Encodings of Python's own, packed; what is packed stays as it is."""
        if isinstance(encodings, EncodedTexts):
            return encodings
        starts = starts_of([len(encoding.input_ids) for encoding in encodings])
        count = int(starts[-1])
        types = np.fromiter(_joined(e.token_type_ids for e in encodings), np.uint8, count)
        offsets = None
        if encodings and encodings[0].offsets is not None:
            pairs = _joined(_joined(encoding.offsets or () for encoding in encodings))
            offsets = _narrow(np.fromiter(pairs, np.int64, 2 * count)).reshape(-1, 2)
        return cls(
            _narrow(np.fromiter(_joined(e.input_ids for e in encodings), np.int64, count)),
            starts,
            np.array([encoding.truncated for encoding in encodings], bool),
            types if types.any() else None,
            offsets,
        )

    @classmethod
    def joined(cls, parts: Sequence[EncodedTexts]) -> EncodedTexts:
        """Several of them, one after the other; there is one at least."""
        types = None
        if any(part.token_type_ids is not None for part in parts):
            types = np.concatenate([part.segments for part in parts])
        offsets = [part.offsets for part in parts if part.offsets is not None]
        return cls(
            np.concatenate([part.input_ids for part in parts]),
            starts_of(np.concatenate([part.lengths for part in parts])),
            np.concatenate([part.truncated for part in parts]),
            types,
            np.concatenate(offsets) if offsets else None,
        )

    @property
    def lengths(self) -> np.ndarray:
        """The number of tokens of each text, int64 [N]."""
        result: np.ndarray = np.diff(self.starts)
        return result

    @property
    def segments(self) -> np.ndarray:
        """`token_type_ids`, uint8 [tokens], also where they are 0 everywhere."""
        if self.token_type_ids is None:
            return np.zeros(len(self.input_ids), np.uint8)
        return self.token_type_ids

    def __len__(self) -> int:
        return len(self.truncated)

    @overload
    def __getitem__(self, index: int) -> Encoding: ...

    @overload
    def __getitem__(self, index: slice) -> list[Encoding]: ...

    def __getitem__(self, index: int | slice) -> Encoding | list[Encoding]:
        if isinstance(index, slice):
            return [self[row] for row in range(len(self))[index]]
        row = range(len(self))[index]
        start, end = int(self.starts[row]), int(self.starts[row + 1])
        types, offsets = self.token_type_ids, None
        if self.offsets is not None:
            offsets = list(map(tuple, self.offsets[start:end].tolist()))
        return Encoding(
            self.input_ids[start:end].tolist(),
            [0] * (end - start) if types is None else types[start:end].tolist(),
            bool(self.truncated[row]),
            offsets,
        )


@dataclass(frozen=True, eq=False)
class NumberRows(Sequence[np.ndarray]):
    """N rows of whole numbers of any length in one array; each is int64 when it is asked for.

    Attributes:
        numbers: those of all rows one after the other, int16 or int32.
        starts: where each row begins among them, int64 [N + 1].
    """

    numbers: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, rows: Iterable[np.ndarray]) -> NumberRows:
        """Rows, each packed as it comes."""
        lengths: list[int] = []
        parts: list[np.ndarray] = []
        waiting: list[np.ndarray] = []
        for row in rows:
            lengths.append(len(row))
            waiting.append(row)
            if len(waiting) == _PACKED_ROWS:
                parts.append(_narrow_signed(np.concatenate(waiting)))
                waiting = []
        if waiting:
            parts.append(_narrow_signed(np.concatenate(waiting)))
        numbers = np.concatenate(parts) if parts else np.zeros(0, np.int16)
        return cls(numbers, starts_of(lengths))

    def __len__(self) -> int:
        return len(self.starts) - 1

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...

    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(index, slice):
            return [self[row] for row in range(len(self))[index]]
        row = range(len(self))[index]
        return self.numbers[self.starts[row] : self.starts[row + 1]].astype(np.int64)


def starts_of(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    """Where things of these lengths begin if they stand one after the other, int64 [N + 1]."""
    starts = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def _joined(rows: Iterable[Iterable[T]]) -> Iterator[T]:
    return chain.from_iterable(rows)


def _narrow(numbers: np.ndarray) -> np.ndarray:
    """Numbers from 0 in the fewest bytes that hold them."""
    return numbers.astype(np.uint16 if numbers.max(initial=0) < 1 << 16 else np.int32)


def _narrow_signed(numbers: np.ndarray) -> np.ndarray:
    most = np.abs(numbers).max(initial=0)
    return numbers.astype(np.int16 if most < 1 << 15 else np.int32)
