"""The figure to beat: a linear support vector machine over character n-grams.

It trains in seconds, needs no pretraining and is hard to beat on short Chinese texts. A fine-tuned
model that does not beat it has no reason to exist, so every run is told both figures.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from hub.data.examples import Text
from hub.tasks import IntentSlots, LabelledTask, MultiLabelClassification, TextClassification
from hub.tasks.base import Metrics, Targets


class LinearBaseline:
    """TF-IDF over character 1- to 3-grams and a linear SVM (scikit-learn's liblinear).

    For several labels a text it is one SVM a label, for intents and slots it knows the intents
    alone.

    Args:
        task: what is to be answered.

    Attributes:
        seconds: how long fitting took.
    """

    name = "linear SVM over character 1-3-grams"

    def __init__(self, task: LabelledTask) -> None:
        self.task = task
        self.seconds = 0.0
        self._pipeline: Any = None

    @staticmethod
    def can_answer(task: LabelledTask) -> bool:
        """Whether the task has an answer a text, and not only places in it."""
        return isinstance(task, TextClassification | MultiLabelClassification | IntentSlots)

    def fit(self, texts: Sequence[Text], targets: Targets) -> LinearBaseline:
        """Fit to texts and the task's targets."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.multiclass import OneVsRestClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.svm import LinearSVC

        started = time.monotonic()
        classifier: Any = LinearSVC(random_state=0)
        if isinstance(self.task, MultiLabelClassification):
            classifier = OneVsRestClassifier(classifier)
        self._pipeline = make_pipeline(
            TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True), classifier
        )
        self._pipeline.fit(_documents(texts), self._classes(targets))
        self.seconds = time.monotonic() - started
        return self

    def evaluate(self, texts: Sequence[Text], targets: Targets) -> Metrics:
        """The metrics that the fine-tuned model is measured by, as far as it has them."""
        predicted = self._pipeline.predict(_documents(texts))
        if isinstance(self.task, IntentSlots):
            right = predicted == self._classes(targets)
            return {"intent_accuracy": float(right.mean())}
        if isinstance(self.task, MultiLabelClassification):
            predicted = predicted.astype(bool)
        return self.task.metrics(predicted, targets)

    def _classes(self, targets: Targets) -> Any:
        """Targets as scikit-learn takes them."""
        if isinstance(self.task, IntentSlots):
            return np.array([utterance.intent for utterance in targets])
        if isinstance(self.task, MultiLabelClassification):
            return np.stack(targets).astype(int)
        return np.asarray(targets)


def _documents(texts: Sequence[Text]) -> list[str]:
    """What n-grams are counted in: of a pair both texts, an end of line between them."""
    return [text if isinstance(text, str) else "\n".join(text) for text in texts]
