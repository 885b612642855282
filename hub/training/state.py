"""Where a run stands: what the loop, its callbacks and its checkpoints share."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class TrainingState:
    """Progress of a run; everything but the weights and the optimizer.

    Attributes:
        epoch: the epoch in progress, from 0.
        batch: the batches of it already done.
        step: the steps done in all.
        total_steps: the steps the learning-rate schedule is made for.
        epoch_loss: the sum of the losses of this epoch's batches, each weighted with its rows.
        epoch_rows: the rows of this epoch done.
        best_metric: the best dev metric so far; None before the first evaluation.
        best_epoch: its epoch.
        stale_epochs: evaluations since.
        seconds: the time spent in earlier parts of this run.
        history: one entry an epoch: `epoch`, `step`, `loss`, `learning_rate`, `seconds` and the dev
            metrics with the prefix `dev_`.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    total_steps: int = 0
    epoch_loss: float = 0.0
    epoch_rows: int = 0
    best_metric: float | None = None
    best_epoch: int | None = None
    stale_epochs: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The state as JSON can hold it."""
        return asdict(self)
