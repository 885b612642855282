"""What a run will take, from a few of its steps: `hub finetune --dry-run`."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hub.data.batches import shuffled_batches
from hub.training.loop import EncodedData, TrainingLoop, compute_outputs
from hub.training.signals import StopRequests

# Batches of these ranks in an epoch, from the one with the fewest tokens to that with the most.
_RANKS = (0.0, 0.5, 1.0)
# As many dev rows are measured: more of them are computed no otherwise.
_DEV_ROWS = 64


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Attributes:
        steps: the steps of an epoch.
        epochs: how many there are at most.
        epoch_s: the seconds of an epoch's steps.
        evaluation_s: the seconds to measure the dev rows after it.
        total_s: the seconds of all epochs; early stopping may spare some.
        memory_mb: the most memory that this process has held so far, the longest batch included;
            None where the system does not say.
    """

    steps: int
    epochs: int
    epoch_s: float
    evaluation_s: float
    total_s: float
    memory_mb: float | None

    def to_dict(self) -> dict[str, Any]:
        """The figures, rounded to milliseconds and kilobytes."""
        return {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def rehearse(loop: TrainingLoop) -> Estimate:
    """Take an epoch's shortest, middle and longest step, and measure some dev rows.

    The weights change as in training; nothing is kept.

    Raises:
        TrainingError: a loss is not a number.
        MemoryError: the longest step does not fit.
    """
    arguments, train = loop.arguments, loop.train
    batches = shuffled_batches(
        train.encodings, arguments.batch_size, arguments.seed, loop.state.epoch
    )
    lengths = train.encodings.lengths
    tokens = np.array([len(rows) * lengths[rows].max() for rows in batches])
    by_size = np.argsort(tokens, kind="stable")
    measured: dict[int, float] = {}
    stop = StopRequests()  # not entered: there is nothing to keep, so that signals act at once
    # The longest first: what is too much for this machine is told at once.
    for rank in reversed(_RANKS):
        number = by_size[round(rank * (len(batches) - 1))]
        for _ in range(2):  # the first time memory is taken and kernels are made
            begun = time.perf_counter()
            loop.step(batches[number], stop)
            measured[int(tokens[number])] = time.perf_counter() - begun
    sizes = sorted(measured)
    seconds = np.interp(tokens, sizes, [measured[size] for size in sizes])
    epoch_s = float(seconds.sum())
    evaluation_s = _evaluation_s(loop, loop.dev)
    epochs = loop.state.total_steps / len(batches)
    return Estimate(
        steps=len(batches),
        epochs=arguments.epochs,
        epoch_s=epoch_s,
        evaluation_s=evaluation_s,
        total_s=epochs * epoch_s + math.ceil(epochs) * evaluation_s,
        memory_mb=_peak_memory_mb(),
    )


def _evaluation_s(loop: TrainingLoop, dev: EncodedData | None) -> float:
    """The seconds to compute the dev rows, from some of all lengths."""
    if dev is None or not len(dev.passages):
        return 0.0
    lengths = [
        sum(len(window.encoding.input_ids) for window in passage.windows)
        for passage in dev.passages
    ]
    order = np.argsort(lengths, kind="stable")
    places = np.linspace(0, len(order) - 1, min(_DEV_ROWS, len(order))).round().astype(int)
    sample = order[places]
    begun = time.perf_counter()
    compute_outputs(
        loop.module, [dev.passages[int(row)] for row in sample], loop.arguments.eval_batch_size
    )
    took = time.perf_counter() - begun
    return took * sum(lengths) / sum(lengths[int(row)] for row in sample)


def _peak_memory_mb() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
