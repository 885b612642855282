"""A batch in parts on several threads: the whole batch's output, in its order."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import hub
from hub.data.batches import Batch, collate
from hub.inference.engines import open_engine
from hub.inference.engines.parallel import ParallelEngine
from hub.inference.export import export
from hub.tasks.passages import read

TEXTS = ["今天下雨吗", "听一首歌", "", "买票", "明天天气好吗" * 5]


def batch_of(count: int, positions: np.ndarray | None = None) -> Batch:
    ids = np.arange(4 * count).reshape(count, 4)
    return Batch(np.arange(count), ids, np.zeros_like(ids), np.ones_like(ids), positions)


@pytest.mark.parametrize("task", ["seq-cls", "ner"])
@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_the_output_is_that_of_one_thread(
    tiny_folder: Path, tmp_path: Path, engine: str, task: str
) -> None:
    labels = ["O", "B-地", "I-地"]
    module = hub.Module(directory=tiny_folder, task=task, label_map=labels)
    export(module, tmp_path / "m", engine)
    alone, several = (open_engine(engine, tmp_path / "m", threads) for threads in (1, 3))
    passages = read(module.tokenizer, TEXTS, 64, "cut", task == "ner")
    encodings = [passage.windows[0].encoding for passage in passages]
    for count in range(1, 6):
        batch = collate(encodings, np.arange(count), module.tokenizer.pad_token_id)
        ours, wanted = several(batch), alone(batch)
        assert ours.shape == wanted.shape and len(ours) == count
        if task == "ner":  # outputs of padding mean nothing
            ours, wanted = (output * batch.attention_mask[..., None] for output in (ours, wanted))
        assert np.abs(ours - wanted).max() < 1e-5


def test_openvino_has_inferred_before_threads_can_come_to_it(
    tiny_folder: Path, tmp_path: Path
) -> None:
    # Two threads at the first inference of a process wait for each other for ever.
    module = hub.Module(directory=tiny_folder, task="seq-cls", label_map=["甲", "乙"])
    export(module, tmp_path / "m", "openvino")
    script = """
import sys, threading
import openvino
from pathlib import Path
done = []
infer = openvino.InferRequest.infer
openvino.InferRequest.infer = lambda *given: (done.append(threading.get_ident()), infer(*given))[1]
from hub.inference.engines import open_engine
open_engine("openvino", Path(sys.argv[1]), 2)
assert done == [threading.get_ident()], done
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "m")], check=True, timeout=120)


def test_parts_are_computed_at_once_and_only_where_there_are_several() -> None:
    opened = []
    together = threading.Barrier(3, timeout=20)
    whole: list[int] = []

    def part(batch: Batch) -> np.ndarray:
        together.wait()  # passed only if three threads are here
        return batch.input_ids * 2.0

    def alone(batch: Batch) -> np.ndarray:
        whole.append(len(batch))
        return batch.input_ids * 2.0

    def open_part() -> object:
        opened.append(True)
        return part

    engine = ParallelEngine(alone, open_part, threads=3)  # type: ignore[arg-type]
    assert engine(batch_of(1)).tolist() == [[0, 2, 4, 6]] and opened == []
    for count in (3, 7):
        assert np.array_equal(engine(batch_of(count)), batch_of(count).input_ids * 2.0)
    assert opened == [True] and whole == [1]
    # Numbers in the whole batch mean nothing in a part of it.
    engine(batch_of(4, positions=np.array([1, 5])))
    assert whole == [1, 4]
    with pytest.raises(ValueError, match="positions"):
        batch_of(4, positions=np.array([1])).parts(8, 2)


def test_parts_are_of_like_length_and_hold_every_row_once() -> None:
    lengths = np.array([3, 9, 1, 9, 2, 8, 3, 3])
    mask = (np.arange(12) < lengths[:, None]).astype(np.int64)
    ids = np.arange(96).reshape(8, 12) * mask
    batch = Batch(np.arange(100, 108), ids, mask * 0, mask)
    parts = batch.parts(tokens=18, at_least=2)
    assert sorted(np.concatenate([places for places, _ in parts])) == list(range(8))
    assert [part.input_ids.shape for _, part in parts] == [(2, 9), (2, 8), (4, 3)]
    for places, part in parts:
        width = part.input_ids.shape[1]
        assert np.array_equal(part.rows, batch.rows[places])
        assert np.array_equal(part.input_ids, ids[places, :width])
        assert np.array_equal(part.attention_mask, mask[places, :width])
    assert len(batch.parts(tokens=10_000, at_least=3)) == 3
    assert len(batch.parts(tokens=1, at_least=1)) == 8


def test_an_error_of_one_part_is_the_batchs() -> None:
    def part(batch: Batch) -> np.ndarray:
        if 0 in batch.rows:
            raise RuntimeError("a part failed")
        return batch.input_ids

    engine = ParallelEngine(part, lambda: part, threads=2)
    with pytest.raises(RuntimeError, match="a part failed"):
        engine(batch_of(4))
