"""The folder a model is written into: what may be in it before, and whether it can be written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.constants import CHECKPOINT_DIRECTORY, LOG_FILE, MANIFEST_FILE, TRACKING_DIRECTORY
from hub.errors import OutputError
from hub.training.checkpoints import CheckpointStore


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
    leftovers = {LOG_FILE, CHECKPOINT_DIRECTORY, TRACKING_DIRECTORY}
    if not has_model and any(path.name not in leftovers for path in folder.iterdir()):
        raise OutputError(
            f"{folder} holds files that are not this package's: choose another --output."
        )


def prepare_output(folder: Path, resume: bool) -> None:
    """Make the folder and find out now, not after training, whether files can be made in it.

    Raises:
        OutputError: they cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe(folder)
        if not resume:
            CheckpointStore(folder / CHECKPOINT_DIRECTORY, {}).remove()
            (folder / LOG_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}.") from error


def probe(folder: Path) -> None:
    """Make a file in a folder and remove it.

    Raises:
        OSError: it cannot be made.
    """
    path = folder / ".writable"
    path.touch()
    path.unlink()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """While entered, a run's results are written; what fails leaves its checkpoints.

    Raises:
        OutputError: the disk is full, or the folder cannot be written any more.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror or error}. The trained weights are kept "
            f"in {folder / CHECKPOINT_DIRECTORY}: make room and run the same command with --resume."
        ) from error
