"""Threads wait ready where that makes steps faster, and sleep where others use the cores."""

from __future__ import annotations

import pytest

from hub.backend import bundled_library
from hub.training.waiting import Waiting


class Machine:
    """Steps whose time depends on how threads wait and on who else computes."""

    def __init__(self, ready: float) -> None:
        self.now = 0.0
        self.milliseconds = 0
        self.ready = ready
        self.waiting = Waiting(self.set_milliseconds, lambda: self.now)

    def set_milliseconds(self, value: int) -> None:
        self.milliseconds = value

    def run(self, steps: int, tokens: int = 100) -> list[int]:
        """How threads waited in each step."""
        seen = []
        for _ in range(steps):
            self.waiting.begin()
            seen.append(self.milliseconds)
            self.now += tokens * (self.ready if self.milliseconds else 1.0)
            self.waiting.end(tokens)
        return seen


def test_on_idle_cores_threads_are_ready() -> None:
    machine = Machine(ready=0.8)
    with machine.waiting:
        trial = machine.run(12)
        assert trial == [0, 1] * 6
        assert set(machine.run(500)) == {1}
    assert machine.milliseconds == 0


def test_on_busy_cores_threads_sleep_and_trials_become_rare() -> None:
    machine = Machine(ready=4.0)
    with machine.waiting:
        seen = machine.run(5000)
    # One slow step ends a trial.
    assert 4 <= sum(seen) <= 8
    assert sum(seen[-1600:]) <= 1


def test_what_gains_nothing_is_left() -> None:
    machine = Machine(ready=0.99)
    with machine.waiting:
        machine.run(12)
        assert set(machine.run(40)) == {0}


def test_the_choice_follows_who_else_computes() -> None:
    machine = Machine(ready=0.8)
    with machine.waiting:
        machine.run(100)
        assert machine.milliseconds == 1
        machine.ready = 5.0
        seen = machine.run(100)
        assert sum(seen) <= 20  # the watch, and a trial
        machine.ready = 0.8
        machine.run(200)
        assert machine.milliseconds == 1


def test_steps_of_different_sizes_are_compared_by_the_token() -> None:
    machine = Machine(ready=0.8)
    with machine.waiting:
        for number in range(12):
            machine.run(1, tokens=1000 if number % 2 else 10)
        assert machine.milliseconds == 1


def test_nothing_is_chosen_where_the_user_or_neighbours_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hub.training.waiting.thread_count", lambda: 2)
    monkeypatch.delenv("KMP_BLOCKTIME", raising=False)
    has_openmp = bundled_library("libiomp5.so") is not None
    assert (Waiting.of_openmp()._set is not None) == has_openmp
    assert Waiting.of_openmp(processes=2)._set is None
    monkeypatch.setenv("KMP_BLOCKTIME", "5")
    untouched = Waiting.of_openmp()
    assert untouched._set is None
    with untouched:
        untouched.begin()
        untouched.end(1)
