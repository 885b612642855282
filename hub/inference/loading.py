"""One call for whatever a user points at: a fine-tuned folder or an exported one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hub.data import TextDataset
from hub.data.batches import Batch
from hub.errors import ModelError
from hub.inference.predictor import Predictor
from hub.models.installation import folder_of
from hub.registry.manifest import read_manifest
from hub.tasks import Task
from hub.tasks.base import Metrics, encode, run
from hub.tokenizers import Tokenizer


class Answering(Protocol):
    """What a fine-tuned module and a predictor have in common."""

    @property
    def task(self) -> Task | None: ...
    @property
    def tokenizer(self) -> Tokenizer: ...
    @property
    def max_seq_len(self) -> int: ...
    def compute(self, batch: Batch) -> np.ndarray: ...
    def predict(
        self, texts: Sequence[str], *, probabilities: bool = ..., batch_size: int = ...
    ) -> list[Any]: ...


def load(model: str | Path, threads: int | None = None) -> Answering:
    """Load a model that answers texts.

    Args:
        model: its folder, or the name of a team's model, such as `travel@prod`.
        threads: how many threads compute; None is one a processor.

    Raises:
        InputError: there is no such folder or model.
        DownloadError: it cannot be fetched.
        ModelError: it holds no model, or one without a task.
    """
    directory = folder_of(model)
    manifest = read_manifest(directory, check_content=False)  # whoever loads it checks the rest
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
