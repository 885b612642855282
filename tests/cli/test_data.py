"""`hub data`: what a user sees of checking, converting and splitting."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hub.data import load_dataset

Hub = Callable[..., tuple[int, str, str]]

CONLL = "".join(f"去 O\n{n} O\n北 B-LOC\n京 I-LOC\n\n" for n in range(20))
TSV = "text\tlabel\tdialogue\n" + "".join(f"第{n}句\t{'ab'[n % 2]}\t{n // 4}\n" for n in range(40))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A file of tags and one of classes, in the folder where `hub` runs."""
    (tmp_path / "all.conll").write_text(CONLL, encoding="utf-8")
    (tmp_path / "all.tsv").write_text(TSV, encoding="utf-8")
    return tmp_path


def test_check_says_what_a_file_is(hub: Hub, files: Path) -> None:
    code, out, err = hub("data", "check", "all.conll")
    assert (code, err) == (0, "")
    for part in ("token-classification", "CoNLL", "utf-8", "BIO", "rows        20", "50% 4", "LOC"):
        assert part in out
    assert "Nothing odd was found." in out


def test_check_finds_faults_and_ends_well(hub: Hub, files: Path) -> None:
    (files / "bad.conll").write_text(CONLL + "京 I-LOC\n", encoding="utf-8")
    (files / "dev.conll").write_text("去 O\n0 O\n北 B-LOC\n京 I-LOC\n", encoding="utf-8")
    code, out, _ = hub("data", "check", "bad.conll", "--dev", "dev.conll")
    assert code == 0
    assert "20, and 1 that cannot be used" in out
    assert "- one row cannot be used: 'I-LOC' goes on with an entity that did not begin" in out
    assert "(line 101)" in out
    assert "- one row of dev has a text that is in the training data too (line 1)" in out


def test_check_skips_nothing(hub: Hub, files: Path) -> None:
    code, _, error = hub("data", "check", "all.tsv", "--skip-bad-rows")
    assert code == 2 and "No such option" in error


def test_check_json_is_one_document(hub: Hub, files: Path) -> None:
    code, out, _ = hub("data", "check", "all.tsv", "--json")
    report = json.loads(out)
    assert code == 0
    assert report["labels"] == {"a": 20, "b": 20}
    assert report["facts"]["encoding"] == "utf-8"
    assert (report["rows"], report["unusable"], report["findings"]) == (40, 0, [])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.tsv", None, "There is no file none.tsv"),
        ("empty.tsv", b"", "empty.tsv is empty"),
        ("binary.tsv", bytes(range(256)), "binary file"),
        ("odd.docx", b"x", "'.docx' is unknown"),
        ("bad.json", b"[{]", "not valid JSON"),
        ("only.tsv", b"text\tlabel\n", "has no usable row"),
    ],
)
def test_an_unreadable_file_is_bad_input(
    hub: Hub, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    for arguments in (["check", name], ["convert", name, "x.jsonl"], ["split", name, "-o", "x"]):
        code, out, err = hub("data", *arguments)
        assert (code, out) == (2, "")
        assert message in err and "Traceback" not in err
    assert not (tmp_path / "x.jsonl").exists() and not (tmp_path / "x").exists()


def test_an_unknown_kind_is_bad_input(hub: Hub, files: Path) -> None:
    code, _, err = hub("data", "check", "all.tsv", "--kind", "ranking")
    assert code == 2 and "'ranking' is none of text-classification" in err


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_the_encoding_is_told(hub: Hub, tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.csv").write_bytes(TSV.replace("\t", ",").encode(encoding))
    code, out, _ = hub("data", "check", "a.csv")
    assert code == 0 and f"{encoding}" in out


def test_convert_goes_there_and_back(hub: Hub, files: Path) -> None:
    for source, target in (
        ("all.conll", "a.jsonl"),
        ("a.jsonl", "a.doccano.jsonl"),
        ("a.doccano.jsonl", "a.bmes"),
        ("a.bmes", "b.conll"),
    ):
        arguments = ["--scheme", "bmes"] if target == "a.bmes" else []
        code, out, err = hub("data", "convert", source, target, *arguments)
        assert (code, out) == (0, "")
        assert err == f"written   {target}: 20 rows, token-classification\n"
    assert "M-" not in (files / "b.conll").read_text(encoding="utf-8")
    assert "E-LOC" in (files / "a.bmes").read_text(encoding="utf-8")
    first, last = (load_dataset(files / n, kind="ner") for n in ("all.conll", "b.conll"))
    assert [(e.text, e.label) for e in first] == [(e.text, e.label) for e in last]


def test_convert_refuses_what_cannot_be(hub: Hub, files: Path) -> None:
    (files / "a.jsonl").write_text('{"text": "一\\t二", "label": "a"}\n', encoding="utf-8")
    (files / "there.csv").write_text("mine")
    for target, message in (
        ("there.csv", "--overwrite"),
        ("a.docx", "cannot be written"),
        ("a.conll", "single texts with entities only"),
        ("a.tsv", "TSV cannot hold row 1"),
    ):
        code, _, err = hub("data", "convert", "a.jsonl", target)
        assert code == 2 and message in err
    assert (files / "there.csv").read_text() == "mine"
    assert not (files / "a.tsv").exists()
    assert hub("data", "convert", "a.jsonl", "there.csv", "--overwrite")[0] == 0


def test_bad_rows_are_refused_skipped_or_repaired(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "bad.bio").write_text("京 I-LOC\n\n北 B-LOC\n京 I-LOC\n", encoding="utf-8")
    code, _, err = hub("data", "convert", "bad.bio", "a.jsonl")
    assert code == 2 and "bad.bio, line 1: 'I-LOC' goes on" in err
    code, _, err = hub("data", "convert", "bad.bio", "a.jsonl", "--skip-bad-rows")
    assert code == 0 and "skipped   1 row of bad.bio" in err
    code, _, err = hub("data", "convert", "bad.bio", "b.jsonl", "--repair-tags")
    assert code == 0 and "the tags of one row broke BIO, and were repaired" in err
    assert len(load_dataset(tmp_path / "b.jsonl", kind="ner")) == 2


def test_split_keeps_groups_and_says_the_counts(hub: Hub, files: Path) -> None:
    arguments = ["--group-column", "dialogue", "--dev", "0.2", "--test", "0.2"]
    code, out, _ = hub("data", "split", "all.tsv", "--output", "parts", *arguments)
    assert code == 0
    groups = []
    for name, rows in (("train", 24), ("dev", 8), ("test", 8)):
        data = load_dataset(files / "parts" / f"{name}.tsv", group_column="dialogue")
        assert len(data) == rows and str(rows) in out
        groups.append({example.group for example in data})
    assert sum(map(len, groups)) == len(set.union(*groups)) == 10
    code, _, err = hub("data", "split", "all.tsv", "--output", "parts")
    assert code == 2 and "--overwrite" in err


def test_a_seed_below_0_is_refused(hub: Hub, files: Path) -> None:
    code, _, error = hub("data", "split", "all.tsv", "-o", "parts", "--seed", "-1")
    assert code == 2 and "--seed" in error


def test_split_without_a_test_part(hub: Hub, files: Path) -> None:
    code, _, _ = hub("data", "split", "all.conll", "-o", "parts", "--test", "0", "--dev", "0.25")
    assert code == 0
    assert sorted(path.name for path in (files / "parts").iterdir()) == ["dev.conll", "train.conll"]
    assert len(load_dataset(files / "parts" / "dev.conll", kind="ner")) == 5
