"""What may be done along a run beside training: derive from `Callback`, pass it to the Trainer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from hub.constants import progress_interval_s
from hub.files import write_text
from hub.training.arguments import TrainingArguments
from hub.training.state import TrainingState


class Callback:
    """The moments of a run; each method is called in the order of the callbacks and may do nothing.

    A callback may read the state and must not change it.
    """

    def on_train_begin(
        self, arguments: TrainingArguments, state: TrainingState, rows: int, metric: str
    ) -> None:
        """Before the first step (also of a resumed run); `rows` are an epoch's."""

    def on_step(self, state: TrainingState, loss: float, rows: int) -> None:
        """After a step over `rows` rows with the mean loss `loss`."""

    def on_epoch_end(self, state: TrainingState, entry: dict[str, Any]) -> None:
        """After an epoch and its evaluation; `entry` is the new last one of `state.history`."""

    def on_train_end(self, state: TrainingState) -> None:
        """After the last step, also if the run was interrupted or failed."""

    def on_saved(self, folder: Path) -> None:
        """After `hub finetune` has written the model's folder."""


class ProgressBar(Callback):
    """One `tqdm` bar over all epochs: rows, rows a second, time left, loss and the dev metric."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._loss: float | None = None
        self._epochs = 0
        self._metric = ""

    def on_train_begin(
        self, arguments: TrainingArguments, state: TrainingState, rows: int, metric: str
    ) -> None:
        self._epochs = arguments.epochs
        self._metric = metric
        self._bar = tqdm(
            total=min(rows * arguments.epochs, state.total_steps * arguments.batch_size),
            initial=rows * state.epoch + state.epoch_rows,
            unit=" rows",
            unit_scale=False,
            mininterval=progress_interval_s(),
            dynamic_ncols=True,
        )
        self._describe(state)

    def on_step(self, state: TrainingState, loss: float, rows: int) -> None:
        if self._bar is None:
            return
        # A mean over about the last fifty steps reads better than one batch's loss.
        self._loss = loss if self._loss is None else 0.98 * self._loss + 0.02 * loss
        self._describe(state)
        self._bar.update(rows)

    def on_epoch_end(self, state: TrainingState, entry: dict[str, Any]) -> None:
        if self._bar is not None:
            self._describe(state)

    def on_train_end(self, state: TrainingState) -> None:
        if self._bar is not None:
            self._bar.close()

    def _describe(self, state: TrainingState) -> None:
        assert self._bar is not None
        epoch = min(state.epoch + 1, self._epochs)
        self._bar.set_description(f"epoch {epoch}/{self._epochs}", refresh=False)
        shown = {} if self._loss is None else {"loss": f"{self._loss:.3f}"}
        if state.best_metric is not None:
            shown[f"best {self._metric}"] = f"{state.best_metric:.4f}"
        self._bar.set_postfix(shown, refresh=False)


class HistoryFile(Callback):
    """Keeps the run's history in a JSON-lines file, an epoch a line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_epoch_end(self, state: TrainingState, entry: dict[str, Any]) -> None:
        # Written whole: a resumed run has no line twice, a crash leaves no half line.
        lines = [json.dumps(entry, ensure_ascii=False) + "\n" for entry in state.history]
        write_text(self.path, "".join(lines))
