"""The loop of pretraining: steps, measurements on held-out text, checkpoints and stopping."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hub.backend import paddle
from hub.errors import TrainingError
from hub.tasks.masked_language_modelling import MaskedBatch, MaskedLanguageModelling
from hub.training.callbacks import Callback
from hub.training.checkpoints import CheckpointStore
from hub.training.keeping import Keeper
from hub.training.nonfinite import NonFiniteGradientsError
from hub.training.parallel import LostWorkerError
from hub.training.pretraining.arguments import PretrainingArguments
from hub.training.pretraining.packed_corpus import PackedCorpus
from hub.training.signals import StopRequests
from hub.training.state import TrainingState
from hub.training.update import Update

# Held-out sequences are masked as in no epoch of training, and the same at every measurement.
_HELD_OUT_EPOCH = 1 << 31


class PretrainingLoop:
    """One run of steps over a packed corpus.

    Args:
        network: an `ErnieForMaskedLM`.
        task: masks and measures.
        state: where the run stands; updated in place. `state.history` has an entry a measurement:
            `step`, `tokens`, `loss` (the mean of the training steps since the entry before; None at
            the beginning), `held_out_loss`, `held_out_accuracy`, `learning_rate`, `seconds`.
        arguments: the settings.
        corpus: the sequences.
        update: changes the weights.
        store: where the run is kept, if anywhere.
        callbacks: told of every step and measurement.
    """

    def __init__(
        self,
        network: paddle.nn.Layer,
        task: MaskedLanguageModelling,
        state: TrainingState,
        arguments: PretrainingArguments,
        corpus: PackedCorpus,
        update: Update,
        store: CheckpointStore | None,
        callbacks: Sequence[Callback],
    ) -> None:
        self.network = network
        self.task = task
        self.state = state
        self.arguments = arguments
        self.corpus = corpus
        self.update = update
        self.callbacks = callbacks
        self.keeper = Keeper(state, update, store, arguments.checkpoint_minutes)

    def run(self, stop: StopRequests) -> None:
        state = self.state
        if not state.history:
            self._measure()
        try:
            while state.step < state.total_steps:
                self._epoch(stop)
        except LostWorkerError as error:
            self.keeper.give_up(error)
        self.network.eval()

    def _epoch(self, stop: StopRequests) -> None:
        state, arguments = self.state, self.arguments
        batches = self.corpus.batches(state.epoch, arguments.batch_size)
        for numbers in batches[state.batch :]:
            if state.step >= state.total_steps:
                return
            loss = self._step(numbers, stop)
            state.step += 1
            state.batch += 1
            state.epoch_loss += loss * len(numbers)
            state.epoch_rows += len(numbers)
            for callback in self.callbacks:
                callback.on_step(state, loss, len(numbers))
            if _is_due(state.step, state.total_steps, arguments.evaluations):
                self._measure()
                self.keeper.save()
            elif self.update.save_is_due:
                self.keeper.save()
            asked = self.update.asked_to_stop(stop)
            if asked is not None and state.step < state.total_steps:
                self.keeper.stop(asked)
        state.epoch += 1
        state.batch = 0

    def _step(self, numbers: np.ndarray, stop: StopRequests) -> float:
        update, step = self.update, self.state.step
        update.begin(step)
        value = self._add_gradients(numbers)
        value = update.add_up(value, stop, self.keeper.is_due)
        if not math.isfinite(value):
            raise self._diverged("loss", value)
        try:
            update.apply(step)
        except NonFiniteGradientsError as error:
            raise self._diverged("gradient norm", error.norm) from error
        update.end(len(numbers) * self.arguments.max_seq_len)
        return value

    def _diverged(self, what: str, value: float) -> TrainingError:
        rate = self.update.optimizer.get_lr()
        return TrainingError(
            f"The {what} of step {self.state.step + 1} is {value}: the run diverged. Lower the "
            f"learning rate ({rate:.1e})."
        )

    def _add_gradients(self, numbers: np.ndarray) -> float:
        """Learn from this process's sequences of a batch; their part of the batch's mean loss."""
        group, epoch = self.update.group, self.state.epoch
        mine = group.part(numbers)
        if not len(mine):
            return 0.0
        batch = self.task.batch(self.corpus.rows(mine), epoch)
        with self.update.computing():
            loss = self.task.loss(self.network, batch)
        if group.size > 1:
            # The mean is over masked tokens, of which each process has its own number.
            whole = self.task.batch(self.corpus.rows(numbers), epoch)
            loss = loss * (len(batch.targets) / max(1, len(whole.targets)))
        self.update.backward(loss)
        return float(loss)

    def _held_out(self) -> Iterator[MaskedBatch]:
        held, size = self.corpus.held, self.arguments.batch_size
        for start in range(0, len(held), size):
            rows = self.corpus.rows(held[start : start + size])
            yield self.task.batch(rows, _HELD_OUT_EPOCH)

    def _measure(self) -> None:
        state = self.state
        score = self.task.score(self.network, self._held_out())
        self.keeper.note_time()
        entry: dict[str, Any] = {
            "step": state.step,
            "tokens": state.step * self.arguments.batch_size * self.arguments.max_seq_len,
            "loss": state.epoch_loss / state.epoch_rows if state.epoch_rows else None,
            "held_out_loss": score.loss,
            "held_out_accuracy": score.accuracy,
            "learning_rate": self.update.optimizer.get_lr(),
            "seconds": round(state.seconds, 3),
        }
        state.epoch_loss, state.epoch_rows = 0.0, 0
        state.history.append(entry)
        for callback in self.callbacks:
            callback.on_epoch_end(state, entry)


def _is_due(step: int, total: int, count: int) -> bool:
    """Whether the run is measured after `step`: `count` times at even distances, at last at the
    end."""
    return step * count // total > (step - 1) * count // total
