"""oneDNN's results against NumPy's, in shapes that fill no vector register."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from hub import onednn
from hub.backend import paddle

pytestmark = pytest.mark.skipif(
    not onednn.is_available(), reason="this build of PaddlePaddle has no oneDNN"
)
needs_bfloat16 = pytest.mark.skipif(
    not onednn.has_bfloat16(), reason="the processor has no instructions for bfloat16"
)

SHAPES = [(1, 1), (3, 5), (17, 33), (64, 312)]


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(0, 2, shape).astype(np.float32)


def rounded(array: np.ndarray) -> np.ndarray:
    """To bfloat16, half to even, and back."""
    bits = array.view(np.uint32).astype(np.uint64)
    bits += 0x7FFF + ((bits >> 16) & 1)
    return ((bits >> 16) << 16).astype(np.uint32).view(np.float32)


@needs_bfloat16
@pytest.mark.parametrize("shape", SHAPES)
def test_rounding_to_bfloat16(shape: tuple[int, int]) -> None:
    x = draw(*shape)
    found = onednn.to_bfloat16(paddle.to_tensor(x))
    assert found.dtype == paddle.bfloat16
    assert np.array_equal(found.astype("float32").numpy(), rounded(x))


@needs_bfloat16
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize(("rows", "inner", "columns"), [(1, 1, 1), (3, 5, 7), (33, 65, 17)])
def test_products(
    rows: int, inner: int, columns: int, transpose_a: bool, transpose_b: bool
) -> None:
    a, b, bias = draw(rows, inner), draw(inner, columns), draw(columns)
    expected = rounded(a).astype(np.float64) @ rounded(b).astype(np.float64)
    one, other = (
        onednn.to_bfloat16(paddle.to_tensor(np.ascontiguousarray(x.T if turned else x)))
        for x, turned in ((a, transpose_a), (b, transpose_b))
    )
    for added in (None, bias):
        found = onednn.product(
            one, other, transpose_a=transpose_a, transpose_b=transpose_b,
            bias=None if added is None else paddle.to_tensor(added),
        )  # fmt: skip
        whole = expected if added is None else expected + added
        assert found.dtype == paddle.float32
        assert np.abs(found.numpy() - whole).max() < 1e-4


@pytest.mark.parametrize("shape", SHAPES)
def test_functions_and_their_gradients(shape: tuple[int, int]) -> None:
    x, gradient = draw(*shape), draw(*reversed(shape)).T.copy()
    functional = paddle.nn.functional
    for function, own, own_gradient in (
        (functional.gelu, onednn.gelu, lambda x, y, g: onednn.gelu_gradient(x, g)),
        (functional.softmax, onednn.softmax, lambda x, y, g: onednn.softmax_gradient(y, g)),
    ):
        tensor = paddle.to_tensor(x, stop_gradient=False)
        expected = function(tensor)
        expected.backward(paddle.to_tensor(gradient))
        found = own(paddle.to_tensor(x))
        assert np.abs(found.numpy() - expected.numpy()).max() < 1e-5
        back = own_gradient(paddle.to_tensor(x), found, paddle.to_tensor(gradient))
        assert np.abs(back.numpy() - tensor.grad.numpy()).max() < 1e-5


@pytest.mark.parametrize("shape", [(1, 2), (3, 5), (17, 33), (64, 312)])
def test_layer_norms(shape: tuple[int, int]) -> None:
    arrays = draw(*shape), draw(shape[1]), draw(shape[1] + 1)[1:].copy()
    gradient = paddle.to_tensor(draw(*reversed(shape)).T.copy())
    x, scale, shift = tensors = [paddle.to_tensor(a, stop_gradient=False) for a in arrays]
    expected = paddle.nn.functional.layer_norm(x, shape[1:], scale, shift, 1e-5)
    expected.backward(gradient)
    found, mean, variance = onednn.layer_norm(x, scale, shift, 1e-5)
    assert np.abs(found.numpy() - expected.numpy()).max() < 1e-5
    assert np.abs(mean.numpy() - arrays[0].mean(axis=1)).max() < 1e-5
    assert np.abs(variance.numpy() - arrays[0].var(axis=1)).max() < 1e-4
    back = onednn.layer_norm_gradient(x, scale, shift, 1e-5, mean, variance, gradient)
    for own, tensor in zip(back, tensors, strict=True):
        assert np.abs(own.numpy() - tensor.grad.numpy()).max() < 1e-4


@needs_bfloat16
def test_the_same_call_gives_the_same_numbers() -> None:
    a, b = (onednn.to_bfloat16(paddle.to_tensor(draw(*shape))) for shape in ((352, 312), (312, 99)))
    first = onednn.product(a, b).numpy()
    assert all(np.array_equal(onednn.product(a, b).numpy(), first) for _ in range(20))


def test_a_tensor_that_is_not_in_one_piece_is_read_right() -> None:
    # Paddle makes views only where its flag says so from the start.
    script = """
from hub import onednn
from hub.backend import paddle
turned = paddle.arange(48, dtype="float32").reshape([8, 6]).t()
assert not turned.is_contiguous()
expected = paddle.nn.functional.gelu(turned.contiguous())
print(float((onednn.gelu(turned) - expected).abs().max()))
"""
    environment = {**os.environ, "FLAGS_use_stride_kernel": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 1e-5
