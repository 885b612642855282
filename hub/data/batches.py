"""Batches of encoded texts: texts of like length together, padded to the batch's longest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """What a network or a graph is given, by name."""
        names = ("input_ids", "token_type_ids", "attention_mask", "positions")
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}


def collate(encodings: Sequence[Encoding], rows: np.ndarray, pad_token_id: int) -> Batch:
    """Pad the encodings numbered `rows` to the longest among them."""
    longest = max(len(encodings[row].input_ids) for row in rows)
    shape = (len(rows), longest)
    input_ids = np.full(shape, pad_token_id, np.int64)
    token_type_ids = np.zeros(shape, np.int64)
    attention_mask = np.zeros(shape, np.int64)
    for position, row in enumerate(rows):
        encoding = encodings[row]
        length = len(encoding.input_ids)
        input_ids[position, :length] = encoding.input_ids
        token_type_ids[position, :length] = encoding.token_type_ids
        attention_mask[position, :length] = 1
    return Batch(rows, input_ids, token_type_ids, attention_mask)


def sorted_batches(encodings: Sequence[Encoding], batch_size: int) -> list[np.ndarray]:
    """Row numbers for evaluation: all rows by length, `batch_size` a batch."""
    lengths = np.array([len(encoding.input_ids) for encoding in encodings])
    order = np.argsort(lengths, kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def shuffled_batches(
    encodings: Sequence[Encoding], batch_size: int, seed: int, epoch: int
) -> list[np.ndarray]:
    """Row numbers for one epoch: every row once, in an order that `seed` and `epoch` fix."""
    generator = np.random.default_rng((seed, epoch))
    lengths = np.array([len(encoding.input_ids) for encoding in encodings])
    order = generator.permutation(len(encodings))
    batches = []
    pool = batch_size * _POOL_BATCHES
    for start in range(0, len(order), pool):
        part = order[start : start + pool]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
    return [batches[i] for i in generator.permutation(len(batches))]
