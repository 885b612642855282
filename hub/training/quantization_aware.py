"""Training that knows of int8: what will be rounded when the model is exported is rounded already.

While it trains and is measured, the network computes with weights and inputs as `hub export
--precision int8` rounds them; gradients pass through the rounding as if it were not there (the
straight-through estimator, https://arxiv.org/abs/1308.3432, and https://arxiv.org/abs/1712.05877).
The weights themselves stay float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hub.backend import paddle

nn = paddle.nn

_LARGEST = 127
_LEVELS = 255
# The least range, so that zeros alone divide by something.
_LEAST = 1e-12


def rounded_weights(weights: paddle.Tensor, axis: int) -> paddle.Tensor:
    """Weights as int8 keeps them: symmetric, with a scale for all values along `axis`."""
    scales = weights.detach().abs().max(axis=axis, keepdim=True).clip(min=_LEAST) / _LARGEST
    return _straight_through(weights, (weights.detach() / scales).round() * scales)


def rounded_inputs(x: paddle.Tensor) -> paddle.Tensor:
    """Values as they become uint8 when they are computed: by the range of all of them."""
    seen = x.detach()
    low, high = seen.min().clip(max=0.0), seen.max().clip(min=0.0)
    scale = (high - low).clip(min=_LEAST) / _LEVELS
    zero = (-low / scale).round()
    numbers = ((seen / scale).round() + zero).clip(0, _LEVELS)
    return _straight_through(x, (numbers - zero) * scale)


def _straight_through(exact: paddle.Tensor, rounded: paddle.Tensor) -> paddle.Tensor:
    return exact + (rounded - exact.detach())


class RoundedLinear(nn.Layer):
    """A linear map whose weights and inputs are rounded; the parameters are those of `base`."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [..., in] to [..., out]."""
        weights = rounded_weights(self.base.weight, axis=0)
        return nn.functional.linear(rounded_inputs(x), weights, self.base.bias)


class RoundedEmbedding(nn.Layer):
    """An embedding whose rows are rounded; the parameters are those of `base`."""

    def __init__(self, base: nn.Embedding) -> None:
        super().__init__()
        self.base = base

    @property
    def weight(self) -> paddle.Tensor:
        """The rows as they are, [V, D]."""
        return self.base.weight

    def forward(self, ids: paddle.Tensor) -> paddle.Tensor:
        """The rows of `ids` [...], [..., D]."""
        return rounded_weights(self.base(ids), axis=-1)


@contextmanager
def rounded(network: Any, is_wanted: bool) -> Iterator[None]:
    """While entered, every linear map and the word and position embeddings are rounded.

    Args:
        network: with an encoder.
        is_wanted: False does nothing.
    """
    if not is_wanted:
        yield
        return
    replaced: list[tuple[Any, str, Any]] = []
    embeddings = network.encoder.embeddings
    for owner in network.sublayers(include_self=True):
        for name, layer in list(owner.named_children()):
            if isinstance(layer, nn.Linear):
                replaced.append((owner, name, layer))
                setattr(owner, name, RoundedLinear(layer))
    for name in ("word_embeddings", "position_embeddings"):
        layer = getattr(embeddings, name)
        replaced.append((embeddings, name, layer))
        setattr(embeddings, name, RoundedEmbedding(layer))
    try:
        yield
    finally:
        for owner, name, layer in replaced:
            setattr(owner, name, layer)
