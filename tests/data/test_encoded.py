"""Encoded texts in flat arrays, and on the disk: never another result, never a failed run."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.data.batches import collate, shuffled_batches, sorted_batches
from hub.data.encoded import EncodedTexts, NumberRows
from hub.data.encoded_cache import EncodedCache
from hub.tokenizers import Encoding

TOKENS = st.tuples(
    st.integers(0, 70_000), st.integers(0, 1), st.tuples(st.integers(0, 70_000), st.integers(0, 9))
)
ROWS = st.lists(st.tuples(st.lists(TOKENS, max_size=9), st.booleans()), max_size=12)


def encodings_of(rows: list, offsets: bool) -> list[Encoding]:
    return [
        Encoding(
            [token[0] for token in tokens],
            [token[1] for token in tokens],
            truncated,
            [token[2] for token in tokens] if offsets else None,
        )
        for tokens, truncated in rows
    ]


@settings(max_examples=100, deadline=None)
@given(ROWS, ROWS, st.booleans())
def test_flat_encodings_equal_those_they_were_made_of(
    first: list, second: list, offsets: bool
) -> None:
    one, other = encodings_of(first, offsets), encodings_of(second, offsets)
    flat = EncodedTexts.joined([EncodedTexts.of(one), EncodedTexts.of(other)])
    assert list(flat) == [*one, *other]
    assert flat[:3] == [*one, *other][:3]
    assert flat.lengths.tolist() == [len(e.input_ids) for e in (*one, *other)]
    assert EncodedTexts.of(flat) is flat


def test_small_ids_take_two_bytes_and_large_ones_four() -> None:
    small, large = (EncodedTexts.of([Encoding([n], [0], False)]) for n in (65_535, 65_536))
    assert small.input_ids.dtype == np.uint16 and large.input_ids.dtype == np.int32
    assert small.token_type_ids is None  # all are of the first text


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=60), st.integers(1, 9), st.integers(0, 99))
def test_batches_of_flat_encodings_are_those_of_a_list(
    lengths: list[int], batch_size: int, seed: int
) -> None:
    listed = [
        Encoding(list(range(row, row + n)), [i % 2 for i in range(n)], False)
        for row, n in enumerate(lengths)
    ]
    flat = EncodedTexts.of(listed)
    for order in (
        lambda rows: shuffled_batches(rows, batch_size, seed, 1),
        lambda rows: sorted_batches(rows, batch_size),
    ):
        ours, theirs = order(flat), order(listed)
        assert [rows.tolist() for rows in ours] == [rows.tolist() for rows in theirs]
        for rows in ours:
            one, other = collate(flat, rows, 7), collate(listed, rows, 7)
            width = max(lengths[row] for row in rows)
            padded = [listed[r].input_ids + [7] * (width - lengths[r]) for r in rows]
            assert one.input_ids.tolist() == padded
            for name, value in one.inputs.items():
                assert value.dtype == np.int64
                assert value.tobytes() == other.inputs[name].tobytes()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(-40_000, 40_000), max_size=5), max_size=9))
def test_rows_of_numbers_come_back(rows: list[list[int]]) -> None:
    packed = NumberRows.of(np.array(row, np.int64) for row in rows)
    assert [row.tolist() for row in packed] == rows
    assert all(row.dtype == np.int64 for row in packed)


# --- on the disk ---------------------------------------------------------------------------------

ARRAYS = {
    "truncated": np.array([True, False, True]),
    "starts": np.arange(4, dtype=np.int64),
    "input_ids": np.array([1, 2, 60_000], np.uint16),
    "offsets": np.array([[0, 1], [1, 70_000], [2, 3]], np.int32),
    "token_type_ids": np.zeros(0, np.uint8),
}


def same(found: dict[str, np.ndarray] | None) -> bool:
    return found is not None and {n: (a.dtype, a.tolist()) for n, a in found.items()} == {
        n: (a.dtype, a.tolist()) for n, a in ARRAYS.items()
    }


def test_arrays_come_back_mapped(tmp_path: Path) -> None:
    cache = EncodedCache(tmp_path / "new" / "encoded")
    assert cache.read("k") is None and cache.size() == 0 and cache.clean() == 0
    cache.write("k", ARRAYS)
    found = cache.read("k")
    assert same(found)
    assert not found["input_ids"].flags.owndata and not found["input_ids"].flags.writeable
    (path,) = cache.files()
    assert cache.size() == path.stat().st_size == cache.clean()
    assert same(found)  # removed while it is mapped
    assert cache.read("k") is None


def test_the_file_is_one_that_safetensors_reads(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    cache = EncodedCache(tmp_path)
    cache.write("k", ARRAYS)
    assert same(load_file(tmp_path / "k.safetensors"))


@pytest.mark.parametrize("damage", ["short", "long", "changed", "empty", "header", "text"])
def test_a_damaged_file_is_none_and_told_in_the_log(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache = EncodedCache(tmp_path)
    cache.write("k", ARRAYS)
    path = tmp_path / "k.safetensors"
    content = path.read_bytes()
    path.write_bytes(
        {
            "short": content[:-1],
            "long": content + b"\0",
            "changed": content[:-1] + bytes([content[-1] ^ 1]),
            "empty": b"",
            "header": content.replace(b"input_ids", b"input_idz"[:8] + b'"'),
            "text": b"something else altogether" * 9,
        }[damage]
    )
    with caplog.at_level(logging.INFO):
        assert cache.read("k") is None
    assert "damaged" in caplog.text
    cache.write("k", ARRAYS)
    assert same(cache.read("k"))


def test_those_not_used_for_longest_go_first(tmp_path: Path) -> None:
    cache = EncodedCache(tmp_path)
    for number, key in enumerate("abc"):
        cache.write(key, ARRAYS)
        os.utime(tmp_path / f"{key}.safetensors", (1000 + number, 1000 + number))
    assert same(cache.read("a"))  # used now
    size = (tmp_path / "a.safetensors").stat().st_size
    EncodedCache(tmp_path, most=3 * size).write("d", ARRAYS)
    assert sorted(path.stem for path in cache.files()) == ["a", "c", "d"]
    EncodedCache(tmp_path, most=10).write("e", ARRAYS)  # larger than all may be
    assert sorted(path.stem for path in cache.files()) == ["a", "c", "d"]


def test_what_a_killed_process_left_is_removed_in_time(tmp_path: Path) -> None:
    new, old = tmp_path / ".x.safetensors.1", tmp_path / ".x.safetensors.2"
    for path in (new, old):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    EncodedCache(tmp_path).write("k", ARRAYS)
    assert new.exists() and not old.exists()


def test_a_folder_that_cannot_be_written_is_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = EncodedCache(tmp_path / "file" / "encoded")
    with caplog.at_level(logging.INFO):
        cache.write("k", ARRAYS)
        assert cache.read("k") is None
    assert "not kept" in caplog.text

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hub.data.encoded_cache.write_whole", full)
    with caplog.at_level(logging.INFO):
        EncodedCache(tmp_path / "b").write("k", ARRAYS)
    assert "No space left" in caplog.text


WRITER = """
import sys
import numpy as np
from pathlib import Path
from hub.data.encoded_cache import EncodedCache
cache = EncodedCache(Path(sys.argv[1]))
numbers = np.arange(200_000, dtype=np.int64)
for _ in range(20):
    cache.write("k", {"numbers": numbers})
    found = cache.read("k")
    assert found is not None and (found["numbers"] == numbers).all()
"""


def test_two_processes_may_write_the_same_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    root = str(Path(__file__).parents[2])
    both = [
        subprocess.Popen(command, env={**os.environ, "PYTHONPATH": root}, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=120)[1].decode() for process in both] == ["", ""]
    assert [path.name for path in tmp_path.iterdir()] == ["k.safetensors"]
