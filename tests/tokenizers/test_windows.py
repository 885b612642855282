"""Long texts in windows: nothing is lost, and each token counts once."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import InputError
from hub.tokenizers import Encoding
from hub.tokenizers.windows import Window, cut_into_windows, owned


def encoded(count: int) -> Encoding:
    """A text of `count` tokens, numbered from 10, between `[CLS]` (1) and `[SEP]` (2)."""
    ids = [1, *range(10, 10 + count), 2]
    spans = [(0, 0), *((n, n + 1) for n in range(count)), (0, 0)]
    return Encoding(ids, [0] * len(ids), False, spans)


@given(st.integers(0, 400), st.integers(3, 64))
def test_every_token_is_read_and_counts_in_one_window(count: int, max_seq_len: int) -> None:
    windows = cut_into_windows(encoded(count), max_seq_len)
    for window in windows:
        ids, spans = window.encoding.input_ids, window.encoding.offsets
        assert len(ids) <= max_seq_len and (len(windows) == 1 or len(ids) == max_seq_len)
        assert [ids[0], ids[-1]] == [1, 2] and len(window.encoding.token_type_ids) == len(ids)
        assert ids[1:-1] == list(range(10 + window.start, 10 + window.end))
        assert spans is not None and spans[0] == spans[-1] == (0, 0)
        assert [start for start, _ in spans[1:-1]] == list(range(window.start, window.end))
        assert not window.encoding.truncated
    ranges = owned(windows)
    assert [number for numbers in ranges for number in numbers] == list(range(count))
    for window, numbers in zip(windows, ranges, strict=True):
        assert set(numbers) <= set(range(window.start, window.end))


@given(st.integers(100, 400), st.integers(10, 64))
def test_neighbours_share_a_quarter_and_a_token_counts_far_from_an_edge(
    count: int, max_seq_len: int
) -> None:
    room = max_seq_len - 2
    windows = cut_into_windows(encoded(count), max_seq_len)
    shared = [a.end - b.start for a, b in itertools.pairwise(windows)]
    assert all(n == round(room / 4) for n in shared[:-1]) and shared[-1] >= round(room / 4)
    for window, numbers in zip(windows[1:], owned(windows)[1:], strict=True):
        assert numbers.start - window.start >= round(room / 4) // 2


def test_a_text_that_fits_is_its_own_window() -> None:
    whole = encoded(6)
    assert cut_into_windows(whole, 8) == [Window(whole)]
    assert len(cut_into_windows(whole, 7)) == 2


def test_too_small_windows_are_refused() -> None:
    with pytest.raises(InputError, match="3 tokens at least"):
        cut_into_windows(encoded(6), 2)
