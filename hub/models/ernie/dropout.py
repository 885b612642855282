"""Dropout that a small CPU can afford, and whose randomness can be saved and restored.

Paddle's CPU dropout draws one number an element, slowly and on one thread. Here one random byte an
element decides, drawn by NumPy's SFC64, at about a quarter of the time. The probability is
therefore a multiple of 1/256 (0.1 becomes 26/256 = 0.1016); the kept values are scaled by the exact
probability, so the expectation is unchanged.

On other devices, and in a traced program, Paddle's own dropout runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hub.backend import paddle

_LEVELS = 256


class _Stream:
    """The process's stream of random bytes for dropout."""

    def __init__(self) -> None:
        self.generator = np.random.Generator(np.random.SFC64())


_stream = _Stream()


def seed(value: int | Sequence[int]) -> None:
    """Start the stream again from `value`, a number or several that count together."""
    _stream.generator = np.random.Generator(np.random.SFC64(value))


def get_state() -> dict[str, Any]:
    """The stream's state, as plain lists and numbers that JSON can hold."""
    state = dict(_stream.generator.bit_generator.state)
    state["state"] = {"state": [int(word) for word in state["state"]["state"]]}
    return state


def set_state(state: dict[str, Any]) -> None:
    """Continue from a state that `get_state` gave."""
    words = np.array(state["state"]["state"], dtype=np.uint64)
    _stream.generator.bit_generator.state = {**state, "state": {"state": words}}


def uniform(shape: Sequence[int]) -> np.ndarray:
    """Numbers from 0 to below 1 of the stream, float32 [*shape]."""
    return _stream.generator.random(shape, dtype=np.float32)


class Dropout(paddle.nn.Layer):
    """Zero each element with probability `p` while training; scale the others by `1 / (1 - p)`."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    @property
    def _dropped_levels(self) -> int:
        return round(self.p * _LEVELS)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Drop elements of `x`, a float tensor of any shape."""
        if not self.training or self.p == 0.0:
            return x
        # A traced program is to draw anew each time that it runs.
        if not paddle.in_dynamic_mode() or not x.place.is_cpu_place():
            return paddle.nn.functional.dropout(x, self.p)
        draws = np.frombuffer(_stream.generator.bytes(x.size), dtype=np.uint8)
        scale = np.float32(_LEVELS / (_LEVELS - self._dropped_levels))
        kept = np.multiply(draws >= self._dropped_levels, scale, dtype=np.float32)
        return x * paddle.to_tensor(kept.reshape(x.shape)).astype(x.dtype)
