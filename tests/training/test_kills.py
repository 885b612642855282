"""kill -9 at any moment: what is resumed goes on with the very losses of a run left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("killed_worker.py")


def losses(path: Path) -> list[tuple[int, str]]:
    """Steps with their losses; a line that the kill cut off is left out."""
    lines = path.read_text().split("\n")[:-1]
    return [(int(step), loss) for step, loss in (line.split() for line in lines)]


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_no_loss(tiny_folder: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(WORKER), str(tiny_folder), str(tmp_path), "7"],
        env={**os.environ, "PYTHONPATH": str(WORKER.parents[2])},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    undisturbed = dict(losses(tmp_path / "undisturbed"))
    assert len(undisturbed) == 900
    seen = losses(tmp_path / "killed")
    # Most kills struck a run that was learning, and lost some steps since its last checkpoint.
    assert len(set(done.stdout.split())) >= 10 and len(seen) > 910
    assert {step for step, _ in seen} == set(undisturbed)
    assert [loss for step, loss in seen] == [undisturbed[step] for step, _ in seen]
