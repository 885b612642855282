"""Masked language modelling: what an encoder is pretrained as.

Whole words, n-grams and phrases are masked (`hub.tokenizers.whole_word`), and the loss is taken at
masked tokens only: scores over the vocabulary are computed for these alone. The fine-tuned
counterpart, which answers, is `hub.tasks.fill_mask`.

Shapes: B sequences of T tokens in a batch, N masked tokens in it, V entries of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hub.tokenizers import Tokenizer
from hub.tokenizers.whole_word import IGNORED, MaskingArguments, WholeWordMaskingCollator

if TYPE_CHECKING:
    from hub.backend import paddle


@dataclass(frozen=True)
class MaskedBatch:
    """Sequences with masks in them.

    Attributes:
        inputs: `input_ids`, `token_type_ids` and `attention_mask`, int64 [B, T], and `positions`,
            int64 [N], the numbers of the tokens to guess in the batch read row by row: what
            `ErnieForMaskedLM` is given.
        targets: the ids that stood there, int64 [N].
    """

    inputs: dict[str, np.ndarray]
    targets: np.ndarray


@dataclass(frozen=True)
class MaskedScore:
    """How well masked tokens are guessed.

    Attributes:
        loss: the mean negative log-likelihood in nats, over the masked tokens.
        accuracy: the part of them that is guessed right at first.
        tokens: how many there were.
    """

    loss: float
    accuracy: float
    tokens: int


class MaskedLanguageModelling:
    """Makes masked batches, and measures a network on them.

    Args:
        tokenizer: the model's.
        masking: how much is masked, and how.
    """

    def __init__(self, tokenizer: Tokenizer, masking: MaskingArguments | None = None) -> None:
        self._collator = WholeWordMaskingCollator(tokenizer, masking)

    def batch(self, rows: Sequence[Mapping[str, Any]], epoch: int) -> MaskedBatch:
        """Mask sequences; the masks depend on the seed, the epoch and each sequence alone.

        Args:
            rows: as `UnitFinder` gives them.
            epoch: counted from 0.
        """
        self._collator.epoch = epoch
        columns = self._collator(rows)
        labels = columns.pop("labels").ravel()
        positions = np.flatnonzero(labels != IGNORED).astype(np.int64)
        return MaskedBatch({**columns, "positions": positions}, labels[positions])

    @staticmethod
    def logits(network: paddle.nn.Layer, batch: MaskedBatch) -> paddle.Tensor:
        """A score for every entry at every masked token, float [N, V]."""
        from hub.backend import paddle

        return network(*map(paddle.to_tensor, batch.inputs.values()))

    def loss(self, network: paddle.nn.Layer, batch: MaskedBatch) -> paddle.Tensor:
        """The mean cross-entropy over a batch's masked tokens, a scalar; 0 where there are none."""
        from hub.backend import paddle

        logits = self.logits(network, batch)
        if not len(batch.targets):  # no token that the vocabulary knows
            return logits.sum() * 0.0
        targets = paddle.to_tensor(batch.targets)
        return paddle.nn.functional.cross_entropy(logits.astype("float32"), targets)

    def score(self, network: paddle.nn.Layer, batches: Iterable[MaskedBatch]) -> MaskedScore:
        """Loss and accuracy without dropout, over all masked tokens of `batches`."""
        from hub.backend import paddle

        was_training = network.training
        network.eval()
        loss, right, count = 0.0, 0, 0
        with paddle.no_grad():
            for batch in batches:
                logits = self.logits(network, batch).astype("float32")
                targets = paddle.to_tensor(batch.targets)
                loss += float(paddle.nn.functional.cross_entropy(logits, targets, reduction="sum"))
                right += int((logits.argmax(axis=-1) == targets).sum())
                count += len(batch.targets)
        if was_training:
            network.train()
        return MaskedScore(loss / max(1, count), right / max(1, count), count)
