"""LoRA: train two narrow matrices beside each frozen one (https://arxiv.org/abs/2106.09685)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from hub.backend import paddle

# The change counts as much as if every narrow matrix had been initialized twice as wide: the
# paper's alpha is this many ranks.
_SCALE = 2.0


class LowRankLinear(paddle.nn.Layer):
    """A frozen linear map and a trained change of low rank.

    Args:
        base: the map, [in, out]; its parameters are frozen.
        rank: the width between the two trained matrices, [in, rank] and [rank, out].
        random: draws the first; the second begins as zeros, so that nothing is changed at first.
    """

    def __init__(self, base: paddle.nn.Linear, rank: int, random: np.random.Generator) -> None:
        super().__init__()
        self.base = base
        for parameter in base.parameters():
            parameter.stop_gradient = True
        width, out = base.weight.shape
        self.down = self.create_parameter([width, rank])
        self.up = self.create_parameter([rank, out])
        drawn = random.normal(scale=width**-0.5, size=(width, rank))
        self.down.set_value(drawn.astype(np.float32))
        self.up.set_value(np.zeros((rank, out), np.float32))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [..., in] to [..., out]."""
        return self.base(x) + paddle.matmul(paddle.matmul(x, self.down), self.up) * _SCALE

    def merged(self) -> paddle.nn.Linear:
        """The map with the change added to its weights."""
        change = paddle.matmul(self.down, self.up) * _SCALE
        self.base.weight.set_value(self.base.weight + change)
        for parameter in self.base.parameters():
            parameter.stop_gradient = False
        return self.base


@contextmanager
def low_rank(
    network: paddle.nn.Layer, rank: int, seed: int, frozen_layers: int = 0
) -> Iterator[None]:
    """While entered, of the encoder's layers only low-rank changes are trained.

    They stand beside the query and value maps of each attention, as in the paper; the embeddings
    and all else of the layers are frozen, the pooler and the head are trained whole. At the end the
    changes are added to the weights: the network has its old form.

    Args:
        network: with an encoder.
        rank: of the changes, at most the network's width; 0 does nothing.
        seed: of their first values.
        frozen_layers: so many of the lowest layers are not changed at all.
    """
    if not rank:
        yield
        return
    random = np.random.default_rng(seed)
    for part in (network.encoder.embeddings, network.encoder.layers):
        for parameter in part.parameters():
            parameter.stop_gradient = True
    attentions = [layer.attention for layer in network.encoder.layers[frozen_layers:]]
    for attention in attentions:
        attention.query = LowRankLinear(attention.query, rank, random)
        attention.value = LowRankLinear(attention.value, rank, random)
    try:
        yield
    finally:
        for attention in attentions:
            attention.query = attention.query.merged()
            attention.value = attention.value.merged()
        for parameter in network.encoder.parameters():
            parameter.stop_gradient = False
