"""A tag a token, and from the tags the entities of a text: names, places, slots."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from hub.data.batches import Batch
from hub.data.encoded import NumberRows
from hub.data.examples import Entity, Example, Text, TextDataset, entities_in
from hub.data.tags import parse_tag, spans_of, spellings
from hub.errors import DataError, InputError
from hub.tasks.base import (
    AnswerOptions,
    LabelledTask,
    LabelScore,
    Metrics,
    Targets,
    check_no_probabilities,
    not_trained_for,
    softmax,
)
from hub.tasks.crf import CrfDecoder, keeps_the_scheme, likeliest_legal
from hub.tasks.losses import LossSettings, cross_entropy, share_of
from hub.tasks.passages import Passage
from hub.tokenizers import Encoding, Tokenizer
from hub.tokenizers.base import Span
from hub.tokenizers.windows import Window, owned

if TYPE_CHECKING:
    from hub.backend import paddle
    from hub.models.ernie.config import ErnieConfig


# The target of a token that has no tag of its own: one that goes on with a word.
NO_TAG = -100


class TokenClassification(LabelledTask):
    """Named-entity recognition: a tag in BIO for the first token of every word.

    Args:
        labels: the tags.
        crf: learn what tags follow each other too, and choose the best legal tags of a text as a
            whole; a dictionary is what was learned: `transitions`, `start` and `end`.
    """

    name: ClassVar[str] = "token-classification"
    title: ClassVar[str] = "tagger of named entities"
    pipeline: ClassVar[str] = "token-classification"
    architecture: ClassVar[str] = "ForTokenClassification"
    needs_offsets: ClassVar[bool] = True
    metric_names: ClassVar[tuple[str, ...]] = ("f1", "precision", "recall", "macro_f1")

    def __init__(
        self, labels: Sequence[str], crf: bool | dict[str, Any] = False, **options: Any
    ) -> None:
        super().__init__(labels, **options)
        # Another package's model may have marks alone, or behind the type.
        self._read_labels = list(spellings(self.labels).values())
        self.has_crf = bool(crf)
        self._learned = crf if isinstance(crf, dict) else None
        self._decoder = (
            None if self._learned is None else CrfDecoder.from_dict(self.labels, self._learned)
        )

    @property
    def options(self) -> dict[str, Any]:
        """The CRF, if it has one, with what it learned."""
        return {"crf": self._learned or True} if self.has_crf else {}

    @property
    def structure(self) -> dict[str, Any]:
        """Whether it has a CRF."""
        return {"crf": True} if self.has_crf else {}

    @classmethod
    def from_data(cls, data: TextDataset, **options: Any) -> TokenClassification:
        """The task for the types of entities in training data: O, then B and I of each type.

        Raises:
            DataError: there is no entity.
        """
        return cls(tags_for(data), **options)

    def build_network(self, config: ErnieConfig) -> paddle.nn.Layer:
        """The encoder with a linear layer over its sequence output, and perhaps a CRF."""
        from hub.models.ernie.heads import ErnieForTokenClassification

        return ErnieForTokenClassification(config, len(self.labels), self.has_crf)

    def adopt(self, network: paddle.nn.Layer) -> None:
        """Take over the transitions of the network's CRF."""
        if self.has_crf:
            crf = network.crf
            self._learned = {
                name: getattr(crf, name).numpy().astype(float).round(6).tolist()
                for name in ("transitions", "start", "end")
            }
            self._decoder = CrfDecoder.from_dict(self.labels, self._learned)

    # --- learning --------------------------------------------------------------------------------

    def targets(self, data: TextDataset) -> list[tuple[Entity, ...]]:
        """The entities of every text.

        Raises:
            DataError: a label is none, or of a type that the model is not trained for.
        """
        for example in data:
            if not self.knows(example):
                raise DataError(f"{data.place(example)}: {self._complaint(example)}")
        return [entities_in(example.label) for example in data]

    def knows(self, example: Example) -> bool:
        """Whether the label is entities of types that the task has."""
        label = example.label
        if not isinstance(label, tuple) or len(entities_in(label)) < len(label):
            return False
        return all(entity.type in self.types for entity in entities_in(label))

    @cached_property
    def types(self) -> list[str]:
        """The types of entities."""
        return list(dict.fromkeys(kind for _, kind in map(parse_tag, self._read_labels) if kind))

    @cached_property
    def _is_bio(self) -> bool:
        """Whether the labels are O, and B and I of every type."""
        return self._numbers.keys() == {"O", *(f"{mark}-{t}" for t in self.types for mark in "BI")}

    def _complaint(self, example: Example) -> str:
        label = example.label
        if not isinstance(label, tuple) or len(entities_in(label)) < len(label):
            return "entities are needed here, not a label."
        unknown = next(e.type for e in entities_in(label) if e.type not in self.types)
        return not_trained_for(f"the type {unknown!r}", self.types)

    def window_targets(
        self, passages: Sequence[Passage], targets: Targets, tokenizer: Tokenizer
    ) -> Sequence[np.ndarray]:
        """For each window the tag of every own token, int64 [tokens]; `NO_TAG` within a word.

        A word has an entity's tag if they share a character.

        Raises:
            InputError: the labels are not in BIO, as those of another package's model may not be.
        """
        if not self._is_bio:
            raise InputError(
                f"Tags are learned in BIO; this model has {', '.join(self.labels[:8])}: give "
                "hub.Module a label_map with O, and B- and I- of every type."
            )
        return NumberRows.of(
            self._window_tags(window.encoding, entities, tokenizer)
            for passage, entities in zip(passages, targets, strict=True)
            for window in passage.windows
        )

    def _window_tags(
        self, encoding: Encoding, entities: Sequence[Entity], tokenizer: Tokenizer
    ) -> np.ndarray:
        tokens = tokenizer.tokens(encoding.input_ids[1:-1])
        offsets = (encoding.offsets or [])[1:-1]
        return self._tags(_words(tokens, offsets), entities, len(tokens))

    def _tags(self, words: Sequence[_Word], entities: Sequence[Entity], count: int) -> np.ndarray:
        tags = np.full(count, NO_TAG, np.int64)
        tags[[word.first for word in words]] = self._numbers["O"]
        number = 0
        for entity in entities:
            while number < len(words) and words[number].end <= entity.start:
                number += 1
            mark = "B"
            while number < len(words) and words[number].start < entity.end:
                tags[words[number].first] = self._numbers[f"{mark}-{entity.type}"]
                mark = "I"
                number += 1
        return tags

    def loss(
        self,
        output: paddle.Tensor,
        targets: Targets,
        settings: LossSettings,
        network: paddle.nn.Layer,
        whole: Targets | None = None,
    ) -> paddle.Tensor:
        """Cross-entropy of every word's logits, or the CRF's likelihood of all tags of a text."""
        loss = tagging_loss(output, targets, settings, network.crf if self.has_crf else None)
        if whole is None:
            return loss
        part, all_tags = _words_tags(targets), _words_tags(whole)
        return loss * share_of(part, all_tags, settings) if len(part) else loss

    def class_weights(self, targets: Targets) -> np.ndarray:
        """The square root of how many times rarer a tag is than a tag on average.

        From the entities alone: O counts like the most frequent tag.
        """
        counts = np.ones(len(self.labels))
        for entities in targets:
            for entity in entities:
                counts[self._numbers[f"B-{entity.type}"]] += 1
                counts[self._numbers[f"I-{entity.type}"]] += max(0, entity.end - entity.start - 1)
        counts[self._numbers["O"]] = counts.max()
        return np.sqrt(counts.mean() / counts).astype(np.float32)

    # --- answering -------------------------------------------------------------------------------

    def decide(
        self, outputs: Sequence[np.ndarray], passages: Sequence[Passage], tokenizer: Tokenizer
    ) -> list[tuple[Entity, ...]]:
        """The entities of each text."""
        return [
            tuple(entity for entity, _ in found)
            for found in self._find(outputs, passages, tokenizer)
        ]

    def metrics(self, decided: Targets, targets: Targets) -> Metrics:
        """Entity-level precision, recall and F1: an entity is right if its type and both its ends
        are, as `seqeval` counts strictly; and the F1 averaged over types."""
        return entity_metrics(self.scores(decided, targets))

    def scores(self, decided: Targets, targets: Targets) -> list[LabelScore]:
        """Every type's precision, recall and F1."""
        return entity_scores(self.types, decided, targets)

    def describe(self, target: Any, text: Text) -> str:
        """The entities with their types."""
        return ", ".join(f"{str(text)[e.start : e.end]}/{e.type}" for e in target) or "(none)"

    def split(self, output: np.ndarray, batch: Batch) -> list[np.ndarray]:
        """The logits of each row's own tokens, [tokens, tags]: no padding, `[CLS]` or `[SEP]`."""
        lengths = batch.attention_mask.sum(axis=1)
        return [row[1 : length - 1] for row, length in zip(output, lengths, strict=True)]

    def merge(
        self, outputs: Sequence[np.ndarray], windows: Sequence[Window], tokenizer: Tokenizer
    ) -> np.ndarray:
        """Each token's logits from the window where it stands farthest from an edge.

        Entities are read from the merged tags, so that one that crosses an edge is whole.
        """
        return np.concatenate(
            [
                output[numbers.start - window.start : numbers.stop - window.start]
                for output, window, numbers in zip(outputs, windows, owned(windows), strict=True)
            ]
        )

    def decode(
        self,
        outputs: Sequence[np.ndarray],
        passages: Sequence[Passage],
        tokenizer: Tokenizer,
        options: AnswerOptions,
    ) -> list[Any]:
        """The entities of every text, in order.

        Each is a dictionary: `text`, `type`, `start` and `end` in the characters of the user's
        text, and `score`, the mean probability of its tags. A word that WordPiece split has the tag
        of its first piece.

        Raises:
            InputError: the best of several answers, or probabilities, are asked for.
        """
        check_no_probabilities(self.name, options)
        if options.top_k is not None:
            raise InputError("top_k is for tasks that rank their answers; entities are not ranked.")
        return [
            [
                {
                    "text": str(passage.text)[entity.start : entity.end],
                    "type": entity.type,
                    "start": entity.start,
                    "end": entity.end,
                    "score": score,
                }
                for entity, score in found
            ]
            for passage, found in zip(
                passages, self._find(outputs, passages, tokenizer), strict=True
            )
        ]

    def _find(
        self, outputs: Sequence[np.ndarray], passages: Sequence[Passage], tokenizer: Tokenizer
    ) -> list[list[tuple[Entity, float]]]:
        """The entities of each text, and the mean probability of their tags."""
        words = [_words(tokenizer.tokens(p.input_ids), p.offsets) for p in passages]
        logits = [
            output[[word.first for word in its_words]].astype(np.float64)
            for output, its_words in zip(outputs, words, strict=True)
        ]
        tags, probabilities = self._choose(logits)
        found = []
        for its_words, its_tags, its_probabilities in zip(words, tags, probabilities, strict=True):
            spans = spans_of([self._read_labels[number] for number in its_tags])
            found.append(
                [
                    (
                        Entity(its_words[s.start].start, its_words[s.end - 1].end, s.type),
                        float(its_probabilities[s.start : s.end].mean()),
                    )
                    for s in spans
                ]
            )
        return found

    def _choose(
        self, logits: Sequence[np.ndarray]
    ) -> tuple[Sequence[np.ndarray], Sequence[np.ndarray]]:
        """Each word's tag, and how likely it is, from each text's logits [words, tags]."""
        if self._decoder is not None:
            return self._decoder.decode(logits)
        tags = [values.argmax(axis=-1) for values in logits]
        if self._is_bio:
            # Where they break the scheme, the likeliest tags that do not.
            broken = [n for n, its in enumerate(tags) if not keeps_the_scheme(self.labels, its)]
            for number, its in zip(
                broken, likeliest_legal(self.labels, [logits[n] for n in broken]), strict=True
            ):
                tags[number] = its
        pairs = zip(logits, tags, strict=True)
        return tags, [softmax(values)[np.arange(len(its)), its] for values, its in pairs]


