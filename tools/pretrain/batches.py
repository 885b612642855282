"""Texts of one length together, and their masks: what a step of pretraining reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

BEGINS_WORD, ID = 0x8000, 0x7FFF
PAD, CLS, SEP, MASK, UNK = range(5)
SPECIAL = 5
_SHORTEST, _USUAL = 7, 126
# Texts of over 200 tokens are cut into pieces of 126, but these parts of them into longer ones.
_LONGER = {254: 0.15, 510: 0.05}
_HELD_OUT = 5_000
_POOL, _MIXED = 40_000, 2_000
NGRAM_WEIGHTS = (0.4, 0.3, 0.2, 0.1)


class Corpus:
    """The texts of files that `tokenize_corpus.py` wrote, long ones in pieces.

    Args:
        files: the files, or a folder of them.
        batch: tokens of a batch.
        vocabulary: the number of entries.
        held_out: this many texts, chosen at random, are kept back to measure with; of a small
            corpus a tenth at most.

    Attributes:
        ids: all of their ids, uint16.
        starts: where each text begins in them, in the order of training.
        rarity: how much an id counts in the second loss, [V].
        tokens: how many there are to train on.
        batches_an_epoch: how many batches.
    """

    def __init__(
        self,
        files: Path | Iterable[Path],
        batch: int,
        vocabulary: int,
        held_out: int = _HELD_OUT,
    ) -> None:
        generator = np.random.default_rng(0)
        paths = sorted(files.glob("*.npy")) if isinstance(files, Path) else list(files)
        self.ids = np.concatenate([np.load(path) for path in paths])
        starts, self._lengths = _pieces(self.ids, generator)
        order = generator.permutation(len(starts))
        self.starts, self._lengths = starts[order], self._lengths[order]
        counts = np.bincount(self.ids & ID, minlength=vocabulary).astype(np.float64)
        self.rarity = 1 / np.sqrt(counts + 100)
        self.rarity[:SPECIAL] = 0
        self._held_out = min(held_out, len(starts) // 10)
        self.tokens = int(self._lengths[self._held_out :].sum())
        self._batches = self._divide(np.arange(self._held_out, len(starts)), batch)
        self.batches_an_epoch = len(self._batches)

    def _divide(self, texts: np.ndarray, batch: int) -> list[np.ndarray]:
        """Batches of texts of like length."""
        batches = []
        pooled = max(_POOL, batch * 8)
        for start in range(0, len(texts), pooled):
            pool = texts[start : start + pooled]
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
        for texts in self._divide(np.arange(self._held_out), batch):
            yield self.rows(texts)

    def length(self, texts: np.ndarray) -> int:
        """Of how many ids the shortest of these texts is: to this all of a batch are cut."""
        return int(self._lengths[texts].min())

    def rows(self, texts: np.ndarray) -> np.ndarray:
        """The ids of texts with `[CLS]` and `[SEP]`, uint16 [B, T], cut to the shortest of them."""
        length = self.length(texts)
        rows = np.empty((len(texts), length + 2), np.uint16)
        rows[:, 0], rows[:, -1] = CLS | BEGINS_WORD, SEP | BEGINS_WORD
        rows[:, 1:-1] = self.ids[self.starts[texts][:, None] + np.arange(length)]
        return rows

    def bag(self, rows: np.ndarray) -> np.ndarray:
        """Each row's ids and how much they count, rare ones more: float32 [B, T, 2]."""
        ids = (rows & ID).astype(np.int64)
        weights = self.rarity[ids]
        weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
        return np.stack([ids, weights], axis=-1).astype(np.float32)


def _pieces(ids: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Where each text, or each piece of a long one, begins and how many ids it has."""
    ends = np.flatnonzero((ids & ID) == SEP)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts
    limits = np.full(len(starts), _USUAL)
    drawn, below = generator.random(len(starts)), 0.0
    for limit, share in _LONGER.items():
        limits[(lengths > 200) & (drawn >= below) & (drawn < below + share)] = limit
        below += share
    counts = -(-lengths // limits)
    text = np.repeat(np.arange(len(starts)), counts)
    number = np.arange(len(text)) - np.repeat(counts.cumsum() - counts, counts)
    before = number * limits[text]
    sizes = np.minimum(limits[text], lengths[text] - before)
    kept = sizes >= _SHORTEST
    return (starts[text] + before)[kept], sizes[kept]


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
    own = ids >= SPECIAL
    begins = ((rows & BEGINS_WORD) > 0) | ~own
    words = begins.cumsum(axis=1) - 1 + np.arange(count)[:, None] * length  # numbers of words
    sizes = np.bincount(words[own], minlength=count * length)
    keys = generator.random(count * length)
    ngrams = generator.choice(len(NGRAM_WEIGHTS), count * length, p=NGRAM_WEIGHTS)
    for back in range(1, len(NGRAM_WEIGHTS)):  # a word is chosen with the one that began its n-gram
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
    flat[others] = generator.integers(SPECIAL, vocabulary, len(others))
    return flat.reshape(count, length), places, targets
