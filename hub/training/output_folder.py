"""The folder a model is written into: what may be in it before, and whether it can be written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.constants import (
    CARD_FILE,
    CHECKPOINT_DIRECTORY,
    COMPRESSION_FILE,
    CURVE_FILE,
    LOG_FILE,
    MANIFEST_FILE,
    MATRIX_FILE,
    METRICS_FILE,
    PRETRAINING_CURVE_FILE,
    REPORT_FILE,
    TRACKING_DIRECTORY,
)
from hub.errors import OutputError
from hub.registry.locks import alone
from hub.training.checkpoints import CheckpointStore

# What is told to people of a model that is gone when another takes its place.
_STORY = (
    CARD_FILE, COMPRESSION_FILE, CURVE_FILE, MATRIX_FILE, METRICS_FILE, PRETRAINING_CURVE_FILE,
    REPORT_FILE,
)  # fmt: skip

# Held by the command that writes.
_LOCK = ".lock"


def check_output(folder: Path, resume: bool, overwrite: bool) -> None:
    """See that a model may be written into `folder`.

    Args:
        folder: what the user asked for.
        resume: go on with the unfinished run in it.
        overwrite: replace the model or the unfinished run in it.

    Raises:
        OutputError: it may not; the sentence says what to do.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; --output takes a folder.")
    unfinished = CheckpointStore(folder / CHECKPOINT_DIRECTORY, {}).exists()
    if resume:
        if not unfinished:
            raise OutputError(f"{folder} holds no unfinished run: start without --resume.")
        return
    if not folder.exists() or not any(folder.iterdir()):
        return
    if unfinished and not overwrite:
        raise OutputError(
            f"{folder} holds an unfinished run: the command that began it goes on with --resume, "
            "--overwrite starts again."
        )
    has_model = (folder / MANIFEST_FILE).exists()
    if has_model and not overwrite:
        raise OutputError(
            f"{folder} already holds a model: choose another --output, or replace it with "
            "--overwrite."
        )
    # What is left of a run that never reached its first checkpoint may go.
    leftovers = {LOG_FILE, CHECKPOINT_DIRECTORY, TRACKING_DIRECTORY, _LOCK}
    if not has_model and any(path.name not in leftovers for path in folder.iterdir()):
        raise OutputError(
            f"{folder} holds files that are not this package's: choose another --output."
        )


@contextmanager
def occupied(folder: Path, resume: bool, overwrite: bool, is_first: bool) -> Iterator[None]:
    """While entered, a run has the folder to itself.

    It is made, and whether files can be made in it is found out now and not after training.

    Args:
        folder: the run's.
        resume, overwrite: as in `check_output`, which is asked again: another command may have
            ended meanwhile.
        is_first: whether this process is the one of the run that writes.

    Raises:
        OutputError: they cannot, or another command writes into the folder.
    """
    if not is_first:
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe(folder)
    except OSError as error:
        raise _unwritable(folder, error) from error
    refusal = (
        f"Another command is writing into {folder}: wait for it, end it, or choose another "
        "--output."
    )
    with alone(folder / _LOCK, refusal):
        check_output(folder, resume, overwrite)
        if not resume:
            try:
                forget_run(folder)
            except OSError as error:
                raise _unwritable(folder, error) from error
        yield


def _unwritable(folder: Path, error: OSError) -> OutputError:
    return OutputError(f"{folder} cannot be written: {error.strerror or error}.")


def probe(folder: Path) -> None:
    """Make a file in a folder and remove it.

    Raises:
        OSError: it cannot be made.
    """
    path = folder / ".writable"
    path.touch()
    path.unlink()


def forget_story(folder: Path) -> None:
    """Remove what says how the model came about that a folder holds, and is to be replaced.

    Raises:
        OSError: it cannot be removed.
    """
    for name in _STORY:
        (folder / name).unlink(missing_ok=True)


def forget_run(folder: Path) -> None:
    """Remove the unfinished run that a folder holds, and the log of a finished one.

    Raises:
        OSError: it cannot be removed.
    """
    CheckpointStore(folder / CHECKPOINT_DIRECTORY, {}).remove()
    (folder / LOG_FILE).unlink(missing_ok=True)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """While entered, a run's results take the place of another model's; what fails leaves its
    checkpoints.

    Raises:
        OutputError: the disk is full, or the folder cannot be written any more.
    """
    try:
        forget_story(folder)
        yield
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror or error}. The trained weights are kept "
            f"in {folder / CHECKPOINT_DIRECTORY}: make room and run the same command with --resume."
        ) from error