def tags_for(data: TextDataset) -> list[str]:
    """O, then B and I of every type of entity in `data`, in the order of their characters.

    Raises:
        DataError: there is no entity.
    """
    types = sorted({entity.type for example in data for entity in entities_in(example.label)})
    if not types:
        raise DataError(f"There is no entity in {data.source}: there is nothing to learn.")
    return ["O", *(f"{mark}-{kind}" for kind in types for mark in "BI")]


def entity_scores(
    types: Sequence[str],
    decided: Sequence[Sequence[Entity]],
    targets: Sequence[Sequence[Entity]],
) -> list[LabelScore]:
    """Every type's figures, an entity being right if its type and both its ends are."""
    counts = {kind: [0, 0, 0] for kind in types}
    for found, truth in zip(decided, targets, strict=True):
        for place, entities in enumerate((set(found) & set(truth), found, truth)):
            for entity in entities:
                counts[entity.type][place] += 1
    return [LabelScore(kind, *count) for kind, count in counts.items()]


def entity_metrics(scores: Sequence[LabelScore]) -> Metrics:
    """Precision, recall and F1 of all entities, and the F1 averaged over their types."""
    counts = ((score.right, score.predicted, score.support) for score in scores)
    whole = LabelScore("all", *map(sum, zip(*counts, strict=True)))
    return {
        "f1": whole.f1,
        "precision": whole.precision,
        "recall": whole.recall,
        "macro_f1": float(np.mean([score.f1 for score in scores])),
    }


