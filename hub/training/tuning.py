"""`hub tune`: search for the settings that do best on the dev rows, within a time.

The search is Optuna's: a tree-structured Parzen estimator (https://arxiv.org/abs/1907.10902)
suggests settings, and runs that do worse after an epoch than half of the others did are cut short.
It is kept in an SQLite file beside the runs, so that it can go on later and be shared by several
processes.
"""

from __future__ import annotations

import json
import math
import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from hub.constants import MANIFEST_FILE, TUNING_DIRECTORY
from hub.data import load_dataset
from hub.data.loading import with_dev
from hub.errors import InputError, MissingPackageError, OutputError, TrainingError
from hub.files import move_files, write_text
from hub.inference.run_data import move_record
from hub.module import Module
from hub.tasks import LabelledTask, labelled_task_type
from hub.tasks.base import metric_title
from hub.tasks.known_rows import known_rows
from hub.training.arguments import TrainingArguments
from hub.training.callbacks import Callback
from hub.training.finetune import finetune
from hub.training.parallel import be_silent
from hub.training.signals import StopRequests, TrainingInterrupted
from hub.training.state import TrainingState
from hub.training.techniques import check_techniques
from hub.training.trainer import Trainer, check_metric, default_arguments
from hub.training.tuning_report import short, write_tuning_report

if TYPE_CHECKING:
    import optuna

Say = Callable[[str], None]

_STUDY = "study.db"
_NAME = "tuning"
# A trial of a process that was killed counts as failed after so long without a sign of life.
_HEARTBEAT_S = 30
TECHNIQUES: dict[str, dict[str, Any]] = {
    "none": {},
    "adversarial": {"adversarial": 1.0},
    "r_drop": {"r_drop": 1.0},
    "ema": {"ema": 0.99},
    "layer_decay": {"layer_decay": 0.85},
    "label_smoothing": {"label_smoothing": 0.1},
}


@dataclass(frozen=True)
class TuningResult:
    """What a search ended with.

    Attributes:
        folder: the best run's model folder.
        metric: what was searched for.
        value: its best value on the dev rows.
        settings: the settings that gave it.
        trials: how many were tried in all, those cut short and failed ones included.
    """

    folder: Path
    metric: str
    value: float
    settings: dict[str, Any]
    trials: int

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON can hold it."""
        return {**vars(self), "folder": str(self.folder)}


def tune(
    train: Any,
    output: str | Path,
    *,
    dev: Any = None,
    model: str,
    task: str | None = None,
    task_options: dict[str, Any] | None = None,
    minutes: float = 20.0,
    trials: int | None = None,
    metric: str | None = None,
    changes: dict[str, Any] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    command: str = "",
    progress: bool = True,
    say: Say = print,
    **columns: Any,
) -> TuningResult:
    """Search for the best settings, and leave the best run's model folder.

    The first trial is of the model's recommended settings, so that the result is never worse than
    theirs. At every moment `output` holds the best model so far; `output`/tuning holds the study,
    and at the end a report and a plot.

    Args:
        train: anything `hub.load_dataset` takes.
        output: the folder to write.
        dev: the same, to measure on; None sets a tenth of the training rows aside.
        model: a name or a folder.
        task: what is to be learned; None finds it out from the data.
        task_options: what the task is besides its labels, such as `crf=True`.
        minutes: no trial begins after so long, and one in progress ends after its epoch.
        trials: end after so many trials of this call; None is no such limit.
        metric: what is searched for; None is the task's default.
        changes: training arguments that are the same for every trial; they are not searched.
        resume: go on with the search in `output`; several processes may do so at once.
        overwrite: begin again.
        command: what the user typed.
        progress: show a progress bar for each trial.
        say: told what happens, a line at a time.
        columns: how to read the data: see `hub.load_dataset`.

    Raises:
        InputError: the data, the arguments or the folder are not usable.
        MissingPackageError: Optuna is not installed.
        TrainingInterrupted: Ctrl-C or SIGTERM; `resume` goes on.
        TrainingError: no trial came to its end.
    """
    try:
        import optuna
    except ImportError:
        raise MissingPackageError("optuna", "tune", "hub tune") from None
    # Of a trial that ends the search it would show a traceback, as a warning.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    optuna.logging.disable_default_handler()
    if not (math.isfinite(minutes) and minutes > 0) or (trials is not None and trials < 1):
        raise InputError("minutes must be above 0, and trials a whole number from 1.")
    folder = Path(output)
    kind = None if task is None else labelled_task_type(task).name
    train_data = load_dataset(train, kind=kind, split="train", **columns)
    learned = labelled_task_type(train_data.kind).from_data(train_data, **(task_options or {}))
    fixed = dict(changes or {})
    seed = TrainingArguments().with_changes(**fixed).seed
    train_data, dev_data = with_dev(train_data, train, dev, seed, **columns)
    if columns.get("skip_bad_rows"):
        dev_data = known_rows(dev_data, learned)
    learned.targets(dev_data)  # what no trial could be measured with is refused at once
    module = Module(
        name=model, task=learned.name, label_map=learned.labels, task_options=learned.options
    )
    search = _Search(folder, learned, check_metric(metric, learned), module, fixed, minutes, say)
    Trainer(module, progress=False).check(search.recommended)
    _prepare(folder, resume, overwrite)

    def run(settings: dict[str, Any], scratch: Path, callback: Callback) -> dict[str, Any]:
        result = finetune(
            train_data, scratch, dev=dev_data, model=model, task=learned.name,
            task_options=task_options, changes={**fixed, **settings, "metric": metric},
            callbacks=[callback], command=command, progress=progress, say=be_silent, overwrite=True,
        )  # fmt: skip
        return result.summary

    study = search.study(seed)
    say(
        f"search    {len(train_data):,} rows to learn from, {len(dev_data):,} to measure on, for "
        f"{minutes:g} minutes"
    )
    with search.stop:
        study.optimize(
            lambda trial: search.attempt(trial, run),
            n_trials=trials,
            timeout=60 * minutes,
            callbacks=[lambda study, trial: search.end_if_stopped()],
        )
    return search.result(study)


def _prepare(folder: Path, resume: bool, overwrite: bool) -> None:
    """See that a search may be kept in `folder`, and make it.

    Raises:
        OutputError: it may not.
    """
    inner = folder / TUNING_DIRECTORY
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; --output takes a folder.")
    known = (inner / _STUDY).exists()
    if resume and not known:
        raise OutputError(f"{folder} holds no search to go on with: start without --resume.")
    if not resume and folder.exists() and any(folder.iterdir()):
        if not known and not (folder / MANIFEST_FILE).exists():
            raise OutputError(
                f"{folder} holds files that are not this package's: choose another --output."
            )
        if not overwrite:
            raise OutputError(
                f"{folder} already holds a search or a model: --resume goes on with a search, "
                "--overwrite starts again."
            )
        shutil.rmtree(inner, ignore_errors=True)
        (folder / MANIFEST_FILE).unlink(missing_ok=True)
    try:
        inner.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}.") from error


class _OverTimeError(Exception):
    """The search's time is over."""


