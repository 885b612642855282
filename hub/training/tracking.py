"""A run's figures where teams look at them: TensorBoard, VisualDL, MLflow.

All three get the loss of the steps and every figure of the epochs, under the names of
`TrainingState.history`. What cannot be told them any more is said once and stops no run.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hub.constants import CHECKPOINT_DIRECTORY, TRACKING_DIRECTORY
from hub.errors import InputError, MissingPackageError
from hub.files import write_text
from hub.third_party import load
from hub.training.arguments import TrainingArguments
from hub.training.callbacks import Callback
from hub.training.state import TrainingState

logger = logging.getLogger(__name__)

# A point for every step of a long run is more than a plot shows or a server should be sent.
_SECONDS_BETWEEN_POINTS = 1.0
_PURPOSE = "Tracking a run with {}"


class Tracker(Callback):
    """What the trackers share: which figures, and when. A tracker opens, writes and closes."""

    name: str

    def __init__(self) -> None:
        self._is_broken = False
        self._told = 0.0
        self._losses: list[float] = []

    def open(self, arguments: TrainingArguments) -> None:
        """Get ready; what is wrong now is an error."""
        raise NotImplementedError

    def write(self, figures: dict[str, float], step: int) -> None:
        """Write figures as they stand after a step."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing more will be written of this run."""
        raise NotImplementedError

    def on_train_begin(
        self, arguments: TrainingArguments, state: TrainingState, rows: int, metric: str
    ) -> None:
        self.open(arguments)

    def on_step(self, state: TrainingState, loss: float, rows: int) -> None:
        self._losses.append(loss)
        if time.monotonic() - self._told >= _SECONDS_BETWEEN_POINTS:
            self._told = time.monotonic()
            mean = sum(self._losses) / len(self._losses)
            self._losses.clear()
            self._try(lambda: self.write({"step_loss": mean}, state.step))

    def on_epoch_end(self, state: TrainingState, entry: dict[str, Any]) -> None:
        figures = {
            name: float(value)
            for name, value in entry.items()
            if name != "step" and isinstance(value, int | float) and math.isfinite(value)
        }
        self._try(lambda: self.write(figures, entry["step"]))

    def on_train_end(self, state: TrainingState) -> None:
        self._try(self.close)

    def _try(self, call: Callable[[], None]) -> None:
        """Call, and let no fault of a log or a server harm the run."""
        if self._is_broken:
            return
        try:
            call()
        except Exception as error:
            self._is_broken = True
            logger.warning("%s is told nothing more of this run: %s", self.name, error)


class _EventFiles(Tracker):
    """Writes the figures to files beside the run."""

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.folder = Path(folder) / TRACKING_DIRECTORY / self.name.lower()
        self._writer: Any = None

    def write(self, figures: dict[str, float], step: int) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class TensorBoard(_EventFiles):
    """Event files for `tensorboard --logdir RUN/logs/tensorboard`.

    Args:
        folder: the run's.

    Raises:
        MissingPackageError: tensorboardX is not installed.
    """

    name = "TensorBoard"

    def open(self, arguments: TrainingArguments) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise MissingPackageError("tensorboardX", "track", _PURPOSE.format(self.name)) from None
        self._writer = SummaryWriter(str(self.folder), write_to_disk=True)


class VisualDL(_EventFiles):
    """Record files for `visualdl --logdir RUN/logs/visualdl`.

    Args:
        folder: the run's.

    Raises:
        MissingPackageError: visualdl is not installed.
    """

    name = "VisualDL"

    def open(self, arguments: TrainingArguments) -> None:
        try:
            from visualdl import LogWriter
        except ImportError:
            raise MissingPackageError("visualdl", "track", _PURPOSE.format(self.name)) from None
        self._writer = LogWriter(logdir=str(self.folder))


class Mlflow(Tracker):
    """A run of an MLflow server: parameters, figures, the model folder, and a model version.

    The server and the experiment are those of MLflow's own settings, `MLFLOW_TRACKING_URI` and
    `MLFLOW_EXPERIMENT_NAME`. A resumed run goes on with its run of the server.

    Args:
        folder: the run's.
        model_name: the registered model that gets a version of the folder; None registers none.

    Raises:
        MissingPackageError: mlflow is not installed.
        InputError: the server cannot be reached when the run begins.
    """

    name = "MLflow"

    def __init__(self, folder: str | Path, model_name: str | None = None) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.model_name = model_name
        self._client: Any = None
        self._run = ""

    def open(self, arguments: TrainingArguments) -> None:
        load("mlflow", "track", _PURPOSE.format(self.name), package="mlflow-skinny")
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient, get_tracking_uri

        try:
            self._client = MlflowClient()
            self._run = self._known_run() or self._new_run(arguments)
            self._client.update_run(self._run, status="RUNNING")
        except (MlflowException, OSError) as error:
            raise InputError(
                f"The MLflow server {get_tracking_uri()} cannot be used: {error}"
            ) from error

    def _known_run(self) -> str:
        """The run that this run was before it was stopped; "" if it is new."""
        path = self._run_file()
        is_resumed = (self.folder / CHECKPOINT_DIRECTORY / "latest.json").exists()
        return path.read_text(encoding="utf-8").strip() if is_resumed and path.exists() else ""

    def _run_file(self) -> Path:
        return self.folder / TRACKING_DIRECTORY / "mlflow-run"

    def _new_run(self, arguments: TrainingArguments) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "Default")
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name)
        run = str(self._client.create_run(experiment, run_name=self.folder.name).info.run_id)
        for key, value in dataclasses.asdict(arguments).items():
            self._client.log_param(run, key, value)
        self._run_file().parent.mkdir(parents=True, exist_ok=True)
        write_text(self._run_file(), f"{run}\n")
        return run

    def write(self, figures: dict[str, float], step: int) -> None:
        for name, value in figures.items():
            self._client.log_metric(self._run, name, value, step=step)

    def close(self) -> None:
        # A run that was stopped goes on later; one that is complete is closed when it is saved.
        self._client.update_run(self._run, status="SCHEDULED")

    def on_saved(self, folder: Path) -> None:
        self._try(lambda: self._upload(folder))

    def _upload(self, folder: Path) -> None:
        for path in sorted(folder.iterdir()):
            if path.is_file():
                self._client.log_artifact(self._run, str(path), "model")
        if self.model_name is not None:
            from mlflow.exceptions import MlflowException

            try:
                self._client.create_registered_model(self.model_name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            self._client.create_model_version(
                self.model_name, f"runs:/{self._run}/model", self._run
            )
        self._client.set_terminated(self._run)


def trackers(names: tuple[str, ...], folder: Path, model_name: str | None) -> list[Tracker]:
    """The trackers of these names: "tensorboard", "visualdl", "mlflow".

    Args:
        names: which.
        folder: the run's.
        model_name: the registered model of MLflow; it takes "mlflow" among the names.

    Raises:
        InputError: a model is to be registered without MLflow.
    """
    if model_name is not None and "mlflow" not in names:
        raise InputError("A model is registered with MLflow: give --track mlflow as well.")
    made: dict[str, Callable[[], Tracker]] = {
        "tensorboard": lambda: TensorBoard(folder),
        "visualdl": lambda: VisualDL(folder),
        "mlflow": lambda: Mlflow(folder, model_name),
    }
    return [made[name]() for name in dict.fromkeys(names)]
