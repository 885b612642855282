"""The tokenizer as it is called, what it says of itself, and how it is kept in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import InputError, ModelError
from hub.tokenizers import WordPieceTokenizer
from hub.tokenizers.truncation import lengths_kept
from hub.tokenizers.wordpiece import read_vocabulary

VOCABULARY = Path(__file__).parents[1] / "golden" / "tokenization" / "vocab" / "ernie-1.0.txt"
SPECIAL = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"]
TEXTS = ["今天天气好吗", "Café 2024年 100km/h", "", "😀 𠮷 ＡＢＣ", "￥1,299.00", "[MASK]天[SEP]"]


@pytest.fixture(scope="module")
def ernie() -> WordPieceTokenizer:
    """ERNIE 1.0's tokenizer."""
    return WordPieceTokenizer.from_vocabulary(read_vocabulary(VOCABULARY))


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


@pytest.mark.parametrize("texts", [None, 5, [None], ["今天", b"a"], [["今天", "天气"]]])
def test_what_is_no_text_is_refused(ernie: WordPieceTokenizer, texts: Any) -> None:
    with pytest.raises(InputError, match=r"Text is needed|, not a string: "):
        ernie(texts)
    if texts is not None:
        with pytest.raises(InputError, match=r"Text is needed|, not a string: "):
            ernie(["今天", "天气"][: len(texts) if isinstance(texts, list) else 1], texts)


def test_long_texts_are_cut_and_say_so(ernie: WordPieceTokenizer) -> None:
    short, exact, long = ernie.encode(["今天", "今天天", "今天天气"], 5)
    assert [e.truncated for e in (short, exact, long)] == [False, False, True]
    assert len(exact.input_ids) == len(long.input_ids) == 5
    assert long.input_ids[-1] == ernie.backend.token_to_id("[SEP]")
    # No setting of a call is left for the next.
    assert not ernie.encode(["今天天气" * 100])[0].truncated


def test_half_a_surrogate_pair_is_left_out(ernie: WordPieceTokenizer) -> None:
    whole, half = ernie.encode(["今天", "今\ud83d天"])
    assert half.input_ids == whole.input_ids
    offsets = ernie("今\ud83d天", return_offsets=True)["offset_mapping"]
    assert offsets[1:-1] == [(0, 1), (2, 3)]


def test_both_halves_of_a_surrogate_pair_count_as_they_do_in_the_text(
    ernie: WordPieceTokenizer,
) -> None:
    text = "今\ud83d\ude00天"
    offsets = ernie(text, return_offsets=True)["offset_mapping"]
    assert [text[start:end] for start, end in offsets[1:-1]] == ["今", "\ud83d\ude00", "天"]


def test_too_few_tokens_are_refused(ernie: WordPieceTokenizer) -> None:
    for call in (lambda: ernie.encode(["今天"], 2), lambda: ernie("今天", max_seq_len=2)):
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


@pytest.mark.parametrize("line", ["{entry}\t{number}\n", "{entry}\n", "{entry}\r\n"])
def test_every_form_of_a_vocabulary_gives_the_same_tokenizer(
    ernie: WordPieceTokenizer, tmp_path: Path, line: str
) -> None:
    entries = read_vocabulary(VOCABULARY)
    text = "".join(line.format(entry=entry, number=n) for n, entry in enumerate(entries))
    (tmp_path / "vocab.txt").write_bytes(text.encode())
    assert WordPieceTokenizer.from_folder(tmp_path).encode(TEXTS) == ernie.encode(TEXTS)


def test_the_line_of_an_entry_in_a_saved_vocabulary_is_its_id(tmp_path: Path) -> None:
    entries = [*SPECIAL, "天", "##气", "$", "#", "é"]
    tokenizer = WordPieceTokenizer.from_vocabulary(entries)
    tokenizer.save(tmp_path, 16)
    assert (tmp_path / "vocab.txt").read_text("utf-8").splitlines() == entries
    again = WordPieceTokenizer.from_folder(tmp_path)
    assert [again.token_to_id(entry) for entry in entries] == list(range(len(entries)))


# --- the two styles ------------------------------------------------------------------------------

ENTRIES = [*SPECIAL, "1", "￥", "a"]
AS_ERNIE, AS_BERT = [1, 6, 5, 2], [1, 4, 2]  # "￥1" as two words, or as one that is unknown


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        (None, AS_ERNIE),
        ({"model_type": "ernie"}, AS_ERNIE),
        ({"model_type": "bert"}, AS_BERT),
        ({}, AS_ERNIE),
    ],
)
def test_a_vocabulary_is_read_as_its_models_family_does(
    config: dict[str, str] | None, wanted: list[int], tmp_path: Path
) -> None:
    (tmp_path / "vocab.txt").write_text("".join(f"{e}\n" for e in ENTRIES), encoding="utf-8")
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert WordPieceTokenizer.from_folder(tmp_path)("￥1")["input_ids"] == wanted
    # What is said outright counts more.
    given = WordPieceTokenizer.from_folder(tmp_path, style="bert")
    assert given("￥1")["input_ids"] == AS_BERT


@pytest.mark.parametrize(("style", "wanted"), [("ernie", AS_ERNIE), ("bert", AS_BERT)])
def test_a_saved_tokenizer_keeps_its_style(style: str, wanted: list[int], tmp_path: Path) -> None:
    made = WordPieceTokenizer.from_vocabulary(ENTRIES, style=style)
    made.save(tmp_path, 16)
    other = "bert" if style == "ernie" else "ernie"
    (tmp_path / "config.json").write_text(json.dumps({"model_type": other}), encoding="utf-8")
    again = WordPieceTokenizer.from_folder(tmp_path)
    assert again("￥1")["input_ids"] == wanted
    pair = ("a" + " a" * 9, "1" + " 1" * 9)
    assert again.encode([pair], 8) == made.encode([pair], 8)


