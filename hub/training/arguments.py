"""Every setting of a fine-tuning run, its default and its limits: the one place that knows them."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from hub.errors import InputError
from hub.tasks import LabelledTask
from hub.tasks.base import Targets
from hub.tasks.losses import LossSettings
from hub.tasks.passages import check_long_text

PRECISIONS = ("fp32", "bf16", "fp16")


def check_seed(seed: Any) -> None:
    """See that every generator of random numbers takes a seed.

    Raises:
        InputError: it is not a whole number from 0 and below 2 ** 63.
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise InputError(f"seed must be a whole number from 0 and below 2 ** 63, not {seed!r}.")


@dataclass(frozen=True)
class TrainingArguments:
    """How to fine-tune.

    Attributes:
        epochs: passes over the training rows at the most.
        batch_size: rows in a training step.
        eval_batch_size: rows in an evaluation step.
        learning_rate: the highest one, reached at the end of the warm-up.
        warmup_ratio: the part of all steps over which the learning rate rises from 0; after it, it
            falls linearly to 0.
        weight_decay: AdamW's; not applied to biases and layer norms.
        max_grad_norm: gradients are scaled down to this norm; 0 leaves them.
        max_seq_len: the tokens read at a time; None is what the module was loaded with, and where
            nothing was said, 128, or 256 if 128 would cut more than a twentieth of the texts.
        long_text: what is done with longer texts: "cut" leaves out their end, "window" learns from
            all of their windows and evaluates their mean; None is the model's own setting.
        recompute: compute each layer again for its gradients instead of keeping its inner tensors:
            less memory, more time, the same result.
        max_steps: stop after this many steps; None is no such limit.
        patience: stop after this many epochs without a better dev metric; None never stops early.
        class_weights: "balanced" makes rare labels count more, as much as they are rarer; None is
            all alike.
        focal_gamma: answers that are right already count less, by focal loss; 0 is the plain loss.
        label_smoothing: the part of a label's probability that is spread over all labels.
        dropout: the part of the encoder's inner values that is left out at random while training;
            None is the model's own.
        token_dropout: the part of a text's tokens that reads [MASK] at random while training, so
            that more is learned from those around them.
        micro_batch_size: rows computed at a time; their gradients are added up until a step's
            batch_size is reached, which takes less memory. None computes all together.
        layer_decay: each layer learns with this part of the learning rate of the one above; 1 is
            all alike.
        freeze_embeddings: leave the embeddings as they are.
        freeze_layers: leave the embeddings and so many of the lowest layers as they are.
        adversarial: also learn from the texts with their word embeddings moved by this length to
            where the loss grows fastest (FGM), for which they may not be frozen; 0 does not. A step
            takes twice as long.
        r_drop: the weight of how far two outputs for a text, under different dropout, lie apart;
            0 computes one. A step takes twice as long.
        ema: keep a moving average of the weights with this decay, such as 0.999, and measure and
            keep that instead; 0 keeps none.
        lora: of the encoder's layers, but for frozen ones, train only changes of this rank (LoRA),
            such as 8; 0 trains all weights.
        quantization_aware: compute with weights and inputs rounded as int8 has them, so that the
            model learns to lose little by it.
        precision: compute in "fp32", or mixed with "bf16" (also on CPUs that have it) or "fp16".
        shard_optimizer: where several processes train, each keeps the optimizer's state of a part
            of the weights only (ZeRO, stage 1): less memory, the same result.
        skip_nonfinite: leave out a step whose loss is not a number, instead of stopping; three in a
            row stop the run all the same.
        metric: the dev metric that chooses the best checkpoint; None is the task's default.
        seed: of the new head's weights, the order of the rows and dropout.
        checkpoint_minutes: how often a checkpoint is written within an epoch.
        keep_checkpoints: how many of them are kept while the run is in progress.
    """

    epochs: int = 3
    batch_size: int = 32
    eval_batch_size: int = 64
    learning_rate: float = 5e-5
    warmup_ratio: float = 0.1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    max_seq_len: int | None = None
    long_text: str | None = None
    recompute: bool = False
    max_steps: int | None = None
    patience: int | None = 3
    class_weights: str | None = None
    focal_gamma: float = 0.0
    label_smoothing: float = 0.0
    dropout: float | None = None
    token_dropout: float = 0.0
    micro_batch_size: int | None = None
    layer_decay: float = 1.0
    freeze_embeddings: bool = False
    freeze_layers: int = 0
    adversarial: float = 0.0
    r_drop: float = 0.0
    ema: float = 0.0
    lora: int = 0
    quantization_aware: bool = False
    precision: str = "fp32"
    shard_optimizer: bool = False
    skip_nonfinite: bool = False
    metric: str | None = None
    seed: int = 42
    checkpoint_minutes: float = 1.0
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        least = {
            "epochs": 1, "batch_size": 1, "eval_batch_size": 1, "max_steps": 1, "patience": 1,
            "max_seq_len": 3, "micro_batch_size": 1, "freeze_layers": 0,
            "lora": 0,
            "keep_checkpoints": 1,
        }  # fmt: skip
        optional = {"max_steps", "patience", "max_seq_len", "micro_batch_size"}
        for name, limit in least.items():
            value = getattr(self, name)
            if value is None and name in optional:
                continue
            if not isinstance(value, Integral) or isinstance(value, bool) or value < limit:
                raise InputError(f"{name} must be a whole number from {limit}, not {value!r}.")
            object.__setattr__(self, name, int(value))  # of NumPy's, which JSON does not know
        check_seed(self.seed)
        for name in (
            "learning_rate", "warmup_ratio", "weight_decay", "max_grad_norm", "checkpoint_minutes",
            "focal_gamma", "label_smoothing", "adversarial", "r_drop", "layer_decay", "ema",
            "token_dropout",
        ):  # fmt: skip
            value = getattr(self, name)
            if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
                raise InputError(f"{name} must be a number from 0, not {value!r}.")
        if self.long_text is not None:
            check_long_text(self.long_text)
        for name in (
            "recompute", "freeze_embeddings", "skip_nonfinite", "quantization_aware",
            "shard_optimizer",
        ):  # fmt: skip
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} must be True or False, not {getattr(self, name)!r}.")
        if not 0 < self.layer_decay <= 1:
            raise InputError(f"layer_decay must be above 0 and at most 1, not {self.layer_decay}.")
        if self.class_weights not in (None, "balanced"):
            raise InputError(f"class_weights is {self.class_weights!r}; there is 'balanced'.")
        if self.precision not in PRECISIONS:
            raise InputError(f"precision is {self.precision!r}; there is {', '.join(PRECISIONS)}.")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise InputError(f"dropout must be from 0 to below 1, not {self.dropout!r}.")
        if self.token_dropout >= 1:
            raise InputError(f"token_dropout must be below 1, not {self.token_dropout!r}.")
        if self.ema >= 1:
            raise InputError(f"ema must be below 1, not {self.ema!r}.")
        if self.label_smoothing >= 1:
            raise InputError(f"label_smoothing must be below 1, not {self.label_smoothing!r}.")
        if self.learning_rate == 0:
            raise InputError("learning_rate must be above 0.")
        if self.warmup_ratio >= 1:
            raise InputError(f"warmup_ratio must be below 1, not {self.warmup_ratio!r}.")

    def with_changes(self, **changes: Any) -> TrainingArguments:
        """The same arguments but for those given; None leaves an argument as it is.

        Raises:
            InputError: there is no argument of that name, or a value is out of its limits.
        """
        known = {field.name for field in dataclasses.fields(self)}
        for name in changes:
            if name not in known:
                raise InputError(
                    f"There is no training argument {name!r}; there is {', '.join(sorted(known))}."
                )
        given = {name: value for name, value in changes.items() if value is not None}
        return dataclasses.replace(self, **given)

    def loss_settings(self, task: LabelledTask, targets: Targets) -> LossSettings:
        """How the loss of `task` is shaped for the `targets` of the training data."""
        weights = task.class_weights(targets) if self.class_weights else None
        return LossSettings(weights, self.focal_gamma, self.label_smoothing)

    def to_dict(self) -> dict[str, Any]:
        """The arguments as JSON can hold them."""
        return dataclasses.asdict(self)
