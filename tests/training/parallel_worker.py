"""Trains the model in a folder and writes each step's loss: run alone, or by Paddle's launcher.

python parallel_worker.py MODEL_FOLDER OUTPUT.json [argument=value ...]

With stop_at=N it is told to stop after N steps; with resume=true it goes on from there.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import hub
from hub.training.arguments import TrainingArguments
from hub.training.callbacks import Callback
from hub.training.signals import TrainingInterrupted
from hub.training.trainer import Trainer

# 21 rows in batches of 8: the last batch is smaller, and 5 rows are not shared out evenly.
ROWS = [(f"今天{sign}{filler}吗", label) for filler in "的一是在不了有" for sign, label in
        (("雨", "天气"), ("歌", "音乐"), ("票", "车票"))]  # fmt: skip


class Losses(Callback):
    """Writes the losses at the end; the first process alone is called."""

    def __init__(self, path: Path, stop_at: int | None = None) -> None:
        self.path = path
        self.stop_at = stop_at
        self.values: list[float] = []

    def on_step(self, state: Any, loss: float, rows: int) -> None:
        self.values.append(loss)
        if len(self.values) == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_train_end(self, state: Any) -> None:
        dev = [entry["dev_accuracy"] for entry in state.history]
        self.path.write_text(json.dumps({"losses": self.values, "dev": dev}))


if __name__ == "__main__":
    module = hub.Module(directory=sys.argv[1], task="seq-cls", label_map=["天气", "音乐", "车票"])
    arguments = TrainingArguments(epochs=6, batch_size=8, learning_rate=1e-2, patience=None, seed=5)
    output = Path(sys.argv[2])
    changes = {name: json.loads(value) for name, value in (a.split("=") for a in sys.argv[3:])}
    stop_at, resume = changes.pop("stop_at", None), changes.pop("resume", False)
    trainer = Trainer(
        module,
        checkpoint_dir=output.with_suffix("") if stop_at or resume else None,
        arguments=arguments,
        callbacks=[Losses(output, stop_at)],
        progress=False,
    )
    with contextlib.suppress(TrainingInterrupted):
        trainer.finetune_and_eval(ROWS, ROWS[:6], resume=resume, **changes)
