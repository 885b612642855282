"""Layers whose inner tensors are computed again for the gradients instead of being kept.

Paddle's `recompute` runs the layer twice. Its own random state is restored for the second run; the
stream from which dropout draws on the CPU is not Paddle's, and is restored here.
"""

from __future__ import annotations

from typing import Any

from hub.backend import paddle
from hub.models.ernie import dropout
from hub.models.ernie.cpu_layers import bfloat16_products, multiplies_in_bfloat16


def recomputed(layer: paddle.nn.Layer, *inputs: paddle.Tensor | None) -> paddle.Tensor:
    """Compute `layer(*inputs)`, keeping only the inputs for the backward pass."""
    from paddle.distributed.fleet.utils import recompute

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

    return recompute(run, *inputs)
