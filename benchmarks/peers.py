"""What the benchmarks beside other packages share: each side is a process of its own."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any


def read_table(path: Path) -> list[tuple[str, str]]:
    """Texts and labels of a table with columns of these names."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [(row["text"], row["label"]) for row in rows]


def peak_memory_mb() -> float:
    """The most memory this process has had; `getrusage` would count that of its parent too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


def make_base_model(folder: Path) -> None:
    """A model of ERNIE 3.0 Base's shape with random weights and the embedded model's vocabulary."""
    import hub
    from hub.models.creation import create_model, read_shape

    vocabulary = Path(hub.__file__).parent / "registry/embedded/ernie-pocket-zh/vocab.txt"
    folder.mkdir(parents=True, exist_ok=True)
    create_model(folder, read_shape("ernie-3.0-base-zh"), vocabulary, 1)


def run_side(script: str, python: str, job: dict[str, Any]) -> dict[str, float]:
    """Run a side by `PYTHON SCRIPT --work JOB`; the figures that it writes to the job's file."""
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "figures.json"
        done = subprocess.run(
            [python, script, "--work", json.dumps({**job, "result": str(result)})],
            env={**os.environ, "TOKENIZERS_PARALLELISM": "true", "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise SystemExit(f"{job['side']} failed:\n{done.stderr[-3000:]}")
        figures: dict[str, float] = json.loads(result.read_text())
        return figures
