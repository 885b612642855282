"""Where tokens stand in a text, and what exactly is answered where PaddleNLP answers otherwise.

`test_wordpiece.py` compares tokens and segments with PaddleNLP's; here are the offsets, and the
texts on which the two differ.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hub.tokenizers import WordPieceTokenizer

GOLDEN = Path(__file__).parents[1] / "golden" / "paddlenlp_tokenizer"
ROWS = [json.loads(line) for line in (GOLDEN / "golden.jsonl").read_text("utf-8").splitlines()]
SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"]

# Text -> this package's tokens, those of transformers' fast BertTokenizer.
OWN_TOKENS = {
    # PaddleNLP splits words at symbols too (category S), not only at punctuation (P): "￥", "1".
    "价格：￥1,299.00（含税）": "价 格 ： [UNK] , 299 . 00 （ 含 税 ）",
    # The same: PaddleNLP gives each of the three emoji an [UNK].
    "😀👍🏻 emoji测试": "[UNK] em ##o ##ji 测 试",
    # PaddleNLP reads special tokens in a text as text: "[", "ma", "##sk", ...
    "[MASK]天天气[SEP]好[CLS]x[PAD]": "[MASK] 天 天 气 [SEP] 好 [CLS] x [PAD]",
    # 29 tokens for two texts of 30: PaddleNLP keeps 15 of the first, this package 14.
    "啊" * 30: " ".join([*"啊" * 14, "[SEP]", *"哦" * 15]),
}
# Rows of which PaddleNLP places an [UNK] elsewhere: it searches the text for as many characters as
# the tokens before it have, and an [UNK] has other characters than the word it stands for.
UNKNOWN_ELSEWHERE = {
    "C++ 和 C# 哪个好？",
    "①②③ ⑩ Ⅳ ㈱ ℃ № ™ ®",
    "Σίσυφος ΣΊΣΥΦΟΣ",
    "日本語テスト かな カナ",
    "한국어 테스트",
    "Привет мир",
    "$100 $ US$5",
    "ＰＭ２．５",
    "㎡ ㎞ ½ ²",
    "𠮷野家 𪚥",
}
WITH_OFFSETS = [r for r in ROWS if "offset_mapping" in r and r["text"] not in OWN_TOKENS]


@pytest.fixture(scope="module")
def ernie() -> WordPieceTokenizer:
    """ERNIE 1.0's tokenizer over a part of its vocabulary."""
    return WordPieceTokenizer.from_folder(GOLDEN)


def tokens(tokenizer: WordPieceTokenizer, ids: list[int]) -> list[str]:
    """The entries that stand for ids."""
    return [tokenizer.backend.id_to_token(number) for number in ids]


def numbered(rows: list[dict[str, Any]]) -> list[str]:
    """Names for the rows that pytest can show."""
    return [f"{n}-{row['text'][:12]}" for n, row in enumerate(rows)]


@pytest.mark.parametrize("row", WITH_OFFSETS, ids=numbered(WITH_OFFSETS))
def test_offsets_are_paddlenlps(ernie: WordPieceTokenizer, row: dict[str, Any]) -> None:
    answer = ernie(row["text"], max_seq_len=512, return_offsets=True)
    ours = [list(span) for span in answer["offset_mapping"]]
    named = zip(tokens(ernie, answer["input_ids"]), ours, row["offset_mapping"], strict=True)
    different = [(token, span) for token, span, theirs in named if span != theirs]
    assert bool(different) == (row["text"] in UNKNOWN_ELSEWHERE)
    assert {token for token, _ in different} <= {"[UNK]"}
    # Ours stand one after the other, on characters of the text.
    previous = 0
    for start, end in ours[1:-1]:
        assert previous <= start < end <= len(row["text"])
        assert not row["text"][start:end].isspace()
        previous = end


def test_every_exception_is_a_golden_row() -> None:
    assert {r["text"] for r in WITH_OFFSETS} >= UNKNOWN_ELSEWHERE
    assert [sum(r["text"] == text for r in ROWS) for text in OWN_TOKENS] == [1] * len(OWN_TOKENS)


@pytest.mark.parametrize("text", OWN_TOKENS)
def test_what_paddlenlp_answers_otherwise_is_answered_so(
    ernie: WordPieceTokenizer, text: str
) -> None:
    row = next(r for r in ROWS if r["text"] == text)
    pair = (text, row["text_pair"]) if "text_pair" in row else text
    encoded = ernie.encode([pair], row.get("max_length"))[0]
    assert tokens(ernie, encoded.input_ids) == ["[CLS]", *OWN_TOKENS[text].split(), "[SEP]"]
    assert len(encoded.input_ids) == len(encoded.token_type_ids)


def test_a_pair_has_a_segment_each_and_the_longer_text_is_cut(ernie: WordPieceTokenizer) -> None:
    whole, cut = (ernie.encode([("今天", "天气很好")], length)[0] for length in (9, 7))
    assert tokens(ernie, whole.input_ids) == [
        "[CLS]",
        "今",
        "天",
        "[SEP]",
        "天",
        "气",
        "很",
        "好",
        "[SEP]",
    ]
    assert whole.token_type_ids == [0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert tokens(ernie, cut.input_ids) == ["[CLS]", "今", "天", "[SEP]", "天", "气", "[SEP]"]
    assert cut.token_type_ids == [0, 0, 0, 0, 1, 1, 1]
    assert [whole.truncated, cut.truncated] == [False, True]


@pytest.mark.parametrize("line", ["{entry}\t{number}\n", "{entry}\n", "{entry}\r\n"])
def test_every_form_of_a_vocabulary_gives_the_same_tokenizer(
    ernie: WordPieceTokenizer, tmp_path: Path, line: str
) -> None:
    entries = (GOLDEN / "vocab.txt").read_text("utf-8").splitlines()
    text = "".join(line.format(entry=entry, number=n) for n, entry in enumerate(entries))
    (tmp_path / "vocab.txt").write_bytes(text.encode())
    texts = [row["text"] for row in ROWS]
    assert WordPieceTokenizer.from_folder(tmp_path).encode(texts) == ernie.encode(texts)


def test_the_line_of_an_entry_in_a_saved_vocabulary_is_its_id(tmp_path: Path) -> None:
    entries = [*SPECIAL, "天", "##气", "$", "#", "é"]
    tokenizer = WordPieceTokenizer.from_vocabulary(entries)
    tokenizer.save(tmp_path, 16)
    assert (tmp_path / "vocab.txt").read_text("utf-8").splitlines() == entries
    again = WordPieceTokenizer.from_folder(tmp_path)
    assert [again.backend.token_to_id(entry) for entry in entries] == list(range(len(entries)))
