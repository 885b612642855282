"""What `check` finds, and that it finds nothing in data that is in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hub.data import load_dataset
from hub.data.characters import odd_characters
from hub.data.check import CheckReport, check


def checked(rows: list[Any], kind: str = "text-classification", **others: list[Any]) -> CheckReport:
    read = {
        name: load_dataset(other, kind=kind, skip_bad_rows=True) for name, other in others.items()
    }
    return check(load_dataset(rows, kind=kind, skip_bad_rows=True), read)


def many(count: int, label: str = "a") -> list[tuple[str, str]]:
    return [(f"第{n}句话{label}", label) for n in range(count)]


def codes(report: CheckReport) -> list[str]:
    return [finding.code for finding in report.findings]


def test_nothing_is_found_in_good_data() -> None:
    report = checked(many(9) + many(9, "b"), dev=many(2, "b")[:0] or [("新的", "b")])
    assert report.findings == []
    assert (report.rows, report.unusable) == (18, 0)
    assert report.labels == {"a": 9, "b": 9}
    assert report.lengths == {"50%": 5, "90%": 5, "95%": 5, "99%": 5, "max": 5}


def test_lengths_are_percentiles_and_long_texts_counted() -> None:
    report = checked([("字" * n, "a" if n % 2 else "b") for n in range(1, 201)])
    assert report.lengths == {"50%": 100, "90%": 180, "95%": 190, "99%": 198, "max": 200}
    assert report.long_texts == 74  # 127 to 200


def test_duplicates_and_contradictions_are_told_apart() -> None:
    rows = [
        *many(6),
        *many(6, "b"),
        ("同", "a"),
        ("同", "a"),
        ("异", "a"),
        ("异", "b"),
        ("同", "a"),
    ]
    report = checked(rows)
    duplicates, contradictions = report.findings
    assert (duplicates.code, duplicates.count, list(duplicates.lines)) == (
        "duplicates",
        2,
        [14, 17],
    )
    assert duplicates.message == "2 rows repeat an earlier text with its label"
    assert (contradictions.code, contradictions.count) == ("contradictions", 1)
    assert list(contradictions.lines) == [15, 16]
    assert contradictions.examples == ["异: a (line 15), b (line 16)"]


def test_an_overlap_with_dev_and_test_is_found() -> None:
    report = checked(
        many(6) + many(6, "b"), dev=[("第0句话a", "a"), ("第1句话a", "b")], test=[("新", "c")]
    )
    overlap, unknown = report.findings
    assert (overlap.code, overlap.count, list(overlap.lines)) == ("overlap", 2, [1, 2])
    assert "2 rows of dev" in overlap.message and "one" not in overlap.message
    assert "1 of them with another label" in overlap.message
    assert unknown.code == "unknown" and unknown.examples == ["c (1)"]


def test_unusable_rows_are_grouped_by_reason() -> None:
    report = checked([*many(6), *many(6, "b"), ("", "a"), (" ", "b"), ("好", "")])
    assert [(f.code, f.count, list(f.lines)) for f in report.findings] == [
        ("unusable", 2, [13, 14]),
        ("unusable", 1, [15]),
    ]
    assert report.unusable == 3


def test_rare_and_similar_labels_are_found() -> None:
    report = checked(many(6, "News") + many(5, "ｎｅｗｓ") + many(7, "x y") + many(4, "xy"))
    rare, alike = (f for f in report.findings if f.code in ("rare", "alike"))
    assert rare.examples == ["xy (4)"]
    assert alike.count == 2
    assert alike.examples == ["'x y' (7) = 'xy' (4)", "'News' (6) = 'ｎｅｗｓ' (5)"]


def test_one_label_only_is_found() -> None:
    assert codes(checked(many(6))) == ["one-label"]


@pytest.mark.parametrize(
    ("text", "sort"),
    [
        ("a\x08b", "control character"),
        ("a\u200bb", "zero-width character"),
        ("a\u200db", "zero-width character"),
        ("a\ufeffb", "byte-order mark"),
        ("a\ufffdb", "replacement character"),
        ("a\ue305b", "private-use character"),
        ("ＡＢ", "full-width letter or digit"),
    ],
)
def test_odd_characters_are_found(text: str, sort: str) -> None:
    assert list(odd_characters(text)) == [sort]
    report = checked([*many(6), *many(6, "b"), (text, "a")])
    (finding,) = report.findings
    assert finding.code == "characters" and list(finding.lines) == [13]
    assert finding.message.startswith(f"one text has a {sort}: U+")


@pytest.mark.parametrize("text", ["你好，世界！", "👩‍👧‍👦 ❤️", "a\tb\r\nc", "「好」—— …", "𠮷"])
def test_ordinary_characters_are_not_odd(text: str) -> None:
    assert odd_characters(text) == {}


def test_entities_with_odd_ends_are_found() -> None:
    fine = [(f"{n}《家》在北京，", [[1, 4, "book"], [5, 7, "LOC"]]) for n in range(6)]
    odd = [("去北京，", [[1, 4, "LOC"]]), (" 北京", [[0, 3, "LOC"]])]
    (finding,) = checked(fine + odd, "token-classification").findings
    assert (finding.code, finding.count, list(finding.lines)) == ("edges", 2, [7, 8])
    assert finding.examples == ["LOC '北京，'", "LOC ' 北京'"]


def test_broken_tags_are_grouped(tmp_path: Path) -> None:
    good = "北 B-LOC\n京 I-LOC\n\n"
    path = tmp_path / "a.conll"
    path.write_text(good * 6 + "京 I-LOC\n\n人 I-PER\n\n", encoding="utf-8")
    report = check(load_dataset(path, kind=None, skip_bad_rows=True))
    assert report.facts["tag scheme"] == "BIO"
    unusable = report.findings[0]
    assert (unusable.count, list(unusable.lines)) == (2, [19, 21])
    assert "goes on with an entity that did not begin" in unusable.message
    assert report.entities == {"LOC": 6} and report.labels == {}


def test_every_kind_can_be_checked_and_written_as_json() -> None:
    kinds = {
        "multi-label": [("好", ["a", "b"]), ("坏", [])],
        "ner": [("北京", [[0, 2, "LOC"]]), ("北京", [])],
        "intent-slots": [{"text": "去北京", "intent": "票", "entities": [[1, 3, "到"]]}] * 2,
        "text-matching": [{"text_a": "一", "text_b": "二", "label": "1"}] * 2,
    }
    for kind, rows in kinds.items():
        report = checked(rows, kind)
        assert json.loads(json.dumps(report.to_dict(), ensure_ascii=False))["rows"] == 2
        assert "rare" in codes(report)


def test_pairs_and_single_texts_are_not_mixed() -> None:
    single = {"text": "一", "label": "a"}
    pair = {"text": ["一", "二"], "label": "a"}
    found = {f.code: f for f in checked([pair, single, pair]).findings}["pairs"]
    assert found.message == "one row has one text, the others have pairs"
    assert (found.count, list(found.lines)) == (1, [2])
    for ours, theirs, what in (
        (pair, single, "2 rows of dev have one text; the training data has pairs"),
        (single, pair, "2 rows of dev have a pair of texts; the training data has single texts"),
    ):
        report = checked([ours] * 6, dev=[theirs, theirs])
        assert {f.code: f.message for f in report.findings}["pairs"] == what
        assert "pairs" not in codes(checked([ours] * 6, dev=[ours]))
