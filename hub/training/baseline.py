"""The figure to beat: a linear support vector machine over character n-grams.

It trains in seconds, needs no pretraining and is hard to beat on short Chinese texts. A fine-tuned
model that does not beat it has no reason to exist, so every run is told both figures.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from itertools import compress
from typing import Any

import numpy as np

from hub.data.examples import Text
from hub.tasks import IntentSlots, LabelledTask, MultiLabelClassification, TextClassification
from hub.tasks.base import Metrics, Targets

MOST_ROWS = 50_000
# liblinear's own limit of 1,000 is reached where labels are noisy, and the last hundreds of passes
# change next to nothing.
_PASSES = 10


class LinearBaseline:
    """TF-IDF over character 1- to 3-grams and a linear SVM (scikit-learn's liblinear).

    For several labels a text it is one SVM a label, for intents and slots it knows the intents
    alone. Of more than `MOST_ROWS` rows it is fitted to a sample with as large a share of each
    label, in few passes: all of a million would take gigabytes and hours.

    Args:
        task: what is to be answered.

    Attributes:
        name: what it is, and what part of the rows it is fitted to if not all.
        seconds: how long fitting took.
    """

    def __init__(self, task: LabelledTask) -> None:
        self.task = task
        self.name = "linear SVM over character 1-3-grams"
        self.seconds = 0.0
        self._pipeline: Any = None

    @staticmethod
    def can_answer(task: LabelledTask) -> bool:
        """Whether the task has an answer a text, and not only places in it."""
        return isinstance(task, TextClassification | MultiLabelClassification | IntentSlots)

    def fit(self, texts: Sequence[Text], targets: Targets) -> LinearBaseline:
        """Fit to texts and the task's targets."""
        from sklearn.dummy import DummyClassifier
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.multiclass import OneVsRestClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.svm import LinearSVC

        started = time.monotonic()
        count = len(texts)
        classes = self._classes(targets)
        classifier: Any = LinearSVC(random_state=0)
        if len(texts) > MOST_ROWS:
            rows = _sample(classes)
            self.name += f", fitted to {len(rows):,} of {len(texts):,} rows in {_PASSES} passes"
            classifier = LinearSVC(random_state=0, max_iter=_PASSES)
            chosen = np.zeros(len(texts), bool)
            chosen[rows] = True
            texts, classes = list(compress(texts, chosen)), classes[chosen]
        if isinstance(self.task, MultiLabelClassification):
            classifier = OneVsRestClassifier(classifier)
        if (classes == classes[:1]).all():
            classifier = DummyClassifier(strategy="most_frequent")  # there is nothing to tell apart
        self._pipeline = make_pipeline(
            TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True), classifier
        )
        with warnings.catch_warnings():
            if len(texts) < count:  # that few passes do not reach the optimum is meant
                warnings.simplefilter("ignore", ConvergenceWarning)
            self._pipeline.fit(_documents(texts), classes)
        self.seconds = time.monotonic() - started
        return self

    def evaluate(self, texts: Sequence[Text], targets: Targets) -> Metrics:
        """The metrics that the fine-tuned model is measured by, as far as it has them."""
        predicted = self._pipeline.predict(_documents(texts))
        if isinstance(self.task, IntentSlots):
            right = predicted == self._classes(targets)
            return {"intent_accuracy": float(right.mean())}
        if isinstance(self.task, MultiLabelClassification):
            # Of a single label scikit-learn gives no matrix.
            predicted = np.reshape(predicted, (len(texts), -1)).astype(bool)
        return self.task.metrics(predicted, targets)

    def _classes(self, targets: Targets) -> Any:
        """Targets as scikit-learn takes them."""
        if isinstance(self.task, IntentSlots):
            return np.array([utterance.intent for utterance in targets])
        if isinstance(self.task, MultiLabelClassification):
            return np.stack(targets).astype(int)
        return np.asarray(targets)


def _sample(classes: np.ndarray) -> np.ndarray:
    """The numbers of about `MOST_ROWS` rows, one at least of each class; always the same ones.

    Args:
        classes: each row's class [N], or whether it has each label [N, labels]; of several labels
            the rarest counts.
    """
    if classes.ndim == 2:
        rare_first = np.argsort(classes.sum(axis=0), kind="stable")
        strata = np.where(classes.any(axis=1), classes[:, rare_first].argmax(axis=1), -1)
    else:
        strata = np.unique(classes, return_inverse=True)[1]
    shuffled = np.random.default_rng(0).permutation(len(strata))
    share = MOST_ROWS / len(strata)
    parts = (shuffled[strata[shuffled] == stratum] for stratum in np.unique(strata))
    return np.concatenate([part[: max(1, int(share * len(part)))] for part in parts])


def _documents(texts: Sequence[Text]) -> list[str]:
    """What n-grams are counted in: of a pair both texts, an end of line between them."""
    return [text if isinstance(text, str) else "\n".join(text) for text in texts]
