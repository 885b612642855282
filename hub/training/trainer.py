"""`hub.Trainer`: fine-tune a module on labelled texts, evaluate it, keep the best weights."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from hub.backend import paddle, use_device
from hub.data import TextDataset, load_dataset
from hub.data.loading import with_dev
from hub.errors import InputError
from hub.inference.loading import evaluate
from hub.models.ernie import dropout
from hub.module import Module
from hub.tasks import LabelledTask
from hub.tasks.base import Metrics, metric_name
from hub.tasks.encoded_passages import read_all
from hub.training.arguments import TrainingArguments
from hub.training.callbacks import Callback, ProgressBar
from hub.training.checkpoints import CheckpointStore
from hub.training.distillation.teacher import Lessons, Teacher
from hub.training.loop import EncodedData, TrainingLoop, compute_outputs
from hub.training.low_rank import low_rank
from hub.training.optimization import default_optimizer
from hub.training.parallel import Group, join
from hub.training.precision import check_precision
from hub.training.quantization_aware import rounded
from hub.training.rehearsal import Estimate, rehearse
from hub.training.sharding import Shares
from hub.training.signals import StopRequests
from hub.training.state import TrainingState
from hub.training.techniques import check_techniques, freeze, set_dropout
from hub.training.text_length import fitting_length
from hub.training.update import Update


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
        teacher: a model to learn from beside the labels.
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
        teacher: Teacher | None = None,
        progress: bool = True,
    ) -> None:
        if module.task is None:
            raise InputError(
                f"{module.name} was loaded without a task: give hub.Module task='seq-cls'."
            )
        if not isinstance(module.task, LabelledTask):
            raise InputError(
                f"hub.Trainer learns from labels; {module.name} was loaded for {module.task.name}."
            )
        if use_gpu is not None:
            use_device("gpu" if use_gpu else "cpu")
        self.module = module
        self.optimizer = optimizer
        self.checkpoint_dir = None if checkpoint_dir is None else Path(checkpoint_dir)
        self.arguments = arguments or default_arguments(module)
        self.callbacks = [*([ProgressBar()] if progress else []), *callbacks]
        self.teacher = teacher
        self.state = TrainingState()

    @property
    def task(self) -> LabelledTask:
        """The module's task."""
        assert isinstance(self.module.task, LabelledTask)  # checked in __init__
        return self.module.task

    def check(self, arguments: TrainingArguments) -> None:
        """See that a run with these arguments can begin: what costs nothing is refused first.

        Raises:
            InputError: it cannot.
        """
        check_metric(arguments.metric, self.task)
        check_techniques(self.task, arguments, self.module.config)
        check_precision(arguments.precision, paddle.get_device())
        if self.teacher is not None:
            self.teacher.check(self.task, arguments)
        if self.optimizer is None:
            return
        # An optimizer of the user's own knows the parameters that the module had before.
        for name, given in (
            ("shard_optimizer", arguments.shard_optimizer),
            ("lora", arguments.lora > 0),
            ("layer_decay", arguments.layer_decay != 1),
        ):
            if given:
                raise InputError(
                    f"{name} is for the optimizer that hub.Trainer makes: leave it out, or give no "
                    "optimizer."
                )

    # --- the public calls ------------------------------------------------------------------------

    def finetune_and_eval(
        self, train_data: Any, dev_data: Any = None, *, resume: bool = False, **changes: Any
    ) -> Metrics:
        """Fine-tune, keep the weights that do best on `dev_data`, and return their metrics.

        Args:
            train_data: anything `hub.load_dataset` takes.
            dev_data: the same; None is the dev part of a data set known by name, and else a tenth
                of the training rows, set aside.
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
        train = self._load(train_data, "train")
        train, dev = with_dev(train, train_data, dev_data, arguments.seed)
        self._fit_labels(train, arguments)
        self._run(train, dev, arguments, resume)
        if self.task.is_tuned:
            return self.evaluate(dev)
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
        num_workers: int = 0,
        log_interval: int = 10,
        save_interval: int = 1,
        resume: bool = False,
        **changes: Any,
    ) -> None:
        """Fine-tune on `train_dataset`, in PaddleHub's spelling.

        Without `eval_dataset` nothing is set aside and the last epoch's weights are kept.
        `num_workers`, `log_interval` and `save_interval` are taken for the sake of PaddleHub's
        callers and change nothing: texts are encoded beforehand, the bar shows every step, every
        epoch is saved. The other arguments and errors are `finetune_and_eval`'s.
        """
        arguments = self.arguments.with_changes(epochs=epochs, batch_size=batch_size, **changes)
        train = self._load(train_dataset, "train")
        dev = None if eval_dataset is None else self._load(eval_dataset, "dev")
        self._fit_labels(train, arguments)
        self._run(train, dev, arguments, resume)

    def rehearse(self, train_data: Any, dev_data: Any = None, **changes: Any) -> Estimate:
        """How long a run would take and how much memory, from a few of its steps.

        The module has learned from them afterwards: load it anew for the run itself. The arguments
        and errors are `finetune_and_eval`'s.
        """
        arguments = self.arguments.with_changes(**changes)
        train = self._load(train_data, "train")
        train, dev = with_dev(train, train_data, dev_data, arguments.seed)
        self._fit_labels(train, arguments)
        with self._prepared(train, dev, arguments) as loop, loop.update.waiting:
            return rehearse(loop)

    def evaluate(self, data: Any, batch_size: int | None = None) -> Metrics:
        """The module's metrics on labelled texts, as fractions of 1.

        Raises:
            DataError: the data is unusable, or has a label that the model does not know.
        """
        self.module.adopt_weights()
        dataset = self._load(data, "test")
        return evaluate(self.module, dataset, batch_size or self.arguments.eval_batch_size)

    def predict(self, data: Sequence[str], **options: Any) -> list[Any]:
        """`Module.predict`, where PaddleHub's users look for it."""
        return self.module.predict(data, **options)

    # --- the run ---------------------------------------------------------------------------------

    def _load(self, data: Any, split: str) -> TextDataset:
        return load_dataset(data, kind=self.task.name, split=split)

    def _fit_labels(self, train: TextDataset, arguments: TrainingArguments) -> None:
        """Learn the labels from the data where the module was not told them."""
        if self.module.labels_given:
            return
        if self.optimizer is not None:
            raise InputError(
                "With an optimizer of your own the labels must be known beforehand: "
                "give hub.Module a label_map."
            )
        task = type(self.task).from_data(train, **self.task.structure)
        self.module.set_task(task, arguments.seed)

    def _encode(self, data: TextDataset, length: int, long_text: str) -> EncodedData:
        targets = self.task.targets(data)
        limit = self.module.config.max_position_embeddings
        if length > limit:
            raise InputError(f"max_seq_len is {length}; {self.module.name} takes {limit} at most.")
        digest = hashlib.sha256(f"{length} {long_text}\n".encode())
        for label, text in zip(data.labels, data.texts, strict=True):
            row = f"{label}\t{text}\n"
            digest.update(row.encode("utf-8", "surrogatepass"))
        passages = read_all(
            self.module.tokenizer, data.texts, length, long_text, self.task.needs_offsets
        )
        window_targets = self.task.window_targets(passages, targets, self.module.tokenizer)
        return EncodedData(passages, targets, window_targets, digest.hexdigest()[:16])

    def _run(
        self,
        train_data: TextDataset,
        dev_data: TextDataset | None,
        arguments: TrainingArguments,
        resume: bool,
    ) -> None:
        with self._prepared(train_data, dev_data, arguments, resume) as loop:
            self._learn(loop)

    @contextmanager
    def _prepared(
        self,
        train_data: TextDataset,
        dev_data: TextDataset | None,
        arguments: TrainingArguments,
        resume: bool = False,
    ) -> Iterator[TrainingLoop]:
        """The loop of a run; what it changes of the network is taken back after it."""
        self.check(arguments)
        long_text = arguments.long_text or self.module.long_text
        length = arguments.max_seq_len
        if length is None:
            length = fitting_length(self.module, train_data.texts, long_text, arguments)
        train = self._encode(train_data, length, long_text)
        dev = None if dev_data is None else self._encode(dev_data, length, long_text)
        self.module.max_seq_len, self.module.length_given = length, True
        self.module.long_text = long_text
        self.module.folder = None
        network = self.module.network
        network.encoder.recompute = arguments.recompute
        freeze(network, arguments)
        set_dropout(network, arguments.dropout)
        self.state = TrainingState()
        lessons = self._lessons(train, arguments)
        taught = nullcontext() if lessons is None else lessons.given_to(network, arguments.seed)
        try:
            with (
                low_rank(network, arguments.lora, arguments.seed, arguments.freeze_layers),
                rounded(network, arguments.quantization_aware),
                taught,
            ):
                yield self._loop(train, dev, arguments, resume, lessons)
        finally:
            self.module.eval()
            self.module.adopt_weights()

    def _lessons(self, train: EncodedData, arguments: TrainingArguments) -> Lessons | None:
        """What the teacher, if there is one, says of the training rows."""
        if self.teacher is None:
            return None
        return self.teacher.lessons(
            self.task, self.module, train.passages, arguments.eval_batch_size
        )

    def _loop(
        self,
        train: EncodedData,
        dev: EncodedData | None,
        arguments: TrainingArguments,
        resume: bool,
        lessons: Lessons | None,
    ) -> TrainingLoop:
        network = self.module.network
        group = join()
        batches = math.ceil(len(train.encodings) / arguments.batch_size)
        steps = batches * arguments.epochs
        steps = min(steps, arguments.max_steps or steps)
        shares = Shares(network, group) if arguments.shard_optimizer else None
        optimizer = self.optimizer or default_optimizer(network, arguments, steps, shares)
        store = self._checkpoint_store(arguments, train, dev, group)
        update = Update(
            network, optimizer, precision=arguments.precision, group=group, average=arguments.ema,
            seed=arguments.seed, shares=shares,
        )  # fmt: skip
        dropout.seed(arguments.seed)
        paddle.seed(arguments.seed)
        self.state = TrainingState(total_steps=steps)
        if resume:
            if store is None:
                raise InputError("There is nothing to resume from without a checkpoint_dir.")
            self.state = store.load(network, optimizer, update)
        return TrainingLoop(
            self.module,
            self.state,
            arguments,
            train,
            dev,
            check_metric(arguments.metric, self.task),
            update,
            store,
            self.callbacks if group.is_first else [],
            lessons,
        )

    def _learn(self, loop: TrainingLoop) -> None:
        update, arguments, dev = loop.update, loop.arguments, loop.dev
        for callback in loop.callbacks:
            callback.on_train_begin(arguments, self.state, len(loop.train.encodings), loop.metric)
        try:
            with update.waiting, StopRequests(is_launched=update.group.size > 1) as stop:
                loop.run(stop)
            if dev is not None and self.task.is_tuned:
                outputs = compute_outputs(self.module, dev.passages, arguments.eval_batch_size)
                self.task.tune(outputs, dev.targets)
        finally:
            self.module.eval()
            self.module.adopt_weights()
            for callback in loop.callbacks:
                callback.on_train_end(self.state)

    def _checkpoint_store(
        self,
        arguments: TrainingArguments,
        train: EncodedData,
        dev: EncodedData | None,
        group: Group,
    ) -> CheckpointStore | None:
        if self.checkpoint_dir is None:
            return None
        config = self.module.config
        pools_otherwise = config.classifier_pooling != "cls"
        identity = {
            "model": self.module.name,
            "task": self.task.name,
            "labels": self.task.labels,
            "train data": train.fingerprint,
            "dev data": None if dev is None else dev.fingerprint,
            "shape": config.to_dict(),
            "task options": self.task.structure or None,
            # None is what all runs were before there was a choice.
            "classifier pooling": config.classifier_pooling if pools_otherwise else None,
            "pretrained": None if self.module.pretrained else False,
            "teacher": None if self.teacher is None else self.teacher.settings,
            **arguments.to_dict(),
        }
        # What changes no result may change when a run is resumed.
        for name in (
            "checkpoint_minutes", "eval_batch_size", "keep_checkpoints", "recompute",
            "shard_optimizer",
        ):  # fmt: skip
            del identity[name]
        return CheckpointStore(
            self.checkpoint_dir, identity, arguments.keep_checkpoints, writes=group.is_first
        )


def check_metric(metric: str | None, task: LabelledTask) -> str:
    """The dev metric that chooses the best checkpoint: the one asked for, or the task's first.

    Args:
        metric: as it is stored or as it is printed, such as "macro-F1".
        task: what is learned.

    Raises:
        InputError: the task has no such metric.
    """
    if metric is None:
        return task.metric_names[0]
    name = metric_name(str(metric))
    if name not in task.metric_names:
        raise InputError(
            f"{task.name} has no metric {metric!r}; there is {', '.join(task.metric_names)}."
        )
    return name


def default_arguments(module: Module) -> TrainingArguments:
    """The training arguments recommended for the module's model."""
    entry = module.entry
    return TrainingArguments().with_changes(**(entry.finetuning if entry else {}))