class _Watch(Callback):
    """Tells Optuna of each epoch, and ends a run that is not worth its time."""

    def __init__(self, trial: optuna.Trial, search: _Search) -> None:
        self._trial = trial
        self._search = search

    def on_train_begin(
        self, arguments: TrainingArguments, state: TrainingState, rows: int, metric: str
    ) -> None:
        self._search.end_if_stopped()  # it may have been told while the baseline was fitted

    def on_epoch_end(self, state: TrainingState, entry: dict[str, Any]) -> None:
        import optuna

        self._trial.report(entry[f"dev_{self._search.metric}"], state.epoch)
        if self._trial.should_prune():
            raise optuna.TrialPruned
        if self._search.is_over():
            raise _OverTimeError


class _Search:
    """One search: what is suggested, what is kept, what is told."""

    def __init__(
        self,
        folder: Path,
        task: LabelledTask,
        metric: str,
        module: Module,
        fixed: dict[str, Any],
        minutes: float,
        say: Say,
    ) -> None:
        self.folder = folder
        self.inner = folder / TUNING_DIRECTORY
        self.task = task
        self.metric = metric
        self.config = module.config
        self.recommended = default_arguments(module).with_changes(**fixed)
        self.fixed = {name for name, value in fixed.items() if value is not None}
        self.ends = time.monotonic() + 60 * minutes
        self.say = say
        self.stop = StopRequests()

    def end_if_stopped(self) -> None:
        """End the search if it was told to while no step was in progress.

        Raises:
            TrainingInterrupted: it was.
        """
        if self.stop.received is not None:
            raise self._stopped(self.stop.received)

    def _stopped(self, signal_number: int) -> TrainingInterrupted:
        return TrainingInterrupted(
            signal_number,
            f"Stopped. The search is kept in {self.folder}: the same command with --resume goes on "
            "with it.",
        )

    def study(self, seed: int) -> optuna.Study:
        """The study in the folder; a new one begins with the recommended settings."""
        import optuna

        with warnings.catch_warnings():
            # The heartbeat's interface may change; by it the search knows of killed processes.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            storage = optuna.storages.RDBStorage(
                f"sqlite:///{self.inner / _STUDY}",
                engine_kwargs={"connect_args": {"timeout": 60}},
                heartbeat_interval=_HEARTBEAT_S,
            )
        study = optuna.create_study(
            study_name=_NAME,
            storage=storage,
            load_if_exists=True,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
        )
        # Processes that share the study must not suggest the same.
        known = len(study.get_trials(deepcopy=False))
        study.sampler = optuna.samplers.TPESampler(
            seed=(seed + known) % 2**32, n_startup_trials=6, constant_liar=True
        )
        self._check_choices(study)
        if known == 0:
            study.enqueue_trial(self._recommended_settings())
        return study

    def _recommended_settings(self) -> dict[str, Any]:
        known = self.recommended
        settings = {
            "learning_rate": known.learning_rate,
            "epochs": known.epochs,
            "batch_size": known.batch_size,
            "dropout": 0.1,
            "technique": "none",
        }
        return {name: value for name, value in settings.items() if name not in self.fixed}

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """A trial's training arguments."""
        rate, epochs = self.recommended.learning_rate, self.recommended.epochs
        suggested: dict[str, Any] = {}
        if "learning_rate" not in self.fixed:
            suggested["learning_rate"] = trial.suggest_float(
                "learning_rate", rate / 5, rate * 3, log=True
            )
        if "epochs" not in self.fixed:
            suggested["epochs"] = trial.suggest_int("epochs", max(1, epochs // 2), 3 * epochs)
        choices = self._choices()
        if "batch_size" in choices:
            suggested["batch_size"] = trial.suggest_categorical("batch_size", choices["batch_size"])
        if "dropout" not in self.fixed:
            suggested["dropout"] = trial.suggest_float("dropout", 0.0, 0.4)
        technique = trial.suggest_categorical("technique", choices["technique"])
        suggested.update(TECHNIQUES[technique])
        return suggested

    def _choices(self) -> dict[str, list[Any]]:
        """What is chosen of a few values, by the setting's name."""
        choices: dict[str, list[Any]] = {
            "technique": [
                name
                for name, changes in TECHNIQUES.items()
                if not self.fixed & changes.keys() and self._fits(changes)
            ]
        }
        if "batch_size" not in self.fixed:
            choices["batch_size"] = sorted({8, 16, 32, 64, self.recommended.batch_size})
        return choices

    def _check_choices(self, study: optuna.Study) -> None:
        """See that earlier trials chose among the same values: Optuna knows no others then.

        Raises:
            InputError: they did not.
        """
        choices = self._choices()
        for trial in study.get_trials(deepcopy=False):
            for name, distribution in trial.distributions.items():
                theirs = list(getattr(distribution, "choices", ()))
                if theirs and theirs != choices.get(name, theirs):
                    raise InputError(
                        f"The search in {self.folder} chooses {name} among "
                        f"{', '.join(map(str, theirs))}; with these options it would be among "
                        f"{', '.join(map(str, choices[name]))}. Resume with the same options, or "
                        "begin again with --overwrite."
                    )

    def _fits(self, technique: dict[str, Any]) -> bool:
        """Whether the task can be learned with a technique beside what is given."""
        try:
            check_techniques(self.task, self.recommended.with_changes(**technique), self.config)
        except InputError:
            return False
        return True

    def attempt(
        self,
        trial: optuna.Trial,
        run: Callable[[dict[str, Any], Path, Callback], dict[str, Any]],
    ) -> float:
        """One trial: its value; its folder becomes the search's if it is the best so far."""
        import optuna

        settings = self.suggest(trial)
        scratch = self.inner / f"trial-{trial.number}"
        started = time.monotonic()
        try:
            summary = run(settings, scratch, _Watch(trial, self))
            value = float(summary["dev"][self.metric])
            self._keep_if_best(trial, value, scratch)
        except optuna.TrialPruned:
            self._tell(trial, "cut short", started)
            raise
        except _OverTimeError:
            self._tell(trial, "out of time", started)
            raise optuna.TrialPruned from None
        except TrainingInterrupted as error:
            raise self._stopped(error.exit_code - 128) from error
        except TrainingError as error:  # diverged
            self._tell(trial, str(error), started)
            raise optuna.TrialPruned from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        self._tell(trial, f"{metric_title(self.metric)} {value:.2%}", started)
        return value

    def is_over(self) -> bool:
        """Whether the time is over and there is a model to end with."""
        return time.monotonic() > self.ends and (self.folder / MANIFEST_FILE).exists()

    def _keep_if_best(self, trial: optuna.Trial, value: float, scratch: Path) -> None:
        best = self.inner / "best.json"
        with filelock.FileLock(str(self.inner / "best.lock")):
            if best.exists() and json.loads(best.read_text(encoding="utf-8"))["value"] >= value:
                return
            move_record(scratch, self.folder)
            # The manifest is what makes a folder a model: without it the folder is none, with it
            # the files are those that it names.
            move_files(scratch, self.folder, MANIFEST_FILE)
            kept = {"trial": trial.number, "value": value, "settings": trial.params}
            write_text(best, json.dumps(kept, ensure_ascii=False) + "\n")

    def _tell(self, trial: optuna.Trial, outcome: str, started: float) -> None:
        settings = ", ".join(f"{k} {short(v)}" for k, v in trial.params.items())
        seconds = time.monotonic() - started
        self.say(f"trial {trial.number:<3} {outcome}: {settings}; {seconds:.0f} s")

    def result(self, study: optuna.Study) -> TuningResult:
        """The best trial, and the report of all."""
        best = self.inner / "best.json"
        if not best.exists():
            raise TrainingError(
                "No trial came to its end: give more --minutes, or a higher number of --trials."
            )
        kept = json.loads(best.read_text(encoding="utf-8"))
        write_tuning_report(self.inner, study, self.metric)
        return TuningResult(
            self.folder, self.metric, kept["value"], kept["settings"],
            len(study.get_trials(deepcopy=False)),
        )  # fmt: skip
