"""Batches: every row once, reproducible, padded no more than sorting by length leaves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.data.batches import collate, round_width, shuffled_batches, sorted_batches
from hub.tokenizers import Encoding

LENGTHS = st.lists(st.integers(2, 128), min_size=1, max_size=400)
BATCH_SIZES = st.integers(1, 40)
SEEDS = st.integers(0, 2**32 - 1)


def encoded(lengths: list[int]) -> list[Encoding]:
    """Encodings of these lengths; the ids tell the row (from 1) and the type ids alternate."""
    return [
        Encoding([row + 1] * length, [i % 2 for i in range(length)], False)
        for row, length in enumerate(lengths)
    ]


def padding(lengths: list[int], batches: list[np.ndarray]) -> int:
    """How many cells of all batches are padding."""
    return sum(max(lengths[r] for r in rows) - lengths[r] for rows in batches for r in rows)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, BATCH_SIZES, SEEDS, st.integers(0, 50))
def test_an_epoch_has_every_row_exactly_once(
    lengths: list[int], batch_size: int, seed: int, epoch: int
) -> None:
    batches = shuffled_batches(encoded(lengths), batch_size, seed, epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert len(batches) == math.ceil(len(lengths) / batch_size)
    sizes = sorted(map(len, batches))
    assert sizes[-1] <= batch_size
    assert sizes[1:] == [batch_size] * (len(sizes) - 1)  # at most one is short


@settings(max_examples=60, deadline=None)
@given(LENGTHS, BATCH_SIZES)
def test_evaluation_has_every_row_exactly_once_by_length(
    lengths: list[int], batch_size: int
) -> None:
    order = np.concatenate(sorted_batches(encoded(lengths), batch_size)).tolist()
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[row] for row in order] == sorted(lengths)


@settings(max_examples=30, deadline=None)
@given(LENGTHS, BATCH_SIZES, SEEDS, st.integers(0, 50))
def test_an_epoch_is_reproducible_from_seed_and_epoch(
    lengths: list[int], batch_size: int, seed: int, epoch: int
) -> None:
    first, second = (shuffled_batches(encoded(lengths), batch_size, seed, epoch) for _ in range(2))
    assert [rows.tolist() for rows in first] == [rows.tolist() for rows in second]


def test_epochs_and_seeds_differ() -> None:
    encodings = encoded([5 + i % 30 for i in range(300)])
    orders = [
        np.concatenate(shuffled_batches(encodings, 8, seed, epoch)).tolist()
        for seed in (1, 2)
        for epoch in range(4)
    ]
    assert len({tuple(order) for order in orders}) == len(orders)


def test_which_rows_share_a_batch_differs_between_epochs() -> None:
    """Only the order of the same batches changing would be too little randomness."""
    encodings = encoded([10] * 320)
    first, second = (
        {tuple(sorted(rows.tolist())) for rows in shuffled_batches(encodings, 8, 1, epoch)}
        for epoch in (0, 1)
    )
    assert len(first & second) < 4


def test_batches_of_short_and_long_texts_are_mixed_within_an_epoch() -> None:
    lengths = list(range(2, 258))
    means = [float(np.mean(rows)) for rows in shuffled_batches(encoded(lengths), 8, 1, 0)]
    assert means != sorted(means) and means != sorted(means, reverse=True)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, BATCH_SIZES, SEEDS)
def test_padding_is_at_most_what_sorting_within_pools_allows(
    lengths: list[int], batch_size: int, seed: int
) -> None:
    """In a sorted pool the spreads of its batches add up to the pool's own at most."""
    batches = shuffled_batches(encoded(lengths), batch_size, seed, 0)
    pools = math.ceil(len(lengths) / (32 * batch_size))
    spread = max(lengths) - min(lengths)
    assert padding(lengths, batches) <= pools * spread * (batch_size - 1)
    assert padding(lengths, sorted_batches(encoded(lengths), batch_size)) <= spread * (
        batch_size - 1
    )


def test_bucketing_saves_most_of_the_padding() -> None:
    generator = np.random.default_rng(0)
    lengths = generator.integers(4, 64, 2000).tolist()
    plain = [np.arange(start, start + 32) for start in range(0, 1984, 32)]
    bucketed = shuffled_batches(encoded(lengths), 32, 0, 0)
    assert padding(lengths, bucketed) < 0.15 * padding(lengths, plain)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(2, 40), min_size=1, max_size=20), st.integers(0, 5))
def test_collate_pads_ids_types_and_mask(lengths: list[int], pad_token_id: int) -> None:
    encodings = encoded(lengths)
    rows = np.arange(len(lengths))[::-1].copy()
    batch = collate(encodings, rows, pad_token_id)
    assert len(batch) == len(lengths)
    assert batch.rows.tolist() == rows.tolist()
    for array in (batch.input_ids, batch.token_type_ids, batch.attention_mask):
        assert array.shape == (len(lengths), max(lengths))
        assert array.dtype == np.int64
    for position, row in enumerate(rows):
        length = lengths[row]
        assert batch.input_ids[position, :length].tolist() == encodings[row].input_ids
        assert batch.token_type_ids[position, :length].tolist() == encodings[row].token_type_ids
        assert (batch.input_ids[position, length:] == pad_token_id).all()
        assert (batch.token_type_ids[position, length:] == 0).all()
        assert batch.attention_mask[position].tolist() == [
            int(column < length) for column in range(max(lengths))
        ]


def test_collate_pads_to_the_longest_of_the_batch_and_no_further() -> None:
    batch = collate(encoded([3, 5, 60]), np.array([0, 1]), 0)
    assert batch.input_ids.shape == (2, 5)


@pytest.mark.parametrize(
    ("tokens", "width"),
    [(1, 1), (16, 16), (17, 18), (33, 36), (64, 64), (65, 72), (128, 128), (129, 144), (512, 512)],
)
def test_few_widths_pad_a_little_further(tokens: int, width: int) -> None:
    encodings = encoded([2, tokens])
    plain = collate(encodings, np.arange(2), 7)
    wide = collate(encodings, np.arange(2), 7, few_widths_to=512)
    assert wide.input_ids.shape == (2, max(2, width))
    assert (wide.input_ids[:, : plain.input_ids.shape[1]] == plain.input_ids).all()
    assert (wide.input_ids[:, plain.input_ids.shape[1] :] == 7).all()
    assert wide.attention_mask.sum() == plain.attention_mask.sum()


def test_few_widths_end_at_the_models_positions() -> None:
    assert collate(encoded([65]), np.arange(1), 0, few_widths_to=70).input_ids.shape == (1, 70)
    assert len({round_width(tokens) for tokens in range(129, 257)}) == 8


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_the_last_batch_of_an_evaluation_may_be_short(batch_size: int) -> None:
    sizes = [len(rows) for rows in sorted_batches(encoded([4] * 20), batch_size)]
    assert sum(sizes) == 20
    assert all(size == batch_size for size in sizes[:-1])
