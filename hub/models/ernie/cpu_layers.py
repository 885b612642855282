"""Layers that train faster on a CPU; in float32 their values and gradients are Paddle's.

Paddle's CPU kernels add a bias, sum a bias's gradient, compute softmax, and differentiate GELU and
a layer norm on one thread, element by element. Here matrix products do what they can of it, which
MKL computes on all threads, and oneDNN the rest (`hub/onednn.py`). On other devices, in traced
graphs, and where oneDNN is missing, Paddle's own layers run.

Shapes: N rows, D values in each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from hub import onednn
from hub.backend import paddle

nn = paddle.nn
F = paddle.nn.functional

_in_bfloat16: ContextVar[bool] = ContextVar("in_bfloat16", default=False)


def multiplies_in_bfloat16() -> bool:
    """Whether products are computed in bfloat16 at present."""
    return _in_bfloat16.get()


@contextmanager
def bfloat16_products(wanted: bool = True) -> Iterator[None]:
    """While entered, training multiplies in bfloat16 and sums up in float32.

    Weights, outputs and gradients stay float32; products of what was computed while it was entered
    are in bfloat16 in the backward pass too.
    """
    before = _in_bfloat16.set(wanted)
    try:
        yield
    finally:
        _in_bfloat16.reset(before)


@paddle.jit.not_to_static
def _is_on_cpu(x: paddle.Tensor) -> bool:
    """Whether `x` is computed now (and not traced), on the CPU, in float32, and not empty."""
    return (
        paddle.in_dynamic_mode()
        and x.place.is_cpu_place()
        and x.dtype == paddle.float32
        and x.size > 0
    )


@paddle.jit.not_to_static
def _has_onednn(x: paddle.Tensor) -> bool:
    return _is_on_cpu(x) and onednn.is_available()


class Linear(nn.Linear):
    """`paddle.nn.Linear`."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [..., in] to [..., out]."""
        if self.training and _is_on_cpu(x):
            mapped = _linear(x, self.weight, self.bias)
        else:
            mapped = F.linear(x, self.weight, self.bias)
        return mapped


class LayerNorm(nn.LayerNorm):
    """`paddle.nn.LayerNorm` over the last axis."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Normalize `x` [..., D]."""
        if _has_onednn(x):
            normal = _LayerNorm.apply(  # type: ignore[no-untyped-call]
                x, self.weight, self.bias, self._epsilon
            )
        else:
            normal = F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self._epsilon)
        return normal


def gelu(x: paddle.Tensor) -> paddle.Tensor:
    """`paddle.nn.functional.gelu` of `x` [..., D]."""
    return _Gelu.apply(x) if _has_onednn(x) else F.gelu(x)  # type: ignore[no-untyped-call]


def softmax(x: paddle.Tensor) -> paddle.Tensor:
    """`paddle.nn.functional.softmax` over the last axis of `x`."""
    return _Softmax.apply(x) if _has_onednn(x) else F.softmax(x)  # type: ignore[no-untyped-call]


def tied_logits(x: paddle.Tensor, table: paddle.Tensor, bias: paddle.Tensor) -> paddle.Tensor:
    """The products of `x` [..., D] with every row of `table` [V, D], plus `bias` [V]: [..., V]."""
    if _is_on_cpu(x):
        scores = _linear(x, table, bias, transposed=True)
    else:
        scores = paddle.matmul(x, table, transpose_y=True) + bias
    return scores


def _linear(
    x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor, transposed: bool = False
) -> paddle.Tensor:
    kind = _LinearInBfloat16 if _in_bfloat16.get() else _Linear
    mapped: paddle.Tensor = kind.apply(x, weight, bias, transposed)  # type: ignore[no-untyped-call]
    return mapped


def _needed(*inputs: paddle.Tensor) -> list[bool]:
    """Which inputs are trained or stand above something that is; the others' gradient is None."""
    return [not tensor.stop_gradient for tensor in inputs]


def _rows(x: paddle.Tensor) -> paddle.Tensor:
    """[..., D] as [N, D]."""
    return x.reshape([-1, x.shape[-1]])


def _sum_of_rows(grads: paddle.Tensor) -> paddle.Tensor:
    return paddle.matmul(paddle.ones([1, len(grads)]), grads).reshape([-1])


