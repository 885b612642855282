"""One change of the weights: from losses over gradients to the optimizer's step."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from hub.backend import paddle
from hub.models.ernie import dropout
from hub.training.averaging import AveragedWeights
from hub.training.memory import KeptMemory
from hub.training.parallel import Group
from hub.training.precision import Precision
from hub.training.sharding import Shares
from hub.training.signals import StopRequests
from hub.training.waiting import Waiting


class Update:
    """What fine-tuning and pretraining do alike with the loss of a batch.

    Args:
        network: what is trained.
        optimizer: over its parameters; its learning-rate scheduler is stepped after every batch.
        precision: "fp32", "bf16" or "fp16".
        group: the processes that train together.
        average: the decay of the weights' moving average; 0 keeps none.
        seed: of dropout, where several processes train: each draws for its own rows.
        shares: which process changes which parameter; None is all of them every one.

    Attributes:
        waiting: how threads wait in its steps; entered while there are any.
        memory: gives memory back if far more is kept than a step needs.
        save_is_due: whether the processes agree to write a checkpoint after the step in progress.

    Raises:
        InputError: the device cannot compute in the precision.
    """

    def __init__(
        self,
        network: paddle.nn.Layer,
        optimizer: paddle.optimizer.Optimizer,
        *,
        precision: str = "fp32",
        group: Group | None = None,
        average: float = 0.0,
        seed: int = 0,
        shares: Shares | None = None,
    ) -> None:
        self.network = network
        self.optimizer = optimizer
        self.group = group or Group()
        self._precision = Precision(precision)
        self._average = AveragedWeights(network, average) if average else None
        self._seed = seed
        self.shares = shares
        self.save_is_due = False
        self.waiting = Waiting.of_openmp(self.group.size)
        self.memory = KeptMemory()
        self._stop_signal: int | None = None

    def begin(self, step: int) -> None:
        """Prepare step `step`, counted from 0."""
        self.network.train()
        self.waiting.begin()
        if self.group.size > 1:
            # Only the first process's checkpoints are kept, so that each draw must follow from what
            # all of them know.
            dropout.seed([self._seed, step, self.group.rank])

    def computing(self) -> AbstractContextManager[Any]:
        """While entered, the network computes in the run's precision."""
        return self._precision.computing()

    def backward(self, loss: paddle.Tensor) -> None:
        """Add the gradients of `loss`: its part of the mean over the batch of all processes."""
        self._precision.backward(loss)

    def add_up(self, loss: float, stop: StopRequests, is_due: bool = False) -> float:
        """Sum the gradients and the loss over the processes, and agree on what comes after.

        Args:
            loss: this process's part of the mean loss.
            stop: whether it was asked to stop.
            is_due: whether a checkpoint is due; the first process's word counts.

        Returns:
            The mean loss over the batch of all processes.

        Raises:
            LostWorkerError: another process has ended.
        """
        loss, asked, due = self.group.add_up(
            self.network,
            loss,
            float(stop.received is not None),
            float(is_due and self.group.is_first),
        )
        self.save_is_due = due > 0
        if asked:
            # Of several processes all stop after the same step, whichever of them was told to.
            self._stop_signal = stop.received or signal.SIGTERM
        return loss

    def asked_to_stop(self, stop: StopRequests) -> int | None:
        """The signal that asks to stop after this step; of several processes, as agreed in it."""
        return stop.received if self.group.size == 1 else self._stop_signal

    def apply(self, step: int) -> None:
        """Change the weights by the gradients; `step` as in `begin`.

        Raises:
            LostWorkerError: another process has ended, while it had a share of the weights.
            NonFiniteGradientsError: the gradients are not numbers; no weight has changed.
        """
        self._precision.step(self.optimizer)
        if self.shares is not None:
            self.shares.exchange()
        if self._average is not None:
            self._average.update(step)

    def end(self, size: int) -> None:
        """Forget the gradients, and go on in the schedule.

        Args:
            size: the number of tokens, with padding, that the step has computed.
        """
        self.optimizer.clear_grad()
        scheduler = getattr(self.optimizer, "_learning_rate", None)
        if isinstance(scheduler, paddle.optimizer.lr.LRScheduler):
            scheduler.step()
        self.waiting.end(size)
        self.memory.after_step()

    @contextmanager
    def measured_weights(self) -> Iterator[None]:
        """While entered, the network has the weights to measure and keep: the average, if any."""
        if self._average is None:
            yield
        else:
            with self._average.applied():
                yield

    def get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """What a checkpoint needs besides weights and optimizer: arrays, and what JSON can hold."""
        arrays = {} if self._average is None else self._average.get_state()
        return arrays, self._precision.get_state()

    def set_state(self, arrays: dict[str, np.ndarray], values: dict[str, Any]) -> None:
        """Continue from what `get_state` gave."""
        if self._average is not None:
            self._average.set_state(arrays)
        self._precision.set_state(values)
