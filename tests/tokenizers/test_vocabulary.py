"""Vocabularies learned from a corpus."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from hub.cli.main import cli
from hub.errors import DataError, InputError, OutputError
from hub.tokenizers import WordPieceTokenizer, read_vocabulary
from hub.tokenizers.vocabulary import SPECIAL_TOKENS, train_vocabulary

TEXTS = ["今天天气很好 Weather report", "明天天气不好 weather station", "天气预报 weathering"] * 30


def test_special_tokens_come_first_and_every_character_is_an_entry() -> None:
    entries = train_vocabulary(TEXTS, 200)
    assert tuple(entries[:5]) == SPECIAL_TOKENS
    assert set("今天气很好明不预报") <= set(entries)
    assert len(entries) == len(set(entries)) <= 200


def test_frequent_latin_words_are_merged_and_lower_cased() -> None:
    entries = train_vocabulary(TEXTS, 200, min_frequency=2)
    assert "weather" in entries
    assert "Weather" not in entries
    assert "Weather" in train_vocabulary(TEXTS, 400, min_frequency=2, lowercase=False)


def test_chinese_characters_are_never_merged() -> None:
    entries = train_vocabulary(TEXTS, 500, min_frequency=2)
    assert not [e for e in entries if len(e.removeprefix("##")) > 1 and "天" in e]


def test_the_size_and_the_characters_are_limits() -> None:
    assert len(train_vocabulary(TEXTS, 20, min_frequency=1)) <= 20
    few = train_vocabulary(TEXTS, 200, characters=3, min_frequency=1000)
    letters = {entry.removeprefix("##") for entry in few[5:]}
    assert letters == {"天", "e", "t"}  # the rarer ones go


def test_the_vocabulary_makes_a_tokenizer() -> None:
    tokenizer = WordPieceTokenizer.from_vocabulary(train_vocabulary(TEXTS, 300, min_frequency=2))
    ids = tokenizer.encode(["今天 WEATHER"])[0].input_ids
    assert tokenizer.tokens(ids) == ["[CLS]", "今", "天", "weather", "[SEP]"]


def test_what_cannot_be_learned_is_refused() -> None:
    with pytest.raises(DataError, match="no text to learn"):
        train_vocabulary(["", "  "], 100)
    with pytest.raises(InputError, match="at least 6 entries"):
        train_vocabulary(TEXTS, 5)


def test_the_command_writes_a_vocabulary_and_replaces_none_unasked(tmp_path: Path) -> None:
    corpus, output = tmp_path / "a.txt", tmp_path / "vocab.txt"
    corpus.write_text("\n".join(TEXTS), encoding="utf-8")
    command = ["vocab", "train", str(corpus), "--size", "100", "--output", str(output), "-q"]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    assert tuple(read_vocabulary(output)[:5]) == SPECIAL_TOKENS
    again = CliRunner().invoke(cli, command)
    assert isinstance(again.exception, OutputError)
    assert "--overwrite" in str(again.exception)
