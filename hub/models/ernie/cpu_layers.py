"""Linear maps and layer norms that train faster on a CPU; their values and gradients are the same.

Paddle's CPU kernels add a bias, sum a bias's gradient and differentiate a layer norm on one thread,
element by element. Here matrix products do most of it, which MKL computes on all threads. While
nothing is trained, on other devices and in traced graphs, Paddle's own layers run.

Shapes: N rows, D values in each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hub.backend import paddle

nn = paddle.nn
F = paddle.nn.functional


@paddle.jit.not_to_static
def _trains_on_cpu(layer: nn.Layer, x: paddle.Tensor) -> bool:
    return (
        layer.training
        and paddle.in_dynamic_mode()
        and paddle.is_grad_enabled()
        and x.place.is_cpu_place()
        and x.dtype == paddle.float32
    )


class Linear(nn.Linear):
    """`paddle.nn.Linear`."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [..., in] to [..., out]."""
        if _trains_on_cpu(self, x):
            mapped = _Linear.apply(x, self.weight, self.bias)  # type: ignore[no-untyped-call]
        else:
            mapped = F.linear(x, self.weight, self.bias)
        return mapped


class LayerNorm(nn.LayerNorm):
    """`paddle.nn.LayerNorm` over the last axis."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Normalize `x` [..., D]."""
        if _trains_on_cpu(self, x):
            normal = _LayerNorm.apply(  # type: ignore[no-untyped-call]
                x, self.weight, self.bias, self._epsilon
            )
        else:
            normal = F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self._epsilon)
        return normal


def _needed(*inputs: paddle.Tensor) -> list[bool]:
    """Which inputs are trained or stand above something that is; the others' gradient is None."""
    return [not tensor.stop_gradient for tensor in inputs]


class _Linear(paddle.autograd.PyLayer):
    @staticmethod
    def forward(
        ctx: Any, x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor
    ) -> paddle.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.needed = _needed(x, weight, bias)
        rows = x.reshape([-1, x.shape[-1]])
        return paddle.addmm(bias, rows, weight).reshape([*x.shape[:-1], weight.shape[1]])

    @staticmethod
    def backward(ctx: Any, *arguments: paddle.Tensor) -> tuple[Any, ...]:
        (grad,) = arguments
        x, weight = ctx.saved_tensor()
        rows, grads = x.reshape([-1, x.shape[-1]]), grad.reshape([-1, grad.shape[-1]])
        of_x, of_weight, of_bias = ctx.needed
        return (
            paddle.matmul(grads, weight, transpose_y=True).reshape(x.shape) if of_x else None,
            paddle.matmul(rows, grads, transpose_x=True) if of_weight else None,
            paddle.matmul(paddle.ones([1, len(grads)]), grads).reshape([-1]) if of_bias else None,
        )


class _LayerNorm(paddle.autograd.PyLayer):
    @staticmethod
    def forward(
        ctx: Any, x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor, epsilon: float
    ) -> paddle.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.needed = _needed(x, weight, bias)
        ctx.epsilon = epsilon
        return F.layer_norm(x, x.shape[-1:], weight, bias, epsilon)

    @staticmethod
    def backward(ctx: Any, *arguments: paddle.Tensor) -> tuple[Any, ...]:
        (grad,) = arguments
        x, weight = ctx.saved_tensor()
        size = x.shape[-1]
        rows, grads = x.numpy().reshape(-1, size), grad.numpy().reshape(-1, size)
        scale = weight.numpy()
        normal = rows - (rows @ np.full(size, 1 / size, np.float32))[:, None]
        variance = np.einsum("nd,nd->n", normal, normal) / size
        inverse = (1 / np.sqrt(variance + ctx.epsilon)).astype(np.float32)[:, None]
        normal *= inverse
        with_normal = grads * normal
        ones = np.ones(len(rows), np.float32)
        of_weight, of_bias = ones @ with_normal, ones @ grads
        # The parts of the gradient along the mean and along the normalized row are taken out.
        along_mean = (grads @ (scale / size))[:, None]
        along_normal = (with_normal @ (scale / size))[:, None]
        of_x = grads * scale
        of_x -= along_mean
        normal *= along_normal
        of_x -= normal
        of_x *= inverse
        found = (of_x.reshape(x.shape), of_weight, of_bias)
        return tuple(
            paddle.to_tensor(array) if needed else None
            for array, needed in zip(found, ctx.needed, strict=True)
        )
