"""What real signals stop while a model is made smaller: nothing is half written, or it goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import hub
from hub.cli.main import cli
from hub.compression.distillation import distil
from hub.compression.pruning import prune
from hub.compression.quantization import quantize
from hub.compression.vocabulary import trim_vocabulary
from hub.constants import CHECKPOINT_DIRECTORY
from hub.data import TextDataset, load_dataset
from hub.errors import OutputError
from hub.training.callbacks import Callback
from hub.training.signals import TrainingInterrupted

FILLER = "的一是在不了有和人这中大"
ROWS = [
    (f"{one}{sign}{other}吗", label)
    for one in FILLER
    for other in FILLER[:3]
    for sign, label in (("雨", "天气"), ("歌", "音乐"), ("票", "车票"))
]


class Stopper(Callback):
    """Sends SIGTERM after a step."""

    def __init__(self, step: int = 3) -> None:
        self.step = step

    def on_step(self, state: Any, loss: float, rows: int) -> None:
        if state.step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def module(tiny_folder: Path) -> hub.Module:
    return hub.Module(directory=tiny_folder, task="seq-cls", label_map=["天气", "音乐", "车票"])


@pytest.fixture
def data() -> TextDataset:
    return load_dataset(ROWS, kind="text-classification")


def content(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def ignore(line: str) -> None:
    pass


@pytest.mark.parametrize(
    "make",
    [
        lambda module, data, output, **more: prune(
            module, data, output, width=0.5, dev=data, recovery={"epochs": 3}, **more
        ),
        # Whatever int8 costs.
        lambda module, data, output, **more: quantize(
            module, data, data, output, max_drop=-100, say=ignore, **more
        ),
    ],
    ids=["prune", "quantize"],
)
def test_a_stopped_recovery_leaves_what_was_there(
    module: hub.Module,
    data: TextDataset,
    make: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hub.training.trainer.ProgressBar", Stopper)  # in the middle of it
    with pytest.raises(TrainingInterrupted, match=r"step 3 of 12; nothing was saved\.$"):
        make(module, data, tmp_path / "new")
    assert not list(tmp_path.iterdir())
    module.save(tmp_path / "old")
    before = content(tmp_path / "old")
    with pytest.raises(TrainingInterrupted):
        make(module, data, tmp_path / "old", overwrite=True)
    assert content(tmp_path / "old") == before
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("student", ["1x12", "tiny"])
def test_a_stopped_lesson_goes_on_as_if_it_had_not_been(
    module: hub.Module, tiny_folder: Path, tmp_path: Path, student: str
) -> None:
    """To the bit, with what is learned along for the teacher's states alone."""
    labelled = load_dataset(ROWS[:40], kind="text-classification")

    def teach(name: str, **options: Any) -> dict[str, Any]:
        made: dict[str, Any] = distil(
            module, str(tiny_folder) if student == "tiny" else student, labelled,
            tmp_path / name, unlabelled=[text for text, _ in ROWS], hidden_states=0.5,
            relations=0.5, changes={"epochs": 2, "batch_size": 16, "learning_rate": 1e-3},
            progress=False, say=ignore, **options,
        ).summary  # fmt: skip
        return {key: value for key, value in made.items() if key in ("rows", "dev", "best_epoch")}

    whole = teach("whole")
    with pytest.raises(TrainingInterrupted, match="with --resume goes on"):
        teach("stopped", callbacks=[Stopper(9)])
    with pytest.raises(OutputError, match="an unfinished run"):
        teach("stopped")
    assert teach("stopped", resume=True) == whole
    weights = [tmp_path / name / "model.safetensors" for name in ("whole", "stopped")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    with pytest.raises(OutputError, match="no unfinished run"):
        teach("stopped", resume=True)
    with pytest.raises(TrainingInterrupted):
        teach("again", callbacks=[Stopper()])
    assert teach("again", overwrite=True) == whole


@pytest.mark.parametrize("is_pruned", [True, False], ids=["prune", "vocab"])
def test_a_smaller_model_takes_the_place_of_an_unfinished_run(
    module: hub.Module, data: TextDataset, tmp_path: Path, is_pruned: bool
) -> None:
    folder, texts = tmp_path / "run", [text for text, _ in ROWS]

    def make(**more: Any) -> hub.Module:
        if is_pruned:
            return prune(module, data, folder, width=0.5, **more)
        return trim_vocabulary(module, texts, folder, **more).module

    with pytest.raises(TrainingInterrupted):
        distil(module, "1x12", data, folder, callbacks=[Stopper()], progress=False, say=ignore)
    with pytest.raises(OutputError, match="an unfinished run"):
        make()
    made = make(overwrite=True)
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "hub.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "vocab.txt",
    }  # fmt: skip
    assert made.name == "run" and made.predict(texts) == hub.Module(directory=folder).predict(texts)


def test_a_stopped_command_says_how_to_go_on(
    module: hub.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module.save("run")
    Path("rows.tsv").write_text(
        "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in ROWS), encoding="utf-8"
    )
    words = ["run", "rows.tsv", "--dev", "rows.tsv", "--output", "out", "--epochs", "2"]
    prune_words = ["compress", "prune", *words, "--width", "0.5"]
    distil_words = ["compress", "distil", *words, "--student", "1x12", "--batch-size", "16"]
    with monkeypatch.context() as patched:
        patched.setattr("hub.training.trainer.ProgressBar", Stopper)
        stopped = CliRunner().invoke(cli, prune_words).exception
        assert isinstance(stopped, TrainingInterrupted) and "nothing was saved" in str(stopped)
        assert not Path("out").exists()
        stopped = CliRunner().invoke(cli, distil_words).exception
        assert isinstance(stopped, TrainingInterrupted)
        assert "the same command with --resume goes on" in str(stopped)
    for command in (distil_words, prune_words):
        refused = CliRunner().invoke(cli, command).exception
        assert isinstance(refused, OutputError) and "an unfinished run" in str(refused)
    result = CliRunner().invoke(cli, [*distil_words, "--resume"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert Path("out/compression.json").exists() and not Path("out", CHECKPOINT_DIRECTORY).exists()
