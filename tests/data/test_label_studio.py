"""Label Studio's exports, and offsets that count UTF-16 units."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from hub.data import Entity, TextDataset, load_dataset
from hub.errors import DataError

CHARACTERS = "天地玄黄ab1 😀🇨🇳𠮷𪚥👩‍👧，。"


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def task(number: int, text: str, spans: list[tuple[int, int, str]], shifted: bool = False) -> Any:
    """A task of a JSON export; `shifted` offsets count UTF-16 units, as Label Studio's do."""
    result = []
    for start, end, kind in spans:
        left, right = (utf16(text[:start]), utf16(text[:end])) if shifted else (start, end)
        value = {"start": left, "end": right, "text": text[start:end], "labels": [kind]}
        result.append({"type": "labels", "from_name": "ner", "to_name": "text", "value": value})
    return {"id": number, "data": {"text": text}, "annotations": [{"id": 1, "result": result}]}


def choice(number: int, text: str, *choices: str) -> Any:
    result = [{"type": "choices", "value": {"choices": list(choices)}}] if choices else []
    return {"id": number, "data": {"text": text}, "annotations": [{"result": result}]}


def load(folder: Path, tasks: Any, **options: Any) -> TextDataset:
    path = folder / "export.json"
    path.write_text(json.dumps(tasks, ensure_ascii=False, indent=1), encoding="utf-8")
    return load_dataset(path, **{"kind": None, **options})


def test_spans_are_read(tmp_path: Path) -> None:
    data = load(tmp_path, [task(7, "去北京", [(1, 3, "LOC")]), task(9, "好", [])])
    assert data.labels == [(Entity(1, 3, "LOC"),), ()]
    assert [example.line for example in data] == [7, 9]
    assert (data.kind, data.unit) == ("token-classification", "task")
    assert data.facts["format"] == "Label Studio JSON"
    assert not data.notes


def test_a_column_of_an_annotator_makes_no_export(tmp_path: Path) -> None:
    rows = [{"text": "好", "label": "a", "annotator": "李"}, {"text": "坏", "label": "b"}]
    rows[1]["annotator"] = "王"
    data = load(tmp_path, rows)
    assert data.labels == ["a", "b"] and data.kind == "text-classification"
    assert data.facts["format"] == "JSON"


def test_choices_are_read(tmp_path: Path) -> None:
    single = load(tmp_path, [choice(1, "好", "a"), choice(2, "坏", "b")])
    assert (single.labels, single.kind) == (["a", "b"], "text-classification")
    several = load(tmp_path, [choice(1, "好", "a", "b"), choice(2, "坏")])
    assert several.labels == [("a", "b"), ()]
    assert several.kind == "multi-label-classification"


@pytest.mark.parametrize("old", ["label", "labels", "Label"])
def test_choices_go_before_labels_of_the_imported_data(tmp_path: Path, old: str) -> None:
    tasks = [choice(1, "又贵又难吃", "价格", "口味"), choice(2, "送得慢", "配送")]
    keeping = {"annotator": 1, "annotation_id": 5, "lead_time": 2.5}
    minimal = [
        {"id": 1, "text": "又贵又难吃", "c": {"choices": ["价格", "口味"]}, **keeping},
        {"id": 2, "text": "送得慢", "c": "配送", **keeping},
    ]
    for item in (*(task["data"] for task in tasks), *minimal):
        item[old] = "好评"
    for kind in (None, "multi-label"):
        for export in (tasks, minimal):
            assert load(tmp_path, export, kind=kind).labels == [("价格", "口味"), ("配送",)]
    for kind in (None, "text-classification"):
        assert load(tmp_path, tasks[1:], kind=kind).labels == ["配送"]
    assert load(tmp_path, tasks[1:], kind="multi-label").labels == [("配送",)]


def test_spans_go_before_tags_of_the_imported_data(tmp_path: Path) -> None:
    item = task(7, "去北京", [(1, 3, "LOC")])
    item["data"].update(tokens=list("去北京"), ner_tags=["O", "O", "O"], spans=[[0, 1, "旧"]])
    assert load(tmp_path, [item]).labels == [(Entity(1, 3, "LOC"),)]


def test_a_task_without_a_finished_annotation_is_a_bad_row(tmp_path: Path) -> None:
    cancelled = task(12, "好", [])
    cancelled["annotations"][0]["was_cancelled"] = True
    tasks = [task(11, "去北京", [(1, 3, "LOC")]), cancelled]
    with pytest.raises(DataError, match=r"export\.json, task 12: no annotation"):
        load(tmp_path, tasks)
    assert len(load(tmp_path, tasks, skip_bad_rows=True)) == 1


