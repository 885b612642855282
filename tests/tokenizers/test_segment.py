"""Words: the same from jieba and from its Rust twin, and all of the text."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.errors import InputError
from hub.tokenizers.segment import Segmenter

EXAMPLES = Path(__file__).parents[2] / "examples" / "crosswoz_intent"

# Where the two are known to differ if left to themselves: signs beside letters, rare ideographs,
# repetitions; and words of both dictionaries.
_PIECES = (
    "北京", "大学", "北京天安门", "研究生命起源", "老铁没毛病", "石墨烯", "的", "了", "哈", "量",
    "2025-05-04", "3.5%", "C++", "GPT-4", "a_b", "x", "7", "-", ".", "+", "&", "#", "，", "。",
    "、", " ", "\t", "\n", "\r\n", "㐀", "𠀀", "\u9fd6", "é", "あ", "Ａ", "😀", "\x00", "\u200b",
)  # fmt: skip
_TEXTS = st.lists(st.sampled_from(_PIECES), max_size=30).map("".join)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("words") / "words.txt"
    lines = ["老铁没毛病", "石墨烯 nz", "GPT-4 10", "北京天安 100000 ns", "", "量子 计算 5"]
    path.write_text("\ufeff" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def pairs(words: Path) -> dict[tuple[bool, bool], tuple[Segmenter, Segmenter]]:
    """(own words?, guess?) -> jieba and rjieba with the same settings."""
    return {
        (own, hmm): (
            Segmenter(words if own else None, hmm, "jieba"),
            Segmenter(words if own else None, hmm, "rjieba"),
        )
        for own in (False, True)
        for hmm in (False, True)
    }


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(_TEXTS, st.text(max_size=40)))
def test_rust_cuts_the_same_words(
    pairs: dict[tuple[bool, bool], tuple[Segmenter, Segmenter]], text: str
) -> None:
    for jieba, rust in pairs.values():
        assert rust.cut(text) == jieba.cut(text)
        assert "".join(rust.cut(text)) == text


def test_rust_cuts_the_same_words_of_real_sentences(
    pairs: dict[tuple[bool, bool], tuple[Segmenter, Segmenter]],
) -> None:
    texts = [
        line.split("\t")[0]
        for name in ("train", "dev", "test")
        for line in (EXAMPLES / f"{name}.tsv").read_text("utf-8").splitlines()[1:]
    ]
    assert len(texts) > 6_000
    for jieba, rust in pairs.values():
        assert [rust.cut(text) for text in texts] == [jieba.cut(text) for text in texts]


def test_own_words_and_guessing_change_the_words(words: Path) -> None:
    text = "老铁没毛病"
    assert Segmenter(words).cut(text) == ["老铁没毛病"]
    assert Segmenter().cut(text) != ["老铁没毛病"]
    guessed = "他来到了网易杭研大厦"  # jieba's own example: 杭研 is in no dictionary
    assert "杭研" in Segmenter(hmm=True).cut(guessed)
    assert "杭研" not in Segmenter(hmm=False).cut(guessed)


def test_one_segmenters_words_are_not_anothers(words: Path) -> None:
    with_words, without = Segmenter(words, backend="jieba"), Segmenter(backend="jieba")
    with_words.cut("石墨烯")
    assert without.cut("北京天安") != with_words.cut("北京天安")


def test_starts_are_where_words_begin() -> None:
    assert Segmenter().starts("我爱 北京天安门") == [0, 1, 2, 3, 5]
    assert Segmenter().starts("") == []


def test_half_a_surrogate_pair_is_cut() -> None:
    assert "".join(Segmenter().cut("北京\ud83d大学")) == "北京\ud83d大学"


def test_another_process_cuts_alike(words: Path) -> None:
    segmenter = Segmenter(words)
    expected = segmenter.cut("北京天安门的石墨烯")
    state = pickle.dumps(segmenter)
    assert len(state) < 10_000  # not the dictionary of 350,000 words
    assert pickle.loads(state).cut("北京天安门的石墨烯") == expected


def test_the_fingerprint_tells_what_changes_words(words: Path) -> None:
    prints = {
        Segmenter().fingerprint,
        Segmenter(words).fingerprint,
        Segmenter(hmm=False).fingerprint,
    }
    assert len(prints) == 3
    assert Segmenter(backend="jieba").fingerprint == Segmenter(backend="rjieba").fingerprint


def test_nothing_is_left_in_the_folder_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    Segmenter(backend="jieba").cut("北京大学")
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), ("词".encode("gbk"), "not UTF-8")],
)
def test_a_bad_dictionary_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "words.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        Segmenter(path)


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(InputError, match="auto, jieba, rjieba"):
        Segmenter(backend="pkuseg")


def test_without_rust_jieba_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.tokenizers.segment._has_rjieba", lambda: False)
    assert Segmenter().cut("我爱北京天安门") == ["我", "爱", "北京", "天安门"]
    with pytest.raises(InputError, match="pip install rjieba"):
        Segmenter(backend="rjieba")
