"""A model folder is written whole or not at all, whenever the process or the disk gives up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hub
from hub.errors import OutputError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="fork and limits of a process")

LABELS = ["转账", "挂失", "查余额"]

# Its process dies before the first, the second, ... file is renamed or removed.
_DYING = """
import json, os, shutil, sys
from pathlib import Path
import hub
from hub.errors import HubError

def state(module):
    return [module.task.labels, module.task.options, module.predict("今天", probabilities=True)]

def outcome(folder, old, new):
    try:
        found = state(hub.Module(directory=folder))
    except HubError:
        return "refused"
    return "old" if found == old else "new" if found == new else "mixed"

folder, tiny = Path(sys.argv[1]), sys.argv[2]
labels = ["转账", "挂失", "查余额"]
options = {"thresholds": [0.1, 0.2, 0.9]}
hub.Module(directory=tiny, task="multi-label", label_map=labels, task_options=options).save(folder)
if sys.argv[3] == "plain":
    (folder / "hub.json").unlink()
(folder / "notes.txt").write_text("mine")
module = hub.Module(directory=tiny, task="multi-label", label_map=labels[::-1], seed=5)
old, new = state(hub.Module(directory=folder)), state(module)
outcomes = []
while not outcomes or os.waitstatus_to_exitcode(status):
    shutil.rmtree("copy", ignore_errors=True)
    shutil.copytree(folder, "copy")
    if (child := os.fork()) == 0:
        left = len(outcomes)
        def die(event, arguments):
            global left
            if event in ("os.rename", "os.remove"):
                if not left:
                    os._exit(9)
                left -= 1
        sys.addaudithook(die)
        module.save("copy")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    outcomes.append(outcome("copy", old, new))
    assert Path("copy/notes.txt").read_text() == "mine"
module.save("copy")
print(json.dumps([outcomes, outcome("copy", old, new), sorted(os.listdir("copy"))]))
"""


def run(script: str, *arguments: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path(hub.__file__).parents[1])},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", ["ours", "plain"])
def test_a_save_that_dies_leaves_the_old_model_the_new_one_or_none(
    tiny_folder: Path, tmp_path: Path, kind: str
) -> None:
    outcomes, last, names = json.loads(
        run(_DYING, tmp_path / "model", tiny_folder, kind, cwd=tmp_path)
    )
    assert "old" in outcomes and "refused" in outcomes and outcomes[-1] == "new"
    assert "mixed" not in outcomes
    assert last == "new" and names == [
        "config.json", "hub.json", "model.safetensors", "notes.txt", "tokenizer.json",
        "tokenizer_config.json", "vocab.txt",
    ]  # fmt: skip


_FULL = """
import resource, sys
import hub
from hub.errors import OutputError
module = hub.Module(directory=sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    module.save(sys.argv[1])
except OutputError as error:
    print(error)
try:
    from pathlib import Path
    module.tokenizer.save(Path(sys.argv[1]), 64)
except OSError as error:
    print(error.strerror)
"""


def test_a_full_disk_is_told_and_leaves_the_old_model(tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    module = hub.Module(directory=tiny_folder, task="seq-cls", label_map=LABELS)
    module.save(folder)
    told = run(_FULL, folder, cwd=tmp_path)
    assert told.splitlines() == [f"{folder} cannot be written: File too large.", "File too large"]
    again = hub.Module(directory=folder)
    assert again.predict("今天", probabilities=True) == module.predict("今天", probabilities=True)


def test_a_place_that_is_no_folder_is_told(tiny_folder: Path, tmp_path: Path) -> None:
    module = hub.Module(directory=tiny_folder, task="seq-cls", label_map=LABELS)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file cannot be written: Not a directory"):
        module.save(tmp_path / "file")
