"""How tags are read, said once: the run remembers it, and what follows reads its rows so."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from hub.cli.main import cli
from hub.data import load_dataset
from tests.cli.conftest import Hub

WHOLE = "去 O\n北 B-LOC\n京 I-LOC\n\n听 O\n歌 B-SONG\n曲 I-SONG\n\n"
BROKEN = "去 O\n海 I-LOC\n南 I-LOC\n\n听 O\n音 I-SONG\n乐 I-SONG\n\n"
READERS = (
    "finetune", "tune", "evaluate", "export", "compress vocab", "compress prune",
    "compress quantize", "compress distil", "data check", "data convert", "data split",
)  # fmt: skip


@pytest.mark.parametrize("path", READERS)
def test_every_command_that_reads_labelled_rows_takes_them(path: str) -> None:
    command: click.Command = cli
    context = cli.make_context("hub", ["env"])
    for name in path.split():
        assert isinstance(command, click.Group)
        found = command.get_command(context, name)
        assert found is not None
        command = found
    options = {word for parameter in command.params for word in parameter.opts}
    assert {"--tag-scheme", "--repair-tags"} <= options


def test_a_run_with_repaired_tags_is_read_again(
    hub: Hub, tiny_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "train.conll").write_text(8 * WHOLE + BROKEN, encoding="utf-8")
    (tmp_path / "dev.conll").write_text(WHOLE + BROKEN, encoding="utf-8")
    finetune = (
        "finetune", "train.conll", "--dev", "dev.conll", "--model", tiny_folder, "--epochs", "1",
        "--quiet", "--output", "run",
    )  # fmt: skip
    code, _, error = hub(*finetune)
    assert code == 2 and "--skip-bad-rows leaves them out; --repair-tags reads" in error
    code, _, error = hub(*finetune, "--repair-tags", "--tag-scheme", "IOB2")
    assert code == 0 and "were repaired" in error
    recorded = json.loads(Path("run", "metrics.json").read_text(encoding="utf-8"))["data"]["tags"]
    assert recorded == {
        split: {"scheme": "IOB2", "repair_tags": True} for split in ("train", "dev")
    }

    code, out, error = hub("evaluate", "run", "dev.conll", "--json")
    assert code == 0 and json.loads(out)["rows"] == 4, error
    code, out, error = hub(
        "export", "run", "--precision", "int8", "--max-drop", "99", "--json", "--output", "int8"
    )
    assert code == 0 and json.loads(out)["texts"] == 4, error
    code, out, error = hub("evaluate", "int8", "dev.conll", "--json")
    assert code == 0 and json.loads(out)["rows"] == 4, error
    code, _, error = hub("evaluate", "run", "dev.conll", "--tag-scheme", "BMES")
    assert code == 0 and "broke BMES, and were repaired" in error


def test_rows_that_were_set_aside_remember_it_too(tmp_path: Path) -> None:
    path = tmp_path / "all.conll"
    path.write_text(8 * WHOLE + 8 * BROKEN, encoding="utf-8")
    for part in load_dataset(path, repair_tags=True).split(0.25, 1):
        assert part.tag_options == {"repair_tags": True}
