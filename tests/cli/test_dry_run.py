"""A dry run checks and tells, and writes nothing."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Hub


def test_a_dry_run_tells_what_a_run_takes_and_refuses_what_it_refuses(
    hub: Hub, tiny_folder: Path, tmp_path: Path
) -> None:
    rows = [f"今天{'下雨' * (n % 20)}\t天气\n听歌{'吗' * (n % 20)}\t音乐\n" for n in range(60)]
    data, output = tmp_path / "train.tsv", tmp_path / "run"
    data.write_text("text\tlabel\n" + "".join(rows), encoding="utf-8")
    command = ("finetune", data, "--output", output, "--model", tiny_folder, "--quiet")
    code, out, error = hub(*command, "--dry-run", "--json")
    assert code == 0, error
    estimate = json.loads(out)
    assert estimate["steps"] == 4 and estimate["epoch_s"] > 0 and estimate["memory_mb"] > 100
    assert "dry run   4 steps an epoch" in error and "nothing was written" in error
    assert not output.exists()

    code, _, error = hub(*command, "--dry-run", "--max-seq-len", "4000")
    assert code == 2 and "max_seq_len is 4000" in error

    assert hub(*command, "--max-steps", "1")[0] == 0
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    assert hub(*command, "--dry-run")[0] == 2  # there is a model
    assert hub(*command, "--dry-run", "--overwrite")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before