def tagging_loss(
    logits: paddle.Tensor,
    targets: Sequence[np.ndarray],
    settings: LossSettings,
    crf: paddle.nn.Layer | None,
) -> paddle.Tensor:
    """The loss of tags.

    Args:
        logits: [B, T, tags], `[CLS]` first.
        targets: for each row the tags of its own tokens, `NO_TAG` for those without.
        settings: the shape of the loss.
        crf: the field over the words, if there is one.
    """
    from hub.backend import paddle

    length, count = logits.shape[1], logits.shape[2]
    places = [1 + np.flatnonzero(row != NO_TAG) for row in targets]
    tags = [row[row != NO_TAG] for row in targets]
    if not any(map(len, tags)):  # blank texts alone
        return logits.sum() * 0.0
    flat = logits.reshape([-1, count])
    if crf is None:
        numbers = np.concatenate([row * length + its for row, its in enumerate(places)])
        chosen = paddle.gather(flat, paddle.to_tensor(numbers))
        return cross_entropy(chosen, np.concatenate(tags), settings)
    assert settings.is_plain  # the trainer sees to it: a CRF's loss has no shape
    rows = [row for row, its in enumerate(tags) if len(its)]  # a text may have no word
    words = max(len(tags[row]) for row in rows)
    numbers = np.zeros((len(rows), words), np.int64)
    wanted = np.zeros((len(rows), words), np.int64)
    mask = np.zeros((len(rows), words), np.float32)
    for number, row in enumerate(rows):
        size = len(tags[row])
        numbers[number, :size] = row * length + places[row]
        wanted[number, :size] = tags[row]
        mask[number, :size] = 1
    emissions = paddle.gather(flat, paddle.to_tensor(numbers.reshape(-1)))
    return crf.loss(
        emissions.reshape([len(rows), words, count]),
        paddle.to_tensor(wanted),
        paddle.to_tensor(mask),
    )


def _words_tags(targets: Sequence[np.ndarray]) -> np.ndarray:
    """The tags of all words of a batch, int64 [words]."""
    tags = np.concatenate([*targets, np.zeros(0, np.int64)])
    return tags[tags != NO_TAG]


class _Word(NamedTuple):
    """A word's first token, and where it stands in the text."""

    first: int
    start: int
    end: int


def _words(tokens: Sequence[str], offsets: Sequence[Span]) -> list[_Word]:
    """The words of a text: WordPiece marks the tokens that go on with one by `##`.

    SentencePiece has tokens for the space between words, which stand nowhere.
    """
    words: list[_Word] = []
    for number, (token, (start, end)) in enumerate(zip(tokens, offsets, strict=True)):
        if start == end:
            continue
        if token.startswith("##") and words:
            words[-1] = words[-1]._replace(end=end)
        else:
            words.append(_Word(number, start, end))
    return words
