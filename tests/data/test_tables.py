"""Excel workbooks, Parquet files, and data sets whose tags are numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hub.data import Entity, Example, load_dataset
from hub.errors import DataError, MissingPackageError


def workbook(path: Path, *lines: list[Any], merged: str | None = None, sheets: int = 1) -> Path:
    openpyxl = pytest.importorskip("openpyxl")
    pytest.importorskip("python_calamine")
    book = openpyxl.Workbook()
    for line in lines:
        book.active.append(line)
    if merged:
        book.active.merge_cells(merged)
    for _ in range(sheets - 1):
        book.create_sheet()
    book.save(path)
    return path


def test_a_workbook_is_read_with_the_numbers_of_its_rows(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "a.xlsx", ["标签", "句子"], ["a", "下雨吗"], [None, None], [1, 2.0], [2.5, "x"]
    )
    data = load_dataset(path)
    assert list(data) == [Example("下雨吗", "a", 2), Example("2", "1", 4), Example("x", "2.5", 5)]
    assert data.facts["format"] == "Excel workbook"
    assert data.unit == "row"


def test_a_merged_label_is_that_of_all_its_rows(tmp_path: Path) -> None:
    lines = [["text", "label"], ["一", "a"], ["二", None], [None, None], ["三", None], ["四", "b"]]
    data = load_dataset(workbook(tmp_path / "a.xlsx", *lines, merged="B2:B5"))
    assert [(e.text, e.label, e.line) for e in data] == [
        ("一", "a", 2), ("二", "a", 3), ("三", "a", 5), ("四", "b", 6),
    ]  # fmt: skip


def test_a_merged_cell_ends_at_its_range(tmp_path: Path) -> None:
    lines = [["text", "x", "label"], ["一", None, "a"], ["二", None, None], ["三", None, "b"]]
    path = workbook(tmp_path / "a.xlsx", *lines, merged="B2:C3")
    with pytest.raises(DataError, match="row 2: the label is empty"):
        load_dataset(path)  # the range's value is its first cell's
    data = load_dataset(path, skip_bad_rows=True)
    assert [(e.text, e.label) for e in data] == [("三", "b")]


@pytest.mark.parametrize("extension", [".xls", ".XLS", ".xlsx"])
def test_a_workbook_of_the_old_kind(tmp_path: Path, extension: str) -> None:
    """Written by xlwt 1.3: "天气" is the label of two rows, merged; the last text is a number."""
    pytest.importorskip("python_calamine")
    path = tmp_path / f"a{extension}"
    path.write_bytes((Path(__file__).parents[1] / "golden" / "old.xls").read_bytes())
    assert [(e.text, e.label, e.line) for e in load_dataset(path)] == [
        ("明天下雨吗", "天气", 2), ("后天呢", "天气", 3), ("订一张票", "订票", 4), ("2", "订票", 5),
    ]  # fmt: skip


def test_an_empty_cell_is_a_bad_row(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", ["text", "label"], ["一", None], ["二", "b"])
    with pytest.raises(DataError, match=r"a\.xlsx, row 2: the label is empty"):
        load_dataset(path)


def test_columns_without_a_name_and_lines_before_the_header_are_passed_over(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", [None], ["text", None, "label"], ["一", "note", "a"])
    assert list(load_dataset(path)) == [Example("一", "a", 3)]


def test_only_the_first_sheet_is_read_and_that_is_told(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", ["text", "label"], ["一", "a"], sheets=3)
    assert list(load_dataset(path).notes) == [
        f"{path}: the first sheet, 'Sheet', was read; there are 2 more"
    ]


def test_a_formula_is_its_cached_value(tmp_path: Path) -> None:
    """openpyxl writes no values for formulas; Excel does, as here by hand."""
    import zipfile

    path = workbook(tmp_path / "a.xlsx", ["text", "label"], ['="下"&"雨"', "a"])
    with pytest.raises(DataError, match="row 2: the text is empty"):
        load_dataset(path)
    computed = tmp_path / "b.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(computed, "w") as new:
        for name in old.namelist():
            content = old.read(name).decode()
            if name.endswith("sheet1.xml"):
                assert "<v></v>" in content or "<v />" in content or "<v/>" in content
                for empty in ("<v></v>", "<v />", "<v/>"):
                    content = content.replace(empty, "<v>下雨</v>")
                content = content.replace('<c r="A2"', '<c r="A2" t="str"')
            new.writestr(name, content)
    assert load_dataset(computed).texts == ["下雨"]


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04 no archive", b"text,label\n", b"\xd0\xcf\x11\xe0old"]
)
def test_what_is_no_workbook_is_refused(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("python_calamine")
    (tmp_path / "a.xlsx").write_bytes(content)
    with pytest.raises(DataError, match="is not an Excel workbook"):
        load_dataset(tmp_path / "a.xlsx")


def test_an_empty_sheet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="first sheet is empty"):
        load_dataset(workbook(tmp_path / "a.xlsx"))


def test_without_its_reader_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "python_calamine", None)
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(MissingPackageError, match=r"ernie-hub\[excel\]"):
        load_dataset(tmp_path / "a.xlsx")


def tagged() -> Any:
    """A `datasets.Dataset` of tokens with tags that are numbers, as those of CoNLL-2003."""
    import datasets

    names = datasets.ClassLabel(names=["O", "B-LOC", "I-LOC"])
    sequence = datasets.Sequence(names)
    features = datasets.Features(
        {"tokens": datasets.Sequence(datasets.Value("string")), "ner_tags": sequence}
    )
    columns = {"tokens": [["去", "北", "京"], ["好"]], "ner_tags": [[0, 1, 2], [0]]}
    return datasets.Dataset.from_dict(columns, features=features)


@pytest.mark.parametrize("kind", ["token-classification", None])
def test_sequences_of_class_labels_are_tags(tmp_path: Path, kind: str | None) -> None:
    wanted = [Example("去北京", (Entity(1, 3, "LOC"),), 1), Example("好", (), 2)]
    dataset = tagged()
    dataset.save_to_disk(str(tmp_path / "saved"))
    dataset.to_parquet(str(tmp_path / "a.parquet"))
    for source in (dataset, tmp_path / "saved", tmp_path / "a.parquet"):
        data = load_dataset(source, kind=kind)
        assert list(data) == wanted
        assert data.facts["tag scheme"] == "BIO"


def test_parquet_gives_the_names_of_class_labels(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["天气", "音乐"])}
    )
    columns = {"text": ["下雨吗", "放歌"], "label": [0, 1]}
    datasets.Dataset.from_dict(columns, features=features).to_parquet(str(tmp_path / "a.parquet"))
    assert load_dataset(tmp_path / "a.parquet").labels == ["天气", "音乐"]


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="is not a Parquet file"):
        load_dataset(tmp_path / "a.parquet")


def test_hidden_tags_and_wrong_lengths_are_bad_rows() -> None:
    rows = [{"tokens": ["好"], "tags": [None]}, {"tokens": ["好"], "tags": ["O", "O"]}]
    for row, reason in zip(rows, ["NoneType, not text", "1 tokens, but 2 tags"], strict=True):
        good = {"tokens": ["坏"], "tags": ["O"]}
        with pytest.raises(DataError, match=f"line 2: .*{reason}"):
            load_dataset([good, row], kind="ner")
