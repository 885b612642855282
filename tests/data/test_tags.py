"""Tags become entities, in every scheme and also where they break it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.data import load_dataset
from hub.data.examples import entities_in
from hub.data.tags import TaggedSpan, spans_of


def spans(tags: str) -> list[tuple[str, int, int]]:
    return [(span.type, span.start, span.end) for span in spans_of(tags.split())]


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        ("", []),
        ("O O", []),
        ("B-LOC I-LOC O B-PER", [("LOC", 0, 2), ("PER", 3, 4)]),
        ("B-LOC I-LOC B-LOC", [("LOC", 0, 2), ("LOC", 2, 3)]),
        ("B-LOC M-LOC E-LOC S-PER O", [("LOC", 0, 3), ("PER", 3, 4)]),
        ("B-LOC E-LOC B-LOC E-LOC", [("LOC", 0, 2), ("LOC", 2, 4)]),
        ("S-LOC S-LOC", [("LOC", 0, 1), ("LOC", 1, 2)]),
        ("B-a-b I-a-b", [("a-b", 0, 2)]),
        ("LOC LOC O PER LOC", [("LOC", 0, 2), ("PER", 3, 4), ("LOC", 4, 5)]),
        # broken
        ("I-LOC I-LOC O", [("LOC", 0, 2)]),
        ("B-LOC I-PER", [("LOC", 0, 1), ("PER", 1, 2)]),
        ("B-LOC E-LOC I-LOC", [("LOC", 0, 2), ("LOC", 2, 3)]),
        ("E-LOC E-LOC", [("LOC", 0, 1), ("LOC", 1, 2)]),
        ("B-LOC S-LOC I-LOC", [("LOC", 0, 1), ("LOC", 1, 2), ("LOC", 2, 3)]),
    ],
)
def test_entities_of_tags(tags: str, wanted: list[tuple[str, int, int]]) -> None:
    assert spans(tags) == wanted


@pytest.mark.parametrize(
    ("tags", "scheme", "wanted"),
    [
        ("O B I O B", "BIO", [("ENTITY", 1, 3), ("ENTITY", 4, 5)]),
        ("o b i o b", "BIO", [("ENTITY", 1, 3), ("ENTITY", 4, 5)]),
        ("S B E B M E", "BMES", [("ENTITY", 0, 1), ("ENTITY", 1, 3), ("ENTITY", 3, 6)]),
        ("B I L U O", "BILOU", [("ENTITY", 0, 3), ("ENTITY", 3, 4)]),
        ("o b-loc i-loc o", "BIO", [("loc", 1, 3)]),
        ("O B-LOC i-LOC O", "BIO", [("LOC", 1, 3)]),
        # types alone, even such as look like a mark
        ("o LOC LOC o", "IO", [("LOC", 1, 3)]),
        ("O L L O", "IO", [("L", 1, 3)]),
        ("O e-mail e-mail O", "IO", [("e-mail", 1, 3)]),
        ("O B LOC", "IO", [("B", 1, 2), ("LOC", 2, 3)]),
    ],
)
def test_marks_alone_and_small_ones_are_read(
    tags: str, scheme: str, wanted: list[tuple[str, int, int]]
) -> None:
    rows = [{"tokens": list("这家酒店电话"[: len(tags.split())]), "tags": tags.split()}]
    data = load_dataset(rows, kind=None)
    assert data.facts["tag scheme"] == scheme
    label = data[0].label
    assert isinstance(label, tuple)
    assert [(e.type, e.start, e.end) for e in entities_in(label)] == wanted


def test_marks_are_types_where_the_scheme_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text("去\tO\n B\n北\tB\n京\tI\n", encoding="utf-8")
    label = load_dataset(path, kind=None, scheme="IO")[0].label
    assert isinstance(label, tuple)
    assert [(e.type, e.start, e.end) for e in entities_in(label)] == [("B", 1, 3), ("I", 3, 4)]


@given(st.lists(st.sampled_from(["O", *(f"{m}-{t}" for m in "BIMES" for t in "xy")]), max_size=30))
def test_entities_cover_exactly_the_tags_that_are_not_o(tags: list[str]) -> None:
    covered = [n for span in spans_of(tags) for n in range(span.start, span.end)]
    assert covered == [number for number, tag in enumerate(tags) if tag != "O"]
    for span in spans_of(tags):
        assert {tag[2:] for tag in tags[span.start : span.end]} == {span.type}


@given(st.lists(st.tuples(st.sampled_from(["", "x", "y"]), st.integers(1, 4)), max_size=12))
def test_what_is_written_in_a_scheme_is_read_back(parts: list[tuple[str, int]]) -> None:
    wanted: list[TaggedSpan] = []
    bio: list[str] = []
    bmes: list[str] = []
    for kind, length in parts:
        if kind:
            wanted.append(TaggedSpan(kind, len(bio), len(bio) + length))
            bio += [f"B-{kind}", *[f"I-{kind}"] * (length - 1)]
            middle = [f"B-{kind}", *[f"M-{kind}"] * (length - 2), f"E-{kind}"]
            bmes += middle if length > 1 else [f"S-{kind}"]
        else:
            bio += ["O"] * length
            bmes += ["O"] * length
    assert spans_of(bio) == spans_of(bmes) == wanted
