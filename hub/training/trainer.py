"""`hub.Trainer`: fine-tune a module on labelled texts, evaluate it, keep the best weights."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hub.backend import paddle
from hub.data import TextDataset, load_dataset
from hub.data.batches import collate, shuffled_batches
from hub.errors import InputError, TrainingError
from hub.models.ernie import dropout
from hub.module import Module
from hub.tasks import Task
from hub.tasks.base import Metrics, encode, run
from hub.tasks.text_classification import labels_of
from hub.tokenizers import Encoding
from hub.training.arguments import TrainingArguments
from hub.training.callbacks import Callback, ProgressBar
from hub.training.checkpoints import CheckpointStore, copy_weights, set_weights
from hub.training.optimization import default_optimizer
from hub.training.signals import StopRequests, TrainingInterrupted
from hub.training.state import TrainingState


@dataclass(frozen=True)
class EncodedData:
    """A data set as the network reads it."""

    encodings: list[Encoding]
    targets: np.ndarray
    fingerprint: str


class Trainer:
    """Fine-tunes a module.

    Args:
        module: a `hub.Module` with a task.
        optimizer: any `paddle.optimizer.Optimizer` over `module.parameters()`; its learning-rate
            scheduler, if it has one, is stepped after every batch. None is AdamW with warm-up and
            linear decay.
        checkpoint_dir: where a run in progress is kept, so that it can be resumed; None keeps none.
        use_gpu: compute on the GPU; None is wherever Paddle computes.
        arguments: the settings; None is the module's recommended ones.
        callbacks: more things to do along a run.
        progress: show a progress bar.

    Attributes:
        state: where the last run stands; `state.history` is its learning curve.

    Raises:
        InputError: the module has no task.
    """

    def __init__(
        self,
        module: Module,
        optimizer: paddle.optimizer.Optimizer | None = None,
        checkpoint_dir: str | Path | None = None,
        use_gpu: bool | None = None,
        *,
        arguments: TrainingArguments | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool = True,
    ) -> None:
        if module.task is None:
            raise InputError(
                f"{module.name} was loaded without a task: give hub.Module task='seq-cls'."
            )
        if use_gpu is not None:
            if use_gpu and not paddle.is_compiled_with_cuda():
                raise InputError(
                    "use_gpu=True needs the GPU build of PaddlePaddle, and this is the CPU build."
                )
            paddle.set_device("gpu" if use_gpu else "cpu")
        self.module = module
        self.optimizer = optimizer
        self.checkpoint_dir = None if checkpoint_dir is None else Path(checkpoint_dir)
        self.arguments = arguments or default_arguments(module)
        self.callbacks = [*([ProgressBar()] if progress else []), *callbacks]
        self.state = TrainingState()

    @property
    def task(self) -> Task:
        """The module's task."""
        assert self.module.task is not None  # checked in __init__
        return self.module.task

    # --- the public calls ------------------------------------------------------------------------

    def finetune_and_eval(
        self, train_data: Any, dev_data: Any = None, *, resume: bool = False, **changes: Any
    ) -> Metrics:
        """Fine-tune, keep the weights that do best on `dev_data`, and return their metrics.

        Args:
            train_data: anything `hub.load_dataset` takes.
            dev_data: the same; None sets a tenth of the training rows aside.
            resume: go on from the checkpoint in `checkpoint_dir`.
            changes: training arguments that differ for this run, such as `epochs=5`.

        Returns:
            The best checkpoint's metrics on `dev_data`, as fractions of 1.

        Raises:
            DataError: the data is unusable.
            TrainingInterrupted: Ctrl-C or SIGTERM; a checkpoint was written if there is a folder.
            TrainingError: the loss is not a number, or there is nothing to resume from.
        """
        arguments = self.arguments.with_changes(**changes)
        train = load_dataset(train_data, split="train")
        if dev_data is None:
            train, dev = train.split(0.1, arguments.seed)
        else:
            dev = load_dataset(dev_data, split="dev")
        self._fit_labels(train, arguments)
        self._run(train, dev, arguments, resume)
        best = next(e for e in self.state.history if e["epoch"] == self.state.best_epoch)
        prefix = "dev_"
        return {k.removeprefix(prefix): v for k, v in best.items() if k.startswith(prefix)}

    def train(
        self,
        train_dataset: Any,
        epochs: int | None = None,
        batch_size: int | None = None,
        eval_dataset: Any = None,
        *,
        resume: bool = False,
        **changes: Any,
    ) -> None:
        """Fine-tune on `train_dataset`, in PaddleHub's spelling.

        Without `eval_dataset` nothing is set aside and the last epoch's weights are kept. The other
        arguments and errors are `finetune_and_eval`'s.
        """
        arguments = self.arguments.with_changes(epochs=epochs, batch_size=batch_size, **changes)
        train = load_dataset(train_dataset, split="train")
        dev = None if eval_dataset is None else load_dataset(eval_dataset, split="dev")
        self._fit_labels(train, arguments)
        self._run(train, dev, arguments, resume)

    def evaluate(self, data: Any, batch_size: int | None = None) -> Metrics:
        """The module's metrics on labelled texts, as fractions of 1.

        Raises:
            DataError: the data is unusable, or has a label that the model does not know.
        """
        dataset = load_dataset(data, split="test")
        encoded = self._encode(dataset, None)
        return self.task.metrics(
            self.logits(encoded.encodings, batch_size or self.arguments.eval_batch_size),
            encoded.targets,
        )

    def predict(self, data: Sequence[str], **options: Any) -> list[Any]:
        """`Module.predict`, where PaddleHub's users look for it."""
        return self.module.predict(data, **options)

    def logits(self, encodings: Sequence[Encoding], batch_size: int) -> np.ndarray:
        """The network's output for encoded texts, [N, ...], in their order."""
        return run(self.module.compute, encodings, self.module.tokenizer.pad_token_id, batch_size)

    # --- the run ---------------------------------------------------------------------------------

    def _fit_labels(self, train: TextDataset, arguments: TrainingArguments) -> None:
        """Learn the labels from the data where the module was not told them."""
        if self.module.labels_given:
            return
        if self.optimizer is not None:
            raise InputError(
                "With an optimizer of your own the labels must be known beforehand: "
                "give hub.Module a label_map."
            )
        self.module.set_labels(labels_of(train), arguments.seed)

    def _encode(self, data: TextDataset, max_seq_len: int | None) -> EncodedData:
        targets = self.task.targets(data)
        length = max_seq_len or self.module.max_seq_len
        limit = self.module.config.max_position_embeddings
        if length > limit:
            raise InputError(f"max_seq_len is {length}; {self.module.name} takes {limit} at most.")
        digest = hashlib.sha256(f"{length}\n".encode())
        for example in data:
            digest.update(f"{example.label}\t{example.text}\n".encode("utf-8", "surrogatepass"))
        encodings = encode(self.module.tokenizer, data.texts, length)
        return EncodedData(encodings, targets, digest.hexdigest()[:16])

    def _run(
        self,
        train_data: TextDataset,
        dev_data: TextDataset | None,
        arguments: TrainingArguments,
        resume: bool,
    ) -> None:
        metric = arguments.metric or self.task.metric_names[0]
        if metric not in self.task.metric_names:
            raise InputError(
                f"There is no metric {metric!r}; there is {', '.join(self.task.metric_names)}."
            )
        train = self._encode(train_data, arguments.max_seq_len)
        dev = None if dev_data is None else self._encode(dev_data, arguments.max_seq_len)
        network = self.module.network
        if arguments.max_seq_len is not None:
            self.module.max_seq_len = arguments.max_seq_len

        batches = math.ceil(len(train.encodings) / arguments.batch_size)
        steps = batches * arguments.epochs
        steps = min(steps, arguments.max_steps or steps)
        optimizer = self.optimizer or default_optimizer(network, arguments, steps)
        store = self._checkpoint_store(arguments, train, dev)
        dropout.seed(arguments.seed)
        paddle.seed(arguments.seed)
        self.state = TrainingState(total_steps=steps)
        if resume:
            if store is None:
                raise InputError("There is nothing to resume from without a checkpoint_dir.")
            self.state = store.load(network, optimizer)
        loop = _Loop(self, arguments, train, dev, metric, optimizer, store)
        for callback in self.callbacks:
            callback.on_train_begin(arguments, self.state, len(train.encodings), metric)
        try:
            with StopRequests() as stop:
                loop.run(stop)
        finally:
            self.module.eval()
            for callback in self.callbacks:
                callback.on_train_end(self.state)

    def _checkpoint_store(
        self, arguments: TrainingArguments, train: EncodedData, dev: EncodedData | None
    ) -> CheckpointStore | None:
        if self.checkpoint_dir is None:
            return None
        identity = {
            "model": self.module.name,
            "task": self.task.name,
            "labels": self.task.labels,
            "train data": train.fingerprint,
            "dev data": None if dev is None else dev.fingerprint,
            **arguments.to_dict(),
        }
        # How often to save, and how many rows to evaluate at once, change no result.
        del identity["checkpoint_minutes"], identity["eval_batch_size"]
        return CheckpointStore(self.checkpoint_dir, identity)


