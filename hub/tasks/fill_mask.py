"""What could stand at `[MASK]`: the masked language model that the encoder was trained as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hub.data.batches import Batch
from hub.errors import InputError
from hub.tasks.base import AnswerOptions, Task, check_no_probabilities, softmax
from hub.tasks.passages import Passage
from hub.tokenizers import Encoding, Tokenizer
from hub.tokenizers.windows import Window, owned

if TYPE_CHECKING:
    from hub.backend import paddle
    from hub.models.ernie.config import ErnieConfig

_MASK = "[MASK]"
_TOP_K = 5


class FillMask(Task):
    """The likeliest tokens for every `[MASK]` of a text."""

    name: ClassVar[str] = "fill-mask"
    title: ClassVar[str] = "masked language model"
    pipeline: ClassVar[str] = "fill-mask"
    architecture: ClassVar[str] = "ForMaskedLM"
    needs_offsets: ClassVar[bool] = True
    takes_labels: ClassVar[bool] = False

    def __init__(self, labels: Sequence[str] = ()) -> None:
        if labels:
            raise InputError("fill-mask answers with tokens of the vocabulary: it takes no labels.")
        super().__init__(labels)

    def build_network(self, config: ErnieConfig) -> paddle.nn.Layer:
        """The encoder with the masked language model's head."""
        from hub.models.ernie.heads import ErnieForMaskedLM

        return ErnieForMaskedLM(config)

    def probes(self, texts: Sequence[str]) -> list[str]:
        """The texts, each with a `[MASK]` before it."""
        return [_MASK + text for text in texts]

    def check(self, passages: Sequence[Passage], tokenizer: Tokenizer) -> None:
        """See that every text has a `[MASK]`, and that all it has are read.

        Raises:
            InputError: a text has none, or one was cut off.
        """
        for number, passage in enumerate(passages):
            text = str(passage.text)
            read = passage.input_ids.count(tokenizer.mask_token_id)
            if read < text.count(_MASK):
                length = len(passage.windows[0].encoding.input_ids)
                raise InputError(
                    f"A {_MASK} of text {number} stands after its first {length} tokens, which "
                    "are all that is read: raise max_seq_len or say long_text='window'."
                )
            if not read:
                raise InputError(f"Text {number} has no {_MASK} to fill: {text[:60]!r}.")

    def concerns(self, encoding: Encoding, tokenizer: Tokenizer) -> bool:
        """Whether there is a `[MASK]` in this window."""
        return tokenizer.mask_token_id in encoding.input_ids

    def prepare(self, batch: Batch, tokenizer: Tokenizer) -> Batch:
        """Ask the network for masked tokens only: scores over a vocabulary are large."""
        masked = batch.input_ids == tokenizer.mask_token_id
        return replace(batch, positions=np.flatnonzero(masked).astype(np.int64))

    def split(self, output: np.ndarray, batch: Batch) -> list[np.ndarray]:
        """The scores of each row's masks, [masks, V], from `output`, [masks of all rows, V]."""
        assert batch.positions is not None
        rows = batch.positions // batch.input_ids.shape[1]
        counts = np.bincount(rows, minlength=len(batch))
        return np.split(output, np.cumsum(counts)[:-1])

    def merge(
        self, outputs: Sequence[np.ndarray], windows: Sequence[Window], tokenizer: Tokenizer
    ) -> np.ndarray:
        """Each mask's scores from the window where it stands farthest from an edge."""
        kept = []
        for output, window, numbers in zip(outputs, windows, owned(windows), strict=True):
            masks = [
                number
                for number, token in enumerate(window.encoding.input_ids, start=window.start - 1)
                if token == tokenizer.mask_token_id
            ]
            kept += [row for row, number in zip(output, masks, strict=True) if number in numbers]
        return np.stack(kept)

    def decode(
        self,
        outputs: Sequence[np.ndarray],
        passages: Sequence[Passage],
        tokenizer: Tokenizer,
        options: AnswerOptions,
    ) -> list[Any]:
        """The best tokens, as `transformers`' fill-mask pipeline gives them.

        For a text with one `[MASK]` a list of dictionaries, the likeliest first: `score`, `token`
        (its id), `token_str` and `sequence` (the text with it). For one with several, such a list
        for each.

        Raises:
            InputError: probabilities are asked for.
        """
        check_no_probabilities(self.name, options)
        return [
            _answer(output, passage, tokenizer, options.top_k or _TOP_K)
            for output, passage in zip(outputs, passages, strict=True)
        ]


def _answer(output: np.ndarray, passage: Passage, tokenizer: Tokenizer, top_k: int) -> list[Any]:
    text, mask = str(passage.text), tokenizer.mask_token_id
    pairs = zip(passage.input_ids, passage.offsets, strict=True)
    places = [span for number, span in pairs if number == mask]
    filled = []
    for probabilities, (start, end) in zip(softmax(output.astype(np.float64)), places, strict=True):
        best = np.argsort(-probabilities, kind="stable")[:top_k]
        filled.append(
            [
                {
                    "score": float(probabilities[number]),
                    "token": int(number),
                    "token_str": token,
                    "sequence": text[:start] + _written(token) + text[end:],
                }
                for number, token in zip(best, tokenizer.tokens(best.tolist()), strict=True)
            ]
        )
    return filled[0] if len(filled) == 1 else filled


def _written(token: str) -> str:
    """A token as it stands in a text: without the signs of WordPiece and SentencePiece."""
    return token.removeprefix("##").replace("▁", " ").strip() or token
