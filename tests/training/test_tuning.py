"""`hub tune`: the best model is there at every moment, and the search goes on where it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest

import hub
from hub.errors import DataError, InputError, OutputError, TrainingError
from hub.inference.run_data import rows_of_run
from hub.training import tuning
from hub.training.arguments import TrainingArguments
from hub.training.baseline import LinearBaseline
from hub.training.finetune import finetune
from hub.training.loop import TrainingLoop
from hub.training.signals import TrainingInterrupted
from hub.training.trainer import Trainer
from hub.training.tuning import TECHNIQUES, TuningResult, tune

KINDS = (("雨", "天气"), ("歌", "音乐"), ("票", "车票"))
FILLER = "的一是在不了有和人这中大为上个我你他"
ROWS = [(f"{a}{sign}{b}吗", label) for a in FILLER for b in FILLER[:3] for sign, label in KINDS]


@pytest.fixture
def search(tiny_folder: Path, tmp_path: Path) -> Any:
    """A search over the toy rows; the learning rate is searched around one that is too low."""

    def run(output: Path = tmp_path / "travel", **options: Any) -> TuningResult:
        lines: list[str] = []
        result = tune(
            ROWS[:90], output, dev=ROWS[90:], model=str(tiny_folder), progress=False,
            say=lines.append, **{"trials": 3, "minutes": 5, **options},
        )  # fmt: skip
        run.lines = lines  # type: ignore[attr-defined]
        return result

    return run


def study_in(folder: Path) -> optuna.Study:
    return optuna.load_study(
        study_name="tuning", storage=f"sqlite:///{folder / 'tuning' / 'study.db'}"
    )


def test_the_best_trials_model_is_kept_and_all_are_reported(search: Any, tmp_path: Path) -> None:
    result = search(trials=5)
    folder = tmp_path / "travel"
    study = study_in(folder)
    assert len(study.trials) == result.trials == 5
    assert result.value == study.best_value
    assert study.trials[0].params["learning_rate"] == TrainingArguments().learning_rate
    loaded = hub.Module(directory=folder)
    measured = Trainer(loaded, progress=False).evaluate(ROWS[90:])
    assert measured["accuracy"] == pytest.approx(result.value)
    told = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    for name in ("learning_rate", "epochs", "batch_size", "dropout"):
        assert told["arguments"][name] == result.settings[name]
    report = (folder / "tuning" / "report.md").read_text(encoding="utf-8")
    assert report.count("\n| ") == 6 and "accuracy" in report
    assert (folder / "tuning" / "trials.png").stat().st_size > 5000
    assert not list((folder / "tuning").glob("trial-*"))
    assert len([line for line in search.lines if line.startswith("trial ")]) == 5


def test_any_seed_of_a_run_is_one_of_a_search(search: Any) -> None:
    assert search(trials=2, changes={"epochs": 1, "seed": 2**63 - 1}).trials == 2


def test_a_search_goes_on(search: Any, tmp_path: Path) -> None:
    first = search(trials=2)
    with pytest.raises(OutputError, match="--resume goes on"):
        search()
    second = search(trials=2, resume=True)
    assert second.trials == 4 and second.value >= first.value
    suggested = [tuple(trial.params.items()) for trial in study_in(tmp_path / "travel").trials]
    assert len(set(suggested)) == 4
    assert search(trials=1, overwrite=True).trials == 1


def test_what_is_given_is_not_searched(search: Any, tmp_path: Path) -> None:
    search(trials=3, changes={"epochs": 1, "batch_size": 16, "adversarial": 0.5})
    for trial in study_in(tmp_path / "travel").trials:
        assert set(trial.params) == {"learning_rate", "dropout", "technique"}
        assert trial.params["technique"] != "adversarial"


def test_the_best_trial_knows_where_its_data_is(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, rows in (("train", ROWS[:90]), ("dev", ROWS[90:])):
        lines = "".join(f"{text}\t{label}\n" for text, label in rows)
        Path(f"{name}.tsv").write_text("text\tlabel\n" + lines, encoding="utf-8")
    tune(
        "train.tsv", "travel", dev="dev.tsv", model=str(tiny_folder), trials=1, progress=False,
        changes={"epochs": 1, "max_steps": 1}, say=str,
    )  # fmt: skip
    module = hub.Module(directory=tmp_path / "travel")
    for split, rows in (("train", ROWS[:90]), ("dev", ROWS[90:])):
        found = rows_of_run(Path("travel"), module, split)
        assert found is not None and found.texts == [text for text, _ in rows]


def test_a_technique_that_is_given_is_in_every_trial(search: Any, tmp_path: Path) -> None:
    given = {"epochs": 1, "max_steps": 1, "dropout": 0.0, "r_drop": 2.0}
    search(trials=2, changes=given)
    told = json.loads((tmp_path / "travel" / "metrics.json").read_text(encoding="utf-8"))
    assert told["arguments"]["r_drop"] == 2.0 and told["arguments"]["dropout"] == 0.0
    for trial in study_in(tmp_path / "travel").trials:
        assert set(trial.params) == {"learning_rate", "batch_size", "technique"}
    with pytest.raises(InputError, match=r"chooses technique among none, adversarial, ema"):
        search(trials=1, changes={**given, "ema": 0.9}, resume=True)
    assert search(trials=1, changes=given, resume=True).trials == 3


def test_the_time_is_kept_to_and_ends_with_a_model(search: Any, tmp_path: Path) -> None:
    result = search(trials=None, minutes=0.001)
    assert result.trials == 1  # it was begun, and had to be ended
    assert hub.Module(directory=tmp_path / "travel").predict(["雨"])


def test_a_trial_that_diverges_does_not_end_the_search(
    search: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def sometimes(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise TrainingError("the run diverged")
        return finetune(*arguments, **options)

    monkeypatch.setattr(tuning, "finetune", sometimes)
    search(trials=3)
    states = [trial.state.name for trial in study_in(tmp_path / "travel").trials]
    assert states[1] == "PRUNED" and "COMPLETE" in states


def test_a_stopped_search_keeps_its_best_model(
    search: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def stopped(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise TrainingInterrupted(2, "Stopped.")
        return finetune(*arguments, **options)

    monkeypatch.setattr(tuning, "finetune", stopped)
    with pytest.raises(TrainingInterrupted):
        search(trials=5)
    assert hub.Module(directory=tmp_path / "travel").predict(["雨"])
    assert search(trials=1, resume=True).trials == 3


@pytest.mark.parametrize("place", ["evaluation", "baseline"])
def test_a_signal_between_steps_ends_the_search(
    search: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    owner, name = {
        "evaluation": (TrainingLoop, "_measure"),
        "baseline": (LinearBaseline, "evaluate"),
    }[place]
    original = getattr(owner, name)

    def told(self: Any, *arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *arguments)

    monkeypatch.setattr(owner, name, told)
    with pytest.raises(TrainingInterrupted, match="The search is kept in") as stopped:
        search(trials=5, changes={"epochs": 1})
    assert stopped.value.exit_code == 128 + signal.SIGTERM
    assert len(study_in(tmp_path / "travel").trials) == 1
    assert (tmp_path / "travel" / "hub.json").exists() == (place == "evaluation")


def test_what_ends_a_search_is_told_without_a_traceback(
    search: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(*arguments: Any, **options: Any) -> Any:
        raise OutputError("The disk is full.")

    monkeypatch.setattr(tuning, "finetune", full)
    with pytest.raises(OutputError):
        search()
    assert "full" not in capfd.readouterr().err


def test_rows_that_cannot_be_measured_are_refused_or_skipped(
    tiny_folder: Path, tmp_path: Path
) -> None:
    dev = [*ROWS[90:], ("今天", "日期")]
    options = {"dev": dev, "model": str(tiny_folder), "progress": False, "trials": 1, "say": str}
    with pytest.raises(DataError, match="'日期' is not one of the 3"):
        tune(ROWS[:9], tmp_path / "a", **options)
    assert not (tmp_path / "a").exists()
    tune(ROWS[:9], tmp_path / "a", **options, skip_bad_rows=True, changes={"epochs": 1})
    told = json.loads((tmp_path / "a" / "metrics.json").read_text(encoding="utf-8"))
    assert told["rows"]["dev"] == len(dev) - 1
    assert told["skipped_rows"]["dev"] == 1
    with pytest.raises(DataError, match="no row that the model can be measured with"):
        tune(ROWS[:9], tmp_path / "b", **{**options, "dev": dev[-1:]}, skip_bad_rows=True)


def test_intents_and_slots_are_searched_for(tiny_folder: Path, tmp_path: Path) -> None:
    rows = [
        {"text": f"{filler}去北京", "intent": intent, "entities": [[2, 4, "地"]]}
        for filler in "我你他"
        for intent in ("订票", "订房")
    ]
    result = tune(
        rows, tmp_path / "a", dev=rows, model=str(tiny_folder), task="intent-slots", trials=1,
        task_options={"crf": True}, changes={"epochs": 1}, progress=False, say=str,
    )  # fmt: skip
    assert result.metric == "sentence_accuracy"


def test_only_techniques_that_the_task_can_be_learned_with_are_tried(
    tiny_folder: Path, tmp_path: Path
) -> None:
    rows = [{"text": "去北京", "entities": [[1, 3, "地"]]}] * 4
    options = {"dev": rows, "model": str(tiny_folder), "progress": False, "say": str}
    tune(
        rows, tmp_path / "a", trials=1, task="ner", task_options={"crf": True},
        changes={"epochs": 1, "max_steps": 1}, **options,
    )  # fmt: skip
    choices = study_in(tmp_path / "a").trials[0].distributions["technique"]
    assert isinstance(choices, optuna.distributions.CategoricalDistribution)
    assert choices.choices == ("none", "adversarial", "ema", "layer_decay")
    with pytest.raises(InputError, match="the model has 2 layers"):
        tune(rows, tmp_path / "b", task="ner", changes={"freeze_layers": 9}, **options)
    assert not (tmp_path / "b").exists()


@pytest.mark.slow
def test_two_processes_share_a_search(search: Any, tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "travel"
    first = search(trials=1)
    table = tmp_path / "train.tsv"
    rows = "".join(f"{text}\t{label}\n" for text, label in ROWS)
    table.write_text("text\tlabel\n" + rows, encoding="utf-8")
    command = [
        sys.executable, "-m", "hub", "tune", str(table), "--dev", str(table), "--model",
        str(tiny_folder), "--output", str(folder), "--trials", "4", "--resume", "-q", "--json",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    trials = study_in(folder).trials
    assert len(trials) == 9
    assert sorted(trial.number for trial in trials) == list(range(9))
    best = json.loads((folder / "tuning" / "best.json").read_text())
    assert best["value"] == max(t.value for t in trials if t.state.name == "COMPLETE")
    assert best["value"] >= first.value
    assert hub.Module(directory=folder).predict(["雨"])


def test_files_of_others_and_impossible_times_are_refused(search: Any, tmp_path: Path) -> None:
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "thesis.doc").write_text("x")
    with pytest.raises(OutputError, match="not this package's"):
        search(strange, overwrite=True)
    with pytest.raises(OutputError, match="no search to go on with"):
        search(resume=True)
    for minutes in (0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="minutes must be above 0"):
            search(minutes=minutes)
    with pytest.raises(InputError, match="no metric 'charm'"):
        search(metric="charm")


def test_every_technique_is_an_argument() -> None:
    for changes in TECHNIQUES.values():
        TrainingArguments().with_changes(**changes)


def test_dropout_is_set_for_training(tiny_folder: Path) -> None:
    module = hub.Module(directory=tiny_folder, task="seq-cls", label_map=["天气", "音乐", "车票"])
    trainer = Trainer(module, progress=False)
    trainer.finetune_and_eval(ROWS[:12], ROWS[:6], epochs=1, dropout=0.3)
    dropped = {
        layer.p for layer in module.network.encoder.sublayers() if type(layer).__name__ == "Dropout"
    }
    assert dropped == {0.3}
    with pytest.raises(InputError, match="dropout must be"):
        TrainingArguments(dropout=1.0)
