"""The optimizer and learning-rate schedule that fine-tuning uses unless it is given others."""

from __future__ import annotations

import math

from hub.backend import paddle
from hub.training.arguments import TrainingArguments
from hub.training.nonfinite import NonFiniteGradientsError
from hub.training.sharding import Shares
from hub.training.techniques import divide_learning_rate

# Parameters with their gradients, as Paddle hands them to what clips them.
Gradients = list[tuple[paddle.Tensor, paddle.Tensor | None]]


def linear_schedule(arguments: TrainingArguments, steps: int) -> paddle.optimizer.lr.LRScheduler:
    """Rise linearly over the warm-up, then fall linearly to 0 at step `steps`."""
    warmup = round(arguments.warmup_ratio * steps)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return max(0.0, (steps - step) / max(1, steps - warmup))

    return paddle.optimizer.lr.LambdaDecay(arguments.learning_rate, factor)


class ClipByGlobalNorm(paddle.nn.ClipGradByGlobalNorm):
    """Scales all gradients down together where their norm is above a limit.

    Paddle's own class computes the norm on one thread and scales also by 1; a step of a small model
    spent a tenth of its time there.

    Args:
        clip_norm: the limit; infinity scales nothing.
        shares: leave the optimizer the gradients of this process's share alone; the norm is of all.

    Raises:
        NonFiniteGradientsError: at a step, on the CPU and with a limit: the norm is not a number.
    """

    def __init__(self, clip_norm: float, shares: Shares | None = None) -> None:
        super().__init__(clip_norm)
        self._own = None if shares is None else {p.name for p in shares.own.values()}

    def _dygraph_clip(self, params_grads: Gradients) -> Gradients:
        scaled = self._scaled(params_grads)
        if self._own is None:
            return scaled
        # An optimizer keeps nothing for a parameter whose gradient it never sees.
        return [(parameter, g) for parameter, g in scaled if parameter.name in self._own]

    def _scaled(self, params_grads: Gradients) -> Gradients:
        if math.isinf(self.clip_norm):
            return params_grads
        there = [gradient for _, gradient in params_grads if gradient is not None]
        if not there or not all(
            g.place.is_cpu_place() and g.dtype == paddle.float32 for g in there
        ):
            return super()._dygraph_clip(params_grads)
        flat = [gradient.reshape([-1]) for gradient in there]
        norm = math.sqrt(sum(float(paddle.matmul(g, g)) for g in flat))
        if not math.isfinite(norm):
            raise NonFiniteGradientsError(norm)
        if norm <= self.clip_norm:
            return params_grads
        for gradient in there:
            gradient.scale_(self.clip_norm / norm)
        return params_grads


def default_optimizer(
    network: paddle.nn.Layer,
    arguments: TrainingArguments,
    steps: int,
    shares: Shares | None = None,
) -> paddle.optimizer.Optimizer:
    """AdamW (https://arxiv.org/abs/1711.05101) as BERT is fine-tuned.

    Biases and layer norms (the parameters with one dimension) are not decayed. Frozen parameters
    are left out. With `shares` it changes this process's share of the parameters alone.
    """
    trained = [parameter for parameter in network.parameters() if not parameter.stop_gradient]
    divide_learning_rate(network, arguments.layer_decay)
    decayed = {p.name for p in network.parameters() if len(p.shape) > 1}
    clip = None
    if arguments.max_grad_norm or shares is not None:
        clip = ClipByGlobalNorm(arguments.max_grad_norm or math.inf, shares)
    return paddle.optimizer.AdamW(
        learning_rate=linear_schedule(arguments, steps),
        parameters=trained,
        weight_decay=arguments.weight_decay,
        apply_decay_param_fun=decayed.__contains__,
        grad_clip=clip,
    )
