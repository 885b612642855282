"""A run that is killed twenty times at random moments, and the same run undisturbed.

python killed_worker.py MODEL_FOLDER SCRATCH SEED

Each attempt is a fork of this process, which has loaded all libraries and computed nothing:
starting Python and PaddlePaddle twenty times would take a minute. Every step's loss is written to
SCRATCH, and how many were there at each kill is printed.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import hub
from hub.training.arguments import TrainingArguments
from hub.training.callbacks import Callback
from hub.training.trainer import Trainer

ROWS = [(f"今天{sign}{number}吗", label) for number in range(100) for sign, label in
        (("雨", "天气"), ("歌", "音乐"))]  # fmt: skip
KILLS = 20


class Losses(Callback):
    """Appends each loss to a file at once, exactly."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("a", encoding="utf-8")

    def on_step(self, state: Any, loss: float, rows: int) -> None:
        self.file.write(f"{state.step} {loss.hex()}\n")
        self.file.flush()


def learn(model: str, losses: Path, folder: Path | None, resume: bool) -> None:
    module = hub.Module(directory=model, task="seq-cls", label_map=["天气", "音乐"])
    arguments = TrainingArguments(
        epochs=18, batch_size=4, learning_rate=1e-3, patience=None, seed=5, checkpoint_minutes=0.002
    )
    trainer = Trainer(
        module, checkpoint_dir=folder, arguments=arguments, callbacks=[Losses(losses)],
        progress=False,
    )  # fmt: skip
    trainer.finetune_and_eval(ROWS, ROWS[:20], resume=resume)


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def in_a_child(call: Any, written: Path, kill_after_s: float | None) -> int:
    """Fork, call, and perhaps kill it so long after its first step; how it ended, as `os.waitpid`
    has it."""
    before = lines(written)
    child = os.fork()
    if child == 0:
        try:
            call()
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if kill_after_s is not None:
        while lines(written) == before and os.waitpid(child, os.WNOHANG) == (0, 0):
            time.sleep(0.002)
        time.sleep(kill_after_s)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


if __name__ == "__main__":
    model, scratch, draw = sys.argv[1], Path(sys.argv[2]), random.Random(int(sys.argv[3]))
    folder, written = scratch / "checkpoint", scratch / "killed"
    alone = scratch / "undisturbed"
    assert in_a_child(lambda: learn(model, alone, None, False), alone, None) == 0
    reached: list[int] = []
    for _ in range(KILLS):
        resume = (folder / "latest.json").exists()
        status = in_a_child(
            lambda resume=resume: learn(model, written, folder, resume),
            written,
            draw.uniform(0.0, 0.25),
        )
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
        reached.append(lines(written))
    assert in_a_child(lambda: learn(model, written, folder, True), written, None) == 0
    print(*reached)
