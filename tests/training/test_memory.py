"""A run does not hold many times the memory that its steps need."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hub.training.memory import KeptMemory


def test_freed_memory_is_given_back_when_twice_of_what_a_step_needs_is_held() -> None:
    held, given = iter([10, 19, 21, 9, 15, 20, 21, 12, 24, 25, 13]), []
    steps: list[int] = []
    memory = KeptMemory(lambda: next(held), lambda: given.append(len(steps)))
    for step in range(11):
        steps.append(step)
        memory.after_step()
    # 21 is more than twice the 10 of the first step. After 9 of a short step still 10 counts, so
    # that 21 is too much again; then 12, so that only 25 is.
    assert given == [3, 7, 10]


def test_where_nobody_says_what_is_held_nothing_is_given_back() -> None:
    memory = KeptMemory(lambda: None, lambda: pytest.fail("there is no reason"))
    for _ in range(3):
        memory.after_step()


_HOLD_AND_GIVE_BACK = """
import numpy as np
from hub.training.memory import KeptMemory, _held_bytes

before = _held_bytes()
blocks = [np.ones(1 << 22) for _ in range(8)]  # 32 MB each, in the heap
del blocks[::2]
kept = _held_bytes()
memory = KeptMemory()
memory._needed, memory._is_fresh = 1, False
memory.after_step()
print(kept - before, kept - _held_bytes(), all((block == 1).all() for block in blocks))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the C library's heap is another elsewhere")
def test_what_is_free_really_goes_back() -> None:
    # In a process of its own, whose heap nobody has filled before.
    done = subprocess.run(
        [sys.executable, "-c", _HOLD_AND_GIVE_BACK], capture_output=True, text=True, check=True
    )
    held, given, whole = done.stdout.split()
    assert int(held) > 240 << 20 and int(given) > 100 << 20 and whole == "True"
