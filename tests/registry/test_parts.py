"""Unfinished downloads are gone on with by one process at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from hub.registry.parts import Part


def dead_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_a_released_part_is_gone_on_with(tmp_path: Path) -> None:
    target = tmp_path / "model.bin"
    part = Part(target, "content")
    part.path.write_bytes(b"first")
    part.notes = {"etag": '"a"'}
    part.release()
    again = Part(target, "content")
    assert again.path.read_bytes() == b"first"
    assert again.notes == {"etag": '"a"'}
    again.finish(target)
    assert [path.name for path in tmp_path.iterdir()] == ["model.bin"]


def test_a_part_belongs_to_one(tmp_path: Path) -> None:
    first = Part(tmp_path / "model.bin", "content")
    first.path.write_bytes(b"first")
    second = Part(tmp_path / "model.bin", "content")
    assert second.size == 0
    assert second.path != first.path


def test_a_part_is_of_one_content(tmp_path: Path) -> None:
    part = Part(tmp_path / "model.bin", "content")
    part.path.write_bytes(b"first")
    part.release()
    assert Part(tmp_path / "model.bin", "other content").size == 0


def test_the_part_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    part = Part(tmp_path / "模型 [1].bin", "content")
    for process, size in ((dead_process(), 3), (dead_process(), 5), (os.getppid(), 9)):
        name = part.path.name.replace(f".{os.getpid()}.", f".{process}.")
        part.path.with_name(name).write_bytes(b"x" * size)
    # The longest that nobody holds; the live process keeps its own.
    assert Part(tmp_path / "模型 [1].bin", "content").size == 5


def test_the_part_of_another_machine_is_taken_over_when_it_is_old(tmp_path: Path) -> None:
    part = Part(tmp_path / "model.bin", "content")
    stem = part.path.name.rsplit(".", 3)[0]
    theirs = part.path.with_name(f"{stem}.elsewhere.1.abcdef12")
    theirs.write_bytes(b"theirs")
    assert Part(tmp_path / "model.bin", "content").size == 0
    old = time.time() - 7200
    os.utime(theirs, (old, old))
    assert Part(tmp_path / "model.bin", "content").size == 6


def test_nothing_is_left_of_an_empty_or_discarded_part(tmp_path: Path) -> None:
    Part(tmp_path / "model.bin", "content").release()
    part = Part(tmp_path / "model.bin", "content")
    part.path.write_bytes(b"wrong")
    part.notes = {"etag": '"a"'}
    part.discard()
    assert list(tmp_path.iterdir()) == []
