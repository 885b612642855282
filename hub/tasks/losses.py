"""The losses of classification, and what shapes them where labels are skewed or noisy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hub.backend import paddle


# A power below 1 has no derivative at 0, which 1 - p is where an answer is certain.
_LEAST_DOUBT = 1e-7


@dataclass(frozen=True)
class LossSettings:
    """How a loss is shaped.

    Attributes:
        class_weights: how much each label counts, float32 [labels]; None is all alike.
        focal_gamma: examples that are answered well count less by `(1 - p) ** focal_gamma`
            (https://arxiv.org/abs/1708.02002); 0 is the plain loss.
        label_smoothing: so much of a label's probability is spread over all of them
            (https://arxiv.org/abs/1512.00567).
    """

    class_weights: np.ndarray | None = None
    focal_gamma: float = 0.0
    label_smoothing: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Whether nothing is shaped."""
        return self.class_weights is None and not self.focal_gamma and not self.label_smoothing


def share_of(part: np.ndarray, whole: np.ndarray, settings: LossSettings) -> float:
    """What the mean `cross_entropy` of class numbers `part` counts in that of `whole`."""
    if settings.class_weights is None:
        return len(part) / len(whole)
    weights = settings.class_weights
    return float(weights[part].sum(dtype=np.float64) / weights[whole].sum(dtype=np.float64))


def cross_entropy(
    logits: paddle.Tensor, targets: np.ndarray, settings: LossSettings
) -> paddle.Tensor:
    """The mean cross-entropy of logits [N, C] with class numbers [N].

    With class weights it is the weighted mean, as in PyTorch.
    """
    from hub.backend import paddle

    functional = paddle.nn.functional
    numbers = paddle.to_tensor(targets)
    if settings.is_plain:
        return functional.cross_entropy(logits, numbers)
    logs = functional.log_softmax(logits, axis=-1)
    classes = logits.shape[-1]
    hot = functional.one_hot(numbers, classes)
    right = (logs * hot).sum(axis=-1)
    smoothing = settings.label_smoothing
    losses = -(1 - smoothing) * right - smoothing * logs.mean(axis=-1)
    if settings.focal_gamma:
        losses = losses * (1 - right.exp()).clip(min=_LEAST_DOUBT) ** settings.focal_gamma
    if settings.class_weights is None:
        return losses.mean()
    weights = paddle.to_tensor(settings.class_weights[targets])
    return (losses * weights).sum() / weights.sum()


def binary_cross_entropy(
    logits: paddle.Tensor, targets: np.ndarray, settings: LossSettings
) -> paddle.Tensor:
    """The mean cross-entropy of every label's own yes or no.

    Args:
        logits: [N, C].
        targets: 1 for yes and 0 for no, float32 [N, C].
        settings: the shape; a class weight multiplies the loss of its label's yes.
    """
    from hub.backend import paddle

    functional = paddle.nn.functional
    smoothing = settings.label_smoothing
    wanted = paddle.to_tensor(targets * (1 - smoothing) + smoothing / 2)
    losses = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    truth = paddle.to_tensor(targets)
    if settings.focal_gamma:
        yes = functional.sigmoid(logits)
        right = truth * yes + (1 - truth) * (1 - yes)
        losses = losses * (1 - right).clip(min=_LEAST_DOUBT) ** settings.focal_gamma
    if settings.class_weights is not None:
        losses = losses * (1 + truth * (paddle.to_tensor(settings.class_weights) - 1))
    return losses.mean()