class _Loop:
    """One run of training steps, epochs and evaluations."""

    def __init__(
        self,
        trainer: Trainer,
        arguments: TrainingArguments,
        train: EncodedData,
        dev: EncodedData | None,
        metric: str,
        optimizer: paddle.optimizer.Optimizer,
        store: CheckpointStore | None,
    ) -> None:
        self.trainer = trainer
        self.arguments = arguments
        self.train = train
        self.dev = dev
        self.metric = metric
        self.optimizer = optimizer
        self.store = store
        self.state = trainer.state
        self.module = trainer.module
        self.network = trainer.module.network
        self.best: dict[str, np.ndarray] | None = None
        self.started = time.monotonic() - self.state.seconds
        self.saved = time.monotonic()

    def run(self, stop: StopRequests) -> None:
        state = self.state
        while not self._finished():
            self._epoch(stop)
            self._end_epoch()
            self._save()
            if stop.received is not None and not self._finished():
                self._stop(stop.received)
        if state.best_metric is not None:
            if self.best is None and self.store is not None:
                self.best = self.store.load_best()
            if self.best is not None:
                set_weights(self.network, self.best)

    def _finished(self) -> bool:
        state, patience = self.state, self.arguments.patience
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
            loss = self._step(rows)
            state.step += 1
            state.batch += 1
            state.epoch_loss += loss * len(rows)
            state.epoch_rows += len(rows)
            for callback in self.trainer.callbacks:
                callback.on_step(state, loss, len(rows))
            if stop.received is not None:
                self._stop(stop.received)
            if time.monotonic() - self.saved > 60 * arguments.checkpoint_minutes:
                self._save()

    def _step(self, rows: np.ndarray) -> float:
        batch = collate(self.train.encodings, rows, self.module.tokenizer.pad_token_id)
        self.network.train()
        logits = self.network(
            paddle.to_tensor(batch.input_ids),
            paddle.to_tensor(batch.token_type_ids),
            paddle.to_tensor(batch.attention_mask),
        )
        loss = self.trainer.task.loss(logits, self.train.targets[rows])
        value = float(loss)
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss of step {self.state.step + 1} is {value} (rows "
                f"{', '.join(str(row + 1) for row in rows[:8])}, ... of the training data): the "
                f"run diverged. Lower the learning rate ({self.optimizer.get_lr():.1e})."
            )
        loss.backward()
        self.optimizer.step()
        self.optimizer.clear_grad()
        scheduler = getattr(self.optimizer, "_learning_rate", None)
        if isinstance(scheduler, paddle.optimizer.lr.LRScheduler):
            scheduler.step()
        return value

    def _end_epoch(self) -> None:
        state = self.state
        state.seconds = time.monotonic() - self.started
        entry: dict[str, Any] = {
            "epoch": state.epoch + 1,
            "step": state.step,
            "loss": state.epoch_loss / max(1, state.epoch_rows),
            "learning_rate": self.optimizer.get_lr(),
            "seconds": round(state.seconds, 3),
        }
        if self.dev is not None:
            logits = self.trainer.logits(self.dev.encodings, self.arguments.eval_batch_size)
            metrics = self.trainer.task.metrics(logits, self.dev.targets)
            entry.update({f"dev_{name}": value for name, value in metrics.items()})
            self._keep_best(metrics)
        state.history.append(entry)
        state.epoch += 1
        state.batch = state.epoch_rows = 0
        state.epoch_loss = 0.0
        for callback in self.trainer.callbacks:
            callback.on_epoch_end(state, entry)

    def _keep_best(self, metrics: Metrics) -> None:
        state = self.state
        if state.best_metric is not None and metrics[self.metric] <= state.best_metric:
            state.stale_epochs += 1
            return
        state.best_metric, state.best_epoch = metrics[self.metric], state.epoch + 1
        state.stale_epochs = 0
        self.best = copy_weights(self.network)
        if self.store is not None:
            self.store.save_best(self.best)

    def _save(self) -> None:
        if self.store is None:
            return
        self.state.seconds = time.monotonic() - self.started
        self.store.save(self.network, self.optimizer, self.state)
        self.saved = time.monotonic()

    def _stop(self, signal_number: int) -> None:
        state = self.state
        done = f"step {state.step} of {state.total_steps}"
        if self.store is None:
            raise TrainingInterrupted(signal_number, f"Stopped at {done}; nothing was saved.")
        self._save()
        raise TrainingInterrupted(
            signal_number,
            f"Stopped at {done}. The run is saved in {self.store.folder}: "
            "the same command with --resume goes on from here.",
        )


def default_arguments(module: Module) -> TrainingArguments:
    """The training arguments recommended for the module's model."""
    entry = module.entry
    return TrainingArguments().with_changes(**(entry.finetuning if entry else {}))
