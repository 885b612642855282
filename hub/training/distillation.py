"""Learning from another model's answers beside the labels (https://arxiv.org/abs/1503.02531)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hub.backend import paddle
from hub.errors import InputError
from hub.module import Module
from hub.tasks import LabelledTask, MultiLabelClassification
from hub.tasks.answering import run
from hub.tasks.encoded_passages import read_all
from hub.tasks.sequence_classification import SequenceClassification
from hub.tokenizers import Text

F = paddle.nn.functional


@dataclass(frozen=True)
class Teacher:
    """A fine-tuned model that another one learns from.

    Attributes:
        module: the model.
        weight: its part of the loss; the rest is the labels'.
        temperature: its logits and the learner's are divided by this: the higher, the more the
            differences between unlikely labels count.
    """

    module: Module
    weight: float = 0.7
    temperature: float = 2.0

    def check(self, task: LabelledTask) -> None:
        """See that a task can be learned from it.

        Raises:
            InputError: it cannot.
        """
        if not 0 <= self.weight <= 1 or self.temperature <= 0:
            raise InputError("The teacher's weight is from 0 to 1, its temperature above 0.")
        theirs = self.module.task
        if not isinstance(task, SequenceClassification):
            raise InputError(
                f"A teacher's answers are of texts as a whole; {task.name} gives one a token."
            )
        if type(theirs) is not type(task) or not isinstance(theirs, SequenceClassification):
            raise InputError(f"The teacher {self.module.name} does another task than {task.name}.")
        if set(theirs.labels) != set(task.labels):
            raise InputError(
                f"The teacher {self.module.name} knows other labels: its are "
                f"{', '.join(theirs.labels[:5])}, ... and the data's {', '.join(task.labels[:5])}."
            )

    def logits(
        self, texts: Sequence[Text], labels: Sequence[str], batch_size: int = 64
    ) -> np.ndarray:
        """Its logits for each text, float32 [N, labels], in the order of `labels`."""
        module = self.module
        assert isinstance(module.task, LabelledTask)  # checked by `check`
        passages = read_all(module.tokenizer, texts, module.max_seq_len, module.long_text)
        rows = run(module.task, module.tokenizer, module.compute, passages, batch_size)
        return np.stack(rows)[:, [module.task.labels.index(label) for label in labels]]

    def loss(self, logits: paddle.Tensor, theirs: np.ndarray, task: LabelledTask) -> paddle.Tensor:
        """How far logits [B, labels] are from the teacher's.

        The mean Kullback-Leibler divergence from the teacher's probabilities, at the temperature
        and multiplied by its square, so that gradients keep their size.
        """
        ours, taught = logits / self.temperature, paddle.to_tensor(theirs) / self.temperature
        if isinstance(task, MultiLabelClassification):
            wanted = F.sigmoid(taught)
            own = F.binary_cross_entropy_with_logits(ours, wanted, reduction="none")
            least = F.binary_cross_entropy_with_logits(taught, wanted, reduction="none")
            return (own - least).sum(axis=-1).mean() * self.temperature**2
        wanted = F.softmax(taught, axis=-1)
        apart = wanted * (F.log_softmax(taught, axis=-1) - F.log_softmax(ours, axis=-1))
        return apart.sum(axis=-1).mean() * self.temperature**2
