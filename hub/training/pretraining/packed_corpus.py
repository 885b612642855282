"""A corpus as sequences of one length without padding.

The texts follow each other in one long row of token ids, `[SEP]` after each, which is cut into
sequences of T tokens: `[CLS]` and the next T - 1 of the row (full sentences, as RoBERTa packs them:
https://arxiv.org/abs/1907.11692). The ids lie in one flat array with two bits for what masking
needs: where a word or phrase begins, and whether it is a phrase of the dictionary. The array is
kept on the disk for the next run; memory does not grow with the corpus.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from hub import __version__
from hub.data.corpus import read_corpus
from hub.data.encoded_cache import EncodedCache
from hub.errors import DataError
from hub.tokenizers import Tokenizer
from hub.tokenizers.units import NO_UNIT, UnitFinder

_BEGINS, _PHRASE, _ID = np.int32(1 << 30), np.int32(1 << 29), np.int32((1 << 29) - 1)
_BATCH = 512
# A longer text is read in parts: words are cut and encoded a text at a time.
_PART_CHARACTERS = 10_000
# What a `UnitFinder` must be made with so that it cuts none of them.
UNCUT_LENGTH = 4 * _PART_CHARACTERS
_MOST_HELD_OUT = 2_000


class PackedCorpus:
    """The sequences of a corpus.

    Args:
        tokens: what `encode_corpus` gave, int32 [tokens].
        tokenizer: what made them.
        length: the tokens of a sequence.
        held_out: the part of the sequences that is never trained on, 2,000 at the most.
        seed: chooses which, and the order of the others.

    Attributes:
        train: the numbers of the sequences to learn from, rising.
        held: those of the held-out ones.

    Raises:
        DataError: there are fewer than two sequences.
    """

    def __init__(
        self, tokens: np.ndarray, tokenizer: Tokenizer, length: int, held_out: float, seed: int
    ) -> None:
        self._tokens = tokens
        self._length = length
        self._cls = tokenizer.encode([""])[0].input_ids[0]
        self._special = np.array(sorted(tokenizer.special_ids), np.int64)
        self._seed = seed
        count = len(tokens) // (length - 1)
        if count < 2:
            raise DataError(
                f"The corpus has {len(tokens):,} tokens, which is less than two sequences of "
                f"{length}: give more text, or lower max_seq_len."
            )
        kept_back = min(_MOST_HELD_OUT, max(1, round(held_out * count)))
        order = np.random.default_rng((seed, 0)).permutation(count)
        self.held = np.sort(order[:kept_back])
        self.train = np.sort(order[kept_back:])

    def __len__(self) -> int:
        return len(self.train)

    @property
    def token_count(self) -> int:
        """The tokens of the corpus, those held out included."""
        return len(self._tokens)

    @property
    def fingerprint(self) -> str:
        """A digest of the tokens."""
        return hashlib.sha256(np.ascontiguousarray(self._tokens).data).hexdigest()[:16]

    def batches(self, epoch: int, batch_size: int) -> list[np.ndarray]:
        """The numbers of the sequences of an epoch's steps, in a new order every epoch."""
        order = np.random.default_rng((self._seed, 1, epoch)).permutation(self.train)
        return [order[n : n + batch_size] for n in range(0, len(order), batch_size)]

    def rows(self, numbers: np.ndarray) -> list[dict[str, Any]]:
        """Sequences, as the masking collator takes them."""
        width = self._length - 1
        return [self._row(self._tokens[n * width : (n + 1) * width]) for n in numbers.tolist()]

    def _row(self, flagged: np.ndarray) -> dict[str, Any]:
        ids = np.concatenate([[self._cls], flagged & _ID]).astype(np.int64)
        flags = np.concatenate([[0], flagged])
        own = ~np.isin(ids, self._special)
        # A word that was cut by the sequence's beginning begins anew.
        begins = own & ((flags & _BEGINS != 0) | ~np.concatenate([[False], own[:-1]]))
        units = np.where(own, np.cumsum(begins) - 1, NO_UNIT)
        knowledge = units[begins & (flags & _PHRASE != 0)]
        return {
            "input_ids": ids,
            "token_type_ids": np.zeros(len(ids), np.int64),
            "units": units,
            "knowledge": knowledge,
        }


def encode_corpus(
    files: Sequence[Path],
    finder: UnitFinder,
    column: str | None = None,
    *,
    cache: EncodedCache | None = None,
    on_texts: Callable[[int], object] = lambda count: None,
) -> np.ndarray:
    """The corpus as one row of token ids, int32, or the one that an earlier run left.

    Args:
        files: what `hub.data.corpus.corpus_files` gave.
        finder: the tokenizer, the words and the phrases; its `max_seq_len` is `UNCUT_LENGTH`.
        column: the tables' column of the text.
        cache: where it is kept; None is the usual place.
        on_texts: told how many more texts were encoded.

    Raises:
        DataError: a file cannot be read, or there is no text at all.
    """
    cache = cache or EncodedCache()
    key = _digest(files, finder, column)
    if (kept := cache.read(key)) is not None:
        return kept["tokens"]
    with tempfile.TemporaryFile() as aside:
        texts = _parts(read_corpus(files, column))
        while batch := list(islice(texts, _BATCH)):
            for row in _encode(batch, finder):
                row.tofile(aside)
            on_texts(len(batch))
        aside.flush()
        if not aside.tell():
            raise DataError("The corpus has no text: every line of it is blank.")
        # The mapping keeps the bytes after the file, which has no name, is closed.
        tokens: np.ndarray = np.memmap(aside, np.int32, mode="r")
    cache.write(key, {"tokens": tokens})
    return tokens


def _parts(texts: Iterator[str]) -> Iterator[str]:
    for text in texts:
        for start in range(0, len(text), _PART_CHARACTERS):
            yield text[start : start + _PART_CHARACTERS]


def _encode(texts: list[str], finder: UnitFinder) -> Iterator[np.ndarray]:
    """Each text's ids with their two bits, and `[SEP]` after them."""
    columns = finder.encode(texts)
    for ids, units, knowledge in zip(
        columns["input_ids"], columns["units"], columns["knowledge"], strict=True
    ):
        row = np.array(ids[1:], np.int32)  # without [CLS]
        of = np.array(units[1:], np.int64)
        begins = (np.diff(of, prepend=NO_UNIT) != 0) & (of != NO_UNIT)
        row[begins] |= _BEGINS
        row[begins & np.isin(of, knowledge)] |= _PHRASE
        yield row


def _digest(files: Sequence[Path], finder: UnitFinder, column: str | None) -> str:
    """A digest of what the ids depend on; of the files their names, sizes and times."""
    facts = [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    content = repr((__version__, finder.fingerprint, column, _PART_CHARACTERS, facts))
    return "corpus-" + hashlib.sha256(content.encode()).hexdigest()[:16]
