"""A batch in parts, each on a thread of its own.

The operators of a small encoder are too short to be shared out among threads one by one: two
threads on one text of a batch each are half as fast again as two on every operator.
"""

from __future__ import annotations

import threading
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
    """

    def __init__(self, whole: Forward, open_part: Callable[[], Forward], threads: int) -> None:
        self._whole = whole
        self._open_part = open_part
        self._threads = threads
        self._part: Forward | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._opening = threading.Lock()

    def __call__(self, batch: Batch) -> np.ndarray:
        """The graph's output for a batch, float32 [B, ...]."""
        # Positions are numbers in the whole batch, and their outputs no rows of it.
        if self._threads == 1 or len(batch) == 1 or batch.positions is not None:
            return self._whole(batch)
        part, pool = self._opened()
        parts = batch.split(min(self._threads, len(batch)))
        # The caller's thread would only wait: it computes the last part.
        waited = [pool.submit(part, each) for each in parts[:-1]]
        last = part(parts[-1])
        return np.concatenate([*(future.result() for future in waited), last])

    def _opened(self) -> tuple[Forward, ThreadPoolExecutor]:
        with self._opening:
            if self._part is None or self._pool is None:
                self._part = self._open_part()
                self._pool = ThreadPoolExecutor(self._threads - 1, "hub-engine")
            return self._part, self._pool
