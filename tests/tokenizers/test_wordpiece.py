"""The tokenizer agrees with PaddleNLP's to the last token, and keeps itself in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hub.errors import InputError, ModelError
from hub.tokenizers import WordPieceTokenizer
from hub.tokenizers.wordpiece import read_vocabulary

GOLDEN = Path(__file__).parents[1] / "golden" / "paddlenlp_tokenizer"
ROWS = [json.loads(line) for line in (GOLDEN / "golden.jsonl").read_text("utf-8").splitlines()]
SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"]
# Where this package does as transformers does, and PaddleNLP otherwise.
DIFFERENT = {
    "价格：￥1,299.00（含税）": "PaddleNLP splits words at symbols too, not only at punctuation",
    "😀👍🏻 emoji测试": "PaddleNLP splits words at symbols too, not only at punctuation",
    "[MASK]天天气[SEP]好[CLS]x[PAD]": "PaddleNLP reads special tokens in a text as text",
    "啊" * 30: "of a pair cut to an odd length, PaddleNLP gives the odd token to the first text",
}
TEXTS = ["今天天气好吗", "Café 2024年 100km/h", "", "😀 𠮷 ＡＢＣ"]


@pytest.fixture(scope="module")
def ernie() -> WordPieceTokenizer:
    """ERNIE 1.0's tokenizer over a part of its vocabulary."""
    return WordPieceTokenizer.from_folder(GOLDEN)


@pytest.mark.parametrize("row", ROWS, ids=[f"{n}-{row['text'][:12]}" for n, row in enumerate(ROWS)])
def test_tokens_and_segments_are_paddlenlps(ernie: WordPieceTokenizer, row: dict[str, Any]) -> None:
    text = (row["text"], row["text_pair"]) if "text_pair" in row else row["text"]
    encoded = ernie.encode([text], row.get("max_length"))[0]
    tokens = [ernie.backend.id_to_token(i) for i in encoded.input_ids]
    if row["text"] in DIFFERENT:
        assert tokens != row["tokens"]
        return
    assert tokens == row["tokens"]
    assert encoded.token_type_ids == row["token_type_ids"]


def test_offsets_point_into_the_text_as_the_user_wrote_it(ernie: WordPieceTokenizer) -> None:
    text = "A Café在𠮷野家 😀"
    answer = ernie(text, return_offsets=True)
    tokens = [ernie.backend.id_to_token(i) for i in answer["input_ids"]]
    pieces = [text[start:end] for start, end in answer["offset_mapping"]]
    assert pieces[0] == pieces[-1] == ""
    for token, piece in zip(tokens[1:-1], pieces[1:-1], strict=True):
        if token != "[UNK]":
            plain = piece.lower().replace("é", "e")
            assert token.removeprefix("##") == plain


def test_one_text_gives_lists_and_several_give_lists_of_lists(ernie: WordPieceTokenizer) -> None:
    one, several = ernie(TEXTS[0]), ernie(TEXTS)
    assert set(one) == {"input_ids", "token_type_ids", "attention_mask"}
    assert several["input_ids"][0] == one["input_ids"]
    assert one["attention_mask"] == [1] * len(one["input_ids"])


def test_long_texts_are_cut_and_say_so(ernie: WordPieceTokenizer) -> None:
    short, exact, long = ernie.encode(["今天", "今天天", "今天天气"], 5)
    assert [e.truncated for e in (short, exact, long)] == [False, False, True]
    assert len(exact.input_ids) == len(long.input_ids) == 5
    assert long.input_ids[-1] == ernie.backend.token_to_id("[SEP]")
    # No setting of a call is left for the next.
    assert not ernie.encode(["今天天气" * 100])[0].truncated


def test_half_a_surrogate_pair_is_an_unknown_character(ernie: WordPieceTokenizer) -> None:
    whole, half = ernie.encode(["今天", "今\ud83d天"])
    assert [whole.input_ids[0], whole.input_ids[-1]] == [half.input_ids[0], half.input_ids[-1]]


def test_both_halves_of_a_surrogate_pair_count_as_they_do_in_the_text(
    ernie: WordPieceTokenizer,
) -> None:
    text = "今\ud83d\ude00天"
    offsets = ernie(text, return_offsets=True)["offset_mapping"]
    assert [text[start:end] for start, end in offsets[1:-1]] == ["今", "\ud83d\ude00", "天"]


def test_too_few_tokens_are_refused(ernie: WordPieceTokenizer) -> None:
    for call in (lambda: ernie.encode(["今天"], 2), lambda: ernie("今天", 2)):
        with pytest.raises(InputError, match="3 tokens at least"):
            call()


def test_a_saved_tokenizer_comes_back_the_same(ernie: WordPieceTokenizer, tmp_path: Path) -> None:
    ernie.save(tmp_path, 128)
    again = WordPieceTokenizer.from_folder(tmp_path)
    assert again.encode(TEXTS) == ernie.encode(TEXTS)
    (tmp_path / "tokenizer.json").unlink()
    from_vocabulary = WordPieceTokenizer.from_folder(tmp_path)
    assert from_vocabulary.encode(TEXTS) == ernie.encode(TEXTS)


def test_an_entry_that_stands_twice_moves_no_other(tmp_path: Path) -> None:
    # ERNIE 3.0's vocabulary has "$" at two places.
    original = WordPieceTokenizer.from_vocabulary([*SPECIAL, "$", "a", "$", "b"])
    original.save(tmp_path, 16)
    assert original.id_count == len(read_vocabulary(tmp_path / "vocab.txt")) == 9
    (tmp_path / "tokenizer.json").unlink()
    again = WordPieceTokenizer.from_folder(tmp_path)
    assert again.encode(["a $ b"]) == original.encode(["a $ b"])
    assert original.encode(["a b"])[0].input_ids == [1, 6, 8, 2]


def test_a_cased_vocabulary_stays_cased(tmp_path: Path) -> None:
    entries = [*SPECIAL, "A", "a"]
    WordPieceTokenizer.from_vocabulary(entries, lowercase=False).save(tmp_path, 16)
    cased = WordPieceTokenizer.from_folder(tmp_path)
    assert cased.encode(["A a"])[0].input_ids == [1, 5, 6, 2]
    (tmp_path / "tokenizer.json").unlink()
    assert WordPieceTokenizer.from_folder(tmp_path).encode(["A"])[0].input_ids == [1, 5, 2]


def test_the_first_of_two_columns_is_the_entry(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_bytes("[PAD]\t0\r\n中\t1\r\n".encode())
    assert read_vocabulary(path) == ["[PAD]", "中"]


def test_a_folder_without_or_with_a_damaged_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"neither tokenizer\.json nor vocab\.txt"):
        WordPieceTokenizer.from_folder(tmp_path)
    (tmp_path / "vocab.txt").write_text("[PAD]\n[CLS]\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"lacks \[SEP\], \[MASK\], \[UNK\]"):
        WordPieceTokenizer.from_folder(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="cannot be read"):
        WordPieceTokenizer.from_folder(tmp_path)
