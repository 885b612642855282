"""Weights from a seed: the same numbers on every machine and with every Paddle build."""

from __future__ import annotations

import numpy as np

from hub.backend import paddle
from hub.models.ernie.config import ErnieConfig


def initialize(network: paddle.nn.Layer, config: ErnieConfig, seed: int) -> None:
    """Fill `network` as BERT does: normal weights of `initializer_range`, cut at two sigmas.

    Biases are 0 and layer norms the identity. NumPy's PCG64 draws the numbers, in the order in
    which the layers are declared.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    for layer in network.sublayers(include_self=True):
        if isinstance(layer, paddle.nn.Linear | paddle.nn.Embedding):
            draws = _truncated_normal(generator, layer.weight.shape)
            layer.weight.set_value(draws * np.float32(config.initializer_range))
        if isinstance(layer, paddle.nn.LayerNorm) and layer.weight is not None:
            layer.weight.set_value(np.ones(layer.weight.shape, np.float32))
        bias = getattr(layer, "bias", None)
        if bias is not None:
            bias.set_value(np.zeros(bias.shape, np.float32))


def _truncated_normal(generator: np.random.Generator, shape: list[int]) -> np.ndarray:
    draws = generator.standard_normal(shape, dtype=np.float32)
    while (outside := np.abs(draws) > 2).any():
        draws[outside] = generator.standard_normal(int(outside.sum()), dtype=np.float32)
    return draws
