"""Rows that are read several times, more of them than memory is given for."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.data import load_dataset, overflow
from hub.data.examples import BadRow, Entity
from hub.data.kept_rows import KeptRows


def some(count: int) -> Iterator[Any]:
    for number in range(count):
        yield BadRow(number, "odd") if number % 5 == 3 else (number, {"text": str(number)})


@pytest.mark.parametrize("count", [0, 1, 4, 5, 8, 21])
def test_every_iteration_gives_all_rows_in_their_order(count: int) -> None:
    kept = KeptRows(some(count), in_memory=4)
    assert list(kept) == list(kept) == list(some(count))


def test_what_is_beyond_memorys_share_lies_in_the_file() -> None:
    kept = KeptRows(some(100), in_memory=10)
    assert len(kept._first) == 10 and kept._last == [] and len(kept._places) == 9


@pytest.mark.parametrize("written", [0, 1, 3])
def test_a_full_disk_costs_memory_and_no_row(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, written: int
) -> None:
    original = overflow.temporary_file
    flushed = 0

    def full() -> Any:
        file = original()
        flush = file.flush

        class Full:
            def __getattr__(self, name: str) -> Any:
                return getattr(file, name)

            def flush(self) -> None:
                nonlocal flushed
                if flushed == written:
                    raise OSError(errno.ENOSPC, "No space left on device")
                flushed += 1
                flush()

        return Full()

    monkeypatch.setattr(overflow, "temporary_file", full)
    kept = KeptRows(some(50), in_memory=10)
    assert list(kept) == list(kept) == list(some(50))
    assert "kept in memory" in caplog.text and len(kept._places) == written


def test_the_scheme_is_found_where_only_the_last_sentence_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Small(KeptRows):
        def __init__(self, rows: Any) -> None:
            super().__init__(rows, in_memory=3)

    monkeypatch.setattr("hub.data.entity_schemas.KeptRows", Small)
    sentences = ["京 B-LOC\n南 I-LOC\n好 O\n"] * 20 + ["京 B-LOC\n南 E-LOC\n"]
    path = tmp_path / "a.conll"
    path.write_text("\n".join(sentences[20:] * 2), encoding="utf-8")
    data = load_dataset(path, kind="ner")
    assert data.facts["tag scheme"] == "BIOES" and len(data) == 2
    path.write_text("\n".join(sentences), encoding="utf-8")
    data = load_dataset(path, kind="ner", scheme="BIO", skip_bad_rows=True)
    assert len(data) == 20 and data[19].label == (Entity(0, 2, "LOC"),)
    assert [row.line for row in data.skipped] == [82]
    # Found out from all sentences, most of which then break it: the first of them is named.
    found = load_dataset(path, kind="ner", skip_bad_rows=True)
    assert found.facts["tag scheme"] == "BIOES" and len(found) == 1
