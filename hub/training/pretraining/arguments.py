"""Every setting of a pretraining run, its default and its limits."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from hub.errors import InputError
from hub.tokenizers.whole_word import MaskingArguments
from hub.training.arguments import TrainingArguments

_SHORTEST = 8


@dataclass(frozen=True)
class PretrainingArguments:
    """How to pretrain.

    Attributes:
        epochs: passes over the corpus; every pass draws its masks anew.
        max_tokens: stop after having read so many tokens; None is no such limit.
        max_seq_len: the tokens of a packed sequence, `[CLS]` included.
        batch_tokens: the tokens of a step.
        learning_rate: the highest one, reached at the end of the warm-up.
        warmup_ratio: the part of all steps over which the learning rate rises from 0; after it, it
            falls linearly to 0.
        weight_decay: AdamW's; not applied to biases and layer norms.
        max_grad_norm: gradients are scaled down to this norm; 0 leaves them.
        mask_probability: the part of a sequence's tokens that is to be guessed.
        held_out: the part of the sequences that is kept back to measure with.
        evaluations: how often it is measured with, at even distances along the run.
        recompute: compute each layer again for its gradients: less memory, more time.
        shard_optimizer: as in `TrainingArguments`.
        precision: compute in "fp32", or mixed with "bf16" (also on CPUs that have it) or "fp16".
        seed: of the held-out choice, the order, the masks and dropout.
        checkpoint_minutes: how often a checkpoint is written.
    """

    epochs: int = 1
    max_tokens: int | None = None
    max_seq_len: int = 128
    batch_tokens: int = 4096
    learning_rate: float = 2e-4
    warmup_ratio: float = 0.05
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    mask_probability: float = 0.15
    held_out: float = 0.01
    evaluations: int = 10
    recompute: bool = False
    shard_optimizer: bool = False
    precision: str = "fp32"
    seed: int = 42
    checkpoint_minutes: float = 5.0

    def __post_init__(self) -> None:
        least = {
            "epochs": 1, "max_tokens": 1, "max_seq_len": _SHORTEST, "batch_tokens": _SHORTEST,
            "evaluations": 1, "seed": 0,
        }  # fmt: skip
        for name, limit in least.items():
            value = getattr(self, name)
            if value is None and name == "max_tokens":
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < limit:
                raise InputError(f"{name} must be a whole number from {limit}, not {value!r}.")
        if self.batch_tokens < self.max_seq_len:
            raise InputError(
                f"batch_tokens is {self.batch_tokens}: a step takes at least one sequence of "
                f"{self.max_seq_len} tokens (max_seq_len)."
            )
        if not 0 < self.held_out < 1:
            raise InputError(f"held_out must be between 0 and 1, not {self.held_out!r}.")
        if not math.isfinite(self.checkpoint_minutes) or self.checkpoint_minutes < 0:
            raise InputError(
                f"checkpoint_minutes must be a number from 0, not {self.checkpoint_minutes!r}."
            )
        # These check what they are given.
        _ = self.masking, self.optimization

    @property
    def batch_size(self) -> int:
        """The sequences of a step."""
        return self.batch_tokens // self.max_seq_len

    @property
    def masking(self) -> MaskingArguments:
        """How masks are drawn."""
        return MaskingArguments(probability=self.mask_probability, seed=self.seed)

    @property
    def optimization(self) -> TrainingArguments:
        """What the optimizer is made from."""
        return TrainingArguments(
            learning_rate=self.learning_rate,
            warmup_ratio=self.warmup_ratio,
            weight_decay=self.weight_decay,
            max_grad_norm=self.max_grad_norm,
            precision=self.precision,
            shard_optimizer=self.shard_optimizer,
        )

    def with_changes(self, **changes: Any) -> PretrainingArguments:
        """The same arguments but for those given; None leaves an argument as it is."""
        given = {name: value for name, value in changes.items() if value is not None}
        return dataclasses.replace(self, **given)

    def to_dict(self) -> dict[str, Any]:
        """The arguments as JSON can hold them."""
        return dataclasses.asdict(self)
