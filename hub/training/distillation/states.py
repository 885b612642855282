"""Learning what passes through a teacher's encoder, not its answers alone.

Hidden states: each layer of the student comes near one of the teacher's, at even distances, after a
linear map that is learned along where their widths differ (TinyBERT,
https://arxiv.org/abs/1909.10351). Relations: how alike the queries of a text's tokens are to each
other, and its keys, and its values, in the last layer, whatever the widths and the numbers of heads
(MiniLMv2, https://arxiv.org/abs/2012.15828).

Shapes: B rows, T tokens (the student's), D a width, R heads of a relation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hub.backend import paddle
from hub.data.batches import collate
from hub.data.encoded import EncodedTexts
from hub.models.ernie.modeling import MASKED_SCORE

F = paddle.nn.functional


@dataclass
class States:
    """What the last pass through an encoder left.

    Attributes:
        hidden: [B, T, D], the embeddings' output first, then each layer's.
        related: the last layer's queries, keys and values, [B, T, D] each.
    """

    hidden: list[paddle.Tensor] = field(default_factory=list)
    related: list[paddle.Tensor] = field(default_factory=list)


@contextmanager
def watched(encoder: Any, hidden: bool, related: bool) -> Iterator[States]:
    """While entered, every pass through `encoder` leaves its states."""
    states = States()
    hooks = []

    def begin(layer: Any, inputs: Any) -> None:
        states.hidden.clear()
        states.related.clear()

    def keep_in(kept: list[paddle.Tensor]) -> Any:
        def keep(layer: Any, inputs: Any, output: paddle.Tensor) -> None:
            kept.append(output)

        return keep

    hooks.append(encoder.embeddings.register_forward_pre_hook(begin))
    if hidden:
        for layer in (encoder.embeddings, *encoder.layers):
            hooks.append(layer.register_forward_post_hook(keep_in(states.hidden)))
    if related:
        attention = encoder.layers[-1].attention
        for layer in (attention.query, attention.key, attention.value):
            hooks.append(layer.register_forward_post_hook(keep_in(states.related)))
    try:
        yield states
    finally:
        for hook in hooks:
            hook.remove()


class StateLessons:
    """Compares the states of a student's pass with the teacher's for the same rows.

    Args:
        teacher: the teacher's encoder.
        encodings: the training rows as the teacher reads them.
        places: for each row the teacher's token for each of the student's, as `matching_tokens`
            gives them.
        pad_token_id: the teacher's.
        hidden: the hidden states' part of the loss; 0 leaves them out.
        relations: the relations' part; 0 leaves them out.
    """

    def __init__(
        self,
        teacher: Any,
        encodings: EncodedTexts,
        places: Sequence[np.ndarray],
        pad_token_id: int,
        hidden: float,
        relations: float,
    ) -> None:
        self._teacher = teacher
        self._encodings = encodings
        self._places = places
        self._pad_token_id = pad_token_id
        self._hidden = hidden
        self._relations = relations
        self._states = States()
        self._maps: Any = None
        self._heads = 1

    @contextmanager
    def given_to(self, network: Any, seed: int) -> Iterator[None]:
        """While entered, passes through `network` are watched, and the maps are part of it."""
        ours, theirs = network.encoder.config, self._teacher.config
        self._heads = _common_heads(ours, theirs)
        if self._hidden and ours.hidden_size != theirs.hidden_size:
            network.teacher_maps = _maps(ours.hidden_size, theirs.hidden_size, seed)
            self._maps = network.teacher_maps
        try:
            with watched(network.encoder, self._hidden > 0, self._relations > 0) as self._states:
                yield
        finally:
            if self._maps is not None:
                del network.teacher_maps
            self._maps, self._states = None, States()

    def loss(self, rows: np.ndarray, whole: np.ndarray | None = None) -> paddle.Tensor:
        """How far the states of the student's last pass, which was for `rows`, are from the
        teacher's: the mean over tokens, or what they add to that of the batch `whole`."""
        theirs = self._read(rows)
        length = (self._states.hidden or self._states.related)[0].shape[1]
        places = np.zeros((len(rows), length), np.int64)
        known = np.zeros((len(rows), length), np.float32)
        for number, row in enumerate(rows):
            its = self._places[row]
            places[number, : len(its)] = np.maximum(its, 0)
            known[number, : len(its)] = its >= 0
        index, mask = paddle.to_tensor(places), paddle.to_tensor(known)
        total = paddle.zeros([], "float32")
        if self._hidden:
            total = total + self._hidden * self._hidden_loss(theirs.hidden, index, mask)
        if self._relations:
            total = total + self._relations * self._relation_loss(theirs.related, index, mask)
        return total if whole is None else total * (self._known(rows) / self._known(whole))

    def _known(self, rows: np.ndarray) -> int:
        """How many tokens of some rows the teacher has as well; `[CLS]` is one."""
        return sum(int((self._places[row] >= 0).sum()) for row in rows)

    def _read(self, rows: np.ndarray) -> States:
        batch = collate(self._encodings, rows, self._pad_token_id)
        wanted = self._hidden > 0, self._relations > 0
        with paddle.no_grad(), watched(self._teacher, *wanted) as states:
            self._teacher(*map(paddle.to_tensor, batch.inputs.values()))
        return states

    def _hidden_loss(
        self, theirs: list[paddle.Tensor], index: paddle.Tensor, mask: paddle.Tensor
    ) -> paddle.Tensor:
        """The mean squared difference, a unit, averaged over the student's layers."""
        ours = self._states.hidden
        step = (len(theirs) - 1) / (len(ours) - 1)
        total = paddle.zeros([], "float32")
        for number, own in enumerate(ours):
            wanted = _at(theirs[round(number * step)], index)
            own = own.astype("float32")
            if self._maps is not None:
                own = self._maps[min(number, 1)](own)
            apart = ((own - wanted) ** 2).mean(axis=-1)  # [B, T]
            total = total + (apart * mask).sum() / mask.sum()
        return total / len(ours)

    def _relation_loss(
        self, theirs: list[paddle.Tensor], index: paddle.Tensor, mask: paddle.Tensor
    ) -> paddle.Tensor:
        """The mean divergence from the teacher's relations, over tokens, heads and the three."""
        bias = ((1.0 - mask) * MASKED_SCORE).unsqueeze([1, 2])  # [B, 1, 1, T]
        total = paddle.zeros([], "float32")
        for own, other in zip(self._states.related, theirs, strict=True):
            scores = _relations(own.astype("float32"), self._heads) + bias
            wanted = F.softmax(_relations(_at(other, index), self._heads) + bias, axis=-1)
            # Where a probability is 0 its logarithm is multiplied by it.
            logs = paddle.log(wanted.clip(min=1e-9)) - F.log_softmax(scores, axis=-1)
            apart = (wanted * logs).sum(axis=-1).mean(axis=1)  # [B, T]
            total = total + (apart * mask).sum() / mask.sum()
        return total / len(theirs)


