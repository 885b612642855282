"""Answering files on a cluster: each row exactly once, also when a worker is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hub
from hub.errors import DataError, InputError, OutputError
from hub.inference import cluster
from hub.inference.cluster import Answered, predict_shards
from hub.inference.export import export


@pytest.fixture(scope="module")
def model(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cluster") / "model"
    module = hub.Module(directory=tiny_folder, task="seq-cls", label_map=["天气", "音乐"])
    export(module, folder)
    return folder


def shards_of(folder: Path, count: int, rows: int) -> list[list[str]]:
    """Files of texts, in turns Parquet and JSON lines; all texts differ."""
    folder.mkdir()
    texts = [[f"今天好吗{shard}的{row}" for row in range(rows)] for shard in range(count)]
    for number, part in enumerate(texts):
        if number % 2:
            pq.write_table(pa.table({"text": part}), folder / f"part-{number}.parquet")
        else:
            lines = [json.dumps({"text": text}, ensure_ascii=False) for text in part]
            (folder / f"part-{number}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return texts


def predict(
    model: Path, shards: Path, output: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    """Answer a folder on a cluster of two workers, in a process that ends with it."""
    command = [sys.executable, "-m", "hub", "predict", str(model), "--engine-cluster", "ray"]
    command += ["--input", str(shards), "--output", str(output), "-q", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def answered(folder: Path) -> list[list[str]]:
    files = sorted(folder.glob("*.jsonl"), key=lambda path: int(path.stem.split("-")[1]))
    return [
        [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]
        for path in files
    ]


def workers() -> list[int]:
    """The processes of the actors, by what Ray calls them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            name = path.read_bytes()
        except OSError:  # it has ended meanwhile
            continue
        if name.startswith(b"ray::_Worker"):
            found.append(int(path.parent.name))
    return found


def test_a_killed_worker_loses_and_doubles_no_row(model: Path, tmp_path: Path) -> None:
    texts = shards_of(tmp_path / "shards", 6, 3_000)
    output = tmp_path / "answers"
    killed: list[int] = []

    def kill() -> None:
        """Kill the worker of a file that is being written, twice."""
        end = time.monotonic() + 90
        while len(killed) < 2 and time.monotonic() < end:
            writing = list((output / ".working").glob("*.unfinished"))
            if writing and any(path.stat().st_size for path in writing if path.exists()):
                for pid in workers()[:1]:
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
                time.sleep(1.0)
            time.sleep(0.005)

    killer = threading.Thread(target=kill)
    killer.start()
    done = predict(model, tmp_path / "shards", output, "--batch-size", "8")
    killer.join()
    assert killed, "no worker was killed: the test has shown nothing"
    assert done.returncode == 0, done.stderr
    assert "18,000 answers to 6 files" in done.stderr and answered(output) == texts
    assert not (output / ".working").exists()
    # The answers are the predictor's.
    first = json.loads((output / "part-0.jsonl").read_text(encoding="utf-8").splitlines()[7])
    assert first["label"] == hub.Predictor(model).predict(texts[0][7])


def test_the_command_goes_on_with_the_files_that_are_not_there(model: Path, tmp_path: Path) -> None:
    texts = shards_of(tmp_path / "shards", 3, 20)
    output = tmp_path / "answers"

    def call(*more: str) -> subprocess.CompletedProcess[str]:
        return predict(model, tmp_path / "shards", output, *more)

    done = call("--probabilities")
    assert done.returncode == 0, done.stderr
    assert "60 answers to 3 files" in done.stderr and answered(output) == texts
    # One is missing: it alone is made again.
    kept = {path.name: path.stat().st_mtime_ns for path in output.glob("*.jsonl")}
    (output / "part-1.jsonl").unlink()
    done = call("--probabilities")
    assert "20 answers to 1 file; 2 by an earlier run" in done.stderr and answered(output) == texts
    after = {path.name: path.stat().st_mtime_ns for path in output.glob("*.jsonl")}
    assert {name for name in kept if kept[name] != after[name]} == {"part-1.jsonl"}
    # Another was changed: its answers are not those of before.
    part = tmp_path / "shards" / "part-2.jsonl"
    texts[2] = ["换了", "另一行"]
    part.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts[2]), "utf-8")
    done = call("--probabilities")
    assert "2 answers to 1 file; 2 by an earlier run" in done.stderr and answered(output) == texts
    # Other options are other answers.
    done = call()
    assert done.returncode and "--overwrite them" in done.stderr
    assert call("--overwrite").returncode == 0


