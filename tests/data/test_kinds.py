"""Labels of every kind: pairs of texts, several labels, entities, intents with entities."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hub.data import KINDS, Entity, Example, TextDataset, Utterance, load_dataset
from hub.errors import DataError, InputError
from hub.tasks import TASK_NAMES


def jsonl(folder: Path, *rows: Any) -> Path:
    path = folder / "a.jsonl"
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


# --- columns -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("sentence", "intent"),
        ("句子", "意图"),
        ("文本", "标签"),
        ("Content", "Category"),
        ("query", "labels"),
    ],
)
def test_usual_column_names_are_recognised_and_told(tmp_path: Path, text: str, label: str) -> None:
    path = written(tmp_path, "a.tsv", f"id\t{text}\t{label}\n1\t放歌\t音乐\n")
    data = load_dataset(path, kind="text-classification")
    assert list(data) == [Example("放歌", "音乐", 2)]
    told = f"the text is {text!r} and the label is {label!r}"
    assert list(data.notes) == [f"{path}: of its columns, {told}"]
    named = {"text_column": text, "label_column": label}
    assert not load_dataset(path, kind="text-classification", **named).notes


def test_what_the_labels_are_is_found_out(tmp_path: Path) -> None:
    several = written(tmp_path, "a.tsv", "text\tlabels\n放歌,买票\t音乐,车票\n")
    assert list(load_dataset(several)) == [Example("放歌,买票", ("音乐", "车票"), 2)]
    tagged = load_dataset(written(tmp_path, "a.conll", "北 B-LOC\n京 I-LOC\n"))
    assert tagged.kind == "token-classification"


def test_the_plain_names_win_and_need_no_note(tmp_path: Path) -> None:
    data = load_dataset(written(tmp_path, "a.tsv", "query\tintent\tlabel\ttext\n一\ta\tb\t二\n"))
    assert list(data) == [Example("二", "b", 2)]
    assert not data.notes


@pytest.mark.parametrize(
    ("first", "second"), [("text_a", "text_b"), ("sentence1", "sentence2"), ("query", "title")]
)
def test_pairs_are_recognised(tmp_path: Path, first: str, second: str) -> None:
    path = written(tmp_path, "a.tsv", f"{first}\t{second}\tlabel\n怎么还款\t如何还钱\t1\n")
    for kind in ("text-classification", "text-matching", None):
        data = load_dataset(path, kind=kind)
        assert list(data) == [Example(("怎么还款", "如何还钱"), "1", 2)]
        assert data.kind == "text-classification"
    # What goes by the plain names need not be told.
    told = any(repr(second) in note for note in data.notes)
    assert told == (second != "text_b")
    named = load_dataset(path, text_column=second)
    assert named.texts == ["如何还钱"]


def test_matching_needs_a_second_text(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tsv", "text\tlabel\n怎么还款\t1\n")
    with pytest.raises(DataError, match="no column 'text_b'"):
        load_dataset(path, kind="text-matching")


def test_every_name_of_a_task_that_reads_labels_is_a_kind() -> None:
    rows = {
        "text-classification": [{"text": "好", "label": "a"}],
        "multi-label-classification": [{"text": "好", "labels": ["a"]}],
        "token-classification": [{"text": "好", "entities": []}],
        "intent-slots": [{"text": "好", "intent": "a", "entities": []}],
    }
    names = {name: kind for name, kind in TASK_NAMES.items() if kind in KINDS}
    assert {"joint", "sequence-classification", "seq-cls", "text-matching"} < names.keys()
    for name, kind in names.items():
        if name != "text-matching":
            assert load_dataset(rows[kind], kind=name.replace("-", "_")).kind == kind


def test_an_unknown_kind_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"must be one of .*intent-slots, .*not 'ranking'"):
        load_dataset([("a", "b")], kind="ranking")


@pytest.mark.parametrize("name", ["a.tsv", "a.jsonl"])
def test_a_group_that_is_no_column_is_told_once(tmp_path: Path, name: str) -> None:
    content = "text\tlabel\n好\ta\n坏\tb\n"
    if name.endswith("jsonl"):
        content = '{"text": "好", "label": "a"}\n{"text": "坏", "label": "b"}\n'
    for skip in (False, True):
        with pytest.raises(DataError, match="no column 'nope'; it has 'text', 'label'") as told:
            load_dataset(written(tmp_path, name, content), group_column="nope", skip_bad_rows=skip)
        assert "--group-column" in str(told.value)


def test_a_group_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tsv", "text\tlabel\tdialogue\n好\ta\t7\n")
    assert load_dataset(path, group_column="dialogue")[0].group == "7"
    with pytest.raises(DataError, match="no column 'call'"):
        load_dataset(path, group_column="call")


# --- several labels ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("a", ("a",)),
        ("a,b", ("a", "b")),
        ("a， b ,", ("a", "b")),
        ("", ()),
        ('["a", "b,c"]', ("a", "b,c")),
        ("[]", ()),
        ("b,a,b", ("b", "a")),
        ("甲、乙|丙", ("甲、乙|丙",)),
    ],
)
def test_several_labels_in_a_cell(tmp_path: Path, cell: str, labels: tuple[str, ...]) -> None:
    path = written(tmp_path, "a.tsv", f"text\tlabels\n好\t{cell}\n")
    data = load_dataset(path, kind="multi-label")
    assert list(data) == [Example("好", labels, 2)]
    assert data.kind == "multi-label-classification"


def test_several_labels_in_json_lines(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"text": "好", "label": ["a", 2.0]}, {"text": "坏", "label": []})
    data = load_dataset(path, kind=None)
    assert data.labels == [("a", "2"), ()]
    assert data.label_counts() == {"a": 1, "2": 1}


def test_whole_numbers_are_labels_however_a_program_writes_them(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"text": "好", "label": 1.0}, {"text": "坏", "label": [0.0]})
    assert load_dataset(path, kind="seq-cls").labels == ["1", "0"]
    assert load_dataset(path, kind="multi-label").labels == [("1",), ("0",)]
    numbers = [1.0, 1, np.float32(1), np.float64(1), np.int64(1)]
    assert load_dataset([("好", number) for number in numbers]).labels == ["1"] * 5
    row = {"text": "好", "intent": 3.0, "entities": [[0, 1, "a"]]}
    assert load_dataset([row], kind="intent-slots").label_counts() == {"3": 1}
    for bad in (1.5, float("nan"), float("inf"), np.float32(0.5)):
        with pytest.raises(DataError, match="float, not one label"):
            load_dataset([("好", bad)])


@pytest.mark.parametrize("cell", [{"a": 1}, 0.5, [1.5], [["a"]], "[a", [""]])
def test_labels_that_cannot_be_read_are_bad_rows(tmp_path: Path, cell: Any) -> None:
    path = jsonl(tmp_path, {"text": "好", "labels": cell})
    with pytest.raises(DataError, match="line 1: "):
        load_dataset(path, kind="multi-label")


# --- entities by offsets -------------------------------------------------------------------------

TEXT = "叶老桂在浙商银行工作"
FORMS = {
    "plain": {
        "entities": [
            {"start": 0, "end": 3, "type": "name"},
            {"start": 4, "end": 8, "type": "company"},
        ]
    },
    "unsorted, label": {
        "entities": [
            {"start": 4, "end": 8, "label": "company"},
            {"start": 0, "end": 3, "label": "name"},
        ]
    },
    "doccano triples": {"label": [[0, 3, "name"], [4, 8, "company"]]},
    "doccano labels": {"labels": [[0, 3, "name"], [4, 8, "company"]]},
    "doccano with relations": {
        "entities": [
            {"id": 1, "label": "name", "start_offset": 0, "end_offset": 3},
            {"id": 2, "label": "company", "start_offset": 4, "end_offset": 8},
        ],
        "relations": [],
    },
    "cluener": {"label": {"name": {"叶老桂": [[0, 2]]}, "company": {"浙商银行": [[4, 7]]}}},
    "json in a cell": {"entities": '[[0, 3, "name"], [4, 8, "company"]]'},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["token-classification", None])
def test_entities_are_read_in_every_form(tmp_path: Path, form: str, kind: str | None) -> None:
    data = load_dataset(jsonl(tmp_path, {"text": TEXT, **FORMS[form]}), kind=kind)
    assert list(data) == [Example(TEXT, (Entity(0, 3, "name"), Entity(4, 8, "company")), 1)]
    assert data.kind == "token-classification"
    assert data.label_counts() == {"name": 1, "company": 1}
    assert not data.notes


def test_an_intent_beside_entities_is_an_utterance(tmp_path: Path) -> None:
    row = {"text": "去北京的票", "intent": "买票", "slots": [{"start": 1, "end": 3, "type": "到"}]}
    data = load_dataset(jsonl(tmp_path, row), kind=None)
    assert data.labels == [Utterance("买票", (Entity(1, 3, "到"),))]
    assert data.kind == "intent-slots"
    assert (data.label_counts(), data.entity_counts()) == ({"买票": 1}, {"到": 1})


@pytest.mark.parametrize(
    ("entities", "reason"),
    [
        ([[0, 3, "a"], [2, 4, "b"]], "overlap"),
        ([[0, 11, "a"]], "not within the text's 10 characters"),
        ([[-1, 2, "a"]], "not within"),
        ([[3, 3, "a"]], "not within"),
        ([["0", 3, "a"]], "without whole numbers"),
        ([[0, 3, ""]], "without one type"),
        ([[0, 3]], "cannot be read"),
        ([{"start": 0, "end": 3, "type": "a", "text": "老桂在"}], "should be '老桂在'"),
        (7, "not a list of entities"),
        ({"a": {"老桂": "x"}}, "no offsets for '老桂'"),
    ],
)
def test_entities_that_are_not_where_they_say_are_bad_rows(
    tmp_path: Path, entities: Any, reason: str
) -> None:
    good = {"text": TEXT, "entities": [[0, 3, "name"]]}
    path = jsonl(tmp_path, good, {"text": TEXT, "entities": entities})
    with pytest.raises(DataError, match=f"line 2: .*{reason}"):
        load_dataset(path, kind="ner")
    assert len(load_dataset(path, kind="ner", skip_bad_rows=True)) == 1


# --- TextDataset ---------------------------------------------------------------------------------


def test_a_split_keeps_rare_types_on_both_sides() -> None:
    rows = [
        (f"句{n}", [[0, 1, "common"], *([[1, 2, "rare"]] if n % 20 == 0 else [])])
        for n in range(200)
    ]
    kept, aside = load_dataset(rows, kind="ner").split(0.2, seed=1)
    assert aside.entity_counts() == {"common": 40, "rare": 2}
    assert kept.entity_counts() == {"common": 160, "rare": 8}
    assert aside.kind == "token-classification"


def test_labels_of_another_kind_are_no_classes() -> None:
    data = load_dataset([("好", ["a"])], kind="multi-label")
    assert isinstance(data, TextDataset)
    with pytest.raises(DataError, match="one label a text is needed"):
        data.classes  # noqa: B018


def test_tokens_are_no_data_for_classification(tmp_path: Path) -> None:
    path = written(tmp_path, "a.conll", "北 B-LOC\n京 I-LOC\n")
    with pytest.raises(DataError, match="that is data for token-classification"):
        load_dataset(path, kind="text-classification")


# --- forms of single data sets -------------------------------------------------------------------


def test_slots_by_their_values_are_found_in_the_text(tmp_path: Path) -> None:
    """SMP2019-ECDT gives values without offsets."""
    row = {"text": "从北京到北京西站", "intent": "QUERY", "slots": {"from": "北京", "to": ["西站"]}}
    data = load_dataset(
        jsonl(tmp_path, row, {"text": "好", "intent": "OK", "slots": {}}), kind=None
    )
    assert data.labels == [
        Utterance("QUERY", (Entity(1, 3, "from"), Entity(6, 8, "to"))),
        Utterance("OK", ()),
    ]
    wrong = jsonl(tmp_path, row | {"slots": {"from": "上海"}})
    with pytest.raises(DataError, match="line 1: 'slots' has for 'from' what is not in the text"):
        load_dataset(wrong, kind="intent-slots")


def test_paddlehubs_files_of_tags_are_read(tmp_path: Path) -> None:
    """The cells' tokens and tags are divided by U+0002; PaddleNLP writes marks last."""
    text, tags = "\2".join("张三北京好"), "\2".join(["P-B", "P-I", "A1-B", "A1-I", "O"])
    path = written(tmp_path, "a.tsv", f"text_a\tlabel\n{text}\t{tags}\n好\tO\n")
    for kind in ("ner", None):
        data = load_dataset(path, kind=kind)
        assert list(data) == [
            Example("张三北京好", (Entity(0, 2, "P"), Entity(2, 4, "A1")), 2),
            Example("好", (), 3),
        ]
        assert data.facts["tag scheme"] == "BIO"


def test_marks_behind_the_type_are_read_and_checked(tmp_path: Path) -> None:
    data = load_dataset(written(tmp_path, "a.txt", "张 P-B\n三 P-I\n好 O\n"), kind="ner")
    assert data.labels == [(Entity(0, 2, "P"),)]
    with pytest.raises(DataError, match="line 2: 'I-P' goes on with an entity that did not begin"):
        load_dataset(written(tmp_path, "a.txt", "好 O\n三 P-I\n好 O\n张 P-B\n"), kind="ner")


def test_paddlehubs_files_of_classes_are_read(tmp_path: Path) -> None:
    data = load_dataset(written(tmp_path, "a.tsv", "label\ttext_a\n1\t好\n"))
    assert list(data) == [Example("好", "1", 2)]


def test_a_text_beside_tokens_may_be_classified() -> None:
    row = {"sentence": "北京", "tokens": ["北", "京"], "ner_tags": ["B-LOC", "I-LOC"], "label": "a"}
    assert load_dataset([row], kind="text-classification").labels == ["a"]
    assert load_dataset([row], kind="ner").labels == [(Entity(0, 2, "LOC"),)]
