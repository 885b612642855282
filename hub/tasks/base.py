"""The protocol of a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hub.data.batches import Batch
from hub.data.examples import TextDataset
from hub.errors import InputError
from hub.tasks.passages import Passage
from hub.tokenizers import Encoding, Tokenizer
from hub.tokenizers.windows import Window

if TYPE_CHECKING:
    from hub.backend import paddle
    from hub.models.ernie.config import ErnieConfig

Metrics = dict[str, float]
# What an engine does: a batch in, the network's output (float32) out.
Forward = Callable[[Batch], np.ndarray]


@dataclass(frozen=True)
class AnswerOptions:
    """What a caller may wish of an answer.

    Attributes:
        probabilities: every label's probability too.
        top_k: as many of the best answers; None is the task's own number.
    """

    probabilities: bool = False
    top_k: int | None = None

    def __post_init__(self) -> None:
        if self.top_k is not None and self.top_k < 1:
            raise InputError(f"top_k must be 1 or more, not {self.top_k}.")


class Task(ABC):
    """What a network is asked: its head, and how texts become batches and outputs answers.

    Everything but `build_network` works without PaddlePaddle, so that a production machine need not
    have it.
    """

    name: ClassVar[str]
    # What `transformers` calls a network with this head, after the model's type.
    architecture: ClassVar[str]
    # Whether answers say where in the text something stands.
    needs_offsets: ClassVar[bool] = False

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = list(labels)
        self._numbers = {label: number for number, label in enumerate(self.labels)}
        if len(self._numbers) < len(self.labels):
            raise InputError("A label stands twice in the list of labels.")

    @abstractmethod
    def build_network(self, config: ErnieConfig) -> paddle.nn.Layer:
        """The encoder with this task's head, its weights not yet set."""

    def probes(self, texts: Sequence[str]) -> list[str]:
        """The texts, made into something that this task can answer."""
        return list(texts)

    def check(  # noqa: B027  (most tasks can answer any text)
        self, passages: Sequence[Passage], tokenizer: Tokenizer
    ) -> None:
        """See that every passage can be answered.

        Raises:
            InputError: one cannot.
        """

    def concerns(self, encoding: Encoding, tokenizer: Tokenizer) -> bool:
        """Whether the answer depends on this window of a text: the others are not computed."""
        return True

    def prepare(self, batch: Batch, tokenizer: Tokenizer) -> Batch:
        """Add to a batch what this task's network also wants."""
        return batch

    def split(self, output: np.ndarray, batch: Batch) -> list[np.ndarray]:
        """The network's output for a batch, one part for each of its rows."""
        return list(output)

    @abstractmethod
    def merge(
        self, outputs: Sequence[np.ndarray], windows: Sequence[Window], tokenizer: Tokenizer
    ) -> np.ndarray:
        """One output for a text that was read in several windows."""

    @abstractmethod
    def decode(
        self,
        outputs: Sequence[np.ndarray],
        passages: Sequence[Passage],
        tokenizer: Tokenizer,
        options: AnswerOptions,
    ) -> list[Any]:
        """Outputs, one a text, as answers for a person or a program."""


class LabelledTask(Task):
    """A task that is learned from labelled texts."""

    # What `metrics` gives; the first chooses the best checkpoint unless the user names another.
    metric_names: ClassVar[tuple[str, ...]]

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
    def metrics(self, outputs: Sequence[np.ndarray], targets: np.ndarray) -> Metrics:
        """The figures of merit of outputs, one a text, as fractions of 1."""


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: np.ndarray = shifted / shifted.sum(axis=-1, keepdims=True)
    return result
