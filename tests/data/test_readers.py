"""Data files as people have them: formats, character encodings, columns, and what is wrong."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import pytest

from hub.data import Example, TextDataset, load_dataset
from hub.data.readers import read_table
from hub.errors import DataError, InputError

ROWS = [("今天下雨吗", "天气"), ("放一首歌", "音乐")]
TSV = "text\tlabel\n今天下雨吗\t天气\n放一首歌\t音乐\n"


def pairs(data: TextDataset) -> list[tuple[str, str]]:
    """The texts with their labels."""
    return list(zip(data.texts, data.labels, strict=True))


def written(folder: Path, name: str, content: str | bytes, encoding: str = "utf-8") -> Path:
    """A file in `folder`."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def refusal(path: Path | str, **options: object) -> str:
    """The message with which `path` is refused as data."""
    with pytest.raises(DataError) as caught:
        load_dataset(path, **options)  # type: ignore[arg-type]
    assert isinstance(caught.value, InputError)
    assert caught.value.exit_code == 2
    return str(caught.value)


# --- formats -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.tsv", "a.TSV", "a.txt"])
def test_tsv_is_read_with_the_lines_of_its_rows(tmp_path: Path, name: str) -> None:
    data = load_dataset(written(tmp_path, name, TSV))
    assert list(data) == [
        Example("今天下雨吗", "天气", 2),
        Example("放一首歌", "音乐", 3),
    ]
    assert data.source == str(tmp_path / name)
    assert not data.notes and not data.skipped


def test_a_path_may_be_a_string(tmp_path: Path) -> None:
    assert pairs(load_dataset(str(written(tmp_path, "a.tsv", TSV)))) == ROWS


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", ",text,label,,\n1,今天下雨吗,天气,,\n2,放一首歌,音乐,,x\n"),
        ("a.tsv", "text\tlabel\t\t \n今天下雨吗\t天气\t\t\n放一首歌\t音乐\t\t\n"),
    ],
)
def test_columns_without_a_name_are_passed_over(tmp_path: Path, name: str, content: str) -> None:
    path = written(tmp_path, name, content)
    assert pairs(load_dataset(path)) == ROWS
    assert read_table(path).columns == ["text", "label"]
    header = content.splitlines()[0].replace("label", "text")
    assert "name stands twice: text, text" in refusal(written(tmp_path, name, header + "\n"))


def test_a_quotation_mark_that_is_never_closed_is_never_skipped(tmp_path: Path) -> None:
    rows = [f"第{n}句,{'好' if n % 2 else '坏'}\n" for n in range(20)]
    rows[9] = f'"{rows[9]}'
    path = written(tmp_path, "a.csv", "text,label\n" + "".join(rows))
    for skip in (False, True):
        told = refusal(path, skip_bad_rows=skip)
        assert "line 11: a quotation mark opens a cell here and is never closed" in told
        assert "10 more lines" in told


def test_every_line_of_a_cell_that_ends_wrongly_is_a_bad_row(tmp_path: Path) -> None:
    content = 'text,label\n好,a\n"没有结束,b\n再见,b\n"放歌",b\n走,a\n'
    data = load_dataset(written(tmp_path, "a.csv", content), skip_bad_rows=True)
    assert pairs(data) == [("好", "a"), ("走", "a")]
    assert [row.line for row in data.skipped] == [3, 4, 5]
    assert data.skipped[1].reason == "in a quoted cell that line 3 began, not valid"


