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
from hub.tasks.base import Metrics
from hub.tasks.text_classification import classification_metrics


class LinearBaseline:
    """TF-IDF over character 1- to 3-grams and a linear SVM (scikit-learn's liblinear).

    Attributes:
        seconds: how long fitting took.
    """

    name = "linear SVM over character 1-3-grams"

    def __init__(self) -> None:
        self.seconds = 0.0
        self._pipeline: Any = None

    def fit(self, texts: Sequence[Text], targets: np.ndarray) -> LinearBaseline:
        """Fit to texts and their class numbers [N]."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_pipeline
        from sklearn.svm import LinearSVC

        started = time.monotonic()
        self._pipeline = make_pipeline(
            TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True),
            LinearSVC(random_state=0),
        )
        self._pipeline.fit(_documents(texts), targets)
        self.seconds = time.monotonic() - started
        return self

    def evaluate(self, texts: Sequence[Text], targets: np.ndarray) -> Metrics:
        """The metrics that the fine-tuned model is measured by, on the same rows."""
        return classification_metrics(self._pipeline.predict(_documents(texts)), targets)


def _documents(texts: Sequence[Text]) -> list[str]:
    """What n-grams are counted in: of a pair both texts, an end of line between them."""
    return [text if isinstance(text, str) else "\n".join(text) for text in texts]
