"""How many threads compute what is not exported: as many as were asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hub
from hub.errors import InputError
from hub.inference.loading import load

CHECK = """
import json, sys, threading
if sys.argv[2] == "loaded":
    import hub.backend
from hub.inference.loading import load
load(sys.argv[1], 3)
from hub.backend import bundled_library, paddle
openmp = bundled_library("libiomp5.so")
seen = [paddle.get_flags(["FLAGS_paddle_num_threads"])["FLAGS_paddle_num_threads"]]
def look():
    if openmp is not None:
        seen.append(openmp.omp_get_max_threads())
look()
if sys.argv[2] == "fresh":  # then all threads are told
    other = threading.Thread(target=look)
    other.start()
    other.join()
print(json.dumps(seen))
"""


@pytest.mark.parametrize("paddle", ["fresh", "loaded"])
def test_paddle_computes_with_the_threads_that_are_asked_for(
    tiny_folder: Path, tmp_path: Path, paddle: str
) -> None:
    hub.Module(directory=tiny_folder, task="seq-cls", label_map=["a", "b"]).save(tmp_path / "run")
    names = ("OMP_NUM_THREADS", "FLAGS_paddle_num_threads")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(tmp_path / "run"), paddle],
        capture_output=True, text=True, check=False,
        env={**environment, "HUB_NUM_THREADS": "2"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {3}


def test_no_threads_are_refused(tiny_folder: Path, tmp_path: Path) -> None:
    hub.Module(directory=tiny_folder, task="seq-cls", label_map=["a", "b"]).save(tmp_path / "run")
    with pytest.raises(InputError, match="threads must be 1 or more"):
        load(tmp_path / "run", 0)
