"""One call for whatever a user points at: a fine-tuned folder or an exported one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hub.data import TextDataset
from hub.data.batches import Batch
from hub.errors import InputError, ModelError
from hub.inference.predictor import Predictor
from hub.registry.manifest import read_manifest
from hub.tasks import Task
from hub.tasks.base import Metrics, encode, run
from hub.tokenizers import WordPieceTokenizer


class Answering(Protocol):
    """What a fine-tuned module and a predictor have in common."""

    @property
    def task(self) -> Task | None: ...
    @property
    def tokenizer(self) -> WordPieceTokenizer: ...
    @property
    def max_seq_len(self) -> int: ...
    def compute(self, batch: Batch) -> np.ndarray: ...
    def predict(
        self, texts: Sequence[str], *, probabilities: bool = ..., batch_size: int = ...
    ) -> list[Any]: ...


def load(directory: Path, threads: int | None = None) -> Answering:
    """Load a folder that answers texts.

    Raises:
        InputError: there is no such folder.
        ModelError: it holds no model, or one without a task.
    """
    if not directory.is_dir():
        raise InputError(f"There is no folder {directory}.")
    manifest = read_manifest(directory)
    if manifest is not None and manifest.kind == "inference":
        return Predictor(directory, threads)
    from hub.module import Module

    module = Module(directory=directory)
    if module.task is None:
        raise ModelError(
            f"{directory} is a pretrained encoder that was not fine-tuned: it has nothing to "
            "answer. Fine-tune it with: hub finetune DATA --model " + str(directory)
        )
    return module


def evaluate(model: Answering, data: TextDataset, batch_size: int = 64) -> Metrics:
    """A loaded model's metrics on labelled texts, as fractions of 1.

    Raises:
        DataError: a label is not one of the model's.
    """
    assert model.task is not None  # `load` sees to it
    targets = model.task.targets(data)
    encodings = encode(model.tokenizer, data.texts, model.max_seq_len)
    logits = run(model.compute, encodings, model.tokenizer.pad_token_id, batch_size)
    return model.task.metrics(logits, targets)
