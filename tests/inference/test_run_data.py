"""What a run recorded of its data: the rows are found again, or it is said why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import hub
from hub.data import load_dataset
from hub.errors import DataError
from hub.inference.run_data import (
    RunTexts,
    carry_record,
    load_rows,
    options_for,
    record,
    rows_of_run,
    text_columns,
)

ROWS = "句,意\n北京酒店,订房\n海南车票,订票\n"
TEXTS = ["北京酒店", "海南车票"]
OWN = {"text_column": "句", "label_column": "意"}


@pytest.fixture
def module(tiny_folder: Path) -> hub.Module:
    return hub.Module(directory=tiny_folder, task="seq-cls", label_map=["订房", "订票"])


def recorded(folder: Path, **more: Any) -> Path:
    """A run's folder that says its dev rows were `own.csv` of the current folder."""
    Path("own.csv").write_text(ROWS, encoding="utf-8")
    data = load_dataset("own.csv", **OWN)
    folder.mkdir()
    summary = {"data": {"train": "x", "dev": "own.csv", **record(folder, train=data, dev=data)}}
    summary = {**summary, **more}
    (folder / "metrics.json").write_text(json.dumps(summary), encoding="utf-8")
    return folder


def test_rows_are_found_from_any_folder_and_by_the_runs_columns(
    module: hub.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = recorded(tmp_path / "run")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for split in ("dev", "train"):
        found = rows_of_run(run, module, split)
        assert found is not None and list(found.texts) == TEXTS
    # A model that was made from the run's knows them too.
    (tmp_path / "elsewhere" / "smaller").mkdir()
    carry_record(run, tmp_path / "elsewhere" / "smaller")
    found = rows_of_run(tmp_path / "elsewhere" / "smaller", module)
    assert found is not None and list(found.texts) == TEXTS


def test_a_project_may_be_moved_and_its_place_is_not_told(
    module: hub.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    run = recorded(Path("run"))
    Path("smaller").mkdir()
    carry_record(run, Path("smaller"))
    monkeypatch.chdir(tmp_path)
    Path("project").rename("moved")
    for name in ("run", "smaller"):
        found = rows_of_run(Path("moved") / name, module)
        assert found is not None and list(found.texts) == TEXTS
        assert str(tmp_path) not in (Path("moved") / name / "metrics.json").read_text("utf-8")


def test_rows_that_cannot_be_read_are_told(
    module: hub.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = recorded(tmp_path / "run")
    path = tmp_path / "own.csv"
    path.write_text(ROWS.replace("订房", "别的"), encoding="utf-8")
    with pytest.raises(DataError, match=r"dev rows that .*run was fine-tuned with.*'别的' is not"):
        rows_of_run(run, module)
    # A run that left such rows out does so again.
    summary = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    text = json.dumps({**summary, "skipped_rows": {"dev": 1}})
    (run / "metrics.json").write_text(text, encoding="utf-8")
    found = rows_of_run(run, module)
    assert found is not None and list(found.texts) == TEXTS[1:]
    path.unlink()
    with pytest.raises(DataError, match=f"There is no file {path}"):
        rows_of_run(run, module)


def test_rows_that_were_set_aside_are_set_aside_again(
    module: hub.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"第{n}家酒店,{'订房' if n % 3 else '订票'}" for n in range(40)]
    Path("own.csv").write_text("\n".join(["句,意", *rows]) + "\n", encoding="utf-8")
    train, dev = load_dataset("own.csv", **OWN).split(0.1, 7)
    for folder in (tmp_path / "run", tmp_path / "deeper" / "smaller"):
        folder.mkdir(parents=True)
    data = {"train": train.source, "dev": dev.source, **record(Path("run"), train=train, dev=dev)}
    Path("run", "metrics.json").write_text(json.dumps({"data": data}), encoding="utf-8")
    carry_record(Path("run"), tmp_path / "deeper" / "smaller")
    for folder in (Path("run"), tmp_path / "deeper" / "smaller"):
        found = rows_of_run(folder, module)
        assert found is not None and list(found) == list(dev)
    # More rows, of which others would be set aside: the model has learned these.
    more = [f"第{n}个酒店,订房" for n in range(40)]
    Path("own.csv").write_text("\n".join(["句,意", *more, *rows]) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"set aside from .*own\.csv, which was changed since"):
        rows_of_run(Path("run"), module)


@pytest.mark.parametrize("dev", ["10% of train.tsv", "smp2017_ecdt", None])
def test_where_no_file_was_recorded_there_are_no_rows(
    module: hub.Module, tmp_path: Path, dev: Any
) -> None:
    assert rows_of_run(tmp_path, module) is None
    (tmp_path / "metrics.json").write_text(json.dumps({"data": {"dev": dev}}))
    assert rows_of_run(tmp_path, module) is None
    (tmp_path / "metrics.json").write_text(json.dumps({"data": {"dev": dev, "files": {}}}))
    assert rows_of_run(tmp_path, module) is None


def test_runs_of_before_recorded_what_was_typed(module: hub.Module, tmp_path: Path) -> None:
    rows = tmp_path / "dev.tsv"
    rows.write_text(ROWS.replace(",", "\t"), encoding="utf-8")
    (tmp_path / "metrics.json").write_text(json.dumps({"data": {"dev": str(rows)}}))
    with pytest.raises(DataError, match="Name the right ones with --text-column"):
        rows_of_run(tmp_path, module)
    found = rows_of_run(tmp_path, module, "dev", OWN)
    assert found is not None and list(found.texts) == TEXTS
    rows.unlink()
    with pytest.raises(DataError, match="There is no file"):
        rows_of_run(tmp_path, module)


def test_other_files_are_read_by_the_runs_columns_if_they_have_them(
    module: hub.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = recorded(tmp_path / "run")
    nothing = dict.fromkeys(("text_column", "text_pair_column", "label_column"))
    Path("more.jsonl").write_text('{"句": "北京酒店", "意": "订房", "text": "别的"}\n', "utf-8")
    Path("usual.tsv").write_text("text\tlabel\n北京酒店\t订房\n", encoding="utf-8")
    Path("texts.txt").write_text("北京酒店\n", encoding="utf-8")
    assert options_for(run, "more.jsonl", nothing) == {**nothing, **OWN}
    for other in ("usual.tsv", "texts.txt", "a-name"):
        assert options_for(run, other, nothing) == nothing
    said = {**nothing, "text_column": "text"}
    assert options_for(run, "more.jsonl", said) == said
    for file in ("more.jsonl", "usual.tsv"):
        rows = load_rows(file, module.task, "dev", options_for(run, file, nothing))
        assert list(rows.texts) == TEXTS[:1]


def test_columns_that_are_named_for_another_file_are_not_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = recorded(tmp_path / "run")
    said = {"text_column": "body", "text_pair_column": None, "label_column": None}
    Path("usual.tsv").write_text("text\tlabel\n北京酒店\t订房\n", encoding="utf-8")
    Path("body.tsv").write_text("body\ttext\n北京\t别的\n", encoding="utf-8")
    Path("texts.txt").write_text("海南\n", encoding="utf-8")
    assert options_for(run, "usual.tsv", said) == said  # which is then told to lack it
    assert options_for(run, "usual.tsv", said, shared=True) == dict.fromkeys(said)
    assert options_for(run, "own.csv", said, shared=True) == {**said, **OWN}
    assert options_for(run, "body.tsv", said, shared=True) == said
    # Lines among tables have no columns.
    files = [Path("body.tsv"), Path("texts.txt")]
    texts = RunTexts(files, run, said)
    assert list(texts) == list(texts) == ["北京", "海南"]
    files = [Path("usual.tsv"), Path("own.csv"), *files]
    assert list(RunTexts(files, run, said, shared=True)) == ["北京酒店", *TEXTS, "北京", "海南"]


def test_rows_of_unknown_labels_are_refused_or_left_out(module: hub.Module, tmp_path: Path) -> None:
    rows = tmp_path / "rows.tsv"
    rows.write_text("text\tlabel\n北京酒店\t订房\n唱歌\t音乐\n", encoding="utf-8")
    with pytest.raises(DataError, match="'音乐' is not one of the 2"):
        load_rows(str(rows), module.task, "dev", {})
    found = load_rows(str(rows), module.task, "dev", {"skip_bad_rows": True})
    assert list(found.texts) == TEXTS[:1]
    rows.write_text("text\tlabel\n唱歌\t音乐\n", encoding="utf-8")
    with pytest.raises(DataError, match="no row that the model can be measured with"):
        load_rows(str(rows), module.task, "dev", {"skip_bad_rows": True})


def test_texts_without_labels_are_read_by_the_runs_columns_if_they_have_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = recorded(tmp_path / "run")
    for name, row, columns in (
        ("own.jsonl", {"句": "北京酒店", "text": "别的"}, ("句", None)),
        ("usual.jsonl", {"text": "北京酒店"}, (None, None)),
        ("tokens.jsonl", {"句": ["北京", "酒店"], "text": "北京酒店"}, (None, None)),
    ):
        Path(name).write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
        assert text_columns(run, Path(name)) == columns
        assert text_columns(run, Path(name), "text") == ("text", None)
    Path("texts.txt").write_text("北京酒店\n", encoding="utf-8")
    assert text_columns(run, Path("texts.txt")) == (None, None)
    assert text_columns(tmp_path, Path("own.jsonl")) == (None, None)  # nothing is recorded there
