"""Recomputation gives the same gradients, dropout included, and keeps fewer tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hub.backend import paddle
from hub.models.ernie import dropout
from hub.models.ernie.config import ErnieConfig
from hub.models.ernie.heads import ErnieForSequenceClassification
from hub.models.ernie.initialization import initialize
from hub.training.arguments import TrainingArguments
from hub.training.low_rank import low_rank
from hub.training.techniques import freeze

CONFIG = ErnieConfig(
    vocab_size=50, hidden_size=24, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48,
    max_position_embeddings=16, hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.3,
)  # fmt: skip


def gradients(recompute: bool, **changes: Any) -> tuple[dict[str, np.ndarray], dict]:
    """Every trained parameter's gradient in one step, and where dropout's stream then stands."""
    network = ErnieForSequenceClassification(CONFIG, 3)
    initialize(network, CONFIG, seed=0)
    network.train()
    network.encoder.recompute = recompute
    arguments = TrainingArguments(**changes)
    freeze(network, arguments)
    dropout.seed(5)
    ids = paddle.to_tensor(np.random.default_rng(1).integers(1, 50, (4, 9)))
    with low_rank(network, arguments.lora, seed=0):
        loss = paddle.nn.functional.cross_entropy(network(ids), paddle.to_tensor([0, 1, 2, 0]))
        loss.backward()
        trained = {n: p.grad for n, p in network.named_parameters() if not p.stop_gradient}
    assert all(gradient is not None for gradient in trained.values())
    return {name: gradient.numpy() for name, gradient in trained.items()}, dropout.get_state()


@pytest.mark.parametrize(
    ("changes", "lowest"),
    [
        ({}, "encoder.embeddings.word_embeddings.weight"),
        ({"freeze_embeddings": True}, "encoder.layers.0.attention.query.weight"),
        ({"freeze_layers": 1}, "encoder.layers.1.attention.query.weight"),
        ({"freeze_layers": 3}, "encoder.pooler.dense.weight"),
        ({"lora": 2}, "encoder.layers.0.attention.query.down"),
    ],
)
def test_gradients_and_randomness_are_the_same(changes: dict[str, Any], lowest: str) -> None:
    plain, state = gradients(False, **changes)
    recomputed, state_after = gradients(True, **changes)
    assert next(iter(plain)) == lowest
    assert recomputed.keys() == plain.keys()
    for name, gradient in plain.items():
        np.testing.assert_array_equal(recomputed[name], gradient, name)
    assert state == state_after


def test_layers_run_twice_and_only_while_training(monkeypatch: pytest.MonkeyPatch) -> None:
    network = ErnieForSequenceClassification(CONFIG, 3)
    calls = 0
    first = type(network.encoder.layers[0])
    forward = first.forward

    def counted(self: object, *inputs: object) -> object:
        nonlocal calls
        calls += 1
        return forward(self, *inputs)

    monkeypatch.setattr(first, "forward", counted)
    network.encoder.recompute = True
    ids = paddle.ones([2, 5], "int64")
    network.eval()
    network(ids)
    assert calls == CONFIG.num_hidden_layers
    network.train()
    network(ids).sum().backward()
    assert calls == 3 * CONFIG.num_hidden_layers
