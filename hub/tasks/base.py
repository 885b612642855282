"""The protocol of a task."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from hub.data.batches import Batch
from hub.data.examples import Example, Text, TextDataset
from hub.errors import InputError
from hub.tasks.encoded_passages import EncodedPassages
from hub.tasks.losses import LossSettings
from hub.tasks.passages import Passage
from hub.tokenizers import Encoding, Tokenizer
from hub.tokenizers.windows import Window

if TYPE_CHECKING:
    from hub.backend import paddle
    from hub.models.ernie.config import ErnieConfig

Metrics = dict[str, float]
# What is to be learned of texts: a sequence, one each, whose form is the task's own.
Targets: TypeAlias = Any
# What an engine does: a batch in, the network's output (float32) out.
Forward = Callable[[Batch], np.ndarray]
# As many labels a message names.
_MOST_SHOWN = 20


def check_count(name: str, value: Any) -> None:
    """See that an argument is a whole number from 1.

    Raises:
        InputError: it is not.
    """
    if not isinstance(value, Integral) or value < 1:
        raise InputError(f"{name} must be a whole number from 1, not {value!r}.")


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
        if self.top_k is not None:
            check_count("top_k", self.top_k)


def check_no_probabilities(task: str, options: AnswerOptions) -> None:
    """See that nobody asks for probabilities where every answer carries its score.

    Raises:
        InputError: somebody does.
    """
    if options.probabilities:
        raise InputError(f"{task} has no probabilities to give: its answers carry scores already.")


class Task(ABC):
    """What a network is asked: its head, and how texts become batches and outputs answers.

    Everything but `build_network` works without PaddlePaddle, so that a production machine need not
    have it.
    """

    name: ClassVar[str]
    # What a person calls a model for it, in a sentence.
    title: ClassVar[str]
    # What public hubs call the task.
    pipeline: ClassVar[str]
    # What `transformers` calls a network with this head, after the model's type.
    architecture: ClassVar[str]
    # Whether answers say where in the text something stands.
    needs_offsets: ClassVar[bool] = False
    # Whether answers are among labels; a network for a task without any needs no fine-tuning.
    takes_labels: ClassVar[bool] = True
    # Whether texts may be pairs of texts.
    takes_pairs: ClassVar[bool] = False
    # Whether they must be; None takes both.
    pairs: bool | None = None

    def __init__(self, labels: Sequence[str], **options: Any) -> None:
        if options:
            raise InputError(f"{self.name} has no option {', '.join(map(repr, options))}.")
        self.labels = list(labels)
        self._numbers = {label: number for number, label in enumerate(self.labels)}
        if len(self._numbers) < len(self.labels):
            raise InputError("A label stands twice in the list of labels.")

    @property
    def options(self) -> dict[str, Any]:
        """What it is besides its labels, as JSON can hold it: `create_task` makes it again."""
        return {}

    @property
    def structure(self) -> dict[str, Any]:
        """Those of the options that a user chose, and nothing that was learned."""
        return {}

    @abstractmethod
    def build_network(self, config: ErnieConfig) -> paddle.nn.Layer:
        """The encoder with this task's head, its weights not yet set."""

    def adopt(self, network: paddle.nn.Layer) -> None:  # noqa: B027  (most need nothing)
        """Take over what decoding needs of the network's weights, such as a CRF's transitions."""

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


