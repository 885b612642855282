"""Files are there whole or not at all."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from hub.files import sha256_of, write_text, write_whole


def test_a_text_file_is_utf8_with_unix_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "天气\n音乐\n")
    assert (tmp_path / "a.txt").read_bytes() == "天气\n音乐\n".encode()
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_file_is_replaced(tmp_path: Path) -> None:
    for text in ("long text", "new"):
        write_text(tmp_path / "a.txt", text)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt(), ValueError("x")])
def test_a_failed_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")

    def half(target: Path) -> None:
        target.write_text("ha", encoding="utf-8")
        raise error

    with pytest.raises(type(error)):
        write_whole(path, half)
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_failed_first_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"):
        write_whole(tmp_path / "a.txt", lambda target: (_ for _ in ()).throw(OSError("full")))
    assert os.listdir(tmp_path) == []


def test_the_old_file_is_there_while_the_new_one_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")

    def write(target: Path) -> None:
        assert target.parent == path.parent  # a rename must not cross file systems
        target.write_text("new", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "old"

    write_whole(path, write)
    assert path.read_text(encoding="utf-8") == "new"


def test_who_reads_the_old_file_reads_it_to_its_end(tmp_path: Path) -> None:
    """The file is exchanged, not written over: a reader never sees a mixture."""
    path = tmp_path / "a.txt"
    write_text(path, "old " * 10)
    with path.open(encoding="utf-8") as reader:
        assert reader.read(4) == "old "
        write_text(path, "new")
        path_inode, reader_inode = path.stat().st_ino, os.fstat(reader.fileno()).st_ino
    assert path_inode != reader_inode
    assert path.read_text(encoding="utf-8") == "new"


def test_a_written_file_has_the_rights_that_the_umask_leaves(tmp_path: Path) -> None:
    def private(target: Path) -> None:
        target.touch(mode=0o600)

    previous = os.umask(0o027)
    try:
        write_whole(tmp_path / "a", private)
        assert os.umask(0o027) == 0o027  # reading the umask did not change it
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_the_checksum_is_sha256_of_the_whole_file(tmp_path: Path, size: int) -> None:
    content = bytes(i % 251 for i in range(1000)) * (size // 1000 + 1)
    path = tmp_path / "a"
    path.write_bytes(content[:size])
    assert sha256_of(path) == hashlib.sha256(content[:size]).hexdigest()
