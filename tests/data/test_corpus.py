"""The texts of a corpus, from every kind of file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import zstandard

from hub.data.corpus import corpus_files, read_corpus
from hub.errors import DataError, MissingPackageError

TEXTS = ["今天天气很好", "我想听音乐", "北京在哪里"]
LINES = "今天天气很好\n\n  我想听音乐 \n北京在哪里\n"


def write(folder: Path, name: str) -> Path:
    """The three texts as a file of the kind that its name says."""
    path = folder / name
    rows = "".join(
        json.dumps({"id": n, "text": text}, ensure_ascii=False) + "\n"
        for n, text in enumerate(TEXTS)
    )
    if name.endswith(".jsonl"):
        path.write_text(rows, encoding="utf-8")
    elif name.endswith(".parquet"):
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.table({"text": TEXTS}), path)
    elif name.endswith(".tsv"):
        path.write_text("text\n" + "\n".join(TEXTS) + "\n", encoding="utf-8")
    elif name.endswith(".zst"):
        content = rows if "jsonl" in name else LINES
        path.write_bytes(zstandard.compress(content.encode()))
    else:
        path.write_text(LINES, encoding="utf-8")
    return path


def test_one_file_is_one_and_not_its_characters(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt")
    assert corpus_files(path) == corpus_files(str(path)) == corpus_files([path]) == [path]


@pytest.mark.parametrize(
    "name", ["a.txt", "a.jsonl", "a.parquet", "a.tsv", "a.txt.zst", "a.jsonl.zst"]
)
def test_every_form_gives_its_texts_without_blank_ones(tmp_path: Path, name: str) -> None:
    assert list(read_corpus([write(tmp_path, name)])) == TEXTS


def test_a_folder_is_its_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    later, first = write(tmp_path, "b.txt"), write(tmp_path, "a.jsonl")
    (tmp_path / "README.md").write_text("not a text")
    assert corpus_files([tmp_path]) == [first, later]
    assert list(read_corpus(corpus_files([tmp_path]))) == TEXTS * 2


def test_a_column_of_another_name_is_read_when_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(zstandard.compress('{"body": "你好"}\n'.encode()))
    assert list(read_corpus([path], "body")) == ["你好"]
    with pytest.raises(DataError, match="line 1: no text in 'text', only in 'body'"):
        list(read_corpus([path]))


def test_a_column_is_of_tables_and_not_of_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("今天\n明天\n", encoding="utf-8")
    write(tmp_path, "b.txt.zst")
    (tmp_path / "c.tsv").write_text("id\twords\n1\t北京\n", encoding="utf-8")
    assert list(read_corpus(corpus_files([tmp_path]), "words")) == ["今天", "明天", *TEXTS, "北京"]
    with pytest.raises(DataError, match="a text a line and no columns: leave --text-column out"):
        list(read_corpus(corpus_files([tmp_path / "a.txt"]), "words"))


@pytest.mark.parametrize(
    ("line", "message"),
    [("[1]", "a list, not an object"), ("{", "line 1: not JSON"), ('{"text": 3}', "no text in")],
)
def test_a_row_that_is_no_text_is_told_with_its_line(
    tmp_path: Path, line: str, message: str
) -> None:
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(zstandard.compress(line.encode()))
    with pytest.raises(DataError, match=message):
        list(read_corpus([path]))


def test_a_damaged_file_and_one_in_another_encoding_are_refused(tmp_path: Path) -> None:
    damaged, other = tmp_path / "a.txt.zst", tmp_path / "b.txt.zst"
    damaged.write_bytes(zstandard.compress(LINES.encode())[:10] + b"xxxx")
    other.write_bytes(zstandard.compress(LINES.encode("gb18030")))
    for path in (damaged, other):
        with pytest.raises(DataError, match="damaged or not UTF-8"):
            list(read_corpus([path]))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file or folder"):
        corpus_files([tmp_path / "none.txt"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no \.txt, \.jsonl"):
        corpus_files([tmp_path / "empty"])
    with pytest.raises(DataError, match="No corpus was given"):
        corpus_files([])


def test_a_compressed_file_without_its_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "a.txt.zst")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(MissingPackageError, match=r"ernie-hub\[pretrain\]"):
        list(read_corpus([path]))
