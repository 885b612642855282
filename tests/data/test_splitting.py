"""A split keeps texts and groups whole, labels balanced, and rows as they are."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.data import TextDataset, load_dataset
from hub.data.examples import Example
from hub.data.splitting import assign_parts, split_file
from hub.errors import DataError, InputError, OutputError

TENTHS = {"dev": 0.1, "test": 0.1}


def toy(counts: dict[str, int], **more: Any) -> TextDataset:
    rows = [(f"{label}{n}", label) for label, count in counts.items() for n in range(count)]
    return load_dataset(rows, **more)


def sizes(data: TextDataset, parts: list[str]) -> Counter[tuple[str, str]]:
    return Counter((part, str(e.label)) for part, e in zip(parts, data, strict=True))


def test_each_label_has_its_share() -> None:
    data = toy({"a": 100, "b": 50, "c": 20})
    found = sizes(data, assign_parts(data, TENTHS, 1))
    for label, count in {"a": 100, "b": 50, "c": 20}.items():
        for part in TENTHS:
            assert abs(found[part, label] - count / 10) <= 1
    assert sum(found[part, label] for part in TENTHS for label in "abc") == 34


def test_many_rare_labels_have_a_share_together() -> None:
    data = toy({f"label{n}": 4 for n in range(100)})
    parts = Counter(assign_parts(data, TENTHS, 1))
    assert abs(parts["dev"] - 40) <= 5 and abs(parts["test"] - 40) <= 5


def test_a_labels_only_text_is_for_training() -> None:
    data = toy({"a": 50, "b": 1, "c": 2})
    found = sizes(data, assign_parts(data, {"dev": 0.3, "test": 0.3}, 1))
    assert found["train", "b"] == 1 and found["train", "c"] >= 1


@pytest.mark.parametrize("kind", ["ner", "intent-slots"])
def test_all_that_occurs_is_for_training(kind: str) -> None:
    """Types that stand in one row only, or beside a rarer one in all of theirs."""
    rows: list[Any] = [
        {"text": f"订{n}号去北京", "intent": "订票", "entities": [[0, 1, "动作"]]}
        for n in range(40)
    ]
    for n in range(8):
        rows[n]["entities"].append([1, 2, f"稀有{n}"])
    for n in range(10, 24):
        rows[n]["entities"].append([len(rows[n]["text"]) - 2, len(rows[n]["text"]), "甲"])
    for n in range(10, 12):
        rows[n]["entities"].insert(1, [1, 2, "乙"])
    data = load_dataset(rows, kind=kind)
    repeated = load_dataset([*rows, rows[-1]], kind=kind)
    for seed in range(30):
        kept, _ = data.split(0.1, seed)
        assert kept.entity_counts().keys() == data.entity_counts().keys()
        parts = assign_parts(repeated, TENTHS, seed)
        train = [e for e, part in zip(repeated, parts, strict=True) if part == "train"]
        assert repeated.with_examples(train).entity_counts().keys() == data.entity_counts().keys()
        assert {"dev", "test"} <= set(parts)


def test_a_label_of_a_single_group_is_for_training() -> None:
    examples = [
        Example(
            f"{g} {n}", "问候" if not n else "退货" if not g else "查询", 12 * g + n + 1, str(g)
        )
        for g in range(10)
        for n in range(12)
    ]
    data = TextDataset(examples, "made here")
    for seed in range(30):
        parts = assign_parts(data, TENTHS, seed)
        assert {part for (part, label) in sizes(data, parts) if label == "退货"} == {"train"}
        assert {"dev", "test"} <= set(parts)


def test_the_seed_decides() -> None:
    data = toy({"a": 100, "b": 50})
    assert assign_parts(data, TENTHS, 1) == assign_parts(data, TENTHS, 1)
    assert assign_parts(data, TENTHS, 1) != assign_parts(data, TENTHS, 2)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.sampled_from("ab"), st.integers(0, 30)),
        min_size=40,
        max_size=150,
    ),
    st.integers(0, 5),
)
def test_no_text_and_no_group_is_on_two_sides(rows: list[tuple[int, str, int]], seed: int) -> None:
    examples = [
        Example(str(text), label, n, str(group)) for n, (text, label, group) in enumerate(rows, 1)
    ]
    data = TextDataset(examples, "made here")
    try:
        parts = assign_parts(data, {"dev": 0.2, "test": 0.2}, seed)
    except DataError:
        return
    for key in ("text", "group"):
        of: dict[Any, set[str]] = {}
        for example, part in zip(data, parts, strict=True):
            of.setdefault(getattr(example, key), set()).add(part)
        assert all(len(found) == 1 for found in of.values())


def test_groups_come_near_to_the_shares() -> None:
    examples = [
        Example(f"{g} {n}", "ab"[n % 2], g * 10 + n + 1, str(g))
        for g in range(60)
        for n in range(g % 7 + 1)
    ]
    data = TextDataset(examples, "made here")
    parts = Counter(assign_parts(data, {"dev": 0.2, "test": 0.2}, 3))
    assert abs(parts["dev"] / len(data) - 0.2) < 0.05
    assert abs(parts["test"] / len(data) - 0.2) < 0.05


def test_shares_that_cannot_be_are_refused() -> None:
    data = toy({"a": 20, "b": 20})
    with pytest.raises(InputError, match="--dev must be"):
        assign_parts(data, {"dev": 1.5}, 1)
    with pytest.raises(InputError, match="nothing to train on"):
        assign_parts(data, {"dev": 0.5, "test": 0.5}, 1)
    with pytest.raises(DataError, match="too few rows"):
        assign_parts(toy({"a": 1, "b": 1}), TENTHS, 1)


LINES = [f"第{n}句\t{'ab'[n % 2]}\tid{n}" for n in range(40)]
FILES = {
    "all.tsv": "\n".join(["text\tlabel\tid", *LINES]) + "\n",
    "all.csv": "\r\n".join(line.replace("\t", ",") for line in ["text\tlabel\tid", *LINES])
    + "\r\n",
    "all.jsonl": "".join(
        json.dumps(
            dict(zip(("text", "label", "id"), line.split("\t"), strict=True)), ensure_ascii=False
        )
        + "\n"
        for line in LINES
    ),
    "all.conll": "\n".join(f"第\tO\n{n}\tB-X\n" for n in range(40)),
}


@pytest.mark.parametrize("name", FILES)
def test_the_parts_are_the_files_own_rows(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name].encode())
    data = load_dataset(path, kind=None)
    parts = assign_parts(data, TENTHS, 1)
    written = split_file(path, data, tmp_path / "out", parts)
    assert list(written) == ["train", "dev", "test"]
    divider = "\n\n" if name == "all.conll" else "\n"
    pieces = [
        piece
        for target in written.values()
        for piece in target.read_bytes().decode().strip("\n").split(divider)
    ]
    assert set(pieces) == set(path.read_bytes().decode().strip("\n").split(divider))
    assert Counter(parts) == {n: len(load_dataset(t, kind=None)) for n, t in written.items()}


def test_parquet_keeps_its_types_and_names(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["x", "y"])}
    )
    columns = {"text": [f"第{n}句" for n in range(40)], "label": [n % 2 for n in range(40)]}
    path = tmp_path / "all.parquet"
    datasets.Dataset.from_dict(columns, features=features).to_parquet(str(path))
    data = load_dataset(path)
    written = split_file(path, data, tmp_path / "out", assign_parts(data, TENTHS, 1))
    assert load_dataset(written["dev"]).label_counts() == {"x": 2, "y": 2}


def test_a_workbook_is_split(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for line in [["text", "label", "id"], *(line.split("\t") for line in LINES)]:
        book.active.append(line)
    path = tmp_path / "all.xlsx"
    book.save(path)
    data = load_dataset(path)
    written = split_file(path, data, tmp_path / "out", assign_parts(data, TENTHS, 1))
    assert sum(len(load_dataset(target)) for target in written.values()) == 40


def test_a_workbook_of_the_old_kind_is_split_into_new_ones(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    path = Path(__file__).parents[1] / "golden" / "old.xls"
    data = load_dataset(path)
    written = split_file(path, data, tmp_path, ["train", "dev", "train", "dev"])
    assert written == {"train": tmp_path / "train.xlsx", "dev": tmp_path / "dev.xlsx"}
    assert [(e.text, e.label) for e in load_dataset(written["dev"])] == [
        ("后天呢", "天气"), ("2", "订票"),
    ]  # fmt: skip


def test_what_is_there_is_not_replaced_and_the_source_never(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    path.write_text(FILES["all.tsv"], encoding="utf-8")
    data = load_dataset(path)
    parts = assign_parts(data, TENTHS, 1)
    with pytest.raises(OutputError, match="--overwrite"):
        split_file(path, data, tmp_path, parts)
    with pytest.raises(OutputError, match="is the file that is split"):
        split_file(path, data, tmp_path, parts, overwrite=True)
    assert path.read_text(encoding="utf-8") == FILES["all.tsv"]


def test_label_studio_is_to_be_converted_first(tmp_path: Path) -> None:
    result = [{"type": "choices", "value": {"choices": ["a"]}}]
    tasks = [
        {"id": n, "data": {"text": f"第{n}句"}, "annotations": [{"result": result}]}
        for n in range(20)
    ]
    path = tmp_path / "export.json"
    path.write_text(json.dumps(tasks), encoding="utf-8")
    data = load_dataset(path)
    with pytest.raises(OutputError, match="hub data convert"):
        split_file(path, data, tmp_path / "out", assign_parts(data, TENTHS, 1))
