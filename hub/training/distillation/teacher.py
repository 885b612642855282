"""A teacher's answers, beside the labels (https://arxiv.org/abs/1503.02531).

Of a classifier they are the labels' probabilities; of a tagger every word's probabilities of the
tags; of a model of intents and slots both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from hub.backend import paddle
from hub.errors import InputError
from hub.module import Module
from hub.tasks import IntentSlots, LabelledTask, MultiLabelClassification, TokenClassification
from hub.tasks.answering import run
from hub.tasks.encoded_passages import EncodedPassages, read_all
from hub.tasks.sequence_classification import SequenceClassification
from hub.tasks.token_classification import NO_TAG
from hub.tokenizers import Text
from hub.training.arguments import TrainingArguments
from hub.training.distillation.states import StateLessons
from hub.training.distillation.tokens import matching_tokens

F = paddle.nn.functional

# The numbers of some training rows, and what is learned of each.
RowTargets = tuple[np.ndarray, Sequence[Any]]


@dataclass(frozen=True)
class Teacher:
    """A fine-tuned model that another one learns from.

    Attributes:
        module: the model.
        weight: its answers' part of the loss; the rest is the labels'.
        temperature: its logits and the learner's are divided by this: the higher, the more the
            differences between unlikely labels count.
        hidden_states: what coming near its hidden states counts beside that; 0 leaves them out.
        relations: what coming near the relations in its last attention counts; 0 as above.
    """

    module: Module
    weight: float = 0.7
    temperature: float = 2.0
    hidden_states: float = 0.0
    relations: float = 0.0

    @property
    def settings(self) -> list[Any]:
        """All that a run depends on, as JSON can hold it."""
        return [
            self.module.name, self.weight, self.temperature, self.hidden_states, self.relations,
        ]  # fmt: skip

    def check(self, task: LabelledTask, arguments: TrainingArguments | None = None) -> None:
        """See that a task can be learned from it, and with these arguments.

        Raises:
            InputError: it cannot.
        """
        if not 0 <= self.weight <= 1 or self.temperature <= 0:
            raise InputError("The teacher's weight is from 0 to 1, its temperature above 0.")
        if self.hidden_states < 0 or self.relations < 0:
            raise InputError("What hidden states and relations count is from 0.")
        if arguments is not None and arguments.recompute and (self.hidden_states or self.relations):
            raise InputError(
                "With recompute a layer's states are not kept, and cannot be compared with the "
                "teacher's: leave one of both out."
            )
        theirs = self.module.task
        if type(theirs) is not type(task) or not isinstance(theirs, LabelledTask):
            raise InputError(f"The teacher {self.module.name} does another task than {task.name}.")
        own, known = _names(task), _names(theirs)
        if set(own) != set(known):
            raise InputError(
                f"The teacher {self.module.name} knows other labels: its are "
                f"{', '.join(known[:5])}, ... and the data's {', '.join(own[:5])}."
            )

    def lessons(
        self, task: LabelledTask, student: Module, train: EncodedPassages, batch_size: int = 64
    ) -> Lessons:
        """What it says of the training rows.

        Args:
            task: what the student learns.
            student: the student, with its `max_seq_len` and `long_text` set.
            train: the rows as the student reads them.
            batch_size: texts that are asked about at a time.

        Raises:
            InputError: a task or states that are learned token by token, and texts in windows.
        """
        module, texts = self.module, train.texts
        by_token = not isinstance(task, SequenceClassification)
        by_state = self.hidden_states > 0 or self.relations > 0
        if not by_token and not by_state:
            logits = self.logits(texts, task.labels, batch_size)
            return Lessons(self, task, logits.repeat(train.window_counts, axis=0))
        if len(train.encodings) != len(texts):
            raise InputError(
                "A teacher of tokens or states reads each text at once, not in windows: leave "
                "long_text 'window' out."
            )
        # As much as the student reads, even if the teacher was trained with less of a text.
        limit = max(module.max_seq_len, min(student.max_seq_len, _positions(module)))
        theirs = read_all(module.tokenizer, texts, limit, "cut", return_offsets=True)
        ours = train
        if train.encodings.offsets is None:
            ours = read_all(student.tokenizer, texts, student.max_seq_len, "cut", True)
        tokenizers = student.tokenizer, module.tokenizer
        places = matching_tokens(ours.encodings, theirs.encodings, tokenizers)
        assert isinstance(module.task, LabelledTask)  # checked by `check`
        rows = run(module.task, module.tokenizer, module.compute, theirs, batch_size)
        columns = _columns(task, module.task)
        outputs: Sequence[np.ndarray] | np.ndarray
        if by_token:
            outputs = [
                _at_own_tokens(row[:, columns], its, isinstance(task, IntentSlots))
                for row, its in zip(rows, places, strict=True)
            ]
        else:
            outputs = np.stack(rows)[:, columns]
        states = None
        if by_state:
            module.network.eval()
            states = StateLessons(
                module.network.encoder, theirs.encodings, places, module.tokenizer.pad_token_id,
                self.hidden_states, self.relations,
            )  # fmt: skip
        return Lessons(self, task, outputs, states)

    def logits(
        self, texts: Sequence[Text], labels: Sequence[str], batch_size: int = 64
    ) -> np.ndarray:
        """A classifier's logits for each text, float32 [N, labels], in the order of `labels`."""
        module = self.module
        assert isinstance(module.task, LabelledTask)  # checked by `check`
        passages = read_all(module.tokenizer, texts, module.max_seq_len, module.long_text)
        rows = run(module.task, module.tokenizer, module.compute, passages, batch_size)
        return np.stack(rows)[:, [module.task.labels.index(label) for label in labels]]


