"""The losses of classification beside their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from hub.backend import paddle
from hub.tasks.base import sigmoid, softmax
from hub.tasks.losses import LossSettings, binary_cross_entropy, cross_entropy

GENERATOR = np.random.default_rng(3)
LOGITS = GENERATOR.normal(size=(9, 4)).astype(np.float32) * 2
CLASSES = GENERATOR.integers(0, 4, 9)
SEVERAL = (GENERATOR.random((9, 4)) < 0.4).astype(np.float32)
WEIGHTS = np.array([0.5, 1.0, 2.0, 4.0], np.float32)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(weights: np.ndarray | None, gamma: float, smoothing: float) -> None:
    settings = LossSettings(weights, gamma, smoothing)
    loss = float(cross_entropy(paddle.to_tensor(LOGITS), CLASSES, settings))
    logs = np.log(softmax(LOGITS.astype(np.float64)))
    rows, counts = [], []
    for row, number in zip(logs, CLASSES, strict=True):
        wanted = np.full(4, smoothing / 4)
        wanted[number] += 1 - smoothing
        rows.append(-(wanted * row).sum() * (1 - np.exp(row[number])) ** gamma)
        counts.append(1.0 if weights is None else weights[number])
    assert loss == pytest.approx(np.average(rows, weights=counts), rel=1e-5)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_binary_cross_entropy(weights: np.ndarray | None, gamma: float, smoothing: float) -> None:
    settings = LossSettings(weights, gamma, smoothing)
    loss = float(binary_cross_entropy(paddle.to_tensor(LOGITS), SEVERAL, settings))
    yes = sigmoid(LOGITS.astype(np.float64))
    total = 0.0
    for (row, column), truth in np.ndenumerate(SEVERAL):
        wanted = truth * (1 - smoothing) + smoothing / 2
        share = yes[row, column]
        value = -wanted * np.log(share) - (1 - wanted) * np.log(1 - share)
        value *= (1 - (share if truth else 1 - share)) ** gamma
        total += value * (weights[column] if weights is not None and truth else 1.0)
    assert loss == pytest.approx(total / SEVERAL.size, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_loss_can_be_derived_where_an_answer_is_certain(gamma: float) -> None:
    values, settings = np.array([[60.0, -60.0]], np.float32), LossSettings(focal_gamma=gamma)
    logits = paddle.to_tensor(values, stop_gradient=False)
    cross_entropy(logits, np.array([0]), settings).backward()
    assert np.isfinite(logits.grad.numpy()).all()
    logits = paddle.to_tensor(values, stop_gradient=False)
    binary_cross_entropy(logits, np.array([[1, 0]], np.float32), settings).backward()
    assert np.isfinite(logits.grad.numpy()).all()
