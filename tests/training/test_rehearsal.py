"""What a run will take is told from a few of its steps."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hub
from hub.training.arguments import TrainingArguments
from hub.training.loop import TrainingLoop
from hub.training.trainer import Trainer

ROWS = [("今天" + "下雨" * (number % 20), "天气") for number in range(60)] + [
    ("听歌" * (1 + number % 20), "音乐") for number in range(60)
]


def _trainer(folder: Path, **changes: Any) -> Trainer:
    module = hub.Module(directory=folder, task="seq-cls", label_map=["天气", "音乐"])
    return Trainer(module, arguments=TrainingArguments(**changes), progress=False)


def test_an_epoch_takes_what_its_steps_take(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps of a known length, proportional to their tokens."""
    took: list[float] = []

    def step(loop: TrainingLoop, rows: np.ndarray, stop: object) -> float:
        tokens = len(rows) * loop.train.encodings.lengths[rows].max()
        took.append(tokens * 1e-5)
        time.sleep(took[-1])
        return 0.0

    monkeypatch.setattr(TrainingLoop, "step", step)
    settings = {"batch_size": 8, "epochs": 3, "patience": None}
    estimate = _trainer(tiny_folder, **settings).rehearse(ROWS, ROWS[:40])
    assert len(took) == 6 and took[0] == max(took)  # the longest first
    rehearsed = len(took)
    _trainer(tiny_folder, **settings).finetune_and_eval(ROWS, ROWS[:40])
    epoch = sum(took[rehearsed:]) / 3
    assert (estimate.steps, estimate.epochs) == (15, 3)
    assert len(took) - rehearsed == 45
    assert epoch < estimate.epoch_s < 2 * epoch  # a machine sleeps longer than it is told
    assert estimate.evaluation_s > 0
    whole = 3 * (estimate.epoch_s + estimate.evaluation_s)
    assert estimate.total_s == pytest.approx(whole)


def test_a_run_of_few_steps_is_told_as_such(tiny_folder: Path) -> None:
    estimate = _trainer(tiny_folder, batch_size=8, epochs=3, max_steps=20).rehearse(ROWS, ROWS[:40])
    assert estimate.total_s == pytest.approx(20 / 15 * estimate.epoch_s + 2 * estimate.evaluation_s)
