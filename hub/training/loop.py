"""The training loop: steps, evaluations, the best weights, checkpoints and stopping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hub.backend import paddle
from hub.data.batches import collate, shuffled_batches
from hub.data.encoded import EncodedTexts
from hub.errors import InputError
from hub.module import Module
from hub.tasks import LabelledTask, MultiLabelClassification
from hub.tasks.answering import run
from hub.tasks.base import Metrics, Targets
from hub.tasks.encoded_passages import EncodedPassages
from hub.tasks.passages import Passage
from hub.training.arguments import TrainingArguments
from hub.training.callbacks import Callback
from hub.training.checkpoints import CheckpointStore, check_finite, copy_weights, set_weights
from hub.training.distillation.teacher import Lessons
from hub.training.keeping import Keeper
from hub.training.nonfinite import NonFiniteGradientsError, NonFiniteSteps
from hub.training.parallel import LostWorkerError
from hub.training.signals import StopRequests
from hub.training.state import TrainingState
from hub.training.techniques import adversarial_embeddings, divergence, hide_tokens
from hub.training.update import Update


@dataclass(frozen=True)
class EncodedData:
    """A data set as the network reads it.

    Attributes:
        passages: its texts.
        targets: what is to be learned of each text.
        window_targets: what is to be learned of each window of every text.
        fingerprint: a digest of all that went into it.
    """

    passages: EncodedPassages
    targets: Targets
    window_targets: Sequence[Any]
    fingerprint: str

    @property
    def encodings(self) -> EncodedTexts:
        """Every window of every text: the rows of training."""
        return self.passages.encodings


def compute_outputs(
    module: Module, passages: Sequence[Passage], batch_size: int
) -> list[np.ndarray]:
    """The network's output for each text, in their order."""
    assert module.task is not None  # the trainer sees to it
    module.adopt_weights()
    return run(module.task, module.tokenizer, module.compute, passages, batch_size)