def test_tsv_takes_quotation_marks_and_commas_literally(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tsv", 'text\tlabel\n"听，歌\ta\n说"好",\tb\n')
    assert pairs(load_dataset(path)) == [('"听，歌', "a"), ('说"好",', "b")]


def test_blank_lines_are_passed_over_and_counted_as_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tsv", "text\tlabel\n\n好\ta\n\n\n再见\tb\n\n")
    assert [example.line for example in load_dataset(path)] == [3, 6]


def test_a_last_line_without_an_end_is_read(tmp_path: Path) -> None:
    assert pairs(load_dataset(written(tmp_path, "a.tsv", TSV.rstrip("\n")))) == ROWS


def test_csv_cells_may_hold_commas_quotes_and_line_ends(tmp_path: Path) -> None:
    path = written(
        tmp_path, "a.csv", 'text,label\n"你好,再见",a\n"他说""好""",b\n"一行\n二行",a\n放歌,b\n'
    )
    data = load_dataset(path)
    assert data.texts == ["你好,再见", '他说"好"', "一行\n二行", "放歌"]
    assert data.labels == ["a", "b", "a", "b"]
    assert [example.line for example in data] == [2, 3, 4, 6]  # a row's first line


@pytest.mark.parametrize("delimiter", [";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16"])
def test_csv_may_be_divided_as_excel_does_elsewhere(
    tmp_path: Path, delimiter: str, encoding: str
) -> None:
    content = f'text{delimiter}label\n"你好{delimiter}再见"{delimiter}a,b\n'
    data = load_dataset(written(tmp_path, "a.csv", content, encoding))
    assert pairs(data) == [(f"你好{delimiter}再见", "a,b")]


def test_jsonl_is_read_with_numbers_as_labels(tmp_path: Path) -> None:
    lines = [{"text": "一行\n二行", "label": "a"}, {"label": 7, "text": "放歌", "more": [1]}]
    content = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\n\n"
    data = load_dataset(written(tmp_path, "a.jsonl", content))
    assert list(data) == [Example("一行\n二行", "a", 1), Example("放歌", "7", 2)]


def test_json_says_yes_and_no_as_a_table_does(tmp_path: Path) -> None:
    rows = [{"text": "一", "label": True}, {"text": "二", "label": False}]
    content = "".join(json.dumps(row) + "\n" for row in rows)
    data = load_dataset(written(tmp_path, "a.jsonl", content))
    table = load_dataset(written(tmp_path, "a.tsv", "text\tlabel\n一\ttrue\n二\tfalse\n"))
    assert data.labels == table.labels == ["true", "false"]
    several = [{"text": "一", "labels": [True, "x"]}]
    assert load_dataset(several).labels == [("true", "x")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", TSV),
        ("a.csv", TSV.replace("\t", ",")),
        (
            "a.jsonl",
            '{"text": "今天下雨吗", "label": "天气"}\n{"text": "放一首歌", "label": "音乐"}\n',
        ),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "gbk"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_every_format_is_read_in_every_encoding_and_line_end(
    tmp_path: Path, name: str, content: str, encoding: str, line_end: str
) -> None:
    path = written(tmp_path, name, content.replace("\n", line_end), encoding)
    data = load_dataset(path)
    assert pairs(data) == ROWS
    first = 1 if name.endswith("jsonl") else 2
    assert [example.line for example in data] == [first, first + 1]
    if encoding.startswith("gb"):
        assert list(data.notes) == [f"{path} is not UTF-8: read as GB18030 (GBK)"]
    else:
        assert not data.notes


def test_big_endian_utf16_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "a.txt", b"\xfe\xff" + TSV.encode("utf-16-be"))
    assert pairs(load_dataset(path)) == ROWS


def test_gbk_is_found_far_into_a_file(tmp_path: Path) -> None:
    """The first block of a file is not the whole of it."""
    content = "text\tlabel\n" + "ascii\ta\n" * 200_000 + "放歌\tb\n"
    data = load_dataset(written(tmp_path, "a.tsv", content, "gbk"))
    assert len(data) == 200_001
    assert data.texts[-1] == "放歌"
    assert len(data.notes) == 1


def test_a_character_across_two_blocks_is_still_utf8(tmp_path: Path) -> None:
    for shift in range(3):
        head = "text\tlabel\n" + "a" * shift
        content = head + "好" * 400_000 + "\tb\nx\ta\n"
        data = load_dataset(written(tmp_path, "a.tsv", content))
        assert not data.notes
        assert set(data.texts[0].lstrip("a")) == {"好"}


# --- columns -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "id\tquery\tintent\n1\t放歌\tb\n"),
        ("a.csv", "id,query,intent\n1,放歌,b\n"),
        ("a.jsonl", '{"id": 1, "query": "放歌", "intent": "b"}\n'),
    ],
)
def test_columns_of_other_names_can_be_named(tmp_path: Path, name: str, content: str) -> None:
    path = written(tmp_path, name, content)
    data = load_dataset(path, text_column="query", label_column="intent")
    assert pairs(data) == [("放歌", "b")]


