"""Files of a token a line: separators, schemes, how tokens become a text, and broken tags."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.data import Entity, Example, TextDataset, load_dataset
from hub.data.tags import TaggedSpan, detect_scheme, fault_in, is_tag, scheme_name, tags_of
from hub.data.tokens import join_tokens
from hub.errors import DataError, InputError


def read(folder: Path, content: str, name: str = "a.conll", **options: object) -> TextDataset:
    path = folder / name
    path.write_bytes(content.encode())
    return load_dataset(path, kind="token-classification", **options)  # type: ignore[arg-type]


def spelled(data: TextDataset) -> list[list[tuple[str, str]]]:
    """Every sentence's entities as (what stands there, type)."""
    return [
        [(str(e.text)[x.start : x.end], x.type) for x in e.label if isinstance(x, Entity)]
        for e in data
    ]


BEIJING = "我 O\n在 O\n北 B-LOC\n京 I-LOC\n"


@pytest.mark.parametrize("separator", [" ", "\t", "  "])
@pytest.mark.parametrize("end", ["", "\n", "\n\n\n", "\n \t\n"])
@pytest.mark.parametrize("name", ["a.conll", "a.bio", "a.iob", "a.bmes", "a.txt", "a.tsv"])
def test_a_sentence_is_read(tmp_path: Path, separator: str, end: str, name: str) -> None:
    content = BEIJING.rstrip("\n").replace(" ", separator) + end
    data = read(tmp_path, content, name)
    assert list(data) == [Example("我在北京", (Entity(2, 4, "LOC"),), 1)]
    assert data.facts["format"] == "CoNLL" and data.facts["tag scheme"] == "BIO"
    assert not data.notes


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16"])
def test_tags_are_read_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    for name in ("a.conll", "a.txt"):
        (tmp_path / name).write_bytes(BEIJING.encode(encoding))
        data = load_dataset(tmp_path / name, kind=None)
        assert data.texts == ["我在北京"]


def test_sentences_are_counted_from_their_first_lines(tmp_path: Path) -> None:
    data = read(tmp_path, f"\n-DOCSTART- -X- O\n\n{BEIJING}\r\n\r\n好\tO\r\n")
    assert [(e.text, e.line) for e in data] == [("我在北京", 4), ("好", 10)]


def test_columns_between_token_and_tag_are_passed_over(tmp_path: Path) -> None:
    assert spelled(read(tmp_path, "EU NNP B-NP B-ORG\nsaid VBD O O\n")) == [[("EU", "ORG")]]


def test_a_token_may_be_a_space(tmp_path: Path) -> None:
    for line in (" \tO", "  O", " O"):
        data = read(tmp_path, f"北\tB-LOC\n{line}\n京\tO\n")
        assert data.texts == ["北 京"]


@pytest.mark.parametrize(
    ("tags", "scheme", "wanted"),
    [
        ("B-A I-A O B-A B-B", "BIO", [(0, 2), (3, 4), (4, 5)]),
        ("I-A I-A O I-B O", "IOB1", [(0, 2), (3, 4)]),
        ("I-A B-A O O O", "IOB1", [(0, 1), (1, 2)]),
        ("B-A I-A E-A S-A O", "BIOES", [(0, 3), (3, 4)]),
        ("B_A M_A E_A S_A O", "BMES", [(0, 3), (3, 4)]),
        ("B-A I-A L-A U-A O", "BILOU", [(0, 3), (3, 4)]),
        ("A A O B B", "IO", [(0, 2), (3, 5)]),
        ("O O O O O", "BIO", []),
    ],
)
def test_every_scheme_is_recognised(
    tmp_path: Path, tags: str, scheme: str, wanted: list[tuple[int, int]]
) -> None:
    lines = [f"{c} {tag}\n" for c, tag in zip("甲乙丙丁戊", tags.split(), strict=True)]
    for options in ({}, {"scheme": scheme}):
        data = read(tmp_path, "".join(lines), **options)
        assert [(e.start, e.end) for e in data[0].label] == wanted  # type: ignore[union-attr]
        assert data.facts["tag scheme"] == scheme


