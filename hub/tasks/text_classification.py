"""One label a text: intent, topic, sentiment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hub.data.examples import Example, TextDataset, class_of
from hub.errors import DataError
from hub.tasks.base import AnswerOptions, LabelledTask, Metrics, softmax
from hub.tasks.passages import Passage
from hub.tokenizers import Tokenizer
from hub.tokenizers.windows import Window

if TYPE_CHECKING:
    from hub.backend import paddle
    from hub.models.ernie.config import ErnieConfig


class TextClassification(LabelledTask):
    """Multi-class classification with softmax and cross-entropy."""

    name: ClassVar[str] = "text-classification"
    architecture: ClassVar[str] = "ForSequenceClassification"
    metric_names: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1", "weighted_f1")

    def build_network(self, config: ErnieConfig) -> paddle.nn.Layer:
        """The encoder with a linear layer over its pooled output."""
        from hub.models.ernie.heads import ErnieForSequenceClassification

        return ErnieForSequenceClassification(config, len(self.labels))

    def loss(self, logits: paddle.Tensor, targets: np.ndarray) -> paddle.Tensor:
        """Mean cross-entropy of `logits` [B, classes] and class numbers `targets` [B]."""
        from hub.backend import paddle

        return paddle.nn.functional.cross_entropy(logits, paddle.to_tensor(targets))

    def targets(self, data: TextDataset) -> np.ndarray:
        """Class numbers, int64 [N]; a label may also be given by its number, as PaddleHub does.

        Raises:
            DataError: a label is not one of the task's.
        """
        return np.array([self._number(example, data.source) for example in data], np.int64)

    def _number(self, example: Example, source: str) -> int:
        number = self.number_of(class_of(example, source))
        if number is None:
            shown = ", ".join(self.labels[:20]) + (", ..." if len(self.labels) > 20 else "")
            raise DataError(
                f"{source}, line {example.line}: the label {example.label!r} is not one of the "
                f"{len(self.labels)} the model is trained for ({shown}). "
                "--skip-bad-rows leaves such rows out."
            )
        return number

    def number_of(self, label: str) -> int | None:
        """The number of a label given by name or by number; None if there is no such label."""
        if label in self._numbers:
            return self._numbers[label]
        # Where the labels themselves are numbers, another number is not a position but unknown.
        if _all_numbers(self.labels) or not _all_numbers([label]) or len(label) > 9:
            return None
        return int(label) if int(label) < len(self.labels) else None

    def metrics(self, outputs: Sequence[np.ndarray], targets: np.ndarray) -> Metrics:
        """Accuracy, and F1 averaged over classes: plainly (macro) and by frequency (weighted)."""
        return classification_metrics(np.stack(outputs).argmax(axis=-1), targets)

    def merge(
        self, outputs: Sequence[np.ndarray], windows: Sequence[Window], tokenizer: Tokenizer
    ) -> np.ndarray:
        """The mean of the windows' logits."""
        return np.stack(outputs).mean(axis=0)

    def decode(
        self,
        outputs: Sequence[np.ndarray],
        passages: Sequence[Passage],
        tokenizer: Tokenizer,
        options: AnswerOptions,
    ) -> list[Any]:
        """Labels; with `probabilities` label, score and every label's probability; with `top_k`
        that many of the likeliest labels with their scores."""
        logits = np.stack(outputs)
        if not options.probabilities and options.top_k is None:
            return [self.labels[number] for number in logits.argmax(axis=-1)]
        return [self._ranked(shares, options) for shares in softmax(logits.astype(np.float64))]

    def _ranked(self, shares: np.ndarray, options: AnswerOptions) -> Any:
        best = [
            {"label": self.labels[number], "score": float(shares[number])}
            for number in np.argsort(-shares, kind="stable")[: options.top_k or 1]
        ]
        if not options.probabilities:
            return best
        every = dict(zip(self.labels, map(float, shares), strict=True))
        return {**best[0], "probabilities": every}


def classification_metrics(predicted: np.ndarray, targets: np.ndarray) -> Metrics:
    """Accuracy, macro-F1 and weighted F1 of class numbers, as scikit-learn defines them."""
    from sklearn.metrics import accuracy_score, f1_score

    return {
        "accuracy": float(accuracy_score(targets, predicted)),
        "macro_f1": float(f1_score(targets, predicted, average="macro", zero_division=0)),
        "weighted_f1": float(f1_score(targets, predicted, average="weighted", zero_division=0)),
    }


def labels_of(data: TextDataset) -> list[str]:
    """The labels of training data in the order that gives them their numbers.

    Whole numbers are ordered by value, names by their characters: the order does not depend on that
    of the rows.

    Raises:
        DataError: all rows have the same label.
    """
    labels = sorted(set(data.classes))
    if len(labels) < 2:
        raise DataError(
            f"All {len(data):,} rows of {data.source} have the label {labels[0]!r}: "
            "a classifier needs at least two."
        )
    if _all_numbers(labels):
        labels.sort(key=int)
    return labels


def _all_numbers(labels: Iterable[str]) -> bool:
    return all(label.isascii() and label.isdigit() for label in labels)