@pytest.mark.parametrize("separator", ["\t", ","])
def test_wrong_columns_are_answered_with_the_right_ones(tmp_path: Path, separator: str) -> None:
    name = "a.tsv" if separator == "\t" else "a.csv"
    path = written(tmp_path, name, separator.join(["id", "said", "meant"]) + "\n")
    message = refusal(path)
    assert f"{path} has no column 'text' and 'label'" in message
    assert "'id', 'said', 'meant'" in message
    assert "--text-column" in message and "--label-column" in message
    message = refusal(path, text_column="said")
    assert "has no column 'label'" in message


def test_a_jsonl_row_without_the_column_says_what_it_has(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, "a.jsonl", '{"said": "放歌", "meant": "b"}\n'))
    assert "line 1" in message and "no 'text'" in message
    assert "'said', 'meant'" in message


@pytest.mark.parametrize("content", ["text\tlabel\ttext\n好\ta\tb\n", "text\ttext\n好\ta\n"])
def test_a_column_named_twice_is_refused(tmp_path: Path, content: str) -> None:
    assert "line 1: a column's name stands twice" in refusal(written(tmp_path, "a.tsv", content))
    path = written(tmp_path, "a.csv", content.replace("\t", ","))
    assert "line 1: a column's name stands twice" in refusal(path)


# --- files that are no data ----------------------------------------------------------------------


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    assert f"There is no file {path}." in refusal(path)


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl"])
def test_an_empty_file_is_called_empty(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, b"")
    assert refusal(path) == f"{path} is empty."


@pytest.mark.parametrize(("name", "header"), [("a.tsv", "text\tlabel\n"), ("a.csv", "text,label")])
def test_a_header_alone_is_no_data(tmp_path: Path, name: str, header: str) -> None:
    path = written(tmp_path, name, header)
    assert refusal(path) == f"{path} has no usable row."


def test_an_unknown_extension_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, "a.docx", b"x"))
    assert "'.docx'" in message
    for extension in (".csv", ".jsonl", ".tsv", ".txt"):
        assert extension in message


def _workbook(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(64), "old Excel"),
        (b"%PDF-1.7\n", "PDF"),
        (b"PAR1\x15\x04", "Parquet"),
        (gzip.compress(TSV.encode()), "gzip"),
        (b"\x28\xb5\x2f\xfd\x04", "Zstandard"),
        (b"text\tlabel\n\x00\x01\x02\ta\n", "binary"),
    ],
)
def test_a_file_of_another_kind_is_called_what_it_is(
    tmp_path: Path, content: bytes, kind: str
) -> None:
    path = written(tmp_path, "a.tsv", content)
    message = refusal(path)
    assert str(path) in message and kind in message and "UTF-8" in message


def test_an_excel_workbook_is_called_one(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    _workbook(path)
    message = refusal(path)
    assert "Excel workbook" in message and "zip" in message


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl"])
def test_bytes_of_no_encoding_are_reported_with_their_line(tmp_path: Path, name: str) -> None:
    content = b"text\tlabel\n" + b"ok\ta\n" * 3 + b"bad \xff\xff\ta\n" + b"ok\ta\n"
    path = written(tmp_path, name, content)
    message = refusal(path)
    assert f"{path}, line 5" in message
    assert "neither UTF-8 nor GB18030" in message


def test_a_file_cut_within_a_character_is_refused_with_its_last_line(tmp_path: Path) -> None:
    content = TSV.encode() + "x\t天".encode()[:-1]
    path = written(tmp_path, "a.tsv", content[:-1])
    assert f"{path}, line 4: neither UTF-8" in refusal(path)


def test_the_undecodable_line_of_a_gbk_file_is_named(tmp_path: Path) -> None:
    content = ("text\tlabel\n" + "放歌\tb\n" * 5).encode("gbk") + b"\xff\xff\ta\n"
    assert "line 7" in refusal(written(tmp_path, "a.tsv", content))


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + b"text\tlabel\n" + "放歌\tb\n".encode("gbk"),
        TSV.encode("utf-16")[:-1],
    ],
    ids=["utf-8-sig", "utf-16"],
)
def test_broken_text_after_a_byte_order_mark_is_refused(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, "a.tsv", content)
    assert str(path) in refusal(path)


# --- bad rows ------------------------------------------------------------------------------------

