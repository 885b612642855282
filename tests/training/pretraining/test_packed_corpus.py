"""Texts packed into sequences of one length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hub.data.encoded_cache import EncodedCache
from hub.errors import DataError
from hub.tokenizers import load_tokenizer
from hub.tokenizers.knowledge import KnowledgeDictionary
from hub.tokenizers.units import NO_UNIT, UnitFinder
from hub.training.pretraining.packed_corpus import UNCUT_LENGTH, PackedCorpus, encode_corpus

TEXTS = ["今天天气好吗", "我听歌曲", "北京酒店电话多少钱", "§请帮我查一下火车票", "a1b2"] * 12


@pytest.fixture
def finder(tiny_folder: Path) -> UnitFinder:
    return UnitFinder(load_tokenizer(tiny_folder), max_seq_len=UNCUT_LENGTH)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    return path


def packed(path: Path, finder: UnitFinder, length: int = 16) -> PackedCorpus:
    return PackedCorpus(encode_corpus([path], finder), finder.tokenizer, length, 0.1, 3)


def test_sequences_are_full_and_hold_the_texts_in_their_order(
    corpus: Path, finder: UnitFinder
) -> None:
    data = packed(corpus, finder)
    rows = data.rows(np.arange(len(data.train) + len(data.held)))
    assert {len(row["input_ids"]) for row in rows} == {16}
    tokenizer = finder.tokenizer
    assert {tokenizer.tokens(row["input_ids"].tolist())[0] for row in rows} == {"[CLS]"}
    found = [number for row in rows for number in row["input_ids"][1:].tolist()]
    wanted = [n for e in tokenizer.encode(TEXTS) for n in e.input_ids[1:]]
    assert found == wanted[: len(found)]
    assert len(wanted) - len(found) < 15


def test_units_are_those_of_the_unit_finder(tmp_path: Path, finder: UnitFinder) -> None:
    path = tmp_path / "one.txt"
    path.write_text("\n".join(TEXTS[:5]), encoding="utf-8")
    tokens = encode_corpus([path], finder)
    row = PackedCorpus(np.tile(tokens, 3), finder.tokenizer, len(tokens) + 1, 0.1, 0).rows(
        np.array([0])
    )[0]
    wanted: list[int] = [NO_UNIT]
    for units in finder.encode(TEXTS[:5])["units"]:
        first = max(wanted) + 1
        wanted += [u if u == NO_UNIT else u + first for u in units[1:]]
    assert row["units"].tolist() == wanted


def test_a_word_cut_by_a_sequences_beginning_begins_anew(
    tmp_path: Path, finder: UnitFinder
) -> None:
    path = tmp_path / "one.txt"
    path.write_text("今天今天今天今天今天今天", encoding="utf-8")  # words of two characters
    data = PackedCorpus(encode_corpus([path], finder), finder.tokenizer, 4, 0.1, 0)
    assert [row["units"].tolist() for row in data.rows(np.arange(2))] == [
        [NO_UNIT, 0, 0, 1],
        [NO_UNIT, 0, 1, 1],
    ]


def test_phrases_of_the_dictionary_are_marked(corpus: Path, tiny_folder: Path) -> None:
    phrases = KnowledgeDictionary([("酒店电话", "")])
    finder = UnitFinder(load_tokenizer(tiny_folder), None, phrases, UNCUT_LENGTH)
    data = packed(corpus, finder, 64)
    tokenizer = finder.tokenizer
    marked = [
        "".join(tokenizer.tokens(row["input_ids"][row["units"] == unit].tolist()))
        for row in data.rows(np.arange(3))
        for unit in row["knowledge"].tolist()
    ]
    assert marked
    assert set(marked) <= {"酒店电话", "电话", "酒店电", "酒店", "店电话", "话"}  # ends may be cut
    assert "酒店电话" in marked


def test_held_out_sequences_are_never_trained_on(corpus: Path, finder: UnitFinder) -> None:
    data = packed(corpus, finder)
    for epoch in range(3):
        read = np.concatenate(data.batches(epoch, 4))
        assert sorted(read.tolist()) == data.train.tolist()
        assert not set(read.tolist()) & set(data.held.tolist())
    first, second = (np.concatenate(data.batches(epoch, 4)).tolist() for epoch in (0, 1))
    assert first != second


def test_a_second_run_reads_the_cache_and_a_changed_file_does_not(
    corpus: Path, finder: UnitFinder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = encode_corpus([corpus], finder)
    calls: list[int] = []
    assert np.array_equal(encode_corpus([corpus], finder, on_texts=calls.append), first)
    assert not calls
    corpus.write_text("\n".join(TEXTS[::-1]), encoding="utf-8")
    assert not np.array_equal(encode_corpus([corpus], finder, on_texts=calls.append), first)
    assert sum(calls) == len(TEXTS)


def test_a_corpus_larger_than_the_cache_is_read_all_the_same(
    corpus: Path, finder: UnitFinder, tmp_path: Path
) -> None:
    small = EncodedCache(tmp_path / "cache", most=8)
    whole = encode_corpus([corpus], finder, cache=EncodedCache(tmp_path / "other"))
    assert np.array_equal(encode_corpus([corpus], finder, cache=small), whole)
    assert not small.files()


def test_too_little_text_is_refused(tmp_path: Path, finder: UnitFinder) -> None:
    path = tmp_path / "a.txt"
    path.write_text("  \n\n", encoding="utf-8")
    with pytest.raises(DataError, match="every line of it is blank"):
        encode_corpus([path], finder)
    path.write_text("你好\n", encoding="utf-8")
    with pytest.raises(DataError, match="less than two sequences of 16"):
        packed(path, finder)
