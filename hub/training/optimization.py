"""The optimizer and learning-rate schedule that fine-tuning uses unless it is given others."""

from __future__ import annotations

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
        grad_clip=paddle.nn.ClipGradByGlobalNorm(clip) if clip else None,
    )
