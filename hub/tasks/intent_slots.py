"""What a user of an assistant wants, and the values that are named: one model, two heads.

After joint BERT (https://arxiv.org/abs/1902.10909): the intent comes from `[CLS]`, the slots are
tags of the words, and the losses are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, overload

import numpy as np

from hub.data.batches import Batch
from hub.data.examples import Example, Text, TextDataset, Utterance
from hub.errors import DataError, InputError
from hub.tasks.base import (
    AnswerOptions,
    LabelledTask,
    LabelScore,
    Metrics,
    Targets,
    not_trained_for,
    softmax,
)
from hub.tasks.losses import LossSettings
from hub.tasks.passages import Passage
from hub.tasks.text_classification import TextClassification
from hub.tasks.token_classification import (
    TokenClassification,
    entity_metrics,
    entity_scores,
    tags_for,
)
from hub.tokenizers import Tokenizer
from hub.tokenizers.windows import Window

if TYPE_CHECKING:
    from hub.backend import paddle
    from hub.models.ernie.config import ErnieConfig


class _IntentsAndTags(Sequence[tuple[int, np.ndarray]]):
    """The intent's number and the tags of each window, put together when they are asked for."""

    def __init__(self, intents: Sequence[int], tags: Sequence[np.ndarray]) -> None:
        self._intents = intents
        self._tags = tags

    def __len__(self) -> int:
        return len(self._intents)

    @overload
    def __getitem__(self, index: int) -> tuple[int, np.ndarray]: ...

    @overload
    def __getitem__(self, index: slice) -> list[tuple[int, np.ndarray]]: ...

    def __getitem__(
        self, index: int | slice
    ) -> tuple[int, np.ndarray] | list[tuple[int, np.ndarray]]:
        if isinstance(index, slice):
            return list(zip(self._intents[index], self._tags[index], strict=True))
        return self._intents[index], self._tags[index]


