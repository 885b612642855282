"""One call for whatever a user points at: a fine-tuned folder or an exported one."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hub.constants import THREADS_VARIABLE
from hub.data import TextDataset
from hub.data.batches import Batch
from hub.errors import InputError, ModelError
from hub.inference.predictor import Predictor
from hub.models.installation import folder_of
from hub.registry.manifest import read_manifest
from hub.tasks import LabelledTask, Task, task_name
from hub.tasks.answering import run
from hub.tasks.base import Metrics
from hub.tasks.encoded_passages import read_all
from hub.tokenizers import Text, Tokenizer

if TYPE_CHECKING:
    from hub.module import Module


class Answering(Protocol):
    """What a fine-tuned module and a predictor have in common."""

    @property
    def task(self) -> Task | None: ...
    @property
    def tokenizer(self) -> Tokenizer: ...
    @property
    def max_seq_len(self) -> int: ...
    @property
    def long_text(self) -> str: ...
    def compute(self, batch: Batch) -> np.ndarray: ...
    def predict(
        self,
        texts: Sequence[Text] | str,
        *,
        probabilities: bool = ...,
        top_k: int | None = ...,
        batch_size: int = ...,
        long_text: str | None = ...,
    ) -> Any: ...


def load(
    model: str | Path,
    threads: int | None = None,
    task: str | None = None,
    task_options: Mapping[str, Any] | None = None,
    max_seq_len: int | None = None,
) -> Answering:
    """Load a model that answers texts.

    Args:
        model: its folder, or its name: a team's model such as `travel@prod`, or for fill-mask and
            sentence embeddings any pretrained one.
        threads: how many threads compute; None is one a processor. PaddlePaddle, which computes
            what is not exported, has one number for the whole process.
        task: what it shall answer; None is what it was made for.
        task_options: what the task is besides, as `hub.Module` takes it; None is the model's own.
        max_seq_len: the tokens read at a time; None is the model's own number.

    Raises:
        InputError: there is no such folder, model or task, or it was exported for another task or
            with other options.
        DownloadError: it cannot be fetched.
        ModelError: it holds no model, or one without a task.
    """
    directory = folder_of(model)
    manifest = read_manifest(directory, check_content=False)  # whoever loads it checks the rest
    if manifest is not None and manifest.kind == "inference":
        predictor = Predictor(directory, threads)
        if task is not None and task_name(task) != predictor.task.name:
            raise InputError(f"{directory} was exported for {predictor.task.name}, not {task}.")
        _check_exported(predictor, directory, task_options or {}, max_seq_len)
        return predictor
    if threads is not None:
        _use_threads(threads)
    module = load_module(model, task, task_options, max_seq_len)
    if module.task is None:
        raise ModelError(
            f"{directory} is a pretrained encoder that was not fine-tuned: it has nothing to "
            f"answer. Fine-tune it with: hub finetune DATA --model {model} (or let it fill masks: "
            f"hub predict {model} --task fill-mask '北京是中国的[MASK]都'; or embed texts: "
            f"hub embed {model} FILE --output vectors.npy)."
        )
    if not module.labels_given:
        raise ModelError(
            f"{directory} was not fine-tuned for {module.task.name}: its answers would be random."
        )
    return module


def _use_threads(count: int) -> None:
    if count < 1:
        raise InputError(f"threads must be 1 or more, not {count}.")
    if "hub.backend" not in sys.modules:
        os.environ[THREADS_VARIABLE] = str(count)  # PaddlePaddle is told by it when it loads
    from hub.backend import use_threads

    use_threads(count)


def load_module(
    model: str | Path,
    task: str | None = None,
    task_options: Mapping[str, Any] | None = None,
    max_seq_len: int | None = None,
) -> Module:
    """Load a model that is not exported, from its folder or by its name, as `hub.Module` does.

    Raises:
        InputError: there is no such folder, model or task.
        DownloadError: it cannot be fetched.
        ModelError: it holds no such model.
    """
    from hub.module import Module

    folder_of(model)  # where a name is a path, its error speaks of a folder
    # By its name rather than its folder: the catalogue knows whether it is pretrained.
    return Module(str(model), task=task, task_options=task_options, max_seq_len=max_seq_len)


def _check_exported(
    predictor: Predictor, folder: Path, options: Mapping[str, Any], max_seq_len: int | None
) -> None:
    """See that a graph, which cannot be changed, is what is asked for.

    Raises:
        InputError: it is not.
    """
    facts = {**predictor.task.options, "max_seq_len": predictor.max_seq_len}
    asked = {**options, "max_seq_len": max_seq_len}
    for name, value in asked.items():
        if value is not None and facts.get(name) != value:
            raise InputError(
                f"{folder} was exported with {name} {facts.get(name)}, not {value}: leave the "
                "option out, or export the model again."
            )


def labelled_task(model: Answering) -> LabelledTask:
    """A loaded model's task, if its answers can be compared with labels.

    Raises:
        InputError: they cannot.
    """
    if not isinstance(model.task, LabelledTask):
        name = "nothing" if model.task is None else model.task.name
        raise InputError(
            f"A model for {name} has no labels to be measured with: `hub evaluate` takes "
            "fine-tuned ones."
        )
    return model.task


def evaluate(
    model: Answering, data: TextDataset, batch_size: int = 64, long_text: str | None = None
) -> Metrics:
    """A loaded model's metrics on labelled texts, as fractions of 1.

    Raises:
        InputError: the model's task has no labels to be compared with.
        DataError: a label is not one of the model's.
    """
    task = labelled_task(model)
    targets = task.targets(data)
    how = long_text or model.long_text
    passages = read_all(model.tokenizer, data.texts, model.max_seq_len, how, task.needs_offsets)
    outputs = run(task, model.tokenizer, model.compute, passages, batch_size)
    return task.metrics(task.decide(outputs, passages, model.tokenizer), targets)
