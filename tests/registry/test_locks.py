"""One process at a time, and nobody waits for a dead one."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hub.errors import DownloadError
from hub.registry import locks
from hub.registry.locks import locked

HOLDER = """
import sys, time
from pathlib import Path
from hub.registry.locks import locked
with locked(Path(sys.argv[1]), "fetching x"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path):
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "x.lock")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_live_holder_is_waited_for_and_named(
    holder: subprocess.Popen[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(locks, "MESSAGE_EVERY_S", 0.1)
    caplog.set_level(logging.WARNING)
    with (
        pytest.raises(DownloadError, match=f"process {holder.pid} on .*fetching x"),
        locked(tmp_path / "x.lock", "fetching x", timeout_s=0.35),
    ):
        pytest.fail("the lock was given twice")
    assert 2 <= len(caplog.records) <= 4
    assert f"Waiting for process {holder.pid}" in caplog.text


def test_a_killed_holder_is_not_waited_for(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    start = time.monotonic()
    with locked(tmp_path / "x.lock", "fetching x", timeout_s=10):
        pass
    assert time.monotonic() - start < 3


def test_the_lock_is_free_again_afterwards_also_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with pytest.raises(KeyError), locked(path, "testing"):
        raise KeyError
    with locked(path, "testing", timeout_s=1):
        assert path.with_suffix(".json").exists()
    assert not path.with_suffix(".json").exists()
