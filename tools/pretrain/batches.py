"""Texts of one length together, and their masks: what a step of pretraining reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

BEGINS_WORD, ID = 0x8000, 0x7FFF
PAD, CLS, SEP, MASK, UNK = range(5)
_SPECIAL = 5
_SHORTEST, _USUAL, _LONG = 7, 126, 254
_LONG_SHARE = 0.15  # of the texts of over 200 tokens
_HELD_OUT = 5_000
_POOL, _MIXED = 40_000, 2_000
_NGRAM_WEIGHTS = (0.4, 0.3, 0.2, 0.1)


class Corpus:
    """The texts of the files that `tokenize_corpus.py` wrote, long ones in pieces.

    Args:
        folder: the files.
        batch: tokens of a batch.
        vocabulary: the number of entries.

    Attributes:
        tokens: how many there are.
        batches_an_epoch: how many batches.
    """

    def __init__(self, folder: Path, batch: int, vocabulary: int) -> None:
        generator = np.random.default_rng(0)
        ids, starts, lengths, base = [], [], [], 0
        for path in sorted(folder.glob("*.npy")):
            part = np.load(path)
            ends = np.flatnonzero((part & ID) == SEP)
            for start, end in zip([0, *(ends[:-1] + 1)], ends, strict=True):
                long = end - start > 200 and generator.random() < _LONG_SHARE
                while end - start >= _SHORTEST:
                    length = min(_LONG if long else _USUAL, end - start)
                    starts.append(base + start)
                    lengths.append(length)
                    start += length
            ids.append(part)
            base += len(part)
        self._ids = np.concatenate(ids)
        order = generator.permutation(len(starts))
        self._starts, self._lengths = np.array(starts)[order], np.array(lengths)[order]
        counts = np.bincount(self._ids & ID, minlength=vocabulary).astype(np.float64)
        self._rarity = 1 / np.sqrt(counts + 100)
        self._rarity[:_SPECIAL] = 0
        self._batch = batch
        self.tokens = int(self._lengths[_HELD_OUT:].sum())
        self._batches = self._divide(np.arange(_HELD_OUT, len(self._starts)), batch)
        self.batches_an_epoch = len(self._batches)

    def _divide(self, texts: np.ndarray, batch: int) -> list[np.ndarray]:
        """Batches of texts of like length."""
        batches = []
        for start in range(0, len(texts), _POOL):
            pool = texts[start : start + _POOL]
            pool = pool[np.argsort(self._lengths[pool], kind="stable")]
            place = 0
            while place < len(pool):
                count = max(1, batch // (int(self._lengths[pool[place]]) + 2))
                batches.append(pool[place : place + count])
                place += count
        return batches

    def order(self, epoch: int) -> list[np.ndarray]:
        """The batches of an epoch, those of a few pools mixed."""
        generator = np.random.default_rng((3, epoch))
        mixed: list[np.ndarray] = []
        for start in range(0, len(self._batches), _MIXED):
            part = self._batches[start : start + _MIXED]
            mixed += [part[number] for number in generator.permutation(len(part))]
        return mixed

    def held_out_batches(self, batch: int) -> Iterator[np.ndarray]:
        """The rows of the texts that are not trained on."""
        for texts in self._divide(np.arange(min(_HELD_OUT, len(self._starts))), batch):
            yield self.rows(texts)

    def rows(self, texts: np.ndarray) -> np.ndarray:
        """The ids of texts with `[CLS]` and `[SEP]`, uint16 [B, T], cut to the shortest of them."""
        length = int(self._lengths[texts].min())
        rows = np.empty((len(texts), length + 2), np.uint16)
        rows[:, 0], rows[:, -1] = CLS | BEGINS_WORD, SEP | BEGINS_WORD
        rows[:, 1:-1] = self._ids[self._starts[texts][:, None] + np.arange(length)]
        return rows

    def bag(self, rows: np.ndarray) -> np.ndarray:
        """Each row's ids and how much they count, rare ones more: float32 [B, T, 2]."""
        ids = (rows & ID).astype(np.int64)
        weights = self._rarity[ids]
        weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
        return np.stack([ids, weights], axis=-1).astype(np.float32)


def mask(
    rows: np.ndarray, part: float, generator: np.random.Generator, vocabulary: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mask whole words and n-grams of them.

    Returns:
        The ids [B, T], the places of those to guess in the batch read row by row [N], and what
        stood there [N].
    """
    ids = (rows & ID).astype(np.int64)
    count, length = ids.shape
    own = ids >= _SPECIAL
    begins = ((rows & BEGINS_WORD) > 0) | ~own
    words = begins.cumsum(axis=1) - 1 + np.arange(count)[:, None] * length  # numbers of words
    sizes = np.bincount(words[own], minlength=count * length)
    keys = generator.random(count * length)
    ngrams = generator.choice(len(_NGRAM_WEIGHTS), count * length, p=_NGRAM_WEIGHTS)
    for back in range(
        1, len(_NGRAM_WEIGHTS)
    ):  # a word is chosen with the one that began its n-gram
        before = np.roll(keys, back)
        keys = np.where((np.roll(ngrams, back) >= back) & (before < keys), before, keys)
    keys[sizes == 0] = 9
    order = keys.reshape(count, length).argsort(axis=1, kind="stable")
    ordered = np.take_along_axis(sizes.reshape(count, length), order, axis=1)
    budget = np.maximum(1, np.round(own.sum(axis=1, keepdims=True) * part))
    chosen = np.zeros((count, length), bool)
    np.put_along_axis(chosen, order, (ordered.cumsum(axis=1) <= budget) & (ordered > 0), axis=1)
    places = np.flatnonzero(chosen.reshape(-1)[words.reshape(-1)] & own.reshape(-1))
    flat = ids.reshape(-1)
    targets = flat[places]
    flat = flat.copy()
    fate = generator.random(len(places))
    flat[places[fate < 0.8]] = MASK
    others = places[fate >= 0.9]
    flat[others] = generator.integers(_SPECIAL, vocabulary, len(others))
    return flat.reshape(count, length), places, targets
