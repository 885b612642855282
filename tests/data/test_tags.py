"""Tags become entities, in every scheme and also where they break it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
