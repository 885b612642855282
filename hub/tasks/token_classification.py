"""A tag a token, and from the tags the entities of a text: names, places, slots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from hub.data.batches import Batch
from hub.data.tags import spans_of
from hub.errors import InputError
from hub.tasks.base import AnswerOptions, Task, softmax
from hub.tasks.passages import Passage
from hub.tokenizers import Tokenizer
from hub.tokenizers.base import Span
from hub.tokenizers.windows import Window, owned

if TYPE_CHECKING:
    from hub.backend import paddle
    from hub.models.ernie.config import ErnieConfig


class TokenClassification(Task):
    """Named-entity recognition with a linear map of every token's output."""

    name: ClassVar[str] = "token-classification"
    architecture: ClassVar[str] = "ForTokenClassification"
    needs_offsets: ClassVar[bool] = True

    def build_network(self, config: ErnieConfig) -> paddle.nn.Layer:
        """The encoder with a linear layer over its sequence output."""
        from hub.models.ernie.heads import ErnieForTokenClassification

        return ErnieForTokenClassification(config, len(self.labels))

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
            InputError: `options.top_k` was given.
        """
        if options.top_k is not None:
            raise InputError("top_k is for tasks that rank their answers; entities are not ranked.")
        return [
            self._entities(output, passage, tokenizer)
            for output, passage in zip(outputs, passages, strict=True)
        ]

    def _entities(
        self, output: np.ndarray, passage: Passage, tokenizer: Tokenizer
    ) -> list[dict[str, Any]]:
        words = _words(tokenizer.tokens(passage.input_ids), passage.offsets)
        if not words:
            return []
        logits = output[[word.first for word in words]].astype(np.float64)
        best = logits.argmax(axis=-1)
        shares = softmax(logits)[np.arange(len(words)), best]
        entities = []
        for span in spans_of([self.labels[number] for number in best]):
            start, end = words[span.start].start, words[span.end - 1].end
            entities.append(
                {
                    "text": str(passage.text)[start:end],
                    "type": span.type,
                    "start": start,
                    "end": end,
                    "score": float(shares[span.start : span.end].mean()),
                }
            )
        return entities


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
