"""Vocabularies learned from a corpus."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
from click.testing import CliRunner
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from hub.cli.main import cli
from hub.errors import DataError, InputError, OutputError
from hub.tokenizers import WordPieceTokenizer, read_vocabulary
from hub.tokenizers.base import SPECIAL_TOKENS
from hub.tokenizers.merging import learn_merges
from hub.tokenizers.vocabulary import is_cased, train_vocabulary

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
    # The rarer ones go. `r` and `天` are equally frequent: the first by code point stays.
    assert few[5:] == ["e", "r", "t"]
    assert train_vocabulary(TEXTS, 200, characters=4, min_frequency=1000)[5:] == [*"ert天"]


@pytest.mark.parametrize("characters", range(12, 21))
def test_characters_leave_room_for_the_special_tokens(characters: int) -> None:
    letters = train_vocabulary(TEXTS, 100, characters=15, min_frequency=1000)[5:20]
    entries = train_vocabulary(TEXTS, 20, characters=characters, min_frequency=1000)
    assert len(entries) == 20
    # The most frequent ones, none of which is dropped for want of room.
    fitting = min(characters, 15)
    assert len([entry for entry in entries[5:] if entry in letters]) == fitting


def test_half_a_surrogate_pair_is_no_character() -> None:
    entries = train_vocabulary(["今天\ud83d", "\ude00天 \ud83d\ude00"], 100)
    assert set(entries[5:]) == {"今", "天", "😀"}


@pytest.mark.parametrize(("style", "word"), [("ernie", "100"), ("bert", "￥100")])
@pytest.mark.parametrize("lowercase", [True, False])
def test_words_are_those_of_the_tokenizer(style: str, word: str, lowercase: bool) -> None:
    texts = ["价格￥100元", "¥20 ①Café", "a\u00adb"] * 20
    entries = train_vocabulary(texts, 200, min_frequency=2, lowercase=lowercase, style=style)
    assert word in entries
    tokenizer = WordPieceTokenizer.from_vocabulary(entries, lowercase, style)
    used = {t for e in tokenizer.encode(texts) for t in tokenizer.tokens(e.input_ids)}
    assert "[UNK]" not in used
    # What whole words were merged to is used.
    words = {e for e in entries[5:] if len(e) > 1 and not e.startswith("##")}
    assert len(words & used) >= 4


def test_a_vocabulary_of_lower_cased_texts_is_known_by_its_words() -> None:
    assert not is_cased(train_vocabulary(TEXTS, 200))
    assert is_cased(train_vocabulary(TEXTS, 200, lowercase=False))
    # BERT's for Chinese has marks of this form.
    assert not is_cased([*SPECIAL_TOKENS, "<S>", "[unused1]", "[CLS]", "##a", "天"])


def test_the_same_texts_always_give_the_same_entries() -> None:
    program = (
        "import sys; from hub.tokenizers.vocabulary import train_vocabulary; "
        "texts = sys.stdin.read().splitlines(); "
        "print('\\n'.join(train_vocabulary(texts, 150, characters=20, min_frequency=2)))"
    )
    texts = [*TEXTS, *(f"{a}{b}c {b}{a}" for a in "uvwxyz" for b in "uvwxyz")]
    outputs = set()
    for seed, order in (("0", texts), ("1", texts[::-1]), ("2", texts)):
        done = subprocess.run(
            [sys.executable, "-c", program],
            input="\n".join(order),
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
        )
        outputs.add(done.stdout)
    assert len(outputs) == 1 and "weathering" in outputs.pop().split()


def test_merges_are_those_of_the_library() -> None:
    """Where no two pairs are equally frequent, Hugging Face's trainer finds the same pieces."""
    words = {"ab": 100, "abc": 50, "abcd": 20, "bc": 31, "xa": 9, "xab": 4, "cabcab": 2}
    expected = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    expected.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(vocab_size=16, min_frequency=2, show_progress=False)
    texts = [" ".join([word] * count) for word, count in words.items()]
    expected.train_from_iterator(texts, trainer)
    theirs = sorted(expected.get_vocab(), key=expected.get_vocab().__getitem__)
    theirs = [entry for entry in theirs if len(entry.removeprefix("##")) > 1 and "[" not in entry]
    assert theirs == list(islice(learn_merges(words, 2), len(theirs)))
    assert len(theirs) > 4


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