def test_the_minimal_export_is_read(tmp_path: Path) -> None:
    keeping = {"annotator": 1, "annotation_id": 5, "lead_time": 2.5}
    span = {"start": 1, "end": 3, "text": "北京", "labels": ["LOC"]}
    tasks = [
        {"id": 3, "text": "去北京", "ner": [span], **keeping},
        {"id": 4, "text": "好", **keeping},
    ]
    data = load(tmp_path, tasks)
    assert data.labels == [(Entity(1, 3, "LOC"),), ()]
    assert [example.line for example in data] == [3, 4]
    single = [{"id": 1, "text": "好", "sentiment": "a", **keeping}]
    assert load(tmp_path, single).labels == ["a"]
    several = [
        {"id": 1, "text": "好", "topic": {"choices": ["a", "b"]}, **keeping},
        {"id": 2, "text": "坏", **keeping},
    ]
    assert load(tmp_path, several).labels == [("a", "b"), ()]


def random_tasks(count: int, shifted: bool) -> tuple[list[Any], list[list[tuple[int, int, str]]]]:
    generator = random.Random(5)
    tasks, wanted = [], []
    for number in range(count):
        text = "字" + "".join(generator.choices(CHARACTERS, k=generator.randint(5, 30)))
        places = sorted(generator.sample(range(len(text) + 1), 4))
        spans = [(places[0], places[1], "A"), (places[2], places[3], "B")]
        tasks.append(task(number, text, spans, shifted))
        wanted.append(spans)
    return tasks, wanted


@pytest.mark.parametrize("shifted", [True, False])
def test_offsets_are_right_in_500_texts_with_characters_beyond_the_basic_plane(
    tmp_path: Path, shifted: bool
) -> None:
    tasks, wanted = random_tasks(500, shifted)
    data = load(tmp_path, tasks)
    assert [[(e.start, e.end, e.type) for e in label] for label in data.labels] == wanted  # type: ignore[union-attr]
    told = [note for note in data.notes if "UTF-16" in note]
    assert len(told) == (1 if shifted else 0)


def test_corrected_rows_are_counted(tmp_path: Path) -> None:
    tasks = [task(1, "😀去北京", [(2, 4, "LOC")], True), task(2, "去北京", [(1, 3, "LOC")], True)]
    data = load(tmp_path, tasks)
    assert data.labels[0] == (Entity(2, 4, "LOC"),)
    assert list(data.notes) == [
        f"{data.source}: the offsets of one row counted UTF-16 units, and were corrected"
    ]


def test_the_rest_of_a_file_decides_where_both_ways_agree(tmp_path: Path) -> None:
    """Counted either way, the offsets 2-3 hold a 好; they were meant as UTF-16 units."""
    alone = task(1, "😀好好", [(1, 2, "A")], True)
    assert load(tmp_path, [alone]).labels == [(Entity(2, 3, "A"),)]
    proof = task(2, "😀去北京", [(2, 4, "LOC")], True)
    assert load(tmp_path, [alone, proof]).labels[0] == (Entity(1, 2, "A"),)


def test_offsets_that_are_wrong_either_way_name_the_task(tmp_path: Path) -> None:
    wrong = task(42, "😀去北京", [(2, 4, "LOC")])
    wrong["annotations"][0]["result"][0]["value"]["text"] = "上海"
    with pytest.raises(DataError, match=r"task 42: the entity LOC 2-4 should be '上海'"):
        load(tmp_path, [wrong])


def test_without_the_texts_nothing_is_guessed(tmp_path: Path) -> None:
    """doccano gives no text to compare with: offsets beyond the end are refused, with a hint."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "😀北京", "label": [[2, 4, "LOC"]]}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"not within the text's 3 characters; .* UTF-16"):
        load_dataset(path, kind="ner")


def test_a_plain_json_list_and_json_lines_under_one_extension(tmp_path: Path) -> None:
    rows = [{"text": "好", "label": "a"}, 7]
    with pytest.raises(DataError, match="row 2: not a JSON object"):
        load(tmp_path, rows)
    assert load(tmp_path, rows[:1]).facts["format"] == "JSON"
    path = tmp_path / "lines.json"
    path.write_text(
        '{"text": "好", "label": "a"}\n{"text": "坏", "label": "b"}\n', encoding="utf-8"
    )
    assert load_dataset(path).labels == ["a", "b"]


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (("annotations",), 7),
        (("annotations", 0), []),
        (("annotations", 0, "result"), {}),
        (("annotations", 0, "result", 0), "x"),
        (("annotations", 0, "result", 0, "value"), None),
        (("annotations", 0, "result", 0, "value", "labels"), ["a", "b"]),
        (("annotations", 0, "result", 0, "value", "start"), "p[1]"),
        (("data",), {"text": 7}),
    ],
)
def test_a_task_of_another_form_is_a_bad_row_or_empty(
    tmp_path: Path, place: tuple[Any, ...], wrong: Any
) -> None:
    """Other programs write exports too."""
    good, odd = task(1, "去北京", [(1, 3, "LOC")]), task(2, "去上海", [(1, 3, "LOC")])
    inner = odd
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = wrong
    data = load(tmp_path, [good, odd], skip_bad_rows=True, kind="ner")
    assert data.labels[0] == (Entity(1, 3, "LOC"),)
    assert [row.line for row in data.skipped] == [2] or data.labels[1:] == [()]
