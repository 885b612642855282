"""Any number of labels a text: what a sentence asks for, what a report is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hub.data.examples import Example, Text, TextDataset
from hub.errors import DataError, InputError
from hub.tasks.base import AnswerOptions, LabelScore, Metrics, Targets, not_trained_for, sigmoid
from hub.tasks.losses import LossSettings, binary_cross_entropy
from hub.tasks.passages import Passage
from hub.tasks.sequence_classification import SequenceClassification, has_pairs
from hub.tokenizers import Tokenizer

if TYPE_CHECKING:
    from hub.backend import paddle

_DEFAULT_THRESHOLD = 0.5
# A rare label's yes does not count more than this many times its no.
_HIGHEST_WEIGHT = 20.0


class MultiLabelClassification(SequenceClassification):
    """A yes or no for every label, by a sigmoid and the label's own threshold.

    Args:
        labels: the labels.
        thresholds: from which probability on a text has each label; None is 0.5 for all. `tune`
            fits them to the dev data.
        pairs: whether texts are pairs; None takes both.

    Raises:
        InputError: there are not as many thresholds as labels, or one is not between 0 and 1.
    """

    name: ClassVar[str] = "multi-label-classification"
    title: ClassVar[str] = "text classifier with several labels a text"
    is_tuned: ClassVar[bool] = True
    metric_names: ClassVar[tuple[str, ...]] = ("micro_f1", "macro_f1", "accuracy", "exact_match")

    def __init__(
        self, labels: Sequence[str], thresholds: Sequence[float] | None = None, **options: Any
    ) -> None:
        super().__init__(labels, **options)
        given = [_DEFAULT_THRESHOLD] * len(self.labels) if thresholds is None else thresholds
        self.thresholds = np.array(given, np.float64)
        if len(self.thresholds) != len(self.labels):
            raise InputError(
                f"There are {len(self.thresholds)} thresholds for {len(self.labels)} labels."
            )
        if not ((self.thresholds > 0) & (self.thresholds < 1)).all():
            raise InputError("Thresholds are between 0 and 1.")

    @property
    def options(self) -> dict[str, Any]:
        """The thresholds, and whether texts are pairs, if that is known."""
        return {**super().options, "thresholds": self.thresholds.tolist()}

    @classmethod
    def from_data(cls, data: TextDataset, **options: Any) -> MultiLabelClassification:
        """The task for all labels of training data, in the order of their characters.

        Raises:
            DataError: no row has a label.
        """
        labels = sorted({label for example in data for label in _labels(example, data)})
        if not labels:
            raise DataError(f"No row of {data.source} has a label: there is nothing to learn.")
        return cls(labels, **{"pairs": has_pairs(data), **options})

    def loss(
        self,
        output: paddle.Tensor,
        targets: Targets,
        settings: LossSettings,
        network: paddle.nn.Layer,
        whole: Targets | None = None,
    ) -> paddle.Tensor:
        """Binary cross-entropy of logits [B, labels] and rows of `targets`."""
        loss = binary_cross_entropy(output, np.stack(targets).astype(np.float32), settings)
        return loss if whole is None else loss * (len(targets) / len(whole))

    def class_weights(self, targets: Targets) -> np.ndarray:
        """How many times more often a label is absent than present, at most 20."""
        present = np.stack(targets).sum(axis=0)
        weights = (len(targets) - present) / np.maximum(present, 1)
        return np.clip(weights, 1.0, _HIGHEST_WEIGHT).astype(np.float32)

    def targets(self, data: TextDataset) -> np.ndarray:
        """Whether each text has each label, bool [N, labels].

        Raises:
            DataError: a label is not one of the task's, or a text not of the form that it takes.
        """
        self.check_texts(data)
        rows = np.zeros((len(data), len(self.labels)), bool)
        for row, example in enumerate(data):
            for label in _labels(example, data):
                if label not in self._numbers:
                    complaint = not_trained_for(f"the label {label!r}", self.labels)
                    raise DataError(f"{data.place(example)}: {complaint}")
                rows[row, self._numbers[label]] = True
        return rows

    def knows(self, example: Example) -> bool:
        """Whether the task takes the example's text, and all of its labels are the task's."""
        label = example.label
        names = label if isinstance(label, tuple) else (label,)
        return self.takes(example.text) and all(name in self._numbers for name in names)

    def tune(self, outputs: Sequence[np.ndarray], targets: Targets) -> None:
        """Give each label the threshold with its highest F1 on the dev data.

        It lies midway between two probabilities that occurred there; a label that does not occur
        there keeps its threshold.
        """
        probabilities, truth = sigmoid(np.stack(outputs).astype(np.float64)), np.stack(targets)
        for number in np.flatnonzero(truth.any(axis=0)):
            self.thresholds[number] = _best_threshold(probabilities[:, number], truth[:, number])

    def decide(
        self, outputs: Sequence[np.ndarray], passages: Sequence[Passage], tokenizer: Tokenizer
    ) -> np.ndarray:
        """Whether each text has each label, bool [N, labels]."""
        result: np.ndarray = sigmoid(np.stack(outputs).astype(np.float64)) >= self.thresholds
        return result

    def metrics(self, decided: Targets, targets: Targets) -> Metrics:
        """F1 over all decisions (micro) and averaged over labels (macro); the mean over texts of
        the share of labels given or due that were both (accuracy, as Godbole and Sarawagi define
        it); and the share of texts with exactly the right labels."""
        found, truth = np.asarray(decided), np.asarray(targets)
        both, either = (found & truth).sum(axis=1), (found | truth).sum(axis=1)
        right = int(both.sum())
        total = int(found.sum() + truth.sum())
        scores = self.scores(found, truth)
        return {
            "micro_f1": 2 * right / total if total else 1.0,
            "macro_f1": float(np.mean([score.f1 for score in scores])),
            "accuracy": float(np.where(either > 0, both / np.maximum(either, 1), 1.0).mean()),
            "exact_match": float((found == truth).all(axis=1).mean()),
        }

    def scores(self, decided: Targets, targets: Targets) -> list[LabelScore]:
        """Every label's precision, recall and F1."""
        shape = (-1, len(self.labels))
        found, truth = (np.reshape(rows, shape).astype(bool) for rows in (decided, targets))
        counts = ((found & truth).sum(axis=0), found.sum(axis=0), truth.sum(axis=0))
        return [
            LabelScore(label, *map(int, row))
            for label, *row in zip(self.labels, *counts, strict=True)
        ]

    def describe(self, target: Any, text: Text) -> str:
        """The labels' names."""
        return ", ".join(self.labels[number] for number in np.flatnonzero(target)) or "(none)"

    def decode(
        self,
        outputs: Sequence[np.ndarray],
        passages: Sequence[Passage],
        tokenizer: Tokenizer,
        options: AnswerOptions,
    ) -> list[Any]:
        """The labels of each text, the likeliest first; with `top_k` that many of the likeliest
        with their scores, given or not; with `probabilities` the labels with their scores, and
        every label's probability."""
        probabilities = sigmoid(np.stack(outputs).astype(np.float64))
        return [self._answer(row, options) for row in probabilities]

    def _answer(self, probabilities: np.ndarray, options: AnswerOptions) -> Any:
        order = np.argsort(-probabilities, kind="stable")
        ranked = [{"label": self.labels[n], "score": float(probabilities[n])} for n in order]
        given = [
            label
            for label, number in zip(ranked, order, strict=True)
            if probabilities[number] >= self.thresholds[number]
        ]
        if options.probabilities:
            every = dict(zip(self.labels, map(float, probabilities), strict=True))
            best = given if options.top_k is None else ranked[: options.top_k]
            return {"labels": best, "probabilities": every}
        if options.top_k is not None:
            return ranked[: options.top_k]
        return [label["label"] for label in given]


def _labels(example: Example, data: TextDataset) -> tuple[str, ...]:
    label = example.label
    if isinstance(label, str):
        return (label,)
    if isinstance(label, tuple) and all(isinstance(part, str) for part in label):
        return tuple(str(part) for part in label)
    raise DataError(
        f"{data.place(example)}: labels are needed here, not entities: give --task ner."
    )


def _best_threshold(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """The threshold between two `probabilities` [N] at which F1 against `truth` [N] is highest."""
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    right = truth[order].cumsum()
    f1 = 2 * right / (np.arange(1, len(ranked) + 1) + truth.sum())
    # Texts of the same probability have the label together.
    f1[:-1][ranked[:-1] == ranked[1:]] = -1.0
    last = int(f1.argmax())
    below = ranked[last + 1] if last + 1 < len(ranked) else 0.0
    return float(np.clip((ranked[last] + below) / 2, 1e-6, 1 - 1e-6))
