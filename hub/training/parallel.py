"""Several processes that train one network together, each on its part of every batch.

The processes are started by `hub.training.launching` or by `paddle.distributed.launch`, and find
each other by its environment variables. Gradients are summed with NCCL on GPUs and Gloo on CPUs.
"""

from __future__ import annotations

import contextlib
import io
import os
from dataclasses import dataclass

import numpy as np

from hub.backend import paddle
from hub.constants import WORKER_COUNT_VARIABLE
from hub.errors import TrainingError
from hub.machine import thread_count


class LostWorkerError(TrainingError):
    """Another process of the run has ended; the exit code tells this from a fault of one's own."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


def lost_worker(
    error: LostWorkerError, step: int, total_steps: int, is_kept: bool
) -> LostWorkerError:
    """What tells that a run ended with another process, and how to go on.

    Args:
        error: how it was noticed.
        step, total_steps: where the run stands.
        is_kept: whether there is a checkpoint of it.
    """
    kept = " The same command with --resume goes on from there." if is_kept else ""
    lost = LostWorkerError(f"{error} The run stopped at step {step} of {total_steps}.{kept}")
    lost.__cause__ = error
    return lost


@dataclass(frozen=True)
class Group:
    """The processes of a run.

    Attributes:
        rank: this one's number, from 0; 0 alone writes and talks.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes and talks."""
        return self.rank == 0

    def part(self, rows: np.ndarray) -> np.ndarray:
        """This process's rows of a batch: each row is one process's, and of few some get none."""
        return rows[self.rank :: self.size]

    def add_up(self, network: paddle.nn.Layer, *numbers: float) -> list[float]:
        """Sum the gradients of the processes, and some numbers with them.

        A parameter that has a gradient in no process keeps none.

        Returns:
            The sums of `numbers`.

        Raises:
            LostWorkerError: another process has ended.
        """
        if self.size == 1:
            return list(numbers)
        parameters = [p for p in network.parameters() if not p.stop_gradient]
        there = [p.grad is not None for p in parameters]
        head = paddle.to_tensor([*numbers, *map(float, there)], dtype="float64")
        gradients = [
            p.grad.reshape([-1]) if p.grad is not None else paddle.zeros([p.size], p.dtype)
            for p in parameters
        ]
        flat = paddle.concat(gradients)
        try:
            paddle.distributed.all_reduce(head)
            paddle.distributed.all_reduce(flat)
        except RuntimeError as error:
            raise LostWorkerError(
                f"Another of the run's {self.size} processes has ended, or cannot be reached."
            ) from error
        sums = head.numpy()
        counts = sums[len(numbers) :]
        offset = 0
        for parameter, count in zip(parameters, counts, strict=True):
            if count:
                summed = flat[offset : offset + parameter.size].reshape(parameter.shape)
                if parameter.grad is None:
                    parameter.grad = summed
                else:
                    parameter.grad.set_value(summed)
            offset += parameter.size
        return [float(value) for value in sums[: len(numbers)]]


_joined: Group | None = None


def join() -> Group:
    """This process's group; it waits for the others the first time."""
    global _joined
    if _joined is None:
        if int(os.environ.get(WORKER_COUNT_VARIABLE, "1")) > 1:
            # Paddle lists the flags that differ from its defaults, which the user has not changed.
            with contextlib.redirect_stderr(io.StringIO()):
                paddle.distributed.init_parallel_env()
            _joined = Group(paddle.distributed.get_rank(), paddle.distributed.get_world_size())
        else:
            _joined = Group()
    return _joined


def where_it_computes() -> str:
    """This run's devices in words."""
    device = paddle.get_device()
    where = f"{thread_count()} threads" if device == "cpu" else device
    group = join()
    return where if group.size == 1 else f"{group.size} processes, each {where}"


def be_silent(line: str) -> None:
    """Of several processes one talks."""
