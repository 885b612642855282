"""Dropout drops what it says, keeps the mean, and can be continued exactly."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hub.backend import paddle
from hub.models.ernie import dropout
from hub.models.ernie.dropout import Dropout

SHAPE = [200, 500]


@pytest.fixture
def layer() -> Dropout:
    """A layer in training with a fresh seed."""
    dropout.seed(1)
    made = Dropout(0.1)
    made.train()
    return made


def test_a_tenth_is_dropped_and_the_mean_is_kept(layer: Dropout) -> None:
    out = layer(paddle.ones(SHAPE)).numpy()
    assert (out == 0).mean() == pytest.approx(26 / 256, abs=0.005)
    assert out.mean() == pytest.approx(1.0, abs=0.006)
    assert set(np.unique(out)) == {np.float32(0), np.float32(256 / 230)}


def test_rows_and_columns_are_dropped_alike(layer: Dropout) -> None:
    kept = layer(paddle.ones(SHAPE)).numpy() != 0
    assert kept.mean(axis=0).min() > 0.8 and kept.mean(axis=1).min() > 0.8
    assert not (kept[0] == kept[1]).all()


def test_the_same_seed_drops_the_same(layer: Dropout) -> None:
    first = layer(paddle.ones(SHAPE)).numpy()
    second = layer(paddle.ones(SHAPE)).numpy()
    dropout.seed(1)
    assert (layer(paddle.ones(SHAPE)).numpy() == first).all()
    assert not (second == first).all()


def test_a_state_kept_as_json_continues_exactly(layer: Dropout) -> None:
    layer(paddle.ones([7]))
    state = json.loads(json.dumps(dropout.get_state()))
    wanted = [layer(paddle.ones([33])).numpy() for _ in range(5)]
    dropout.seed(99)
    dropout.set_state(state)
    for values in wanted:
        np.testing.assert_array_equal(layer(paddle.ones([33])).numpy(), values)


def test_nothing_is_dropped_outside_training(layer: Dropout) -> None:
    layer.eval()
    x = paddle.rand([5, 5])
    assert layer(x) is x


def test_the_gradient_is_dropped_with_its_value(layer: Dropout) -> None:
    x = paddle.rand(SHAPE)
    x.stop_gradient = False
    out = layer(x)
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy() == 0, out.numpy() == 0)
