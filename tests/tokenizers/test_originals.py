"""Every tokenizer gives what its original gives: ids, segments and offsets of 10,326 texts.

ERNIE's original is PaddleNLP's tokenizer, BERT's is that of transformers. `tests/golden` has the
texts, the answers, and the script that asked for them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import normalizers, pre_tokenizers

from hub.errors import InputError
from hub.tokenizers import Encoding, Tokenizer, WordPieceTokenizer, load_tokenizer, read_vocabulary
from hub.tokenizers.base import SPECIAL_TOKENS
from hub.tokenizers.plain import PlainTexts, is_plain
from tests.golden import tokenization as golden

NAMES = [*golden.VOCABULARIES, "paddlenlp-ernie-tiny"]
PADDLENLP = [name for name in NAMES if name.startswith("paddlenlp") and "tiny" not in name]
TEXTS = golden.texts()


@cache
def answers(name: str) -> golden.Answers:
    return golden.Answers(golden.FOLDER / f"{name}.npz")


@cache
def tokenizer_of(name: str) -> Tokenizer:
    if name == "paddlenlp-ernie-tiny":
        return load_tokenizer(golden.ERNIE_TINY)
    entries = read_vocabulary(golden.VOCABULARIES[name])
    style = "ernie" if name in PADDLENLP else "bert"
    return WordPieceTokenizer.from_vocabulary(entries, not name.endswith("cased"), style)


@cache
def encoded(name: str) -> list[Encoding]:
    return tokenizer_of(name).encode(TEXTS, None, return_offsets=True)


def test_the_texts_are_many_and_of_every_kind() -> None:
    assert len(TEXTS) == len(set(TEXTS)) == 10_326
    assert sum(len(text) >= 100_000 for text in TEXTS) == 4
    joined = "".join(TEXTS)
    categories = {unicodedata.category(character) for character in joined}
    assert len(categories) >= 28  # of 30; there are no surrogates
    assert any(ord(character) > 0xFFFF for character in joined)
    for sample in ("\u200d", "\u202e", "[MASK]", "https://", "\x00", "カ", "한", "國", "１", "Σ"):
        assert sample in joined


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_the_originals(name: str) -> None:
    tokenizer, theirs = tokenizer_of(name), answers(name).ids
    assert len(theirs) == len(TEXTS)
    for text, encoding, ids in zip(TEXTS, encoded(name), theirs, strict=True):
        if encoding.input_ids != ids:
            assert tokenizer.tokens(encoding.input_ids) == tokenizer.tokens(ids), text
        assert not any(encoding.token_type_ids) and len(encoding.token_type_ids) == len(ids)


@pytest.mark.parametrize("name", NAMES)
def test_encoding_without_offsets_gives_the_same_ids(name: str) -> None:
    assert [e.input_ids for e in tokenizer_of(name).encode(TEXTS)] == answers(name).ids


@pytest.mark.parametrize("name", NAMES)
def test_pairs_are_joined_and_cut_as_in_the_original(name: str) -> None:
    tokenizer, theirs = tokenizer_of(name), answers(name)
    refused = 0
    for number, pair in enumerate(golden.pairs()):
        strategy, limit = golden.CUTS[number % len(golden.CUTS)]
        wanted = theirs.pair_ids[number], theirs.pair_types[number]
        if wanted == ([], []):  # the text that may be cut is not long enough
            refused += 1
            with pytest.raises(InputError, match="cannot be cut to"):
                tokenizer.encode([pair], limit, truncation=strategy)
            continue
        (encoding,) = tokenizer.encode([pair], limit, truncation=strategy)
        assert (encoding.input_ids, encoding.token_type_ids) == wanted, (pair, strategy, limit)
    assert 0 < refused < 200


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("transformers")])
def test_offsets_are_those_of_transformers(name: str) -> None:
    compared = 0
    for text, encoding, spans in zip(TEXTS, encoded(name), answers(name).offsets, strict=True):
        if spans is not None:
            assert encoding.offsets == spans, text
            compared += len(spans)
    assert compared > 250_000


@pytest.mark.parametrize("name", PADDLENLP)
def test_offsets_are_paddlenlps_but_for_unknown_tokens(name: str) -> None:
    """PaddleNLP searches the text for each token; it can only guess where an [UNK] stands."""
    tokenizer = tokenizer_of(name)
    same, unknown, misled = 0, 0, 0
    for text, encoding, spans in zip(TEXTS, encoded(name), answers(name).offsets, strict=True):
        tokens = tokenizer.tokens(encoding.input_ids)
        seen = "[UNK]" in text  # written in the text it misleads the search too
        for token, ours, theirs in zip(tokens, encoding.offsets or [], spans or [], strict=False):
            seen = seen or token == "[UNK]"
            if ours == theirs:
                same += 1
            elif token == "[UNK]":
                unknown += 1
            else:
                assert seen, text
                misled += 1
    assert same > 280_000 and unknown < 0.03 * same and misled < 100


@pytest.mark.parametrize("name", NAMES)
def test_tokens_stand_one_after_the_other_on_what_can_be_seen(name: str) -> None:
    for text, encoding in zip(TEXTS, encoded(name), strict=True):
        previous = 0
        for start, end in (encoding.offsets or [])[1:-1]:
            assert 0 <= start <= end <= len(text)
            if start < end:
                # Characters that became several tokens share their place.
                assert start >= previous - 1
                assert not text[start].isspace() and not text[end - 1].isspace()
                previous = end


# --- every character -----------------------------------------------------------------------------

# The library's tables say otherwise: a mark that Unicode 14 made a spacing one, and one whose order
# after another mark the library does not know.
UNLIKE = {0x1734, 0x11938}
_CJK = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip
_SYMBOLS = {0xAD, 0xB2, 0xBA, 0x3007, 0xB5, 0xD8, 0x14B, 0x1B1}


def words(text: str) -> Iterator[str]:
    """ERNIE's basic tokenization as it is described, by Python's own tables."""
    kept = ""
    for character in text:
        category, number = unicodedata.category(character), ord(character)
        if character in "\t\n\r" or category in ("Zs", "Zl", "Zp"):
            kept += " "
        elif number not in (0, 0xFFFD) and category[0] != "C":
            cjk = any(low <= number <= high for low, high in _CJK)
            kept += f" {character} " if cjk else character
    for part in kept.split():
        lowered = unicodedata.normalize("NFD", "".join(c.lower() for c in part))
        split = ""
        for character in lowered:
            category, number = unicodedata.category(character), ord(character)
            ascii_symbol = 33 <= number <= 126 and not character.isalnum()
            if category[0] in "PS" or ascii_symbol or number in _SYMBOLS:
                split += f" {character} "
            elif category != "Mn":
                split += character
        yield from split.split()


def test_every_character_is_kept_split_or_left_out_as_in_ernies_original() -> None:
    tokenizer = tokenizer_of("paddlenlp-ernie-1.0")
    assert isinstance(tokenizer, WordPieceTokenizer)
    normalizer, splitter = tokenizer.backend.normalizer, tokenizer.backend.pre_tokenizer
    different = set()
    for number in range(0x110000):
        if 0xD800 <= number < 0xE000 or unicodedata.category(chr(number)) == "Cn":
            continue  # half of a pair; or not a character yet, which PaddleNLP leaves out
        text = f"a{chr(number)}b"
        ours = [w for w, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))]
        if ours != list(words(text)):
            different.add(number)
    assert different == UNLIKE


@pytest.mark.parametrize("style", ["ernie", "bert"])
@pytest.mark.parametrize("text", ["ΣΊΣΥΦΟΣ", "ΟΔΟΣ.", "Σ", "aΣ b", "中Σ", "ΑΣ ΑΣ", "ςΣ,Α"])
def test_a_letter_is_lowered_without_regard_to_its_neighbours(text: str, style: str) -> None:
    """Python's `lower` makes a sigma at a word's end ς; PaddleNLP asks it for each letter alone."""
    tokenizer = WordPieceTokenizer.from_vocabulary(
        [
            *[
                "[PAD]",
                "[CLS]",
                "[SEP]",
                "[MASK]",
                "[UNK]",
                ".",
                ",",
                "a",
                "b",
                "α",
                "ι",
                "υ",
                "φ",
                "ο",
                "δ",
                "σ",
                "ς",
                "中",
            ]
        ]
        + [f"##{letter}" for letter in "abαιυφοδσς"],
        style=style,
    )
    tokens = [t.removeprefix("##") for t in tokenizer.tokens(tokenizer(text)["input_ids"])[1:-1]]
    lowered = "".join(letter.lower() for letter in text.replace("Ί", "ι") if letter != " ")
    assert "".join(tokens) == lowered


# --- plain texts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["ernie", "bert"])
@pytest.mark.parametrize("lowercase", [True, False])
def test_a_plain_text_is_cut_as_the_library_cuts_it(lowercase: bool, style: str) -> None:
    plain = [chr(number) for number in range(0x110000) if is_plain(chr(number))]
    assert len(plain) > 21_000
    # A character of each kind, also such as no vocabulary has: [UNK] must come as often.
    entries = [
        *[
            "[PAD]",
            "[CLS]",
            "[SEP]",
            "[MASK]",
            "[UNK]",
            "a",
            "ab",
            "##c",
            "1",
            "##1",
            "A",
            "B",
            "##B",
            "中",
            "的",
        ]
    ]
    entries += [
        *(c for c in plain if c.isascii() and not c.isalnum() and c.strip()),
        *plain[-9000:],
    ]
    tokenizer = WordPieceTokenizer.from_vocabulary(list(dict.fromkeys(entries)), lowercase, style)
    texts = [text for c in plain for text in (c, f"a{c}b中{c}1", f"{c}{c}Ab1 {c}的")]
    texts += ["", "x" * 33, "ab1" * 33 + "a", "ab1" * 33 + "ab", " \t中\r\n", "a\u3000b"]
    for _ in range(2):  # the second time each word is known
        library = tokenizer.backend.encode_batch(texts, add_special_tokens=False)
        with_offsets = tokenizer.encode(texts, return_offsets=True)
        for ours, placed, theirs in zip(
            tokenizer.encode(texts), with_offsets, library, strict=True
        ):
            assert ours.input_ids == placed.input_ids and ours.input_ids[1:-1] == theirs.ids
            assert placed.offsets is not None
            assert list(map(tuple, placed.offsets[1:-1])) == theirs.offsets


@given(
    st.text(st.sampled_from("aB9[]中的，。 \t\u3000!é😀\u200b…￥ΣＡ\x00\ud83d") | st.characters())
)
def test_any_text_has_the_ids_that_it_has_with_offsets(text: str) -> None:
    for name in ("paddlenlp-ernie-1.0", "transformers-bert-cased"):
        tokenizer = tokenizer_of(name)
        (encoding,) = tokenizer.encode([text], return_offsets=True)
        assert tokenizer.encode([text])[0].input_ids == encoding.input_ids
        if not any("\ud800" <= character <= "\udfff" for character in text):
            library = tokenizer.backend.encode(text, add_special_tokens=False)
            assert encoding.input_ids[1:-1] == library.ids
            assert encoding.offsets is not None and encoding.offsets[1:-1] == library.offsets


def test_words_are_kept_up_to_a_number_and_a_length() -> None:
    calls: list[str] = []

    def cut(word: str) -> tuple[list[int], list[tuple[int, int]]]:
        calls.append(word)
        return [len(word)], [(0, len(word))]

    texts = PlainTexts(cut)
    for number in range(120_000):
        assert texts.ids(f"第{number}号") == [1, len(str(number)), 1]
    assert texts.ids("119999") == [6] and len(texts._words) <= 50_000
    calls.clear()
    for _ in range(2):
        assert texts.ids("a" * 32) == [32] and texts.ids("a" * 33) == [33]
    assert [len(word) for word in calls] == [32, 33, 33]
    # Places beyond those that are kept at hand.
    long = "第" * 2000 + "abc 号"
    ids, spans = texts.ids_and_spans(long)
    assert ids == [1] * 2000 + [3, 1]
    assert spans == [*((n, n + 1) for n in range(2000)), (2000, 2003), (2004, 2005)]


@pytest.mark.parametrize("word", ["天气", "abc"])
def test_a_foreign_tokenizer_with_words_of_its_own_keeps_them(word: str, tmp_path: Path) -> None:
    entries = [*SPECIAL_TOKENS, "天", "气", "a", "##b", "##c"]
    made = WordPieceTokenizer.from_vocabulary(entries)
    made.backend.add_tokens([word])
    made.save(tmp_path, 16)
    again = WordPieceTokenizer.from_folder(tmp_path)
    assert again(word)["input_ids"] == [1, 10, 2]


def test_a_foreign_tokenizer_that_splits_otherwise_is_followed(tmp_path: Path) -> None:
    entries = [*SPECIAL_TOKENS, "天", "气", "天,气", "##气"]
    made = WordPieceTokenizer.from_vocabulary(entries)
    made.backend.normalizer = normalizers.BertNormalizer(handle_chinese_chars=False)
    made.backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.save(tmp_path, 16)
    again = WordPieceTokenizer.from_folder(tmp_path)
    assert again(["天气", "天,气"])["input_ids"] == [[1, 5, 8, 2], [1, 7, 2]]
