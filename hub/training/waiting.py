"""How the threads of a CPU wait between two operators: asleep, or ready.

A step is some hundred operators, each on all threads. Waking a thread that sleeps takes longer than
many of them do: on two cores that nobody else uses, threads that wait ready, asking again and again
for a millisecond before they sleep, make a step of short texts a fifth faster. Where others use the
cores as well, the asking takes the time of those who are waited for, and a step takes several times
as long. Which of the two it is changes in the course of a run; so both are tried, on the run's own
steps, and again now and then. What is computed is the same.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

from hub.backend import bundled_library
from hub.machine import thread_count

_ASLEEP, _READY = 0, 1  # milliseconds
# A trial is so many steps of each kind, in turns.
_TRIAL = 6
# Being ready has to be so much faster; where it is so much slower, a trial ends at once.
_WORTH, _HOPELESS = 0.97, 1.6
# Steps between trials: at first, and at most, as fruitless ones become rarer.
_FIRST_REST, _LONGEST_REST = 50, 1600
# Of so many steps the median says whether being ready still pays.
_WATCHED = 16


class Waiting:
    """Chooses how threads wait, step by step; while entered, and asleep afterwards.

    Args:
        set_milliseconds: tells this thread's workers how long to stay ready; None leaves all as
            it is.
        clock: the time in seconds.
    """

    def __init__(
        self,
        set_milliseconds: Callable[[int], object] | None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._set = set_milliseconds
        self._clock = clock
        self._paces: dict[int, list[float]] = {_ASLEEP: [], _READY: []}
        self._is_trying = True
        self._rest = self._left = _FIRST_REST
        self._usual = 0.0
        self._current = _ASLEEP
        self._started = 0.0

    @classmethod
    def of_openmp(cls, processes: int = 1) -> Waiting:
        """For the threads of PaddlePaddle's CPU build.

        Args:
            processes: how many train together; several on a machine are each other's neighbours,
                and none of them is ready.
        """
        chosen = any(name in os.environ for name in ("KMP_BLOCKTIME", "KMP_LIBRARY"))
        if processes > 1 or thread_count() == 1 or chosen:
            return cls(None)
        openmp = bundled_library("libiomp5.so")
        return cls(getattr(openmp, "kmp_set_blocktime", None))

    def __enter__(self) -> Waiting:
        return self

    def __exit__(self, *unused: object) -> None:
        self._be(_ASLEEP)

    def begin(self) -> None:
        """Before a step."""
        if self._is_trying:
            tried = len(self._paces[_READY]) < len(self._paces[_ASLEEP])
            self._be(_READY if tried else _ASLEEP)
        self._started = self._clock()

    def end(self, size: int) -> None:
        """After a step.

        Args:
            size: how much was computed, such as tokens; steps are compared by the time for one.
        """
        if self._set is None:
            return
        if not self._is_trying and self._current == _ASLEEP:
            self._left -= 1
            self._is_trying = self._left <= 0
            return
        pace = (self._clock() - self._started) / max(size, 1)
        self._paces[self._current].append(pace)
        if self._is_trying:
            self._judge()
        else:
            self._watch()

    def _be(self, milliseconds: int) -> None:
        if self._set is not None and milliseconds != self._current:
            self._set(milliseconds)
        self._current = milliseconds

    def _judge(self) -> None:
        asleep, ready = self._paces[_ASLEEP], self._paces[_READY]
        if not ready or len(asleep) > len(ready):
            return
        ratio = statistics.median(ready) / statistics.median(asleep)
        if ratio > _HOPELESS:
            self._settle(_ASLEEP)
        elif len(ready) >= _TRIAL:
            self._settle(_READY if ratio < _WORTH else _ASLEEP)

    def _settle(self, milliseconds: int) -> None:
        if milliseconds == _READY:
            self._usual = statistics.median(self._paces[_READY])
            self._rest = _FIRST_REST
        else:
            self._left = self._rest
            self._rest = min(2 * self._rest, _LONGEST_REST)
        self._is_trying = False
        self._paces = {_ASLEEP: [], _READY: []}
        self._be(milliseconds)

    def _watch(self) -> None:
        """Whether others came: go to sleep then, and try again later."""
        recent = self._paces[_READY]
        if len(recent) >= _WATCHED:
            if statistics.median(recent) > _HOPELESS * self._usual:
                self._settle(_ASLEEP)
            else:
                recent.clear()