def _gradients(
    ctx: Any,
    rows: paddle.Tensor,
    weight: paddle.Tensor,
    grads: paddle.Tensor,
    product: Callable[[paddle.Tensor, paddle.Tensor, bool, bool], paddle.Tensor],
) -> tuple[paddle.Tensor | None, paddle.Tensor | None]:
    """The gradients of a linear map's input and weight, as far as they are needed.

    Args:
        ctx: what the forward pass left: `needed`, `transposed` and the input's `shape`.
        rows: the input, [N, K].
        weight: [K, M], or its transpose.
        grads: the output's gradient, [N, M].
        product: of two matrices, and whether the first and the second are to be transposed.
    """
    of_x = of_weight = None
    if ctx.needed[0]:
        of_x = product(grads, weight, False, not ctx.transposed).reshape(ctx.shape)
    if ctx.needed[1]:
        one, other = (grads, rows) if ctx.transposed else (rows, grads)
        of_weight = product(one, other, True, False)
    return of_x, of_weight


class _Linear(paddle.autograd.PyLayer):
    @staticmethod
    def forward(
        ctx: Any, x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor, transposed: bool
    ) -> paddle.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.needed, ctx.transposed, ctx.shape = _needed(x, weight, bias), transposed, x.shape
        mapped = (
            paddle.matmul(_rows(x), weight, transpose_y=True) + bias
            if transposed
            else paddle.addmm(bias, _rows(x), weight)
        )
        return mapped.reshape([*x.shape[:-1], mapped.shape[-1]])

    @staticmethod
    def backward(ctx: Any, *arguments: paddle.Tensor) -> tuple[Any, ...]:
        (grad,) = arguments
        x, weight = ctx.saved_tensor()
        grads = _rows(grad)
        of_bias = _sum_of_rows(grads) if ctx.needed[2] else None
        return *_gradients(ctx, _rows(x), weight, grads, paddle.matmul), of_bias


class _LinearInBfloat16(paddle.autograd.PyLayer):
    @staticmethod
    def forward(
        ctx: Any, x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor, transposed: bool
    ) -> paddle.Tensor:
        rows, rounded = onednn.to_bfloat16(_rows(x)), onednn.to_bfloat16(weight)
        ctx.save_for_backward(rows, rounded)
        ctx.needed, ctx.transposed, ctx.shape = _needed(x, weight, bias), transposed, x.shape
        mapped = onednn.product(rows, rounded, transpose_b=transposed, bias=bias)
        return mapped.reshape([*x.shape[:-1], mapped.shape[-1]])

    @staticmethod
    def backward(ctx: Any, *arguments: paddle.Tensor) -> tuple[Any, ...]:
        (grad,) = arguments
        rows, weight = ctx.saved_tensor()
        grads = _rows(grad)
        of_bias = _sum_of_rows(grads) if ctx.needed[2] else None
        rounded = onednn.to_bfloat16(grads)
        return *_gradients(ctx, rows, weight, rounded, onednn.product), of_bias


class _Gelu(paddle.autograd.PyLayer):
    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor) -> paddle.Tensor:
        ctx.save_for_backward(x)
        return onednn.gelu(_rows(x)).reshape(x.shape)

    @staticmethod
    def backward(ctx: Any, *arguments: paddle.Tensor) -> paddle.Tensor:
        (grad,) = arguments
        (x,) = ctx.saved_tensor()
        return onednn.gelu_gradient(_rows(x), _rows(grad)).reshape(x.shape)


class _Softmax(paddle.autograd.PyLayer):
    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor) -> paddle.Tensor:
        probabilities = onednn.softmax(_rows(x))
        ctx.save_for_backward(probabilities)
        return probabilities.reshape(x.shape)

    @staticmethod
    def backward(ctx: Any, *arguments: paddle.Tensor) -> paddle.Tensor:
        (grad,) = arguments
        (probabilities,) = ctx.saved_tensor()
        return onednn.softmax_gradient(probabilities, _rows(grad)).reshape(grad.shape)


class _LayerNorm(paddle.autograd.PyLayer):
    @staticmethod
    def forward(
        ctx: Any, x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor, epsilon: float
    ) -> paddle.Tensor:
        normal, mean, variance = onednn.layer_norm(_rows(x), weight, bias, epsilon)
        ctx.save_for_backward(x, weight, bias, mean, variance)
        ctx.needed, ctx.epsilon = _needed(x, weight, bias), epsilon
        return normal.reshape(x.shape)

    @staticmethod
    def backward(ctx: Any, *arguments: paddle.Tensor) -> tuple[Any, ...]:
        (grad,) = arguments
        x, weight, bias, mean, variance = ctx.saved_tensor()
        of_x, of_weight, of_bias = onednn.layer_norm_gradient(
            _rows(x), weight, bias, ctx.epsilon, mean, variance, _rows(grad)
        )
        found = (of_x.reshape(x.shape), of_weight, of_bias)
        return tuple(g if needed else None for g, needed in zip(found, ctx.needed, strict=True))