def test_a_file_that_cannot_be_answered_is_named(model: Path, tmp_path: Path) -> None:
    shards_of(tmp_path / "shards", 2, 5)
    (tmp_path / "shards" / "part-9.jsonl").write_text('{"number": 3}\n', encoding="utf-8")
    paths = sorted((tmp_path / "shards").iterdir())
    done = predict(model, tmp_path / "shards", tmp_path / "answers")
    assert done.returncode in (1, 2)
    assert "1 of the files cannot be answered. part-9.jsonl: " in done.stderr
    assert "to the others are kept" in done.stderr
    assert len(answered(tmp_path / "answers")) == 2
    with pytest.raises(InputError, match="Two files are called 'part-9'"):
        predict_shards(str(model), [paths[2], paths[2].with_suffix(".txt")], tmp_path / "other")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.doc").write_text("x", encoding="utf-8")
    with pytest.raises(OutputError, match="holds other files"):
        predict_shards(str(model), paths, tmp_path / "other")


# --- without a cluster ---------------------------------------------------------------------------


def worker(model: Path, output: Path) -> cluster._Worker:
    output.mkdir()
    return cluster._Worker(str(model), 1, None, (None, None), {}, str(output))


def test_a_worker_goes_on_after_what_nobody_thought_of(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards_of(tmp_path / "shards", 1, 3)
    shard = tmp_path / "shards" / "part-0.jsonl"
    able = worker(model, tmp_path / "answers")
    whole = cluster.predict_file

    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(cluster, "predict_file", broken)
    assert able.answer(str(shard)) == Answered("part-0.jsonl", reason="RuntimeError: no")
    monkeypatch.setattr(cluster, "predict_file", whole)
    assert able.answer(str(shard)) == Answered("part-0.jsonl", 3)


def test_answers_are_those_of_the_file_as_it_is(model: Path, tmp_path: Path) -> None:
    shards_of(tmp_path / "shards", 1, 3)
    shard, output = tmp_path / "shards" / "part-0.jsonl", tmp_path / "answers"
    able = worker(model, output)
    assert not cluster._is_answered(shard, output)
    able.answer(str(shard))
    assert cluster._is_answered(shard, output)
    with shard.open("a", encoding="utf-8") as file:
        file.write('{"text": "又一行"}\n')
    assert not cluster._is_answered(shard, output)
    assert not (output / "part-0.jsonl").exists()  # so that nobody takes it for the new one's
    able.answer(str(shard))
    # As if it had died between the answers and what they are of.
    (output / ".files" / "part-0.json").unlink()
    assert not cluster._is_answered(shard, output)


class RayError(Exception):
    pass


class RayTaskError(RayError):
    pass


class FakeRay:
    """What `_hand_out` asks of Ray: calls are done at once, in their order."""

    class exceptions:
        RayError, RayTaskError = RayError, RayTaskError

    def __init__(self, fates: dict[str, Exception]) -> None:
        self.fates, self.started, self.dead = fates, 0, set[int]()

    def start(self) -> Any:
        self.started += 1
        number = self.started

        class Actor:
            class answer:
                @staticmethod
                def remote(shard: str) -> tuple[int, str]:
                    return (number, Path(shard).name)

        return Actor

    def wait(self, calls: list[Any]) -> tuple[list[Any], list[Any]]:
        return calls[:1], calls[1:]

    def get(self, call: tuple[int, str]) -> Answered:
        number, name = call
        assert number not in self.dead, "a dead worker was given a file"
        fate = self.fates.get(name)
        if fate is None:
            return Answered(name, 10)
        if not isinstance(fate, RayTaskError):
            self.dead.add(number)
        raise fate


def test_the_other_files_are_answered_whatever_becomes_of_one() -> None:
    shards = [Path(f"part-{number}.txt") for number in range(6)]
    ray = FakeRay({"part-1.txt": RayTaskError("a defect"), "part-3.txt": RayError("gone")})
    answered: list[str] = []
    with pytest.raises(DataError) as error:
        cluster._hand_out(ray, ray.start, 1, shards, lambda done: answered.append(done.name))
    assert answered == [f"part-{number}.txt" for number in (0, 2, 4, 5)]
    assert ray.started == 2  # one in place of the dead one, none in place of the other
    sentence = str(error.value)
    assert "2 of the files" in sentence and "part-1.txt: RayTaskError: a defect" in sentence
    assert "part-3.txt: its worker died 4 times (RayError)" in sentence
