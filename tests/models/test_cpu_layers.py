"""The layers that train faster on a CPU have the values and gradients of Paddle's."""

from __future__ import annotations

import numpy as np
import pytest

from hub import onednn
from hub.backend import paddle
from hub.models.ernie import cpu_layers, dropout
from hub.models.ernie.config import ErnieConfig
from hub.models.ernie.heads import ErnieForMaskedLM
from hub.models.ernie.initialization import initialize
from hub.models.ernie.modeling import ErnieModel
from hub.training.optimization import ClipByGlobalNorm


def gradients(layer: paddle.nn.Layer, x: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
    """A layer's output and the gradients of its input, weight and bias."""
    tensor = paddle.to_tensor(x)
    tensor.stop_gradient = False
    output = layer(tensor)
    (output * paddle.to_tensor(weights)).sum().backward()
    found = [output, tensor.grad, layer.weight.grad, layer.bias.grad]
    return [value.numpy() for value in found]


@pytest.mark.parametrize("shape", [(3, 5), (2, 7, 5), (1, 1, 5)])
@pytest.mark.parametrize("kind", ["Linear", "LayerNorm"])
def test_values_and_gradients_are_paddles(kind: str, shape: tuple[int, ...]) -> None:
    sizes = (5, 4) if kind == "Linear" else (5,)
    theirs, ours = getattr(paddle.nn, kind)(*sizes), getattr(cpu_layers, kind)(*sizes)
    draw = np.random.default_rng(1)
    for one, other in zip(theirs.parameters(), ours.parameters(), strict=True):
        one.set_value(draw.normal(size=one.shape).astype(np.float32))
        other.set_value(one.numpy())
    x = draw.normal(2.0, 3.0, size=shape).astype(np.float32)
    weights = draw.normal(size=(*shape[:-1], sizes[-1])).astype(np.float32)
    ours.train()
    pairs = zip(gradients(theirs, x, weights), gradients(ours, x, weights), strict=True)
    for name, (expected, found) in zip(("output", "x", "weight", "bias"), pairs, strict=True):
        assert found.shape == expected.shape, name
        assert np.abs(found - expected).max() < 2e-5 * max(1, np.abs(expected).max()), name


def test_nothing_is_computed_of_nothing() -> None:
    empty = paddle.zeros([0, 3])
    assert cpu_layers.gelu(empty).shape == cpu_layers.softmax(empty).shape == [0, 3]
    assert cpu_layers.LayerNorm(3)(empty).shape == [0, 3]
    assert cpu_layers.Linear(3, 2)(empty).shape == [0, 2]
    scores = cpu_layers.tied_logits(empty, paddle.ones([5, 3]), paddle.ones([5]))
    assert scores.shape == [0, 5]


def test_a_frozen_layer_passes_gradients_on() -> None:
    first, second = cpu_layers.Linear(3, 3), cpu_layers.Linear(3, 3)
    for parameter in second.parameters():
        parameter.stop_gradient = True
    second(first(paddle.ones([2, 3]))).sum().backward()
    assert first.weight.grad is not None and second.weight.grad is None
    norm = cpu_layers.LayerNorm(3)
    norm.weight.stop_gradient = True
    norm(first(paddle.ones([2, 3]))).sum().backward()
    assert norm.weight.grad is None and norm.bias.grad is not None


def test_an_encoder_has_the_same_gradients_with_and_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = ErnieConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    model = ErnieModel(config)
    model.train()
    ids = paddle.to_tensor([[1, 7, 8, 9, 2], [1, 5, 2, 0, 0]])

    def run() -> dict[str, np.ndarray]:
        _, pooled = model(ids)
        (pooled**2).sum().backward()
        found = {n: p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None}
        model.clear_gradients()
        return found

    own = run()
    monkeypatch.setattr(cpu_layers, "_is_on_cpu", lambda x: False)
    plain = run()
    assert own.keys() == plain.keys() and len(own) > 30
    for name, value in plain.items():
        assert np.abs(own[name] - value).max() < 1e-5, name


@pytest.mark.skipif(not onednn.has_bfloat16(), reason="the processor has no bfloat16")
def test_products_in_bfloat16_are_near_and_recomputed_alike() -> None:
    config = ErnieConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=32,
    )  # fmt: skip
    network = ErnieForMaskedLM(config)
    initialize(network, config, seed=1)
    ids = paddle.to_tensor([[1, 7, 8, 9, 2], [1, 5, 6, 4, 2]])

    def run(in_bfloat16: bool, recompute: bool) -> dict[str, np.ndarray]:
        network.train()
        network.encoder.recompute = recompute
        dropout.seed(3)
        with cpu_layers.bfloat16_products(in_bfloat16):
            scores = network(ids)
        (scores**2).mean().backward()
        found = {n: p.grad.numpy() for n, p in network.named_parameters() if p.grad is not None}
        network.clear_gradients()
        return {"scores": scores.numpy(), **found}

    exact, near, again = run(False, False), run(True, False), run(True, True)
    assert not cpu_layers.multiplies_in_bfloat16()
    # Of a key's bias nothing but rounding errors is left: a softmax does not see it.
    least = 1e-3 * max(np.abs(value).max() for value in exact.values())
    for name, value in exact.items():
        error = np.abs(near[name] - value).max() / max(least, np.abs(value).max())
        assert error < (0.02 if name == "scores" else 0.2), name
        assert np.array_equal(near[name], again[name]), name
    one, other = (np.concatenate([g.ravel() for g in run.values()]) for run in (exact, near))
    assert 0.999 < one @ other / np.linalg.norm(one) / np.linalg.norm(other) < 1


@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_gradients_are_clipped_as_by_paddle(limit: float) -> None:
    draw = np.random.default_rng(2)
    arrays = [draw.normal(size=size).astype(np.float32) for size in ((4, 3), (7,), (2, 2, 2))]
    clipped = []
    for kind in (paddle.nn.ClipGradByGlobalNorm, ClipByGlobalNorm):
        pairs = [(paddle.to_tensor(a), paddle.to_tensor(a)) for a in arrays]
        clipped.append([gradient.numpy() for _, gradient in kind(limit)(pairs)])
    for theirs, ours, before in zip(*clipped, arrays, strict=True):
        assert np.abs(theirs - ours).max() < 1e-6
        assert (np.abs(ours - before).max() > 0.01) == (limit < 1)
