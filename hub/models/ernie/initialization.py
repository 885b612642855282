"""Weights from a seed: the same numbers on every machine and with every Paddle build."""

from __future__ import annotations

import math

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


def initialize_untrained(network: paddle.nn.Layer, config: ErnieConfig, seed: int) -> None:
    """Fill a network with an encoder, so that it can be trained without pretrained weights."""
    initialize(network, config, seed)
    teach_order(network.encoder, config, seed)


def teach_order(encoder: paddle.nn.Layer, config: ErnieConfig, seed: int) -> None:
    """Let an `ErnieModel` that `initialize` has filled be trained without pretrained weights.

    BERT's random weights know nothing of order: from a few thousand sentences such a network hardly
    learns what its neighbours say of a token. From here it begins with

    - linear maps whose outputs vary as their inputs do (https://proceedings.mlr.press/v9/glorot10a);
    - sinusoids as the positions' embeddings (https://arxiv.org/abs/1706.03762, section 3.5), as
      large as the words';
    - half of each layer's heads looking at the token before, the one after, two before and so on,
      as a convolution does (https://arxiv.org/abs/1911.03584; https://arxiv.org/abs/2103.10697).

    All of it is trained like any other weight.
    """
    generator = np.random.Generator(np.random.PCG64([seed, 1]))
    for layer in encoder.sublayers():
        if isinstance(layer, paddle.nn.Linear):
            inputs, outputs = layer.weight.shape
            draws = _truncated_normal(generator, [inputs, outputs])
            layer.weight.set_value(draws * np.float32(math.sqrt(2 / (inputs + outputs))))
    positions = encoder.embeddings.position_embeddings.weight
    count, width = positions.shape
    frequencies = 10_000.0 ** (-2 * np.arange(width // 2) / width)
    angles = np.arange(count)[:, None] * frequencies
    waves = np.zeros((count, width), np.float32)
    waves[:, 0 : 2 * len(frequencies) : 2] = np.sin(angles)
    waves[:, 1::2] = np.cos(angles)
    positions.set_value(waves * np.float32(math.sqrt(2) * config.initializer_range))
    for layer in encoder.layers:
        _look_near(layer.attention, config.num_attention_heads, frequencies, generator)


def _look_near(
    attention: paddle.nn.Layer,
    heads: int,
    frequencies: np.ndarray,
    generator: np.random.Generator,
) -> None:
    """Let the first half of a layer's heads attend to -1, 1, -2, 2, ... positions away.

    Sine and cosine of the query's position are turned by the angle of the distance; their product
    with those of another position is the cosine of what is left, summed over several frequencies.
    """
    query, key = attention.query.weight.numpy(), attention.key.weight.numpy()
    size = query.shape[1] // heads
    # The slow waves tell far places apart, and near ones not at all.
    quick = min(len(frequencies), max(size // 2, round(0.2 * len(frequencies))))
    pairs = min(size // 2, quick)
    for head in range(heads // 2 if pairs else 0):
        distance = (head // 2 + 1) * (-1 if head % 2 == 0 else 1)
        start = head * size
        for weights in (query, key):
            weights[:, start : start + size] = 0.01 * generator.standard_normal(
                (len(weights), size), dtype=np.float32
            )
        # So large that the place is preferred to all others together, and not so that the softmax
        # has no gradient.
        scale = math.sqrt(5 * math.sqrt(size) / pairs)
        for number, wave in enumerate(generator.choice(quick, pairs, replace=False)):
            sine, cosine = start + 2 * number, start + 2 * number + 1
            angle = frequencies[wave] * distance
            query[2 * wave, sine] += scale * math.cos(angle)
            query[2 * wave + 1, sine] += scale * math.sin(angle)
            query[2 * wave, cosine] -= scale * math.sin(angle)
            query[2 * wave + 1, cosine] += scale * math.cos(angle)
            key[2 * wave, sine] += scale
            key[2 * wave + 1, cosine] += scale
    attention.query.weight.set_value(query)
    attention.key.weight.set_value(key)


def _truncated_normal(generator: np.random.Generator, shape: list[int]) -> np.ndarray:
    draws = generator.standard_normal(shape, dtype=np.float32)
    while (outside := np.abs(draws) > 2).any():
        draws[outside] = generator.standard_normal(int(outside.sum()), dtype=np.float32)
    return draws
