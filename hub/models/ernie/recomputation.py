"""Layers whose inner tensors are computed again for the gradients instead of being kept.

Paddle's `recompute` runs the layer twice. Its own random state is restored for the second run; the
stream from which dropout draws on the CPU is not Paddle's, and is restored here. It gives a layer
gradients only if one of its inputs has one, which where all below is frozen none has.
"""

from __future__ import annotations

from typing import Any

from hub.backend import paddle
from hub.models.ernie import dropout
from hub.models.ernie.cpu_layers import bfloat16_products, multiplies_in_bfloat16


def recomputed(
    layer: paddle.nn.Layer, hidden: paddle.Tensor, *more: paddle.Tensor | None
) -> paddle.Tensor:
    """Compute `layer(hidden, *more)`, keeping only the inputs for the backward pass."""
    from paddle.distributed.fleet.utils import recompute

    if hidden.stop_gradient:
        if all(parameter.stop_gradient for parameter in layer.parameters()):
            return layer(hidden, *more)  # nothing of it is kept
        hidden.stop_gradient = False
    before, in_bfloat16 = dropout.get_state(), multiplies_in_bfloat16()
    runs = 0

    def run(*arguments: paddle.Tensor | None) -> Any:
        nonlocal runs
        runs += 1
        if runs == 1:
            return layer(*arguments)
        after = dropout.get_state()
        dropout.set_state(before)
        try:
            with bfloat16_products(in_bfloat16):
                return layer(*arguments)
        finally:
            dropout.set_state(after)

    return recompute(run, hidden, *more)
