"""Files that are one JSON list, which are read an item at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.data import json_files, load_dataset
from hub.data.readers import read_table
from hub.errors import DataError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
in_any_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def read(path: Path, text: str) -> list[Any]:
    path.write_text(text, encoding="utf-8")
    with path.open(encoding="utf-8") as file:
        return list(json_files._items(file, path))


@in_any_folder
@given(
    items=st.lists(VALUES, max_size=5),
    chunk=st.sampled_from([1, 2, 7, 40, 1 << 20]),
    indent=st.sampled_from([None, 0, 9]),
    ascii_only=st.booleans(),
)
def test_the_items_are_those_that_json_reads(
    tmp_path: Path, items: list[Any], chunk: int, indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(items, indent=indent, ensure_ascii=ascii_only)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_files, "_CHUNK", chunk)
        assert read(tmp_path / "a.json", f" {text}\n") == items


@pytest.mark.parametrize("number", ["-0", "1.5e+300", "2E-7", "123.25", "1e5"])
@pytest.mark.parametrize("chunk", range(1, 12))
def test_a_number_is_read_to_its_end(
    tmp_path: Path, number: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_files, "_CHUNK", chunk)
    assert read(tmp_path / "a.json", f"[{number},{number}]") == [float(number)] * 2


@in_any_folder
@given(items=st.lists(VALUES, min_size=1, max_size=4), data=st.data())
def test_a_list_that_is_cut_off_is_refused(
    tmp_path: Path, items: list[Any], data: st.DataObject
) -> None:
    text = json.dumps(items)
    cut = text[: data.draw(st.integers(1, len(text) - 1))]
    with pytest.raises(DataError, match=r"a\.json, line 1: not valid JSON"):
        read(tmp_path / "a.json", cut)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[{"text": ]', r"line 1: not valid JSON \(Expecting value\)"),
        ('[\n{"a": 1}\n{"a": 2}]', r"line 3: not valid JSON \(']' is missing\)"),
        ('[{"a": 1}],\n', r"line 1: not valid JSON \(',' stands behind the list's end\)"),
        ('[{"a": 1},\n\n]', r"line 3: not valid JSON \(Expecting value\)"),
        ("[" * 100_000, r"line 1: not valid JSON \(too deeply nested\)"),
    ],
)
def test_what_is_not_json_is_refused_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read(tmp_path / "a.json", text)


def test_a_mistake_late_in_a_long_file_is_not_searched_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_files, "_CHUNK", 100)
    good = '{"text": "好", "label": "a"},\n' * 50
    path = tmp_path / "a.json"
    path.write_text(f'[{good}{{"text" 7}},\n{good * 100}', encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.json, line 51: not valid JSON"):
        load_dataset(path)
    with path.open(encoding="utf-8") as file:
        with pytest.raises(DataError):
            list(json_files._items(_Counted(file), path))
        assert _Counted.characters < 3_000


class _Counted:
    """A file that counts what is read of it."""

    characters = 0

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, size: int) -> str:
        text: str = self._file.read(size)
        _Counted.characters += len(text)
        return text

    def __enter__(self) -> _Counted:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_a_table_is_opened_before_its_last_row_is_there(tmp_path: Path) -> None:
    rows = [{"text": f"第{i}句", "label": "a"} for i in range(30)]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(rows)[:-1], encoding="utf-8")
    table = read_table(path)
    assert next(table.rows) == (1, rows[0])
    with pytest.raises(DataError, match="']' is missing"):
        list(table.rows)
