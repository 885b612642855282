"""Batches of encoded texts: texts of like length together, padded to the batch's longest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hub.data.encoded import EncodedTexts
from hub.tokenizers import Encoding

# Shuffled texts are sorted by length within pools of this many batches: long enough to waste little
# padding, short enough to keep an epoch's order random.
_POOL_BATCHES = 32


@dataclass(frozen=True)
class Batch:
    """B encoded texts, padded to T tokens; the arrays are int64 [B, T].

    `rows` says which of the data set's rows they are. `positions`, int64 [N], is for networks that
    answer for some tokens only: their numbers in the batch read row by row.
    """

    rows: np.ndarray
    input_ids: np.ndarray
    token_type_ids: np.ndarray
    attention_mask: np.ndarray
    positions: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def parts(self, tokens: int, at_least: int) -> list[tuple[np.ndarray, Batch]]:
        """The rows in smaller batches, of like length in each, the longest first.

        Args:
            tokens: a part has about so many, padding included, or a single row.
            at_least: how many parts there are, if there are as many rows.

        Returns:
            For each part the places of its rows in this batch, int64 [rows], and the part, as wide
            as its longest row.

        Raises:
            ValueError: the batch has positions, which are numbers in the whole of it.
        """
        if self.positions is not None:
            raise ValueError("a batch with positions cannot be cut")
        lengths = self.attention_mask.sum(axis=1)
        order = np.argsort(-lengths, kind="stable")
        most = -(-len(order) // at_least)
        parts = []
        while len(order):
            width = max(int(lengths[order[0]]), 1)
            places, order = np.split(order, [min(most, max(1, round(tokens / width)))])
            arrays = (self.input_ids, self.token_type_ids, self.attention_mask)
            part = Batch(self.rows[places], *(array[places, :width] for array in arrays))
            parts.append((places, part))
        return parts

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """What a network or a graph is given, by name."""
        names = ("input_ids", "token_type_ids", "attention_mask", "positions")
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}


def collate(
    encodings: Sequence[Encoding],
    rows: np.ndarray,
    pad_token_id: int,
    *,
    few_widths_to: int | None = None,
) -> Batch:
    """Pad the encodings numbered `rows` to the longest among them.

    Args:
        encodings: the texts.
        rows: their numbers.
        pad_token_id: what is read behind a text's end.
        few_widths_to: pad a little further, to `round_width`, but not to more tokens than these.
    """
    if isinstance(encodings, EncodedTexts):
        texts, numbers = encodings, rows
    else:
        texts, numbers = EncodedTexts.of([encodings[row] for row in rows]), np.arange(len(rows))
    starts, ends = texts.starts[numbers], texts.starts[numbers + 1]
    width = int((ends - starts).max())
    if few_widths_to is not None:
        width = max(width, min(round_width(width), few_widths_to))
    places = starts[:, None] + np.arange(width)
    own = places < ends[:, None]
    input_ids = np.full(own.shape, pad_token_id, np.int64)
    token_type_ids = np.zeros(own.shape, np.int64)
    input_ids[own] = texts.input_ids[places[own]]
    if texts.token_type_ids is not None:
        token_type_ids[own] = texts.token_type_ids[places[own]]
    return Batch(rows, input_ids, token_type_ids, own.astype(np.int64))


def round_width(tokens: int) -> int:
    """The next of eight numbers of tokens between a power of two and the next.

    From 17 to 32 that is every second number, from 129 to 256 every sixteenth: less than an eighth
    is added. The tensors of a step fit into the memory of those of the steps before only if they
    are of like size.
    """
    step = max(1, (1 << (tokens - 1).bit_length()) // 16)
    return -(-tokens // step) * step


def sorted_batches(encodings: Sequence[Encoding], batch_size: int) -> list[np.ndarray]:
    """Row numbers for evaluation: all rows by length, `batch_size` a batch."""
    lengths = _lengths(encodings)
    order = np.argsort(lengths, kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def shuffled_batches(
    encodings: Sequence[Encoding], batch_size: int, seed: int, epoch: int
) -> list[np.ndarray]:
    """Row numbers for one epoch: every row once, in an order that `seed` and `epoch` fix."""
    generator = np.random.default_rng((seed, epoch))
    lengths = _lengths(encodings)
    order = generator.permutation(len(encodings))
    batches = []
    pool = batch_size * _POOL_BATCHES
    for start in range(0, len(order), pool):
        part = order[start : start + pool]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
    return [batches[i] for i in generator.permutation(len(batches))]


def _lengths(encodings: Sequence[Encoding]) -> np.ndarray:
    if isinstance(encodings, EncodedTexts):
        return encodings.lengths
    return np.array([len(encoding.input_ids) for encoding in encodings])