def _at(states: paddle.Tensor, index: paddle.Tensor) -> paddle.Tensor:
    """The teacher's states at the student's tokens, float32 [B, T, D]."""
    rows, length, width = states.shape
    numbers = index + paddle.arange(rows, dtype="int64").unsqueeze(1) * length
    flat = states.astype("float32").reshape([rows * length, width])
    return paddle.gather(flat, numbers.reshape([-1])).reshape([rows, -1, width])


def _relations(vectors: paddle.Tensor, heads: int) -> paddle.Tensor:
    """How alike the tokens' vectors [B, T, D] are, as scores [B, R, T, T]."""
    rows, length, width = vectors.shape
    split = vectors.reshape([rows, length, heads, width // heads]).transpose([0, 2, 1, 3])
    return paddle.matmul(split, split, transpose_y=True) * (width // heads) ** -0.5


def _common_heads(ours: Any, theirs: Any) -> int:
    """In how many heads both widths are cut: the student's own number where that goes."""
    common = math.gcd(ours.attention_size, theirs.attention_size)
    return math.gcd(common, ours.num_attention_heads)


def _maps(width: int, wanted: int, seed: int) -> paddle.nn.LayerList:
    """Two maps from the student's width to the teacher's: of the embeddings, and of the layers."""
    random = np.random.default_rng(seed)
    maps = paddle.nn.LayerList([paddle.nn.Linear(width, wanted) for _ in range(2)])
    for each in maps:
        drawn = random.normal(scale=width**-0.5, size=(width, wanted))
        each.weight.set_value(drawn.astype(np.float32))
        each.bias.set_value(np.zeros(wanted, np.float32))
    return maps
