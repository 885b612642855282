"""The precision that a run computes in: float32, or mixed with one of half the bits.

Accelerators have Paddle's automatic mixed precision. On a CPU bf16 is of matrix products alone
(`hub.models.ernie.cpu_layers`).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import numpy as np

from hub import onednn
from hub.backend import paddle
from hub.errors import InputError
from hub.models.ernie.cpu_layers import bfloat16_products

_TYPES: dict[str, Literal["bfloat16", "float16"]] = {"bf16": "bfloat16", "fp16": "float16"}


class Precision:
    """Computes a network in one precision; its weights stay in float32.

    fp16's gradients are small enough to vanish, so that its loss is scaled up before they are
    computed and they are scaled down before the step (https://arxiv.org/abs/1710.03740).

    Args:
        name: "fp32", "bf16" or "fp16".

    Raises:
        InputError: the device cannot compute in it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        if name != "fp32":
            check_precision(name, paddle.get_device())
        self._scaler = paddle.amp.GradScaler() if name == "fp16" else None

    def computing(self) -> AbstractContextManager[Any]:
        """While entered, what the network computes is in this precision."""
        if self.name == "fp32":
            return nullcontext()
        if paddle.get_device() == "cpu":
            return bfloat16_products()
        return paddle.amp.auto_cast(level="O1", dtype=_TYPES[self.name])

    def backward(self, loss: paddle.Tensor) -> None:
        """Add the gradients of `loss`, scaled as `step` expects them."""
        (loss if self._scaler is None else self._scaler.scale(loss)).backward()

    def step(self, optimizer: paddle.optimizer.Optimizer) -> None:
        """Change the weights; with fp16 not at all where a gradient has overflowed."""
        if self._scaler is None:
            optimizer.step()
        else:
            self._scaler.step(optimizer)
            self._scaler.update()

    def get_state(self) -> dict[str, Any]:
        """The scale and its counters as JSON can hold them; empty where there is none."""
        state: dict[str, Any] = {} if self._scaler is None else dict(self._scaler.state_dict())
        return {
            key: value.tolist() if hasattr(value, "tolist") else value
            for key, value in state.items()
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` gave."""
        if self._scaler is not None and state:
            restored: Any = {**state, "scale": np.array(state["scale"], np.float32)}
            self._scaler.load_state_dict(restored)


def check_precision(name: str, device: str) -> None:
    """See that a device can compute in a precision.

    Args:
        name: "fp32", "bf16" or "fp16".
        device: as Paddle names it, such as "cpu" or "gpu:0".

    Raises:
        InputError: it cannot.
    """
    if name == "fp32":
        return
    if device == "cpu" and name == "bf16":
        if onednn.has_bfloat16():
            return
        raise InputError(
            "This processor has no instructions for bf16 (AVX512-BF16 or AMX), or this build of "
            "PaddlePaddle cannot use them: leave --precision at fp32."
        )
    if device == "cpu":
        raise InputError(
            f"PaddlePaddle trains in {name} on GPUs and other accelerators only, and computes on "
            "the CPU here: take --precision bf16 where the processor has it, or leave it at fp32."
        )
    supported = {
        "bf16": paddle.amp.is_bfloat16_supported,
        "fp16": paddle.amp.is_float16_supported,
    }[name]
    if not supported():
        other = "fp16" if name == "bf16" else "fp32"
        raise InputError(f"{device} cannot compute in {name}: take --precision {other}.")
