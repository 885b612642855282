"""How many threads to compute with: what the user says, and what the machine gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub import machine
from hub.errors import InputError


@pytest.mark.parametrize(
    ("files", "share"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "what\n"}, None),
        ({}, None),
    ],
)
def test_a_containers_share_is_what_its_control_group_says(
    tmp_path: Path, files: dict[str, str], share: float | None
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="ascii")
    assert machine.container_share(tmp_path) == share


def test_no_more_threads_than_the_container_has_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    whole = machine.cpu_count()
    (tmp_path / "cpu.max").write_text("10000 100000\n", encoding="ascii")
    assert machine.cpu_count() == 1
    (tmp_path / "cpu.max").write_text(f"{100_000 * (whole + 7)} 100000\n", encoding="ascii")
    assert machine.cpu_count() == whole


def test_the_user_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_NUM_THREADS", "7")
    assert machine.thread_count() == 7
    for wrong in ("0", "-1", "two", "²"):
        monkeypatch.setenv("HUB_NUM_THREADS", wrong)
        with pytest.raises(InputError, match="HUB_NUM_THREADS"):
            machine.thread_count()
