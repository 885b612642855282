"""Which tokens are masked together."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest

from hub.errors import InputError
from hub.tokenizers import Tokenizer, WordPieceTokenizer, load_tokenizer, read_vocabulary
from hub.tokenizers.knowledge import KnowledgeDictionary
from hub.tokenizers.segment import Segmenter
from hub.tokenizers.units import NO_UNIT, UnitFinder

ROOT = Path(__file__).parents[2]
VOCABULARY = ROOT / "hub" / "registry" / "embedded" / "ernie-pocket-zh" / "vocab.txt"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return WordPieceTokenizer.from_vocabulary(read_vocabulary(VOCABULARY))


def grouped(finder: UnitFinder, text: str | tuple[str, str]) -> list[str]:
    """The units of a text, their tokens joined."""
    columns = finder.encode([text])
    tokens = finder.tokenizer.tokens(columns["input_ids"][0])
    found: dict[int, list[str]] = {}
    for token, unit in zip(tokens, columns["units"][0], strict=True):
        found.setdefault(unit, []).append(token)
    found.pop(NO_UNIT)
    assert list(found) == sorted(found)
    return [" ".join(group) for group in found.values()]


def test_a_unit_is_a_word(tokenizer: Tokenizer) -> None:
    finder = UnitFinder(tokenizer)
    assert grouped(finder, "我爱北京天安门。") == ["我", "爱", "北 京", "天 安 门", "。"]


def test_a_word_of_wordpiece_is_not_divided(tokenizer: Tokenizer) -> None:
    finder = UnitFinder(tokenizer)
    assert grouped(finder, "学习deep learning，iPhone15") == [
        "学 习", "deep", "le ##arning", "，", "iphone ##15",
    ]  # fmt: skip


def test_a_phrase_is_one_unit_before_words(tokenizer: Tokenizer) -> None:
    knowledge = KnowledgeDictionary([("京天安", "X"), ("deep learning", "TECH")])
    finder = UnitFinder(tokenizer, knowledge=knowledge)
    text = "他在北京天安门看deep learning"
    assert grouped(finder, text) == [
        "他", "在", "北", "京 天 安", "门", "看", "deep le ##arning",
    ]  # fmt: skip
    assert finder.encode([text])["knowledge"] == [[3, 6]]


def test_own_words_make_units(tokenizer: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("爱北京天 1000000\n", encoding="utf-8")
    finder = UnitFinder(tokenizer, Segmenter(tmp_path / "words.txt"))
    assert grouped(finder, "我爱北京天安门") == ["我", "爱 北 京 天", "安 门"]


def test_special_tokens_and_unknown_ones_belong_to_none(tokenizer: Tokenizer) -> None:
    columns = UnitFinder(tokenizer).encode(["北京𠀀大学[MASK]"])
    tokens = tokenizer.tokens(columns["input_ids"][0])
    units = dict(zip(tokens, columns["units"][0], strict=True))
    assert [units[t] for t in ("[CLS]", "[SEP]", "[UNK]", "[MASK]")] == [NO_UNIT] * 4
    assert units["北"] == units["京"] != units["大"]


def test_both_texts_of_a_pair_have_units(tokenizer: Tokenizer) -> None:
    finder = UnitFinder(tokenizer)
    # The last word of the first text and the first of the second are both the word number 0.
    assert grouped(finder, ("北京", "北京大学")) == ["北 京", "北 京 大 学"]
    columns = finder({"text_a": ["北京"], "text_b": ["北京大学"]})
    assert columns["token_type_ids"][0][-1] == 1
    assert columns["units"][0].count(NO_UNIT) == 3


def test_offsets_count_in_the_users_own_characters(tokenizer: Tokenizer) -> None:
    finder = UnitFinder(tokenizer)
    assert grouped(finder, "  \u200b😀ＡＢ 北京\u3000天安门")[-2:] == ["北 京", "天 安 门"]


def test_long_texts_are_cut(tokenizer: Tokenizer) -> None:
    columns = UnitFinder(tokenizer, max_seq_len=6).encode(["北京天安门的大学"])
    assert columns["units"] == [[NO_UNIT, 0, 0, 1, 1, NO_UNIT]]


def test_the_pieces_of_sentencepiece_are_grouped_by_words() -> None:
    finder = UnitFinder(load_tokenizer(ROOT / "tests" / "golden" / "ernie_tiny"))
    units = grouped(finder, "帮我一个明天的酒店房间")
    assert units == ["▁ 帮我", "▁ 一个", "▁ 明 ▁天", "的", "▁ 酒店", "▁ 房 ▁ 间"]


def test_datasets_map_does_it_once_with_several_processes(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"第{number}次来北京天安门" for number in range(60)]
    path = tmp_path / "rows.jsonl"
    datasets.Dataset.from_dict({"text": texts}).to_json(path, force_ascii=False)
    finder = UnitFinder(tokenizer)

    def load() -> datasets.Dataset:
        rows = datasets.load_dataset(
            "json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
        )
        return rows.map(finder, batched=True, num_proc=2, remove_columns=["text"])

    first = load()
    assert first["input_ids"][:] == finder.encode(texts)["input_ids"]
    assert first["units"][:] == finder.encode(texts)["units"]

    def fail(*_: object) -> None:
        raise AssertionError("cut again")

    monkeypatch.setattr(UnitFinder, "encode", fail)
    assert load()["units"][:] == first["units"][:]


def test_other_columns_are_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match="'sentence'"):
        UnitFinder(tokenizer)({"sentence": ["北京"]})


def test_the_fingerprint_tells_what_changes_units(tokenizer: Tokenizer) -> None:
    finders = [
        UnitFinder(tokenizer),
        UnitFinder(tokenizer, max_seq_len=64),
        UnitFinder(tokenizer, Segmenter(hmm=False)),
        UnitFinder(tokenizer, knowledge=KnowledgeDictionary([("北京", "")])),
        UnitFinder(load_tokenizer(ROOT / "tests" / "golden" / "ernie_tiny")),
    ]
    assert len({finder.fingerprint for finder in finders}) == len(finders)
    assert UnitFinder(tokenizer).fingerprint == finders[0].fingerprint
