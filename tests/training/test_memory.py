"""A run does not hold many times the memory that its steps need."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from hub.training.memory import KeptMemory, _held_bytes


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


@pytest.mark.skipif(sys.platform != "linux", reason="the C library's heap is another elsewhere")
def test_what_is_free_really_goes_back() -> None:
    before = _held_bytes()
    blocks = [np.ones(1 << 22) for _ in range(8)]  # 32 MB each, in the heap
    del blocks[::2]
    kept = _held_bytes()
    assert before is not None and kept is not None and kept - before > 240 << 20
    memory = KeptMemory()
    memory._needed, memory._is_fresh = 1, False
    memory.after_step()
    after = _held_bytes()
    assert after is not None and kept - after > 100 << 20
    assert all((block == 1).all() for block in blocks)