@pytest.mark.parametrize(
    ("tags", "line", "reason"),
    [
        ("O I-A B-A", 5, "'I-A' goes on with an entity that did not begin"),
        ("B-A I-B O", 5, "'I-B' goes on with an entity of another type, 'B-A'"),
        ("B-A O E-A", 5, "'O' comes before the end of the entity that 'B-A' began"),
        ("O O E-A", 6, "'E-A' goes on with an entity that did not begin"),
        ("S-A S-A B-A", 6, "the sentence ends within the entity that 'B-A'"),
        ("B-A S-A O", 5, "'S-A' comes before the end"),
        ("B-A A O", 5, "'A' is no tag of BIO"),
        ("B-A M-A I-A", 6, "'I-A' has a mark that BMES does not have"),
    ],
)
def test_broken_tags_are_reported_with_their_line_skipped_or_repaired(
    tmp_path: Path, tags: str, line: int, reason: str
) -> None:
    head = "天 B-X\n气 E-X\n\n" if set("SE") & set(tags) else "天 B-X\n气 I-X\n\n"
    head = "天 B-X\n气 E-X\n\n" if "M-" in tags else head
    lines = [f"{c} {tag}\n" for c, tag in zip("甲乙丙", tags.split(), strict=True)]
    content = head + "".join(lines)
    with pytest.raises(DataError, match="line") as caught:
        read(tmp_path, content)
    assert f"a.conll, line {line}: {reason}" in str(caught.value)
    assert read(tmp_path, content, skip_bad_rows=True).texts == ["天气"]
    repaired = read(tmp_path, content, repair_tags=True)
    assert repaired.texts == ["天气", "甲乙丙"]
    assert any("the tags of one row broke" in note for note in repaired.notes)


def test_a_line_without_a_tag_spoils_its_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 2: no tag beside '天'"):
        read(tmp_path, "今 O\n天\n\n好 O\n")
    assert read(tmp_path, "今 O\n天\n\n好 O\n", skip_bad_rows=True).texts == ["好"]


def test_a_tsv_with_a_header_is_no_conll(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text\tlabel\n好\tO\n", encoding="utf-8")
    assert load_dataset(tmp_path / "a.txt").labels == ["O"]


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("我 在 北 京", "我在北京"),
        ("4 0 0 元", "400元"),
        ("i P h o n e", "iPhone"),
        ("New York 市", "New York市"),
        ("I am", "I am"),
        ("iPhone 4 S", "iPhone 4S"),
        ("北京 大学", "北京大学"),
        ("Mr . Smith", "Mr.Smith"),
        ("U.S. army", "U.S.army"),
    ],
)
def test_tokens_are_joined_with_a_space_between_words_only(tokens: str, text: str) -> None:
    joined, starts = join_tokens(tokens.split())
    assert joined == text
    for token, start in zip(tokens.split(), starts, strict=True):
        assert joined.startswith(token, start)


def test_entities_in_words_are_entities_in_characters(tmp_path: Path) -> None:
    data = read(tmp_path, "Hugging B-ORG\nFace I-ORG\n在 O\nNew B-LOC\nYork I-LOC\n")
    assert data.texts == ["Hugging Face在New York"]
    assert spelled(data) == [[("Hugging Face", "ORG"), ("New York", "LOC")]]


@given(
    st.lists(st.tuples(st.sampled_from(["", "x", "y-z"]), st.integers(1, 4)), max_size=12),
    st.sampled_from(["BIO", "BIOES", "BMES", "BILOU"]),
)
def test_what_is_written_in_a_scheme_has_no_fault(
    parts: list[tuple[str, int]], scheme: str
) -> None:
    spans, length = [], 0
    for kind, size in parts:
        if kind:
            spans.append(TaggedSpan(kind, length, length + size))
        length += size
    tags = tags_of(spans, length, scheme)
    assert fault_in(tags, scheme) is None
    assert fault_in(tags, detect_scheme([tags])) is None


def test_scheme_names() -> None:
    assert [scheme_name(name) for name in ("bio", "IOB2", "iobes", "bmes")] == [
        "BIO", "BIO", "BIOES", "BMES",
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"The tag scheme must be one of BIO, .*, not 'XYZ'\.$"):
        scheme_name("XYZ")
    assert is_tag("B_LOC") and is_tag("O") and not is_tag("B-") and not is_tag("label")