def test_another_style_is_refused() -> None:
    with pytest.raises(ModelError, match="one of ernie, bert, not 'xlnet'"):
        WordPieceTokenizer.from_vocabulary(ENTRIES, style="xlnet")


@pytest.mark.parametrize("accent", ["\u0301", "\u08d4", "\u0ece"])  # of Unicode 1, 9 and 15
def test_a_cased_tokenizer_keeps_accents(accent: str) -> None:
    entries = [*SPECIAL, "a", f"##{accent}"]
    for lowercase, wanted in ((True, [1, 5, 2]), (False, [1, 5, 6, 2])):
        tokenizer = WordPieceTokenizer.from_vocabulary(entries, lowercase)
        assert tokenizer(f"a{accent}")["input_ids"] == wanted


# --- ids and entries -----------------------------------------------------------------------------


def test_special_tokens_are_known_by_their_ids(ernie: WordPieceTokenizer) -> None:
    assert (ernie.pad_token_id, ernie.mask_token_id, ernie.unk_token_id) == (0, 3, 17963)
    assert ernie.special_ids == {0, 1, 2, 3, 17963}
    assert ernie.token_to_id("天") == 125 and ernie.token_to_id("没有这个词") is None
    assert ernie.tokens([1, 125, 99_999, 2]) == ["[CLS]", "天", "[UNK]", "[SEP]"]


def test_a_foreign_tokenizer_without_a_mask_says_so(tmp_path: Path) -> None:
    made = WordPieceTokenizer.from_vocabulary(ENTRIES)
    made.save(tmp_path, 16)
    text = (tmp_path / "tokenizer.json").read_text("utf-8").replace("[MASK]", "<mask>")
    (tmp_path / "tokenizer.json").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=r"no \[MASK\]"):
        _ = WordPieceTokenizer.from_folder(tmp_path).mask_token_id


# --- pairs and truncation ------------------------------------------------------------------------


def test_pairs_are_given_as_two_texts_or_two_lists(ernie: WordPieceTokenizer) -> None:
    one = ernie("今天", "天气很好", return_offsets=True)
    assert ernie.tokens(one["input_ids"]) == [
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
    assert one["token_type_ids"] == [0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert one["offset_mapping"][4:6] == [(0, 1), (1, 2)]
    several = ernie(["今天", "你"], ["天气很好", "好"])
    assert several["input_ids"][0] == one["input_ids"] and len(several["input_ids"]) == 2


@pytest.mark.parametrize(
    "arguments", [(["今天", "你"], ["好"]), ("今天", ["好"]), (["今天"], "好"), (["今天"], [])]
)
def test_a_text_without_its_second_is_refused(
    arguments: tuple[str, str], ernie: WordPieceTokenizer
) -> None:
    with pytest.raises(InputError, match="each pair needs both"):
        ernie(*arguments)


@pytest.mark.parametrize(
    ("strategy", "wanted"),
    [
        ("longest_first", "[CLS] 今 天 [SEP] 天 气 很 [SEP]"),
        ("only_second", "[CLS] 今 天 [SEP] 天 气 很 [SEP]"),
        ("only_first", "[CLS] 今 [SEP] 天 气 很 好 [SEP]"),
        ("do_not_truncate", "[CLS] 今 天 [SEP] 天 气 很 好 [SEP]"),
    ],
)
def test_a_strategy_says_which_text_is_cut(
    strategy: str, wanted: str, ernie: WordPieceTokenizer
) -> None:
    answer = ernie("今天", "天气很好", max_seq_len=8, truncation=strategy)
    assert ernie.tokens(answer["input_ids"]) == wanted.split()
    (encoding,) = ernie.encode([("今天", "天气很好")], 8, truncation=strategy)
    assert encoding.truncated is (strategy != "do_not_truncate")


def test_what_cannot_be_cut_so_is_refused(ernie: WordPieceTokenizer) -> None:
    with pytest.raises(InputError, match="truncation must be one of longest_first, only"):
        ernie("今天", truncation="first")
    with pytest.raises(InputError, match=r"A pair of 2 and 4 tokens cannot be cut to 3"):
        ernie("今天", "天气很好", max_seq_len=6, truncation="only_first")
    with pytest.raises(InputError, match="this text is alone"):
        ernie("今天天气", max_seq_len=4, truncation="only_second")
    assert len(ernie("今天天气", max_seq_len=4, truncation="only_first")["input_ids"]) == 4
    assert len(ernie("今天", max_seq_len=4, truncation="only_second")["input_ids"]) == 4


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 60), st.booleans())
def test_the_longer_text_loses_first_and_as_little_as_possible(
    first: int, second: int, room: int, odd_to_longer: bool
) -> None:
    kept = lengths_kept([first, second], room, "longest_first", odd_to_longer)
    assert sum(kept) == min(room, first + second)
    assert kept[0] <= first and kept[1] <= second
    if kept[0] < first and kept[1] < second:
        assert abs(kept[0] - kept[1]) <= 1
    elif kept[0] < first:
        assert kept[0] >= kept[1] - 1
    elif kept[1] < second:
        assert kept[1] >= kept[0] - 1