class Lessons:
    """What a teacher says of each training row, and how far a student is from it.

    Args:
        teacher: the teacher.
        task: what the student learns.
        outputs: for each row the teacher's output in the student's order of labels: [labels], or
            for tags [tokens, tags] of the student's own tokens, NaN where the teacher has none;
            for intents and slots [1 + tokens, tags + intents].
        states: compares the encoders' states, if they are learned too.
    """

    def __init__(
        self,
        teacher: Teacher,
        task: LabelledTask,
        outputs: Sequence[np.ndarray] | np.ndarray,
        states: StateLessons | None = None,
    ) -> None:
        self.teacher = teacher
        self._task = task
        self._outputs = outputs
        self._states = states

    @contextmanager
    def given_to(self, network: paddle.nn.Layer, seed: int) -> Iterator[None]:
        """While entered, `network` can be taught; what is learned for that alone goes at the end.

        Args:
            network: the student's.
            seed: of what is learned for that alone.
        """
        if self._states is None:
            yield
            return
        with self._states.given_to(network, seed):
            yield

    def loss(
        self,
        labels_loss: paddle.Tensor,
        output: paddle.Tensor,
        targets: Sequence[Any],
        rows: np.ndarray,
        whole: RowTargets | None = None,
    ) -> paddle.Tensor:
        """The labels' loss and the teacher's, each with its weight.

        Args:
            labels_loss: the mean loss of the labels, or what the rows add to that of their batch.
            output: what the student's last pass gave, float32.
            targets: what is learned of each row.
            rows: the numbers of the rows.
            whole: the numbers and the targets of the batch that they are a part of: like the
                labels' loss, the teacher's is then what they add to the batch's mean. None is all.
        """
        weight = self.teacher.weight
        total = (1 - weight) * labels_loss
        if weight:
            total = total + weight * self._answers_loss(output, (rows, targets), whole)
        if self._states is None:
            return total
        return total + self._states.loss(rows, None if whole is None else whole[0])

    def _answers_loss(
        self, output: paddle.Tensor, part: RowTargets, whole: RowTargets | None
    ) -> paddle.Tensor:
        theirs = [self._outputs[row] for row in part[0]]
        temperature, count = self.teacher.temperature, len(self._task.labels)
        by_row = 1.0 if whole is None else len(part[0]) / len(whole[0])
        if isinstance(self._task, SequenceClassification):
            several = isinstance(self._task, MultiLabelClassification)
            return by_row * divergence_from(output, np.stack(theirs), temperature, several)
        known = self._known_words(part)
        by_word = 1.0
        if whole is not None:
            by_word = _size(known) / max(1, _size(self._known_words(whole)))
        if isinstance(self._task, TokenClassification):
            return by_word * _tags_loss(output, theirs, known, temperature)
        intents = np.stack([its[0, count:] for its in theirs])
        tags = [its[1:, :count] for its in theirs]
        return by_row * divergence_from(
            output[:, 0, count:], intents, temperature
        ) + by_word * _tags_loss(output[:, :, :count], tags, known, temperature)

    def _known_words(self, batch: RowTargets) -> list[np.ndarray]:
        """For each row of a batch its own tokens that have a tag, and one of the teacher's."""
        theirs = [self._outputs[row] for row in batch[0]]
        tags = batch[1]
        if isinstance(self._task, IntentSlots):
            theirs, tags = [its[1:] for its in theirs], [its_tags for _, its_tags in tags]
        return [
            np.flatnonzero((its_tags != NO_TAG) & np.isfinite(its[:, 0]))
            for its_tags, its in zip(tags, theirs, strict=True)
        ]


