"""What all tasks share whose answer is of a text as a whole: a score for each label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hub.data.examples import Text, TextDataset
from hub.errors import DataError
from hub.tasks.base import LabelledTask
from hub.tokenizers import Tokenizer
from hub.tokenizers.windows import Window

if TYPE_CHECKING:
    from hub.backend import paddle
    from hub.models.ernie.config import ErnieConfig


class SequenceClassification(LabelledTask):
    """A logit for each label of a text, or of a pair of texts, from the pooled output.

    Args:
        labels: the labels.
        pairs: whether texts are pairs; None takes both.
    """

    pipeline: ClassVar[str] = "text-classification"
    architecture: ClassVar[str] = "ForSequenceClassification"
    takes_pairs: ClassVar[bool] = True

    def __init__(self, labels: Sequence[str], pairs: bool | None = None, **options: Any) -> None:
        super().__init__(labels, **options)
        self.pairs = pairs

    @property
    def options(self) -> dict[str, Any]:
        """Whether texts are pairs, if that is known."""
        return {} if self.pairs is None else {"pairs": self.pairs}

    def takes(self, text: Text) -> bool:
        """Whether a text is one, or a pair, as those were that it was learned from."""
        return self.pairs is None or isinstance(text, tuple) == self.pairs

    @property
    def wanted(self) -> str:
        """Of a text that it does not take: what it should be."""
        return f"{'a pair of texts' if self.pairs else 'one text, no pair,'} is needed here"

    def check_texts(self, data: TextDataset) -> None:
        """See that the task takes every text.

        Raises:
            DataError: one is a pair where none is wanted, or none where one is.
        """
        if self.pairs is None:
            return
        for row, text in enumerate(data.texts):
            if not self.takes(text):
                raise DataError(
                    f"{data.place(data[row])}: {self.wanted}, as the model was trained with. "
                    "--skip-bad-rows leaves such rows out."
                )

    def build_network(self, config: ErnieConfig) -> paddle.nn.Layer:
        """The encoder with a linear layer over its pooled output."""
        from hub.models.ernie.heads import ErnieForSequenceClassification

        return ErnieForSequenceClassification(config, len(self.labels))

    def merge(
        self, outputs: Sequence[np.ndarray], windows: Sequence[Window], tokenizer: Tokenizer
    ) -> np.ndarray:
        """The mean of the windows' logits."""
        return np.stack(outputs).mean(axis=0)


def has_pairs(data: TextDataset) -> bool:
    """Whether a data set's texts are pairs."""
    return any(isinstance(text, tuple) for text in data.texts)
