"""Whole-word masking: what a masked language model is trained to fill in.

15 % of a text's tokens are chosen, whole words at a time, as in BERT with whole-word masking
(https://arxiv.org/abs/1906.08101); some words together with those that follow, 1 to 4 in all with
the weights of MacBERT (https://arxiv.org/abs/2004.13922); and the phrases and entities of a
dictionary before all words, as in ERNIE (https://arxiv.org/abs/1904.09223). Of the chosen tokens
80 % become `[MASK]`, 10 % a random token, and 10 % stay (https://arxiv.org/abs/1810.04805).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hub.errors import InputError
from hub.tokenizers.base import Tokenizer
from hub.tokenizers.units import NO_UNIT

# What the label of a token that is not to be guessed is, as in `transformers`.
IGNORED = -100
# The streams of random numbers of a text: one for each kind of choice.
_ORDER, _LENGTH, _FATE, _OTHER = np.arange(4, dtype=np.uint64) << np.uint64(32)


@dataclass(frozen=True)
class MaskingArguments:
    """How much is masked, and how.

    Attributes:
        probability: the part of a text's tokens that is chosen at the most; where it is less than
            one token, one. A word with more tokens than that is never chosen, so that a short text
            of long words stays as it is.
        ngram_weights: how often 1, 2, ... neighbouring words are chosen together.
        mask_share: the part of the chosen tokens that becomes `[MASK]`.
        random_share: the part that becomes any token of the vocabulary.
        seed: of all choices.

    Raises:
        InputError: a value is out of its limits.
    """

    probability: float = 0.15
    ngram_weights: tuple[float, ...] = (0.4, 0.3, 0.2, 0.1)
    mask_share: float = 0.8
    random_share: float = 0.1
    seed: int = 42

    def __post_init__(self) -> None:
        if not 0 < self.probability < 1:
            raise InputError(f"probability must be between 0 and 1, not {self.probability!r}.")
        weights = self.ngram_weights
        if not weights or min(weights) < 0 or not math.isfinite(sum(weights)) or sum(weights) <= 0:
            raise InputError(f"ngram_weights must be numbers from 0, not {weights!r}.")
        shares = (self.mask_share, self.random_share)
        if min(shares) < 0 or sum(shares) > 1 + 1e-9:
            raise InputError(
                f"mask_share and random_share must be parts of 1, not {shares[0]!r} and "
                f"{shares[1]!r}."
            )
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**63:
            raise InputError(f"seed must be a whole number from 0, not {self.seed!r}.")


class WholeWordMaskingCollator:
    """Makes a batch of the rows of a `UnitFinder`, with masks drawn anew in every epoch.

    The masks of a text depend on the seed, the epoch and the text alone: not on its place in a
    batch, on the process, or on what was drawn before. A run that is resumed needs no state.

    Args:
        tokenizer: the model's.
        arguments: how much is masked, and how.

    Attributes:
        epoch: the epoch, counted from 0; set it before each.
    """

    def __init__(self, tokenizer: Tokenizer, arguments: MaskingArguments | None = None) -> None:
        self.arguments = arguments or MaskingArguments()
        self.epoch = 0
        self._pad, self._mask = tokenizer.pad_token_id, tokenizer.mask_token_id
        special = tokenizer.special_ids
        self._others = np.array(
            [n for n in range(tokenizer.id_count) if n not in special], np.int64
        )
        weights = np.cumsum(self.arguments.ngram_weights)
        self._ngram_limits = weights / weights[-1]

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """Mask and pad rows.

        Returns:
            `input_ids`, `token_type_ids`, `attention_mask` and `labels`, int64 [B, T]; a label is
            the original id of a chosen token, and `IGNORED` elsewhere.
        """
        longest = max(len(row["input_ids"]) for row in rows)
        shape = (len(rows), longest)
        input_ids = np.full(shape, self._pad, np.int64)
        token_type_ids = np.zeros(shape, np.int64)
        attention_mask = np.zeros(shape, np.int64)
        labels = np.full(shape, IGNORED, np.int64)
        sums = [zlib.crc32(np.asarray(row["input_ids"], np.int64).tobytes()) for row in rows]
        keys = _keys(self.arguments.seed, self.epoch, np.array(sums, np.uint64))
        for number, row in enumerate(rows):
            length = len(row["input_ids"])
            input_ids[number, :length] = row["input_ids"]
            token_type_ids[number, :length] = row["token_type_ids"]
            attention_mask[number, :length] = 1
            chosen = self._choose(row, keys[number])
            labels[number, chosen] = input_ids[number, chosen]
        self._replace(input_ids, labels != IGNORED, keys)
        return {
            "input_ids": input_ids,
            "token_type_ids": token_type_ids,
            "attention_mask": attention_mask,
            "labels": labels,
        }

    def _choose(self, row: Mapping[str, Any], key: np.ndarray) -> np.ndarray:
        """The places of the tokens of a text that are to be guessed, rising."""
        units = np.asarray(row["units"], np.int64)
        own = np.flatnonzero(units != NO_UNIT)
        if not len(own):
            return own
        firsts = own[np.flatnonzero(np.diff(units[own], prepend=NO_UNIT))]
        lengths = np.bincount(units[own]).tolist()
        # Units that follow each other without a special token between: an n-gram stays in these.
        breaks = np.cumsum(units == NO_UNIT)[firsts].tolist()
        budget = max(1, round(self.arguments.probability * len(own)))
        count = len(lengths)
        numbers = np.arange(count, dtype=np.uint64)
        order, drawn = _uniform(key, numbers + np.array([[_ORDER], [_LENGTH]]))
        ngrams = np.searchsorted(self._ngram_limits, drawn, side="right") + 1
        knowledge = np.asarray(row["knowledge"], np.int64)
        order[knowledge] -= 1  # before all words
        ngrams[knowledge] = 1
        taken = _fill(order.argsort().tolist(), lengths, breaks, ngrams.tolist(), budget)
        return np.concatenate(
            [np.arange(firsts[unit], firsts[unit] + lengths[unit]) for unit in sorted(taken)]
            or [own[:0]]
        )

    def _replace(self, ids: np.ndarray, chosen: np.ndarray, keys: np.ndarray) -> None:
        """Put `[MASK]`, any token, or what was there at the `chosen` places, bool [B, T]."""
        rows, places = np.nonzero(chosen)
        streams = np.array([[_FATE], [_OTHER]]) + places.astype(np.uint64)
        fate, other = _uniform(keys[rows], streams)
        masked = self.arguments.mask_share
        ids[rows[fate < masked], places[fate < masked]] = self._mask
        drawn = (fate >= masked) & (fate < masked + self.arguments.random_share)
        numbers = (other[drawn] * len(self._others)).astype(np.int64)
        ids[rows[drawn], places[drawn]] = self._others[numbers]


def _fill(
    order: Sequence[int],
    lengths: Sequence[int],
    breaks: Sequence[int],
    ngrams: Sequence[int],
    budget: int,
) -> set[int]:
    """Take units in `order`, each with those that follow it up to its n-gram, until the budget.

    An n-gram that does not fit loses its last units; a unit that does not fit is passed over.
    """
    taken: set[int] = set()
    for unit in order:
        if unit in taken:
            continue
        for follower in range(unit, min(unit + ngrams[unit], len(lengths))):
            fits = lengths[follower] <= budget and breaks[follower] == breaks[unit]
            if not fits or follower in taken:
                break
            taken.add(follower)
            budget -= lengths[follower]
        if not budget:
            break
    return taken


# --- random numbers that are a function of what they are for -------------------------------------

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(x: np.ndarray) -> np.ndarray:
    """SplitMix64's finalizer (https://doi.org/10.1145/2714064.2660195): any bit changes all."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: np.ndarray = x ^ (x >> np.uint64(31))
    return result


def _keys(seed: int, epoch: int, texts: np.ndarray) -> np.ndarray:
    """A key for each of `texts`, uint64 [B]."""
    keys = np.zeros(len(texts), np.uint64)
    for part in (np.uint64(seed), np.uint64(epoch), texts):
        keys = _mix(keys + part + _GOLDEN)
    return keys


def _uniform(keys: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The numbers of the keys' streams at `steps`, float64 from 0 up to 1."""
    bits = _mix(keys + (steps + np.uint64(1)) * _GOLDEN)
    result: np.ndarray = (bits >> np.uint64(11)) * 2.0**-53
    return result
