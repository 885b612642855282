"""Files that are there whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.errors import InputError, OutputError

_BLOCK = 1 << 20


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file under a temporary name beside `path`, then put it in place.

    A crash, a full disk or a second writer leaves either the old file or the new one.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        temporary.chmod(0o666 & ~_umask())  # some writers make files only their owner can read
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def check_new_file(path: Path, overwrite: bool, example: str) -> None:
    """See that a command may write a file; its folder is made when it is written.

    Args:
        path: its --output.
        overwrite: replace what is there.
        example: how such a file may be called.

    Raises:
        OutputError: it may not.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a folder; --output takes a file, such as {example}.")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} is there already: choose another --output, or --overwrite it.")


def make_folder_of(path: Path) -> None:
    """Make the folder of a file that is to be written, where it is missing.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}.") from error


def put_in_place(made: Path, folder: Path, last: str) -> None:
    """Let the filled folder `made` be `folder`, and its files those that are in it.

    A folder that is there stays the one it is: somebody may stand in it. Its file called `last`,
    without which it is nothing, goes first and comes at the end.
    """
    if not folder.exists():
        made.replace(folder)
        return
    move_files(made, folder, last, gone=[old.name for old in folder.iterdir()])
    made.rmdir()


@contextmanager
def filled_aside(folder: Path, last: str) -> Iterator[Path]:
    """A new folder to fill beside `folder`; it is put in place, as above, if the body ends well.

    Raises:
        OSError: it cannot be written.
    """
    folder = Path(os.path.abspath(folder))  # "." has a name
    with _scratch(folder.with_name(f".{folder.name}.unfinished")) as made:
        yield made
        put_in_place(made, folder, last)


@contextmanager
def files_exchanged(folder: Path, last: str, gone: Iterable[str] = ()) -> Iterator[Path]:
    """A new folder to fill, whose files then replace those of their names in `folder`.

    What else is in `folder` stays, and if the body fails, everything. The file called `last`,
    without which nobody reads the others, goes first and comes at the end: who dies in between
    leaves no folder that is half of each.

    Args:
        folder: where they are exchanged.
        last: the name of that file.
        gone: names of files that would say something else of the new ones, and go.

    Raises:
        OSError: they cannot be written.
    """
    with _scratch(folder / ".unfinished") as made:  # inside: `folder` may be a disk of its own
        yield made
        move_files(made, folder, last, gone)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A new folder, which is gone afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def move_files(made: Path, folder: Path, last: str, gone: Iterable[str] = ()) -> None:
    """Let the files of `made` take the places of those of the same names in `folder`.

    The file called `last`, without which `folder` is nothing, goes first and comes at the end;
    those called `gone` go after it.
    """
    for name in (last, *gone):
        (folder / name).unlink(missing_ok=True)
    for path in sorted(made.iterdir(), key=lambda path: path.name == last):
        if path.is_file():
            shutil.move(path, folder / path.name)  # the folder may be on a disk of its own


def sync(path: Path) -> None:
    """Wait until a file's bytes are on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0o022)  # it can only be read by setting it
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file in one step."""
    write_whole(path, lambda p: p.write_text(text, encoding="utf-8", newline="\n"))


def read_utf8(path: Path, newline: str | None = None) -> str:
    """The text of a file of the user's, without the mark that some editors put before it.

    Args:
        path: the file.
        newline: what ends a line, as `open` has it; None takes every usual end for "\\n".

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline=newline) as file:
            return file.read()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 (byte {error.start:,}): save it as UTF-8."
        ) from error


def readable_size(size: float) -> str:
    """The size in the unit a person would choose.

    >>> readable_size(74_900_000)
    '75 MB'
    """
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
