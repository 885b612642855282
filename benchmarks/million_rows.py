"""A million labelled rows: seconds and memory of everything that is done with them before a step.

    python benchmarks/million_rows.py [--rows 1000000] [--stages load check ...] [--task TASK]

The rows are of 30 characters: parts of the example's sentences put together anew, so that few are
equal. Each stage runs in a process of its own with an empty cache (but for those that say "cached",
which come after one that filled it); its seconds are without loading Python's modules and the file,
its memory is the process's highest, all of that included. On a busy machine the CPU seconds tell
more.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHARACTERS = 30
BATCH_SIZE = 32
# Stage -> what it does; those with "cached" find what an earlier one left.
STAGES = {
    "load": "load_dataset",
    "check": "hub.data.check",
    "split": "a tenth set aside for dev",
    "encode": "encoded for training",
    "encode, cached": "the same in the next process",
    "epoch, cached": "one epoch's batches, made",
    "baseline": "the linear baseline, fitted",
}


def write_rows(path: Path, count: int, entities: bool) -> None:
    """Make the file; a row at a time, so that this process stays small."""
    lines = (ROOT / "examples" / "crosswoz_intent" / "train.tsv").read_text("utf-8").splitlines()
    rows = [line.split("\t") for line in lines[1:]]
    parts = [(part, label) for text, label in rows for part in re.split("[，。？！]", text) if part]
    chance = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        if not entities:
            file.write("text\tlabel\n")
        for _ in range(count):
            text, label = chance.choice(parts)
            while len(text) < CHARACTERS:
                text += "，" + chance.choice(parts)[0]
            text = text[:CHARACTERS]
            if not entities:
                file.write(f"{text}\t{label}\n")
                continue
            start = chance.randrange(CHARACTERS - 4)
            entity = {"start": start, "end": start + 3, "type": label}
            row = {"text": text, "entities": [entity]}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def run_stage(stage: str, path: Path, task: str) -> dict[str, float]:
    """Do it, in this process, and say how long it took and how much memory the process took."""
    work = prepare(stage, path, task)
    start, cpu = time.perf_counter(), time.process_time()
    work()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "cpu": cpu, "megabytes": peak / 1024}


def prepare(stage: str, path: Path, task: str) -> Callable[[], object]:
    """All that comes before what is measured."""
    from hub.data import load_dataset

    if stage == "load":
        return lambda: load_dataset(path, kind=task)
    data = load_dataset(path, kind=task)
    if stage == "check":
        from hub.data.check import check

        return lambda: check(data)
    if stage == "split":
        return lambda: data.split(0.1, 42)
    from hub.tasks import labelled_task_type

    if stage == "baseline":
        from hub.training.baseline import LinearBaseline

        labelled = labelled_task_type(task).from_data(data)
        return lambda: LinearBaseline(labelled).fit(data.texts, labelled.targets(data))

    import hub
    from hub.constants import DEFAULT_MODEL
    from hub.data.batches import collate, shuffled_batches

    labelled = labelled_task_type(task).from_data(data)
    module = hub.Module(name=DEFAULT_MODEL, task=task, label_map=labelled.labels)
    trainer = hub.Trainer(module, progress=False)

    def encode() -> object:
        return trainer._encode(data, 128, "cut")

    if stage.startswith("encode"):
        return encode
    encodings = trainer._encode(data, 128, "cut").encodings

    def epoch() -> None:
        for rows in shuffled_batches(encodings, BATCH_SIZE, 42, 0):
            collate(encodings, rows, 0)

    return epoch


def measure(stage: str, path: Path, task: str, home: Path) -> dict[str, float]:
    """What `run_stage` says in a fresh process."""
    done = subprocess.run(
        [sys.executable, __file__, "--worker", stage, "--file", str(path), "--task", task],
        env={**os.environ, "HUB_HOME": str(home)}, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        return dict.fromkeys(("seconds", "cpu", "megabytes"), float("nan"))
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="how many")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--task", default="text-classification", help="or token-classification")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(run_stage(arguments.worker, arguments.file, arguments.task)))
        return
    entities = arguments.task == "token-classification"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("rows.jsonl" if entities else "rows.tsv")
        write_rows(path, arguments.rows, entities)
        size = path.stat().st_size / 1e6
        print(f"{arguments.rows:,} rows, {size:,.0f} MB, {arguments.task}")
        print(f"{'stage':<16} {'':<30} {'seconds':>8} {'CPU s':>8} {'peak MB':>8}", flush=True)
        for stage in arguments.stages:
            found = measure(stage, path, arguments.task, Path(folder) / "home")
            times = f"{found['seconds']:8.1f} {found['cpu']:8.1f}"
            print(f"{stage:<16} {STAGES[stage]:<30} {times} {found['megabytes']:8,.0f}", flush=True)


if __name__ == "__main__":
    main()