def divergence_from(
    logits: paddle.Tensor, theirs: np.ndarray, temperature: float, several: bool = False
) -> paddle.Tensor:
    """How far logits [N, labels] are from a teacher's.

    The mean Kullback-Leibler divergence from the teacher's probabilities, at the temperature and
    multiplied by its square, so that gradients keep their size. Where each label has a probability
    of its own it is a mean over the labels too, as the labels' loss is.

    Args:
        logits: the student's.
        theirs: the teacher's, float32 [N, labels].
        temperature: what both are divided by.
        several: whether each label has a probability of its own, instead of all together.
    """
    ours, taught = logits / temperature, paddle.to_tensor(theirs) / temperature
    if several:
        wanted = F.sigmoid(taught)
        own = F.binary_cross_entropy_with_logits(ours, wanted, reduction="none")
        least = F.binary_cross_entropy_with_logits(taught, wanted, reduction="none")
        return (own - least).mean() * temperature**2
    wanted = F.softmax(taught, axis=-1)
    apart = wanted * (F.log_softmax(taught, axis=-1) - F.log_softmax(ours, axis=-1))
    return apart.sum(axis=-1).mean() * temperature**2


def _tags_loss(
    logits: paddle.Tensor,
    theirs: Sequence[np.ndarray],
    known: Sequence[np.ndarray],
    temperature: float,
) -> paddle.Tensor:
    """The divergence at the own tokens `known`, from logits [B, T, tags], `[CLS]` first."""
    length, count = logits.shape[1], logits.shape[2]
    numbers = np.concatenate([row * length + 1 + its for row, its in enumerate(known)])
    if not len(numbers):  # blank texts alone
        return logits.sum() * 0.0
    chosen = paddle.gather(logits.reshape([-1, count]), paddle.to_tensor(numbers))
    wanted = np.concatenate([its[places] for its, places in zip(theirs, known, strict=True)])
    return divergence_from(chosen, wanted, temperature)


def _size(parts: Sequence[np.ndarray]) -> int:
    return sum(map(len, parts))


def _at_own_tokens(output: np.ndarray, places: np.ndarray, has_first: bool) -> np.ndarray:
    """A teacher's output at the student's tokens: NaN for those where it has none.

    Args:
        output: [tokens, ...] of the teacher's own tokens, or with `[CLS]` before them.
        places: the teacher's token for each of the student's, counted with `[CLS]`.
        has_first: whether `[CLS]` is among the tokens.
    """
    wanted = places[:-1] if has_first else places[1:-1] - 1
    result = np.full((len(wanted), output.shape[1]), np.nan, np.float32)
    there = (wanted >= 0) & (wanted < len(output))
    result[there] = output[wanted[there]]
    return result


def _names(task: LabelledTask) -> list[str]:
    """The labels, and the intents beside tags."""
    return [*task.labels, *(task.intents.labels if isinstance(task, IntentSlots) else [])]


def _columns(ours: LabelledTask, theirs: LabelledTask) -> list[int]:
    """For each column of the student's output the teacher's."""
    columns = [theirs.labels.index(label) for label in ours.labels]
    if isinstance(ours, IntentSlots) and isinstance(theirs, IntentSlots):
        count = len(theirs.labels)
        columns += [count + theirs.intents.labels.index(name) for name in ours.intents.labels]
    return columns


def _positions(module: Module) -> int:
    return int(module.config.max_position_embeddings)
