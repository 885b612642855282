"""Phrases and entities of a dictionary, found in texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.errors import InputError
from hub.tokenizers.knowledge import KnowledgeDictionary, Mention


def test_the_longest_phrase_from_the_left_is_found() -> None:
    dictionary = KnowledgeDictionary([("北京", "LOC"), ("北京大学", "ORG"), ("大学生", "")])
    assert dictionary.find("北京的北京大学生") == [Mention(0, 2, "LOC"), Mention(3, 7, "ORG")]
    assert dictionary.find("大学生") == [Mention(0, 3, "")]
    assert dictionary.find("") == []


def test_latin_phrases_are_whole_words() -> None:
    dictionary = KnowledgeDictionary([("AI", "TECH"), ("深度学习", "TECH"), ("GPT-4", "")])
    assert dictionary.find("MAIN AI2") == []
    assert [m.start for m in dictionary.find("用AI和GPT-4，AI")] == [1, 4, 10]
    assert dictionary.find("GPT-40") == []


def test_a_file_has_a_phrase_a_line_and_perhaps_its_type(tmp_path: Path) -> None:
    path = tmp_path / "phrases.txt"
    path.write_text("\ufeff北京大学\tORG\r\n\n  石墨烯 \n北京\tLOC\textra\n", encoding="utf-8")
    dictionary = KnowledgeDictionary.from_file(path)
    assert len(dictionary) == 3
    assert dictionary.find("北京的石墨烯") == [Mention(0, 2, "LOC"), Mention(3, 6, "")]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"\n \n", "no phrase"), ("词".encode("gbk"), "not UTF-8")],
)
def test_a_bad_file_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "phrases.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        KnowledgeDictionary.from_file(path)


@pytest.mark.parametrize("entries", [[], [("", "LOC")], [(" ", "")]])
def test_blank_phrases_are_refused(entries: list[tuple[str, str]]) -> None:
    with pytest.raises(InputError, match=r"empty|blank"):
        KnowledgeDictionary(entries)


def test_the_fingerprint_tells_phrases_and_types() -> None:
    one = KnowledgeDictionary([("北京", "LOC"), ("石墨烯", "")])
    same = KnowledgeDictionary([("石墨烯", ""), ("北京", "LOC")])
    other = KnowledgeDictionary([("北京", "ORG"), ("石墨烯", "")])
    assert one.fingerprint == same.fingerprint != other.fingerprint