class IntentSlots(LabelledTask):
    """Joint intent detection and slot filling.

    A text's output is [1 + tokens, tags + intents]: the first row is `[CLS]`'s, and every row ends
    with the scores of the intents.

    Args:
        labels: the tags of the slots, O first.
        intents: the intents.
        crf: a CRF over the tags: see `TokenClassification`.
    """

    name: ClassVar[str] = "intent-slots"
    title: ClassVar[str] = "model of intents and slots"
    pipeline: ClassVar[str] = "token-classification"
    architecture: ClassVar[str] = "ForIntentSlots"
    needs_offsets: ClassVar[bool] = True
    metric_names: ClassVar[tuple[str, ...]] = (
        "sentence_accuracy", "intent_accuracy", "slot_f1", "slot_precision", "slot_recall",
    )  # fmt: skip

    def __init__(
        self,
        labels: Sequence[str],
        intents: Sequence[str] = (),
        crf: bool | dict[str, Any] = False,
        **options: Any,
    ) -> None:
        super().__init__(labels, **options)
        self.intents = TextClassification(intents)
        self.slots = TokenClassification(labels, crf=crf)
        if not intents:
            raise InputError(f"{self.name} needs the intents besides the labels of the slots.")

    @property
    def options(self) -> dict[str, Any]:
        """The intents, and the CRF if it has one."""
        return {"intents": self.intents.labels, **self.slots.options}

    @property
    def structure(self) -> dict[str, Any]:
        """Whether it has a CRF."""
        return self.slots.structure

    @classmethod
    def from_data(cls, data: TextDataset, **options: Any) -> IntentSlots:
        """The task for the intents and types of slots in training data.

        Raises:
            DataError: there is no slot in them.
        """
        intents = sorted({_utterance(example, data).intent for example in data})
        return cls(tags_for(data), intents, **options)

    def build_network(self, config: ErnieConfig) -> paddle.nn.Layer:
        """The encoder with both heads."""
        from hub.models.ernie.heads import ErnieForIntentSlots

        return ErnieForIntentSlots(
            config, len(self.intents.labels), len(self.labels), self.slots.has_crf
        )

    def adopt(self, network: paddle.nn.Layer) -> None:
        """Take over the transitions of the network's CRF."""
        self.slots.adopt(network)

    # --- learning --------------------------------------------------------------------------------

    def targets(self, data: TextDataset) -> list[Utterance]:
        """Every text's intent and slots.

        Raises:
            DataError: one of them is not the task's.
        """
        for example in data:
            if not self.knows(example):
                raise DataError(f"{data.place(example)}: {self._complaint(example, data)}")
        return [_utterance(example, data) for example in data]

    def knows(self, example: Example) -> bool:
        """Whether the intent and the types of all slots are the task's."""
        label = example.label
        if not isinstance(label, Utterance) or label.intent not in self.intents.labels:
            return False
        return all(entity.type in self.slots.types for entity in label.entities)

    def _complaint(self, example: Example, data: TextDataset) -> str:
        label = _utterance(example, data)
        if label.intent not in self.intents.labels:
            return not_trained_for(f"the intent {label.intent!r}", self.intents.labels)
        types = self.slots.types
        unknown = next(entity.type for entity in label.entities if entity.type not in types)
        return not_trained_for(f"the type {unknown!r}", types)

    def window_targets(
        self, passages: Sequence[Passage], targets: Targets, tokenizer: Tokenizer
    ) -> Sequence[tuple[int, np.ndarray]]:
        """For each window the intent's number and the tags of its own tokens."""
        intents = self._intent_numbers(targets)
        slots = [utterance.entities for utterance in targets]
        return _IntentsAndTags(
            self.intents.window_targets(passages, intents, tokenizer),
            self.slots.window_targets(passages, slots, tokenizer),
        )

    def loss(
        self,
        output: paddle.Tensor,
        targets: Targets,
        settings: LossSettings,
        network: paddle.nn.Layer,
        whole: Targets | None = None,
    ) -> paddle.Tensor:
        """The sum of the intents' and the tags' losses."""
        count = len(self.labels)
        intents, tags = _apart(targets)
        all_intents, all_tags = (None, None) if whole is None else _apart(whole)
        intent_loss = self.intents.loss(
            output[:, 0, count:], intents, settings, network, all_intents
        )
        return intent_loss + self.slots.loss(
            output[:, :, :count], tags, LossSettings(), network, all_tags
        )

    def class_weights(self, targets: Targets) -> np.ndarray:
        """Those of the intents."""
        return self.intents.class_weights(self._intent_numbers(targets))

    def _intent_numbers(self, utterances: Targets) -> list[int]:
        numbers = {name: number for number, name in enumerate(self.intents.labels)}
        return [numbers[utterance.intent] for utterance in utterances]

    # --- answering -------------------------------------------------------------------------------

    def split(self, output: np.ndarray, batch: Batch) -> list[np.ndarray]:
        """Each row's `[CLS]` and own tokens, [1 + tokens, tags + intents]."""
        lengths = batch.attention_mask.sum(axis=1)
        return [row[: length - 1] for row, length in zip(output, lengths, strict=True)]

    def merge(
        self, outputs: Sequence[np.ndarray], windows: Sequence[Window], tokenizer: Tokenizer
    ) -> np.ndarray:
        """The mean of the windows' intents; each token's tags from where it stands best."""
        count = len(self.labels)
        tags = self.slots.merge([o[1:, :count] for o in outputs], windows, tokenizer)
        intents = np.stack([output[0, count:] for output in outputs]).mean(axis=0)
        tags = np.concatenate([np.zeros((1, count), tags.dtype), tags])
        rows = np.broadcast_to(intents, (len(tags), len(intents)))
        return np.concatenate([tags, rows], axis=-1)

    def _halves(self, outputs: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The intents' scores [intents] and the tags' [tokens, tags] of each text."""
        count = len(self.labels)
        return [o[0, count:] for o in outputs], [o[1:, :count] for o in outputs]

    def decide(
        self, outputs: Sequence[np.ndarray], passages: Sequence[Passage], tokenizer: Tokenizer
    ) -> list[Utterance]:
        """The likeliest intent of each text, and its slots."""
        intents, tags = self._halves(outputs)
        numbers = self.intents.decide(intents, passages, tokenizer)
        slots = self.slots.decide(tags, passages, tokenizer)
        return [
            Utterance(self.intents.labels[number], entities)
            for number, entities in zip(numbers, slots, strict=True)
        ]

    def metrics(self, decided: Targets, targets: Targets) -> Metrics:
        """The part of texts with the right intent and exactly the right slots (sentence accuracy),
        the part with the right intent, and the slots' entity-level figures."""
        slots = entity_metrics(self._slot_scores(decided, targets))
        pairs = list(zip(decided, targets, strict=True))
        return {
            "sentence_accuracy": float(np.mean([found == truth for found, truth in pairs])),
            "intent_accuracy": float(np.mean([f.intent == t.intent for f, t in pairs])),
            **{f"slot_{name}": slots[name] for name in ("f1", "precision", "recall")},
        }

    def scores(self, decided: Targets, targets: Targets) -> list[LabelScore]:
        """Every intent's figures, then every type of slot's."""
        intents = self.intents.scores(self._intent_numbers(decided), self._intent_numbers(targets))
        return [*intents, *self._slot_scores(decided, targets)]

    def _slot_scores(self, decided: Targets, targets: Targets) -> list[LabelScore]:
        return entity_scores(
            self.slots.types, [u.entities for u in decided], [u.entities for u in targets]
        )

    def describe(self, target: Any, text: Text) -> str:
        """The intent, and the slots with their types."""
        return f"{target.intent}: {self.slots.describe(target.entities, text)}"

    def decode(
        self,
        outputs: Sequence[np.ndarray],
        passages: Sequence[Passage],
        tokenizer: Tokenizer,
        options: AnswerOptions,
    ) -> list[Any]:
        """A dictionary a text: `intent`, its `score`, and `slots` as `TokenClassification.decode`
        gives entities; with `probabilities` every intent's probability too.

        Raises:
            InputError: `options.top_k` was given.
        """
        intents, tags = self._halves(outputs)
        slots = self.slots.decode(tags, passages, tokenizer, AnswerOptions(top_k=options.top_k))
        answers = []
        for logits, found in zip(intents, slots, strict=True):
            probabilities = softmax(logits.astype(np.float64))
            best = int(probabilities.argmax())
            answer = {"intent": self.intents.labels[best], "score": float(probabilities[best])}
            if options.probabilities:
                every = zip(self.intents.labels, map(float, probabilities), strict=True)
                answer["probabilities"] = dict(every)
            answers.append({**answer, "slots": found})
        return answers


def _apart(targets: Targets) -> tuple[list[int], list[np.ndarray]]:
    """The intents and the tags of a batch's windows."""
    return [intent for intent, _ in targets], [tags for _, tags in targets]


def _utterance(example: Example, data: TextDataset) -> Utterance:
    if not isinstance(example.label, Utterance):
        raise DataError(f"{data.place(example)}: an intent and slots are needed here.")
    return example.label
