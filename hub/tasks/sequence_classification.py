"""What all tasks share whose answer is of a text as a whole: a score for each label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hub.data.examples import Example
from hub.tasks.base import LabelledTask
from hub.tokenizers import Tokenizer
from hub.tokenizers.windows import Window

if TYPE_CHECKING:
    from hub.backend import paddle
    from hub.models.ernie.config import ErnieConfig


class SequenceClassification(LabelledTask):
    """A logit for each label of a text, or of a pair of texts, from the pooled output."""

    pipeline: ClassVar[str] = "text-classification"
    architecture: ClassVar[str] = "ForSequenceClassification"
    takes_pairs: ClassVar[bool] = True

    def build_network(self, config: ErnieConfig) -> paddle.nn.Layer:
        """The encoder with a linear layer over its pooled output."""
        from hub.models.ernie.heads import ErnieForSequenceClassification

        return ErnieForSequenceClassification(config, len(self.labels))

    def merge(
        self, outputs: Sequence[np.ndarray], windows: Sequence[Window], tokenizer: Tokenizer
    ) -> np.ndarray:
        """The mean of the windows' logits."""
        return np.stack(outputs).mean(axis=0)


def unknown_label(example: Example, label: str, source: str, labels: Sequence[str]) -> str:
    """The sentence for a label that the model is not trained for."""
    shown = ", ".join(labels[:20]) + (", ..." if len(labels) > 20 else "")
    return (
        f"{source}, line {example.line}: the label {label!r} is not one of the {len(labels)} the "
        f"model is trained for ({shown}). --skip-bad-rows leaves such rows out."
    )
