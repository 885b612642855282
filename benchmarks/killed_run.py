"""A fine-tuning run that is killed again and again, beside one that is not: the same end.

    python benchmarks/killed_run.py TRAIN DEV [--epochs 6] [--every 60] [--seed 1]
                                    [--checkpoint-minutes 0.25] [--output killed_run.json]

Both runs are `hub finetune` with the recommended settings, at the same time. One is killed
(SIGKILL) at a random moment after every --every seconds on average, and gone on with by --resume,
until it is done. The figures: how often it was killed, in how many seconds, and whether the losses
and the dev metrics of every epoch are the same numbers.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hub.constants import CHECKPOINT_DIRECTORY
from hub.training.checkpoints import CheckpointStore


def finetune(
    arguments: argparse.Namespace, output: Path, resume: bool, within_s: float | None
) -> bool:
    """Run `hub finetune`; False if it was killed after `within_s` seconds."""
    command = [
        sys.executable, "-m", "hub", "finetune", arguments.train, "--dev", arguments.dev,
        "--output", str(output), "--epochs", str(arguments.epochs), "--seed", str(arguments.seed),
        "--checkpoint-minutes", str(arguments.checkpoint_minutes), "--quiet",
        *(["--resume"] if resume else []),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _, told = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return False
    if process.returncode:
        raise SystemExit(f"hub finetune failed:\n{told.decode()[-2000:]}")
    return True


def figures(folder: Path) -> list[dict[str, Any]]:
    """What every epoch ended with, but for the time it took."""
    summary = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in summary["history"]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train")
    parser.add_argument("dev")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--every", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--checkpoint-minutes", type=float, default=0.25)
    parser.add_argument("--output", type=Path, default=Path("killed_run.json"))
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as kept:
        whole, killed = Path(kept) / "whole", Path(kept) / "killed"
        started, kills = time.monotonic(), 0
        beside = ThreadPoolExecutor(1)
        undisturbed = beside.submit(finetune, arguments, whole, False, None)
        while True:
            # Before its first checkpoint there is nothing to go on from.
            resume = CheckpointStore(killed / CHECKPOINT_DIRECTORY, {}).exists()
            if not resume:
                shutil.rmtree(killed, ignore_errors=True)
            within_s = draw.uniform(0.5, 1.5) * arguments.every
            if finetune(arguments, killed, resume, within_s):
                break
            kills += 1
        killed_s = time.monotonic() - started
        undisturbed.result()
        ours, theirs = figures(whole), figures(killed)
        found = {
            "kills": kills,
            "killed_s": round(killed_s, 1),
            "epochs": len(ours),
            "same": ours == theirs,
            "last": [ours[-1], theirs[-1]],
        }
    arguments.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))
    if not found["same"]:
        raise SystemExit("the killed run ended otherwise")


if __name__ == "__main__":
    main()