class TrainingLoop:
    """One run of training steps, epochs and evaluations.

    Args:
        module: what is trained; its network ends with the best weights.
        state: where the run stands; updated in place.
        arguments: the settings.
        train: the rows to learn from.
        dev: the rows to choose the best epoch by, if there are any.
        metric: the dev metric that chooses.
        update: changes the weights.
        store: where the run is kept, if anywhere.
        callbacks: told of every step and epoch.
        lessons: what a teacher says of `train`, if there is one.
    """

    def __init__(
        self,
        module: Module,
        state: TrainingState,
        arguments: TrainingArguments,
        train: EncodedData,
        dev: EncodedData | None,
        metric: str,
        update: Update,
        store: CheckpointStore | None,
        callbacks: Sequence[Callback],
        lessons: Lessons | None = None,
    ) -> None:
        if not isinstance(module.task, LabelledTask):
            raise InputError(f"{module.name} has no task to train.")
        self.module = module
        self.task = module.task
        self.network = module.network
        self.state = state
        self.arguments = arguments
        self.train = train
        self.losses = arguments.loss_settings(self.task, train.targets)
        self.dev = dev
        self.metric = metric
        self.update = update
        self.store = store
        self.callbacks = callbacks
        self.lessons = lessons
        folder = store.folder if store is not None and store.writes else None
        self.nonfinite = NonFiniteSteps(train.passages, arguments.skip_nonfinite, folder)
        self.computed = 0  # tokens of the step in progress, with padding
        self.best: dict[str, np.ndarray] | None = None  # where no store keeps them
        self.keeper = Keeper(state, update, store, arguments.checkpoint_minutes)

    def run(self, stop: StopRequests) -> None:
        state = self.state
        try:
            self._epochs(stop)
        except LostWorkerError as error:
            self.keeper.give_up(error)
        if state.best_metric is not None:
            best = self.best
            if best is None and self.store is not None:
                best = self.store.load_best()
            assert best is not None  # kept with the metric, in memory or in the store
            set_weights(self.network, best)
        else:
            with self.update.measured_weights():
                last = copy_weights(self.network)
            set_weights(self.network, last)

    def _epochs(self, stop: StopRequests) -> None:
        while not self._finished():
            self._epoch(stop)
            self._end_epoch()
            self.keeper.save()
            # Several processes agree in a step: the next epoch's first one.
            is_alone = self.update.group.size == 1
            if is_alone and stop.received is not None and not self._finished():
                self.keeper.stop(stop.received)

    def _finished(self) -> bool:
        state, patience = self.state, self.arguments.patience
        if state.batch:
            return False  # a run stopped at an epoch's last step has yet to be evaluated
        if state.epoch >= self.arguments.epochs or state.step >= state.total_steps:
            return True
        return patience is not None and state.stale_epochs >= patience

    def _epoch(self, stop: StopRequests) -> None:
        state, arguments = self.state, self.arguments
        order = shuffled_batches(
            self.train.encodings, arguments.batch_size, arguments.seed, state.epoch
        )
        for rows in order[state.batch :]:
            if state.step >= state.total_steps:
                break
            loss = self.step(rows, stop)
            state.step += 1
            state.batch += 1
            if loss is None:
                continue
            state.epoch_loss += loss * len(rows)
            state.epoch_rows += len(rows)
            for callback in self.callbacks:
                callback.on_step(state, loss, len(rows))
            if (asked := self.update.asked_to_stop(stop)) is not None:
                self.keeper.stop(asked)
            if self.update.save_is_due:
                self.keeper.save()

    def step(self, rows: np.ndarray, stop: StopRequests) -> float | None:
        """Learn from a batch, given by the numbers of its rows.

        Returns:
            Its mean loss; None if it was left out.

        Raises:
            TrainingError: its loss is not a number.
        """
        update, step = self.update, self.state.step
        update.begin(step)
        self.computed = 0
        value = self._add_gradients(rows)
        if length := self.arguments.adversarial:
            with adversarial_embeddings(self.network, length, update.group):
                self._add_gradients(rows)
        value = update.add_up(value, stop, self.keeper.is_due)
        wrong = ("loss", value)
        if is_finite := math.isfinite(value):
            try:
                update.apply(step)
            except NonFiniteGradientsError as error:
                is_finite, wrong = False, ("gradient norm", error.norm)
        if is_finite:
            self.nonfinite.passed()
        else:
            self.nonfinite.refuse(*wrong, step + 1, rows, update.optimizer.get_lr())
        update.end(self.computed)
        return value if is_finite else None

    def _add_gradients(self, rows: np.ndarray) -> float:
        """Add the gradients of this process's rows of a batch; their part of its mean loss."""
        mine = self.update.group.part(rows)
        size = self.arguments.micro_batch_size or len(rows)
        value = 0.0
        for start in range(0, len(mine), size):
            loss = self._loss(mine[start : start + size], rows)
            value += float(loss)
            self.update.backward(loss)
        return value

    def _loss(self, rows: np.ndarray, whole: np.ndarray) -> paddle.Tensor:
        """What some rows of a batch add to its mean loss, and with R-Drop to how far two outputs
        for a row lie apart.

        Args:
            rows: the numbers of the rows.
            whole: those of the batch.
        """
        batch = collate(
            self.train.encodings,
            rows,
            self.module.tokenizer.pad_token_id,
            few_widths_to=self.module.config.max_position_embeddings,
        )
        self.computed += batch.input_ids.size
        if p := self.arguments.token_dropout:
            hidden = hide_tokens(batch.input_ids, p, self.module.tokenizer)
            batch = replace(batch, input_ids=hidden)
        inputs = [paddle.to_tensor(array) for array in batch.inputs.values()]
        targets = [self.train.window_targets[row] for row in rows]
        with self.update.computing():
            logits = self.network(*inputs)
        logits = _in_full_precision(logits)
        loss = self._loss_of(logits, targets, rows, whole)
        if not self.arguments.r_drop:
            return loss
        with self.update.computing():
            others = self.network(*inputs)
        others = _in_full_precision(others)
        loss = 0.5 * (loss + self._loss_of(others, targets, rows, whole))
        several = isinstance(self.task, MultiLabelClassification)
        weight = self.arguments.r_drop * (len(rows) / len(whole))
        return loss + weight * divergence(logits, others, several)

    def _loss_of(
        self, logits: paddle.Tensor, targets: Sequence[Any], rows: np.ndarray, whole: np.ndarray
    ) -> paddle.Tensor:
        """What logits add to a batch's loss: the labels', and the teacher's if there is one.

        Each part counts as much as it does in the mean over the batch, which of tags is over words
        and with class weights a weighted one.
        """
        whole_targets = None
        if len(rows) < len(whole):
            whole_targets = [self.train.window_targets[row] for row in whole]
        loss = self.task.loss(logits, targets, self.losses, self.network, whole_targets)
        if self.lessons is None:
            return loss
        batch = None if whole_targets is None else (whole, whole_targets)
        return self.lessons.loss(loss, logits, targets, rows, batch)

    def _end_epoch(self) -> None:
        state = self.state
        self.keeper.note_time()
        entry: dict[str, Any] = {
            "epoch": state.epoch + 1,
            "step": state.step,
            "loss": state.epoch_loss / max(1, state.epoch_rows),
            "learning_rate": self.update.optimizer.get_lr(),
            "seconds": round(state.seconds, 3),
        }
        if self.dev is not None:
            with self.update.measured_weights():
                metrics = self._measure(self.dev)
                self._keep_best(metrics)
            entry.update({f"dev_{name}": value for name, value in metrics.items()})
        state.history.append(entry)
        state.epoch += 1
        state.batch = state.epoch_rows = 0
        state.epoch_loss = 0.0
        for callback in self.callbacks:
            callback.on_epoch_end(state, entry)

    def _measure(self, data: EncodedData) -> Metrics:
        outputs = compute_outputs(self.module, data.passages, self.arguments.eval_batch_size)
        decided = self.task.decide(outputs, data.passages, self.module.tokenizer)
        return self.task.metrics(decided, data.targets)

    def _keep_best(self, metrics: Metrics) -> None:
        state = self.state
        if state.best_metric is not None and metrics[self.metric] <= state.best_metric:
            state.stale_epochs += 1
            return
        state.best_metric, state.best_epoch = metrics[self.metric], state.epoch + 1
        state.stale_epochs = 0
        best = copy_weights(self.network)
        check_finite(best, state.step)
        if self.store is not None:
            self.store.save_best(best)
        if self.store is None or not self.store.writes:
            self.best = best


def _in_full_precision(outputs: Any) -> Any:
    """Logits as float32: losses are computed so in every precision."""
    if isinstance(outputs, list | tuple):
        return type(outputs)(map(_in_full_precision, outputs))
    return outputs if outputs.dtype == paddle.float32 else outputs.astype("float32")
