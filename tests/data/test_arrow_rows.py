"""Large data sets in columns: the same rows as in a list, in memory and from the disk."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.data import (
    Entity,
    Example,
    TextDataset,
    Utterance,
    arrow_rows,
    load_dataset,
    loading,
    overflow,
)
from hub.data.bad_rows import BadRows, without_specifics
from hub.data.check import check
from hub.data.examples import BadRow
from hub.data.survey import Survey, repetitions, shared
from hub.errors import DataError

# Half a surrogate pair, which JSON can hold, an emoji, and what Arrow could take for missing.
TEXT = st.text(st.sampled_from("你好a \ud800😀\0"), max_size=6)
ENTITIES = st.lists(st.builds(Entity, st.just(0), st.integers(1, 9), TEXT), max_size=2).map(tuple)
LABEL = st.one_of(
    TEXT, st.lists(TEXT, max_size=3).map(tuple), ENTITIES, st.builds(Utterance, TEXT, ENTITIES)
)
EXAMPLE = st.builds(
    Example,
    st.one_of(TEXT, st.tuples(TEXT, TEXT)),
    LABEL,
    st.integers(1, 1 << 40),
    st.none() | TEXT,
)


def stored(
    examples: list[Example], monkeypatch: pytest.MonkeyPatch, block: int, memory: int
) -> Any:
    monkeypatch.setattr(arrow_rows, "MANY_ROWS", block)
    monkeypatch.setattr(arrow_rows, "MEMORY_BYTES", memory)
    builder = arrow_rows.ExampleBuilder()
    for example in examples:
        builder.append(example)
    return builder.finish()


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(EXAMPLE, max_size=30), st.integers(1, 9), st.sampled_from([0, 500, 1 << 30]), st.data()
)
def test_columns_give_the_rows_that_were_put_in(
    monkeypatch: pytest.MonkeyPatch, examples: list[Example], block: int, memory: int, data: Any
) -> None:
    rows = stored(examples, monkeypatch, block, memory)
    assert list(rows) == examples and len(rows) == len(examples)
    assert [rows[number] for number in range(-len(rows), 0)] == examples
    cut = data.draw(st.slices(len(examples)))
    assert list(rows[cut]) == examples[cut]
    dataset = TextDataset(rows, "rows")
    assert list(dataset.texts) == [example.text for example in examples]
    assert list(dataset.labels) == [example.label for example in examples]
    assert dataset.label_counts() == TextDataset(examples, "rows").label_counts()
    chosen = np.flatnonzero([data.draw(st.booleans()) for _ in examples])
    assert list(dataset.select(chosen)) == [examples[number] for number in chosen]


def test_what_is_beyond_the_memory_lies_in_a_file_that_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    examples = [Example(f"第{n}句", "是", n) for n in range(100)]
    rows = stored(examples, monkeypatch, 10, 1000)
    assert rows._blocks._overflow.written > 0
    assert list(rows) == examples
    assert list((tmp_path / "hub-home").iterdir()) == []


def test_a_full_disk_means_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full() -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(overflow, "temporary_file", full)
    examples = [Example(f"第{n}句", "是", n) for n in range(100)]
    assert list(stored(examples, monkeypatch, 10, 0)) == examples
    assert caplog.text.count("No space left on device") == 1


def test_without_arrow_rows_stay_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_rows, "_has_arrow", lambda: False)
    examples = [Example(f"第{n}句", "是", n) for n in range(100)]
    assert stored(examples, monkeypatch, 10, 0) == examples


def test_a_file_in_columns_is_split_and_checked_like_one_in_a_list(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "a.tsv"
    lines = [f"第{n % 70}句话\t{'是否也'[n % 3]}\n" for n in range(300)]
    path.write_text("text\tlabel\n" + "".join(lines), encoding="utf-8")
    listed = load_dataset(path)
    assert isinstance(listed.examples, list)
    monkeypatch.setattr(arrow_rows, "MANY_ROWS", 40)
    columns = load_dataset(path)
    assert isinstance(columns.examples, arrow_rows.ArrowExamples)
    for one, other in zip(listed.split(0.1, 3), columns.split(0.1, 3), strict=True):
        assert list(one) == list(other) and one.source == other.source
    dev = {"dev": listed.split(0.2, 1)[1]}
    assert check(listed, dev).to_dict() == check(columns, dev).to_dict()
    assert columns.classes == listed.classes and columns.names() == listed.names()


# --- comparing by numbers ------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("xyz")), min_size=1),
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("xyz")), min_size=1),
    st.sampled_from([1, 4, 1 << 21]),
)
def test_repetitions_are_those_that_a_dictionary_finds(
    ours: list[tuple[str, str]], theirs: list[tuple[str, str]], part: int
) -> None:
    one, other = load_dataset(ours), load_dataset(theirs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hub.data.survey._PART", part)
        first, second = Survey(one), Survey(other)
        found = repetitions(first)
        rows, differing = shared(first, second)
    groups: dict[str, list[int]] = {}
    for number, (text, _) in enumerate(ours):
        groups.setdefault(text, []).append(number)
    mixed = [rows for rows in groups.values() if len({ours[row][1] for row in rows}) > 1]
    agreeing = [row for rows in groups.values() if rows not in mixed for row in rows[1:]]
    assert sorted(found.agreeing.tolist()) == sorted(agreeing)
    assert found.differing == len(mixed)
    assert [rows.tolist() for rows in found.shown] == mixed[:5]
    last = dict(ours)
    both = [(number, row) for number, row in enumerate(theirs) if row[0] in last]
    assert rows.tolist() == [number for number, _ in both]
    assert differing == sum(label != last[text] for _, (text, label) in both)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=200))
def test_percentiles_of_lengths_are_numpys(lengths: list[int]) -> None:
    survey = Survey(load_dataset([("a" * length, "x") for length in lengths]))
    for percent in (50, 90, 95, 99):
        wanted = np.percentile(lengths, percent, method="inverted_cdf")
        assert survey.length_percentile(percent) == wanted


# --- rows that cannot be used --------------------------------------------------------------------


def test_bad_rows_are_kept_by_their_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.data.bad_rows._MOST_REASONS", 3)
    given = [BadRow(n, f"the tag 'X{n}' is unknown") for n in range(1, 6)]
    rows = BadRows()
    for row in given:
        rows.append(row)
    assert list(rows)[:3] == rows[:3] == given[:3]
    assert rows[3] == BadRow(4, "the tag … is unknown") and rows[-1].line == 5 and len(rows) == 5
    assert without_specifics(given[0].reason) == without_specifics(given[4].reason)


def test_a_large_file_of_another_format_is_refused_with_its_first_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "MANY_ROWS", 10)
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\n" + "一\n" * 50 + "二\t是\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"50 rows are unusable[^@]*line 2: 1 columns[^@]*45 more"):
        load_dataset(path)
    data = load_dataset(path, skip_bad_rows=True)
    assert isinstance(data.skipped, BadRows) and len(data.skipped) == 50
    assert [f.count for f in check(data).findings if f.code == "unusable"] == [50]
