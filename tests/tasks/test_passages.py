"""Reading texts: whole, their beginning, or in windows, and what is said of it."""

from __future__ import annotations

import logging

import pytest

from hub.errors import InputError
from hub.tasks import passages as passages_module
from hub.tasks.passages import read
from hub.tokenizers import WordPieceTokenizer

TOKENIZER = WordPieceTokenizer.from_vocabulary(
    ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *"甲乙丙丁"]
)
TEXTS = ["甲" * 30, "甲", "乙" * 7, "乙" * 6]


def test_texts_that_are_cut_are_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        passages = read(TOKENIZER, TEXTS, 8)
    assert [len(p.windows[0].encoding.input_ids) for p in passages] == [8, 3, 8, 8]
    assert [p.truncated for p in passages] == [True, False, True, False]
    (record,) = caplog.records
    told = "2 of 4 texts are longer than 8 tokens: only their beginning was read. A larger max_seq"
    assert record.levelname == "WARNING" and record.getMessage().startswith(told)


def test_of_texts_read_one_by_one_the_first_that_is_cut_is_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passages_module, "_told_of_single_texts", False)
    for _ in range(3):
        read(TOKENIZER, TEXTS[:1], 8)
    assert len(caplog.records) == 1
    for _ in range(2):
        read(TOKENIZER, TEXTS[:2], 8)
    assert len(caplog.records) == 3


def test_texts_in_windows_are_told_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        passages = read(TOKENIZER, TEXTS, 8, "window", return_offsets=True)
    assert [len(p.windows) for p in passages] == [7, 1, 2, 1]
    assert not any(p.truncated for p in passages)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "2 of 4 texts are longer than 8 tokens: read in 9 windows.")
    ]
    for text, passage in zip(TEXTS, passages, strict=True):
        assert passage.offsets == [(n, n + 1) for n in range(len(text))]
        assert passage.input_ids == TOKENIZER.encode([text])[0].input_ids[1:-1]


@pytest.mark.parametrize("long_text", ["cut", "window"])
def test_texts_that_fit_give_no_message(long_text: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        passages = read(TOKENIZER, ["甲" * 6, ""], 8, long_text)
    assert not caplog.records and [p.offsets for p in passages] == [[], []]


def test_a_pair_is_cut_in_any_case() -> None:
    (passage,) = read(TOKENIZER, [("甲" * 30, "乙")], 8, "window")
    assert len(passage.windows) == 1 and passage.truncated


def test_another_way_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match="long_text must be one of cut, window, not 'slide'"):
        read(TOKENIZER, TEXTS, 8, "slide")
