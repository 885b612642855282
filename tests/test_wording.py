"""Numbers as they are told."""

from __future__ import annotations

import pytest

from hub.wording import duration


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0.0 s"), (0.84, "0.8 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 0 s"),
        (204, "3 min 24 s"), (3599.7, "1 h 0 min"), (7_500, "2 h 5 min"), (90_000, "25 h 0 min"),
    ],
)  # fmt: skip
def test_a_length_of_time_is_as_exact_as_one_plans_by(seconds: float, told: str) -> None:
    assert duration(seconds) == told