@dataclass(frozen=True)
class LabelScore:
    """How well one label, or one type of entity, is found.

    Attributes:
        name: the label.
        right: how often it was given rightly.
        predicted: how often it was given.
        support: how often it should have been given.
    """

    name: str
    right: int
    predicted: int
    support: int

    @property
    def precision(self) -> float:
        """The part of what was given that is right."""
        return self.right / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """The part of what should be given that was."""
        return self.right / self.support if self.support else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 0 where nothing is right."""
        return 2 * self.right / (self.predicted + self.support) if self.right else 0.0


class LabelledTask(Task):
    """A task that is learned from labelled texts.

    What is to be learned of a text is its target, in a form of the task's own; `decide` brings
    outputs into that form, and `metrics` compares the two.
    """

    # Whether `tune` has something to fit.
    is_tuned: ClassVar[bool] = False
    # What `metrics` gives; the first chooses the best checkpoint unless the user names another.
    metric_names: ClassVar[tuple[str, ...]]

    @classmethod
    @abstractmethod
    def from_data(cls, data: TextDataset, **options: Any) -> LabelledTask:
        """The task for the labels that occur in training data.

        Raises:
            DataError: there is nothing to learn from them.
            InputError: an option is unknown.
        """

    @abstractmethod
    def targets(self, data: TextDataset) -> Targets:
        """What is to be learned of each text.

        Raises:
            DataError: a label is unknown, or of another kind.
        """

    @abstractmethod
    def knows(self, example: Example) -> bool:
        """Whether an example's labels are the task's."""

    def window_targets(
        self, passages: Sequence[Passage], targets: Targets, tokenizer: Tokenizer
    ) -> Sequence[Any]:
        """What is to be learned of each window of each text: mostly the same as of the text."""
        if isinstance(passages, EncodedPassages):
            if passages.firsts is None:
                return targets
            counts = passages.window_counts.tolist()
        else:
            counts = [len(passage.windows) for passage in passages]
        pairs = zip(counts, targets, strict=True)
        return [target for count, target in pairs for _ in range(count)]

    @abstractmethod
    def loss(
        self,
        output: paddle.Tensor,
        targets: Targets,
        settings: LossSettings,
        network: paddle.nn.Layer,
        whole: Targets | None = None,
    ) -> paddle.Tensor:
        """The mean loss of a batch, or what a part of a batch adds to it.

        Args:
            output: what the network gave.
            targets: those of the batch's windows.
            settings: how the loss is shaped.
            network: whose parameters the loss may need.
            whole: the targets of the batch that `targets` are a part of, in no order; None is all.
        """

    def class_weights(self, targets: Targets) -> np.ndarray:
        """Weights that make up for skewed training data, float32 [labels].

        Raises:
            InputError: the task knows none.
        """
        raise InputError(f"{self.name} has no class weights.")

    def tune(self, outputs: Sequence[np.ndarray], targets: Targets) -> None:
        """Fit what turns outputs into decisions, such as thresholds, to the dev data."""

    @abstractmethod
    def decide(
        self, outputs: Sequence[np.ndarray], passages: Sequence[Passage], tokenizer: Tokenizer
    ) -> Targets:
        """Outputs, one a text, in the form of `targets`."""

    @abstractmethod
    def metrics(self, decided: Targets, targets: Targets) -> Metrics:
        """The figures of merit, as fractions of 1."""

    @abstractmethod
    def scores(self, decided: Targets, targets: Targets) -> list[LabelScore]:
        """Every label's figures, in the order of the labels."""

    @abstractmethod
    def describe(self, target: Any, text: Text) -> str:
        """A target in words, for a report."""


def not_trained_for(name: str, known: Sequence[str]) -> str:
    """The sentence for a label, a type or an intent that the model does not know.

    >>> not_trained_for("the label 'c'", ["a", "b"]).split(". ")[0]
    "the label 'c' is not one of the 2 the model is trained for (a, b)"
    """
    shown = ", ".join(known[:_MOST_SHOWN]) + (", ..." if len(known) > _MOST_SHOWN else "")
    return (
        f"{name} is not one of the {len(known)} the model is trained for ({shown}). "
        "--skip-bad-rows leaves such rows out."
    )


def metric_title(name: str) -> str:
    """A metric's name for people.

    >>> metric_title("macro_f1"), metric_title("slot_f1"), metric_title("exact_match")
    ('macro-F1', 'slot F1', 'exact match')
    """
    for average in ("macro", "micro"):
        name = name.replace(f"{average}_f1", f"{average}-F1")
    return name.replace("_", " ").replace("f1", "F1")


def metric_name(spelling: str) -> str:
    """A metric's name as it is stored, from that or from what people are shown.

    >>> metric_name("macro-F1"), metric_name("slot F1"), metric_name("exact_match")
    ('macro_f1', 'slot_f1', 'exact_match')
    """
    return re.sub(r"[\s-]+", "_", spelling.strip().lower())


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: np.ndarray = shifted / shifted.sum(axis=-1, keepdims=True)
    return result


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """The probability of each label by itself."""
    result: np.ndarray = 0.5 * (1.0 + np.tanh(0.5 * logits))
    return result
