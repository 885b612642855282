"""Answering a file: in order, in windows, and exactly once whatever happens."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import filelock
import pytest

import hub
from hub.data.texts import read_texts
from hub.errors import DataError, OutputError
from hub.inference import files
from hub.inference.files import identity_of, predict_file

TEXTS = [f"今天{'很' * (n % 7)}好吗{n}" for n in range(50)]


@pytest.fixture
def module(tiny_folder: Path) -> hub.Module:
    return hub.Module(directory=tiny_folder, task="seq-cls", label_map=["天气", "音乐"])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return path


def answer(module: Any, source: Path, output: Path, **options: Any) -> int:
    file = read_texts(source)
    return predict_file(module, file, output, identity=identity_of("/", file), **options)


class Stops(Exception):
    """As if the process had been killed."""


class Counting:
    """A module that stops before a window, and counts the texts it was asked."""

    def __init__(self, module: hub.Module, stop_after: int | None = None) -> None:
        self.module, self.stop_after = module, stop_after
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)

    def predict(self, texts: list[str], **options: Any) -> Any:
        if self.stop_after is not None and len(self.asked) >= self.stop_after:
            raise Stops
        self.asked += texts
        return self.module.predict(texts, **options)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "WINDOW", 8)


def test_every_row_is_answered_in_its_place(
    module: hub.Module, source: Path, tmp_path: Path
) -> None:
    rows: list[int] = []
    output = tmp_path / "out.jsonl"
    assert answer(Counting(module), source, output, probabilities=True, on_rows=rows.append) == 0
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [line["text"] for line in lines] == TEXTS
    wanted = module.predict(TEXTS, probabilities=True)
    assert [line["label"] for line in lines] == [w["label"] for w in wanted]
    assert lines[3]["probabilities"] == pytest.approx(wanted[3]["probabilities"], abs=1e-6)
    assert sum(rows) == len(TEXTS)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "out.jsonl",
        "texts.txt",
    ]


@pytest.mark.parametrize("half_line", [False, True])
def test_a_stopped_run_goes_on_and_loses_and_doubles_nothing(
    module: hub.Module, source: Path, tmp_path: Path, half_line: bool
) -> None:
    output = tmp_path / "out.jsonl"
    with pytest.raises(Stops):
        answer(Counting(module, stop_after=24), source, output)
    assert not output.exists()
    unfinished = tmp_path / "out.jsonl.unfinished"
    if half_line:
        with unfinished.open("ab") as file:
            file.write('{"text": "今'.encode()[:-1])
    second = Counting(module)
    assert answer(second, source, output) == 24
    assert second.asked == TEXTS[24:]
    lines = [json.loads(line)["text"] for line in output.read_text(encoding="utf-8").splitlines()]
    assert lines == TEXTS


@pytest.mark.parametrize("change", ["source", "option", "task"])
def test_a_run_of_something_else_starts_again(
    module: hub.Module, source: Path, tmp_path: Path, tiny_folder: Path, change: str
) -> None:
    output = tmp_path / "out.jsonl"
    with pytest.raises(Stops):
        answer(Counting(module, stop_after=24), source, output)
    options: dict[str, Any] = {}
    if change == "source":
        source.write_text("\n".join(TEXTS[::-1]) + "\n", encoding="utf-8")
    elif change == "task":  # of the same files
        module = hub.Module(directory=tiny_folder, task="sentence-embedding")
    else:
        options = {"top_k": 2}
    second = Counting(module)
    assert answer(second, source, output, **options) == 0
    assert len(second.asked) == len(TEXTS)


def test_two_runs_at_once_do_not_write_one_file(
    module: hub.Module, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    told: list[str] = []

    def ask_again(count: int) -> None:
        if count and not told:
            with pytest.raises(OutputError, match="Another process is answering into") as error:
                answer(module, source, output)
            told.append(str(error.value))

    answer(module, source, output, on_rows=ask_again)
    assert told
    lines = [json.loads(line)["text"] for line in output.read_text(encoding="utf-8").splitlines()]
    assert lines == TEXTS


def test_the_run_that_comes_second_does_not_begin_again(
    module: hub.Module, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was told that there is no such file, and then waited for its turn."""
    output = tmp_path / "out.jsonl"
    alone = files.alone

    def another_was_faster(lock: Path, refusal: str) -> Any:
        output.write_text("another's")
        return alone(lock, refusal)

    monkeypatch.setattr(files, "alone", another_was_faster)
    with pytest.raises(OutputError, match="is there already"):
        answer(module, source, output)
    assert output.read_text() == "another's"


def test_a_file_system_without_locks_will_do(
    module: hub.Module, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def acquire(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    answer(module, source, tmp_path / "out.jsonl")
    assert len((tmp_path / "out.jsonl").read_bytes().splitlines()) == len(TEXTS)


def test_half_a_character_is_escaped(module: hub.Module, tmp_path: Path) -> None:
    texts = ["好", "\ud83d坏", "好"]
    source, output = tmp_path / "half.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
    answer(module, source, output)
    lines = output.read_bytes().splitlines()
    assert [json.loads(line)["text"] for line in lines] == texts
    assert "好".encode() in lines[0] and b"\\ud83d" in lines[1]


def test_a_folder_is_no_file_for_answers(module: hub.Module, source: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    counting = Counting(module)
    with pytest.raises(OutputError, match="folder is a folder"):
        answer(counting, source, tmp_path / "folder", overwrite=True)
    assert not counting.asked and not list(tmp_path.glob("folder.*"))


def test_a_file_that_is_there_is_not_replaced_unasked(
    module: hub.Module, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    output.write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        answer(Counting(module), source, output)
    assert output.read_text() == "mine"
    answer(Counting(module), source, output, overwrite=True)
    assert len(output.read_text(encoding="utf-8").splitlines()) == len(TEXTS)
    answer(Counting(module), source, tmp_path / "new" / "er" / "out.jsonl")
    assert (tmp_path / "new" / "er" / "out.jsonl").exists()
    with pytest.raises(OutputError, match="cannot be written"):
        answer(Counting(module), source, output / "out.jsonl")


def test_a_row_without_an_answer_is_told_by_its_place(tiny_folder: Path, source: Path) -> None:
    module = hub.Module(directory=tiny_folder, task="seq-cls", label_map=["a", "b"])
    assert module.task is not None
    module.task.pairs = True
    with pytest.raises(DataError, match="Of the rows 1 to 8 one has no answer: Text 0"):
        answer(Counting(module), source, source.parent / "out.jsonl")
