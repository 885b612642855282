"""A batch in parts, several of them computed at once.

Padding is computed like tokens. In parts of a few texts of like length there is little of it, and a
graph is as fast on a few hundred tokens as on more. The operators of a small encoder are too short
to be shared out among threads one by one: two threads on a part each are half as fast again as two
on every operator.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from hub.data.batches import Batch
from hub.tasks.base import Forward


class ParallelEngine:
    """Computes batches with several threads.

    Args:
        whole: computes a text alone, with all threads.
        open_part: gives what computes with one thread, from several threads at once. It is called
            when the first batch of several texts comes: a service of single texts does without.
        threads: how many.
        tokens: a part has about so many, padding included; None cuts into as many parts as there
            are threads.
    """

    def __init__(
        self,
        whole: Forward,
        open_part: Callable[[], Forward],
        threads: int,
        tokens: int | None = None,
    ) -> None:
        self._whole = whole
        self._open_part = open_part
        self._threads = threads
        self._tokens = tokens
        self._part: Forward | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._opening = threading.Lock()

    def __call__(self, batch: Batch) -> np.ndarray:
        """The graph's output for a batch, float32 [B, ...]; of padding it says nothing."""
        # Positions are numbers in the whole batch, and their outputs no rows of it.
        if len(batch) == 1 or batch.positions is not None:
            return self._whole(batch)
        parts = batch.parts(self._tokens or batch.input_ids.size, self._threads)
        waiting = deque(range(len(parts)))
        outputs: list[np.ndarray] = [np.empty(0)] * len(parts)

        def work(forward: Forward) -> None:
            while waiting:
                try:
                    number = waiting.popleft()
                except IndexError:  # another thread was quicker
                    return
                outputs[number] = forward(parts[number][1])

        if self._threads == 1:
            work(self._whole)
        else:
            part, pool = self._opened()
            others = [pool.submit(work, part) for _ in range(min(self._threads, len(parts)) - 1)]
            try:
                work(part)  # the caller's thread would only wait
            finally:
                waiting.clear()
                for other in others:
                    other.result()
        return _together(outputs, [places for places, _ in parts], batch.input_ids.shape)

    def _opened(self) -> tuple[Forward, ThreadPoolExecutor]:
        with self._opening:
            if self._part is None or self._pool is None:
                self._part = self._open_part()
                self._pool = ThreadPoolExecutor(self._threads - 1, "hub-engine")
            return self._part, self._pool


def _together(
    outputs: list[np.ndarray], places: list[np.ndarray], shape: tuple[int, ...]
) -> np.ndarray:
    """The outputs of parts as that of the batch, whose input is [B, T]."""
    rows, width = shape
    first = outputs[0]
    # An output of every token is [rows, tokens, ...], and narrower than the batch's.
    inner = first.shape[1:] if first.ndim == 2 else (width, *first.shape[2:])
    whole = np.zeros((rows, *inner), first.dtype)
    for output, its_places in zip(outputs, places, strict=True):
        if output.ndim == 2:
            whole[its_places] = output
        else:
            whole[its_places, : output.shape[1]] = output
    return whole
