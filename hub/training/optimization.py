"""The optimizer and learning-rate schedule that fine-tuning uses unless it is given others."""

from __future__ import annotations

import math

from hub.backend import paddle
from hub.training.arguments import TrainingArguments
from hub.training.techniques import divide_learning_rate


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
    """

    def _dygraph_clip(
        self, params_grads: list[tuple[paddle.Tensor, paddle.Tensor | None]]
    ) -> list[tuple[paddle.Tensor, paddle.Tensor | None]]:
        there = [gradient for _, gradient in params_grads if gradient is not None]
        if not there or not all(
            g.place.is_cpu_place() and g.dtype == paddle.float32 for g in there
        ):
            return super()._dygraph_clip(params_grads)
        flat = [gradient.reshape([-1]) for gradient in there]
        norm = math.sqrt(sum(float(paddle.matmul(g, g)) for g in flat))
        if norm <= self.clip_norm:
            return params_grads
        for gradient in there:
            gradient.scale_(self.clip_norm / norm)
        return params_grads


def default_optimizer(
    network: paddle.nn.Layer, arguments: TrainingArguments, steps: int
) -> paddle.optimizer.Optimizer:
    """AdamW (https://arxiv.org/abs/1711.05101) as BERT is fine-tuned.

    Biases and layer norms (the parameters with one dimension) are not decayed. Frozen parameters
    are left out.
    """
    trained = [parameter for parameter in network.parameters() if not parameter.stop_gradient]
    divide_learning_rate(network, arguments.layer_decay)
    decayed = {p.name for p in network.parameters() if len(p.shape) > 1}
    clip = arguments.max_grad_norm
    return paddle.optimizer.AdamW(
        learning_rate=linear_schedule(arguments, steps),
        parameters=trained,
        weight_decay=arguments.weight_decay,
        apply_decay_param_fun=decayed.__contains__,
        grad_clip=ClipByGlobalNorm(clip) if clip else None,
    )
