"""One label a text, or a pair of texts: intent, topic, sentiment, paraphrase."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hub.data.examples import Example, Text, TextDataset
from hub.errors import DataError
from hub.tasks.base import AnswerOptions, LabelScore, Metrics, Targets, not_trained_for, softmax
from hub.tasks.losses import LossSettings, cross_entropy, share_of
from hub.tasks.passages import Passage
from hub.tasks.sequence_classification import SequenceClassification, has_pairs
from hub.tokenizers import Tokenizer

if TYPE_CHECKING:
    from hub.backend import paddle


# A label that is a value and no name, such as -1 or 0.5.
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


class TextClassification(SequenceClassification):
    """Multi-class classification with softmax and cross-entropy.

    Args:
        labels: the classes.
        pairs: whether texts are pairs; None takes both.
    """

    name: ClassVar[str] = "text-classification"
    title: ClassVar[str] = "text classifier"
    metric_names: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1", "micro_f1", "weighted_f1")

    @classmethod
    def from_data(cls, data: TextDataset, **options: Any) -> TextClassification:
        """The task for the labels of training data: see `labels_of`.

        Raises:
            DataError: all rows have the same label.
        """
        return cls(labels_of(data), **{"pairs": has_pairs(data), **options})

    def loss(
        self,
        output: paddle.Tensor,
        targets: Targets,
        settings: LossSettings,
        network: paddle.nn.Layer,
        whole: Targets | None = None,
    ) -> paddle.Tensor:
        """Cross-entropy of logits [B, classes] and class numbers [B]."""
        numbers = np.asarray(targets, np.int64)
        loss = cross_entropy(output, numbers, settings)
        if whole is None:
            return loss
        return loss * share_of(numbers, np.asarray(whole, np.int64), settings)

    def class_weights(self, targets: Targets) -> np.ndarray:
        """rows / (classes x rows of the class), as scikit-learn's "balanced"."""
        counts = np.bincount(np.asarray(targets, np.int64), minlength=len(self.labels))
        weights = len(targets) / (len(self.labels) * np.maximum(counts, 1))
        return weights.astype(np.float32)

    def targets(self, data: TextDataset) -> np.ndarray:
        """Class numbers, int64 [N]; a label may also be given by its number, as PaddleHub does.

        Raises:
            DataError: a label is not one of the task's, or a text not of the form that it takes.
        """
        self.check_texts(data)
        classes = data.classes
        numbers = {name: self.number_of(name) for name in set(classes)}
        if None in numbers.values():
            row = next(row for row, name in enumerate(classes) if numbers[name] is None)
            complaint = not_trained_for(f"the label {classes[row]!r}", self.labels)
            raise DataError(f"{data.place(data[row])}: {complaint}")
        return np.array([numbers[name] for name in classes], np.int64)

    def knows(self, example: Example) -> bool:
        """Whether the task takes the example's text, and its only label is the task's."""
        label = example.label
        is_known = isinstance(label, str) and self.number_of(label) is not None
        return is_known and self.takes(example.text)

    def number_of(self, label: str) -> int | None:
        """The number of a label given by name or by number; None if there is no such label."""
        if label in self._numbers:
            return self._numbers[label]
        # Where a label itself is a number, another number is not a position but unknown.
        if any(map(_NUMBER.fullmatch, self.labels)) or not _all_numbers([label]) or len(label) > 9:
            return None
        return int(label) if int(label) < len(self.labels) else None

    def decide(
        self, outputs: Sequence[np.ndarray], passages: Sequence[Passage], tokenizer: Tokenizer
    ) -> np.ndarray:
        """The likeliest class of each text, int64 [N]."""
        result: np.ndarray = np.stack(outputs).argmax(axis=-1)
        return result

    def metrics(self, decided: Targets, targets: Targets) -> Metrics:
        """Accuracy, and F1 averaged over classes (macro), over rows (micro, which is the accuracy),
        and over classes by their frequency (weighted)."""
        return classification_metrics(np.asarray(decided), np.asarray(targets))

    def scores(self, decided: Targets, targets: Targets) -> list[LabelScore]:
        """Every class's precision, recall and F1."""
        truth, found = np.asarray(targets, np.int64), np.asarray(decided, np.int64)
        matrix = confusion_matrix(truth, found, len(self.labels))
        return [
            LabelScore(
                label,
                int(matrix[number, number]),
                int(matrix[:, number].sum()),
                int(matrix[number].sum()),
            )
            for number, label in enumerate(self.labels)
        ]

    def describe(self, target: Any, text: Text) -> str:
        """The class's name."""
        return self.labels[int(target)]

    def decode(
        self,
        outputs: Sequence[np.ndarray],
        passages: Sequence[Passage],
        tokenizer: Tokenizer,
        options: AnswerOptions,
    ) -> list[Any]:
        """Labels; with `probabilities` label, score and every label's probability; with `top_k`
        that many of the likeliest labels with their scores; with both their probabilities alone."""
        logits = np.stack(outputs)
        if not options.probabilities and options.top_k is None:
            return [self.labels[number] for number in logits.argmax(axis=-1)]
        return [self._ranked(row, options) for row in softmax(logits.astype(np.float64))]

    def _ranked(self, probabilities: np.ndarray, options: AnswerOptions) -> Any:
        ranked = np.argsort(-probabilities, kind="stable")
        best = [
            {"label": self.labels[number], "score": float(probabilities[number])}
            for number in ranked[: options.top_k or 1]
        ]
        if not options.probabilities:
            return best
        shown = range(len(self.labels)) if options.top_k is None else ranked[: options.top_k]
        some = {self.labels[number]: float(probabilities[number]) for number in shown}
        return {**best[0], "probabilities": some}


def classification_metrics(predicted: np.ndarray, targets: np.ndarray) -> Metrics:
    """Accuracy and macro-, micro- and weighted F1 of class numbers.

    As in scikit-learn: a class that is neither meant nor answered counts for nothing. To load that
    library takes a training process 120 MB and over a second.
    """
    matrix = confusion_matrix(targets, predicted, int(max(targets.max(), predicted.max())) + 1)
    right, answered, meant = matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)
    some = answered + meant > 0
    f1 = 2 * right[some] / (answered + meant)[some]
    accuracy = float(right.sum() / matrix.sum())
    return {
        "accuracy": accuracy,
        "macro_f1": float(f1.mean()),
        "micro_f1": accuracy,
        "weighted_f1": float((f1 * meant[some]).sum() / meant.sum()),
    }


def confusion_matrix(targets: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How often each label (row) was answered with each label (column): [classes, classes]."""
    pairs = np.bincount(targets * classes + predicted, minlength=classes * classes)
    return pairs.reshape(classes, classes)


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
