"""The protocol of a task, and the one loop by which every engine answers texts."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hub.data.batches import Batch, collate, sorted_batches
from hub.data.examples import TextDataset
from hub.errors import InputError
from hub.tokenizers import Encoding, Tokenizer

if TYPE_CHECKING:
    from hub.backend import paddle
    from hub.models.ernie.config import ErnieConfig

logger = logging.getLogger(__name__)

Metrics = dict[str, float]
# What an engine does: a batch in, the network's output (float32, one row a text) out.
Forward = Callable[[Batch], np.ndarray]


class Task(ABC):
    """What a network is trained to answer.

    A task knows its labels. Everything but `build_network` and `loss` works without PaddlePaddle,
    so that a production machine need not have it.
    """

    name: ClassVar[str]
    # What `metrics` gives; the first chooses the best checkpoint unless the user names another.
    metric_names: ClassVar[tuple[str, ...]]

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = list(labels)
        self._numbers = {label: number for number, label in enumerate(self.labels)}
        if len(self._numbers) < len(self.labels):
            raise InputError("A label stands twice in the list of labels.")

    @abstractmethod
    def build_network(self, config: ErnieConfig) -> paddle.nn.Layer:
        """The encoder with this task's head, its weights not yet set."""

    @abstractmethod
    def loss(self, logits: paddle.Tensor, targets: np.ndarray) -> paddle.Tensor:
        """The mean loss of a batch."""

    @abstractmethod
    def targets(self, data: TextDataset) -> np.ndarray:
        """The examples' labels as numbers.

        Raises:
            DataError: a label is unknown.
        """

    @abstractmethod
    def metrics(self, logits: np.ndarray, targets: np.ndarray) -> Metrics:
        """The figures of merit, as fractions of 1."""

    @abstractmethod
    def decode(self, logits: np.ndarray, probabilities: bool) -> list[Any]:
        """The network's output as answers for a person or a program."""


def run(
    forward: Forward,
    encodings: Sequence[Encoding],
    pad_token_id: int,
    batch_size: int,
    on_batch: Callable[[int], object] | None = None,
) -> np.ndarray:
    """Put every encoding through `forward`, and return the outputs in the encodings' order.

    `on_batch` is told the number of texts just done.
    """
    outputs: np.ndarray | None = None
    for rows in sorted_batches(encodings, batch_size):
        result = forward(collate(encodings, rows, pad_token_id))
        if outputs is None:
            outputs = np.empty((len(encodings), *result.shape[1:]), np.float32)
        outputs[rows] = result
        if on_batch is not None:
            on_batch(len(rows))
    if outputs is None:
        raise InputError("There is no text to answer.")
    return outputs


def encode(tokenizer: Tokenizer, texts: Sequence[str], max_seq_len: int) -> list[Encoding]:
    """Encode texts, saying once how many were too long and lost their end."""
    encodings = tokenizer.encode(texts, max_seq_len)
    cut = sum(encoding.truncated for encoding in encodings)
    if cut:
        logger.warning(
            "%s of %s texts are longer than %d tokens: only their beginning was read.",
            f"{cut:,}", f"{len(texts):,}", max_seq_len,
        )  # fmt: skip
    return encodings


def predict(
    task: Task,
    tokenizer: Tokenizer,
    forward: Forward,
    texts: Sequence[str],
    max_seq_len: int,
    batch_size: int,
    probabilities: bool,
) -> list[Any]:
    """Answer `texts` in their order; every engine and the module itself answer through this."""
    if isinstance(texts, str):
        raise InputError("Give a list of texts: predict([text]).")
    texts = [_single(text) for text in texts]
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"Text {number} is {type(text).__name__}, not a string.")
    if batch_size < 1:
        raise InputError(f"batch_size must be 1 or more, not {batch_size}.")
    if not texts:
        return []
    encodings = encode(tokenizer, texts, max_seq_len)
    logits = run(forward, encodings, tokenizer.pad_token_id, batch_size)
    return task.decode(logits, probabilities)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: np.ndarray = shifted / shifted.sum(axis=-1, keepdims=True)
    return result


def _single(text: Any) -> Any:
    """PaddleHub's callers give each text as a list of one."""
    return text[0] if isinstance(text, list | tuple) and len(text) == 1 else text