BAD_ROWS = [
    ("a.tsv", "text\tlabel\n好\ta\n放歌\n再见\tb\n", 3, "1 columns instead of 2"),
    ("a.tsv", "text\tlabel\n好\ta\n放歌\tb\tc\n再见\tb\n", 3, "3 columns instead of 2"),
    ("a.tsv", "text\tlabel\n好\ta\n \tb\n再见\tb\n", 3, "the text is empty"),
    ("a.tsv", "text\tlabel\n好\ta\n放歌\t\n再见\tb\n", 3, "the label is empty"),
    ("a.tsv", "text\tlabel\n好\ta\n放歌\t \n再见\tb\n", 3, "the label is empty"),
    ("a.csv", "text,label\n好,a\n放歌\n再见,b\n", 3, "1 columns instead of 2"),
    ("a.csv", "text,label\n好,a\n,b\n再见,b\n", 3, "the text is empty"),
    ("a.csv", 'text,label\n好,a\n"放"歌,b\n再见,b\n', 3, "not valid CSV"),
    ("a.csv", 'text,label\n好,a\n再见,b\n"放歌,b\n', 4, "not valid CSV"),
    ("a.jsonl", '{"text": "好", "label": "a"}\n{"text": \n', 2, "not valid JSON"),
    ("a.jsonl", '{"text": "好", "label": "a"}\n["好", "a"]\n', 2, "not a JSON object"),
    ("a.jsonl", '{"text": "好", "label": "a"}\n{"text": "好"}\n', 2, "no 'label'"),
    ("a.jsonl", '{"text": "好", "label": "a"}\n{"text": 1, "label": "a"}\n', 2, "int, not text"),
    (
        "a.jsonl",
        '{"text": "好", "label": "a"}\n{"text": "好", "label": ["a", "b"]}\n',
        2,
        "'label' is list, not one label",
    ),
    ("a.jsonl", '{"text": "好", "label": "a"}\n{"text": "好", "label": null}\n', 2, "'label'"),
    ("a.jsonl", '{"text": "好", "label": "a"}\n{"text": "好", "label": 0.5}\n', 2, "float"),
]


@pytest.mark.parametrize(("name", "content", "line", "reason"), BAD_ROWS)
def test_a_bad_row_is_reported_with_file_line_and_reason(
    tmp_path: Path, name: str, content: str, line: int, reason: str
) -> None:
    path = written(tmp_path, name, content)
    head, shown = refusal(path, kind="text-classification").split("\n")
    assert head == "One row is unusable (--skip-bad-rows leaves them out):"
    assert shown.startswith(f"  {path}, line {line}: ")
    assert reason in shown


@pytest.mark.parametrize(("name", "content", "line", "reason"), BAD_ROWS)
def test_skip_bad_rows_leaves_it_out_and_counts_it(
    tmp_path: Path, name: str, content: str, line: int, reason: str
) -> None:
    path = written(tmp_path, name, content)
    data = load_dataset(path, kind="text-classification", skip_bad_rows=True)
    assert [(row.line, reason in row.reason) for row in data.skipped] == [(line, True)]
    expected = ["好"] if name == "a.jsonl" else ["好", "再见"]
    assert data.texts == expected


def test_five_bad_rows_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tsv", "text\tlabel\n好\ta\n" + "放歌\n" * 1205)
    lines = refusal(path).split("\n")
    assert lines[0].startswith("1,205 rows are unusable")
    assert [line.split(":")[0] for line in lines[1:6]] == [
        f"  {path}, line {number}" for number in range(3, 8)
    ]
    assert lines[6:] == ["  ... and 1,200 more"]


def test_exactly_five_bad_rows_are_all_shown(tmp_path: Path) -> None:
    lines = refusal(written(tmp_path, "a.tsv", "text\tlabel\n" + "放歌\n" * 5)).split("\n")
    assert len(lines) == 6
    assert "more" not in lines[-1]


def test_only_bad_rows_are_no_data_even_if_they_may_be_skipped(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tsv", "text\tlabel\n放歌\n")
    message = refusal(path, skip_bad_rows=True)
    assert message == f"{path} has no usable row. In line 2: 1 columns instead of 2."


def test_labels_lose_the_space_around_them_and_texts_keep_it(tmp_path: Path) -> None:
    data = load_dataset(written(tmp_path, "a.tsv", "text\tlabel\n 好 \t a \n"))
    assert list(data) == [Example(" 好 ", "a", 2)]


def test_a_cell_may_hold_a_long_document(tmp_path: Path) -> None:
    data = load_dataset(written(tmp_path, "a.csv", "text,label\n" + "好" * 200_000 + ",a\n"))
    assert len(data.texts[0]) == 200_000
