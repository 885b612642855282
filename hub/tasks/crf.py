"""The best legal tags of a text by a conditional random field, without PaddlePaddle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from hub.data.tags import can_follow
from hub.errors import InputError

_FORBIDDEN = -1e4
_BATCH = 64


class CrfDecoder:
    """Finds the likeliest legal tags (Viterbi, 1967), and how likely each of them is.

    A transition that the tag scheme forbids, such as from O to I-LOC, is never taken, whatever was
    learned.

    Args:
        labels: the K tags.
        transitions: [K, K], from the tag of the row to that of the column.
        start: [K], for a text's first tag.
        end: [K], for its last.

    Raises:
        InputError: the shapes do not fit the number of tags.
    """

    def __init__(
        self,
        labels: Sequence[str],
        transitions: np.ndarray,
        start: np.ndarray,
        end: np.ndarray,
    ) -> None:
        count = len(labels)
        shapes = [np.shape(values) for values in (transitions, start, end)]
        if shapes != [(count, count), (count,), (count,)]:
            raise InputError(f"A CRF over {count} tags has scores of the shapes {shapes}.")
        legal, first = _legal(tuple(labels))
        self._transitions = np.where(legal, transitions, _FORBIDDEN).astype(np.float64)
        self._start = np.where(first, start, _FORBIDDEN).astype(np.float64)
        self._end = np.asarray(end, np.float64)

    @classmethod
    def from_dict(cls, labels: Sequence[str], values: dict[str, Any]) -> CrfDecoder:
        """From what `hub.json` holds."""
        return cls(
            labels,
            *(np.array(values[name], np.float64) for name in ("transitions", "start", "end")),
        )

    def decode(self, emissions: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The tags of texts of W words, from each tag's own scores [W, K].

        Returns:
            For each text its tags, int64 [W], and how likely each is, float64 [W]: the part that
            the sequences with this tag here have in all legal sequences.
        """
        tags: list[np.ndarray] = [np.empty(0, np.int64)] * len(emissions)
        probabilities: list[np.ndarray] = [np.empty(0)] * len(emissions)
        for numbers, padded, lengths in _batches(emissions):
            best = self._viterbi(padded, lengths)
            marginals = self._marginals(padded, lengths)
            for row, number in enumerate(numbers):
                tags[number] = best[row, : lengths[row]]
                probabilities[number] = marginals[row, np.arange(lengths[row]), tags[number]]
        return tags, probabilities

    def tags(self, emissions: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The tags that `decode` gives, alone."""
        tags: list[np.ndarray] = [np.empty(0, np.int64)] * len(emissions)
        for numbers, padded, lengths in _batches(emissions):
            best = self._viterbi(padded, lengths)
            for row, number in enumerate(numbers):
                tags[number] = best[row, : lengths[row]]
        return tags

    def _viterbi(self, emissions: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """The best tags, [B, W]; what stands after a text's end means nothing."""
        rows, words, _ = emissions.shape
        ahead = self._start + emissions[:, 0]
        before = np.zeros(emissions.shape, np.int64)
        final = ahead + self._end
        for word in range(1, words):
            scores = ahead[:, :, None] + self._transitions  # [B, from, to]
            before[:, word] = scores.argmax(axis=1)
            ahead = scores.max(axis=1) + emissions[:, word]
            ending = lengths == word + 1
            final[ending] = ahead[ending] + self._end
        tags = np.zeros((rows, words), np.int64)
        number = np.arange(rows)
        tags[number, lengths - 1] = final.argmax(axis=-1)
        for word in range(words - 1, 0, -1):
            going = word < lengths
            tags[going, word - 1] = before[going, word, tags[going, word]]
        return tags

    def _marginals(self, emissions: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """How likely each tag is at each place, [B, W, K]: forward and backward."""
        rows, words, count = emissions.shape
        forward = np.zeros(emissions.shape)
        forward[:, 0] = self._start + emissions[:, 0]
        for word in range(1, words):
            forward[:, word] = emissions[:, word] + _log_sum(
                forward[:, word - 1, :, None] + self._transitions, axis=1
            )
        backward = np.zeros(emissions.shape)
        after = np.zeros((rows, count))
        for word in range(words - 1, -1, -1):
            ending = (lengths == word + 1)[:, None]
            after = np.where(ending, self._end, after)
            backward[:, word] = after
            after = _log_sum(self._transitions + (emissions[:, word] + after)[:, None, :], axis=2)
        together = forward + backward
        result: np.ndarray = np.exp(together - _log_sum(together, axis=2)[:, :, None])
        return result


def keeps_the_scheme(labels: Sequence[str], tags: np.ndarray) -> bool:
    """Whether a text's tags, int64 [W], keep to the scheme."""
    follow, first = _legal(tuple(labels))
    return not len(tags) or bool(first[tags[0]] and follow[tags[:-1], tags[1:]].all())


def likeliest_legal(labels: Sequence[str], logits: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """The legal tags of the highest sum of logits, for texts of W words: from [W, K], int64 [W]."""
    count = len(labels)
    decoder = CrfDecoder(labels, np.zeros((count, count)), np.zeros(count), np.zeros(count))
    return decoder.tags(logits)


def _batches(
    emissions: Sequence[np.ndarray],
) -> Iterator[tuple[list[int], np.ndarray, np.ndarray]]:
    """Texts of like length together: their numbers, scores [B, W, K] and lengths, int64 [B]."""
    order = sorted(range(len(emissions)), key=lambda number: len(emissions[number]))
    order = [number for number in order if len(emissions[number])]
    for start in range(0, len(order), _BATCH):
        numbers = order[start : start + _BATCH]
        lengths = np.array([len(emissions[number]) for number in numbers])
        padded = np.zeros((len(numbers), lengths.max(), emissions[numbers[0]].shape[1]))
        for row, number in enumerate(numbers):
            padded[row, : lengths[row]] = emissions[number]
        yield numbers, padded, lengths


@lru_cache
def _legal(labels: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Which tag may follow which, bool [K, K], and which may be the first, bool [K]."""
    follow = np.array([[can_follow(a, b) for b in labels] for a in labels], bool)
    return follow, np.array([can_follow(None, label) for label in labels], bool)


def _log_sum(values: np.ndarray, axis: int) -> np.ndarray:
    top = values.max(axis=axis, keepdims=True)
    result: np.ndarray = np.log(np.exp(values - top).sum(axis=axis)) + top.squeeze(axis)
    return result
