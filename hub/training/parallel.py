"""Several processes that train one network together, each on its part of every batch.

The processes are started by `hub.training.launching` or by `paddle.distributed.launch`, and find
each other by its environment variables. Gradients are summed with NCCL on GPUs and Gloo on CPUs.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from hub.backend import paddle
from hub.constants import WORKER_COUNT_VARIABLE
from hub.errors import TrainingError
from hub.machine import thread_count
from hub.wording import counted

T = TypeVar("T")

# The numbers of a bucket, 16 MB.
_BUCKET = 1 << 22


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


def buckets(parameters: Sequence[paddle.Tensor]) -> Iterator[list[paddle.Tensor]]:
    """Parameters that are sent together: few messages, each of them small beside the network.

    One that is larger than a bucket is alone.
    """
    bucket: list[paddle.Tensor] = []
    for parameter in parameters:
        if bucket and sum(p.size for p in bucket) + parameter.size > _BUCKET:
            yield bucket
            bucket = []
        bucket.append(parameter)
    if bucket:
        yield bucket


def divided(
    flat: paddle.Tensor, bucket: Sequence[paddle.Tensor]
) -> Iterator[tuple[paddle.Tensor, paddle.Tensor]]:
    """Each parameter of a bucket with what `flat`, the numbers of all of them, has for it."""
    pieces = flat.split([parameter.size for parameter in bucket])
    for parameter, piece in zip(bucket, pieces, strict=True):
        yield parameter, piece.reshape(parameter.shape)


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
        with self._reaching_others():
            paddle.distributed.all_reduce(head)
        sums = head.numpy()
        counts = sums[len(numbers) :]
        summed = [p for p, count in zip(parameters, counts, strict=True) if count]
        for bucket in buckets(summed):
            flat = paddle.concat(
                [
                    p.grad.reshape([-1]) if p.grad is not None else paddle.zeros([p.size], p.dtype)
                    for p in bucket
                ]
            )
            with self._reaching_others():
                paddle.distributed.all_reduce(flat)
            for parameter, gradient in divided(flat, bucket):
                if parameter.grad is None:
                    parameter.grad = gradient
                else:
                    parameter.grad.set_value(gradient)
        return [float(value) for value in sums[: len(numbers)]]

    def total(self, gradient: paddle.Tensor | None, of: paddle.Tensor) -> paddle.Tensor | None:
        """The sum of the processes' gradients of one parameter; these stay as they are.

        Args:
            gradient: this process's; None if it has none.
            of: the parameter.

        Raises:
            LostWorkerError: another process has ended.
        """
        if self.size == 1:
            return gradient
        total = paddle.zeros_like(of) if gradient is None else gradient.clone()
        total.stop_gradient = True
        with self._reaching_others():
            paddle.distributed.all_reduce(total)
        return total

    def broadcast(self, tensor: paddle.Tensor, rank: int) -> None:
        """Let all processes have the values that `tensor` has in process `rank`.

        Raises:
            LostWorkerError: another process has ended.
        """
        with self._reaching_others():
            paddle.distributed.broadcast(tensor, src=rank)

    def send_to_first(self, tensor: paddle.Tensor, rank: int) -> None:
        """Let the first process have the values that `tensor` has in process `rank`.

        Raises:
            LostWorkerError: another process has ended.
        """
        with self._reaching_others():
            if self.rank == rank:
                paddle.distributed.send(tensor, dst=0)
            elif self.is_first:
                paddle.distributed.recv(tensor, src=rank)

    def gather(self, value: T) -> list[T]:
        """What each process gives, by rank; something small.

        Raises:
            LostWorkerError: another process has ended.
        """
        values: list[T] = []
        with self._reaching_others():
            paddle.distributed.all_gather_object(values, value)
        return values

    @contextlib.contextmanager
    def _reaching_others(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise LostWorkerError(
                f"Another of the run's {self.size} processes has ended, or cannot be reached."
            ) from error


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
    where = counted(thread_count(), "thread") if device == "cpu" else device
    group = join()
    return where if group.size == 1 else f"{group.size} processes, each {where}"


def be_silent(line: str) -> None:
    """Of several processes one talks."""
