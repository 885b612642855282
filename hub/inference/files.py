"""Answering a file of any size: a JSON object a line, resumable, in constant memory.

out.jsonl                 appears when all rows are answered
out.jsonl.unfinished      what is answered so far, and nothing half
out.jsonl.unfinished.json what it was made from: a run with something else starts again
out.jsonl.unfinished.lock held by the process that writes
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from hub.constants import MANIFEST_FILE
from hub.data.texts import TextFile, pair_of_line, read_texts
from hub.errors import DataError, InputError, OutputError
from hub.files import check_new_file, make_folder_of, sha256_of, write_text
from hub.inference.loading import Answering
from hub.inference.run_data import text_columns
from hub.models.installation import folder_of
from hub.registry.locks import alone
from hub.tasks import compares_texts
from hub.tasks.answering import WINDOW
from hub.tasks.documents import document

logger = logging.getLogger(__name__)


def read_asked(
    path: Path,
    model: Answering,
    folder: Path,
    column: str | None = None,
    pair_column: str | None = None,
) -> TextFile:
    """The file of texts for a model: where it compares two texts, of a table both columns.

    Args:
        path: the file.
        model: what answers.
        folder: the model's, which may know the columns that it was fine-tuned with.
        column, pair_column: the columns that the user names.

    Raises:
        InputError: a second column is named, and the model does not compare two texts; or none is
            named, and it does.
        DataError: as `read_texts`.
    """
    pairs = compares_texts(model.task)
    if pair_column is not None and not pairs:
        raise InputError("--text-pair-column is for models that compare two texts.")
    file = read_texts(path, *text_columns(folder, path, column, pair_column), pairs)
    is_single = file.column is not None and file.pair_column is None
    if pairs and is_single and "\t" not in next(iter(file), "\t"):
        raise InputError(
            f"The model compares two texts, and of {path} only {file.column!r} is read: name the "
            "column of the second with --text-pair-column."
        )
    return file


def predict_file(
    model: Answering,
    source: TextFile,
    output: Path,
    *,
    identity: dict[str, Any],
    probabilities: bool = False,
    top_k: int | None = None,
    batch_size: int = 32,
    long_text: str | None = None,
    overwrite: bool = False,
    on_rows: Callable[[int], object] = lambda count: None,
) -> int:
    """Answer every row of a file; a run that was killed goes on where it was.

    Args:
        model: what answers.
        source: the texts.
        output: the `.jsonl` file to write; each line has `text` and the answer.
        identity: what the answers depend on, of which `identity_of` makes a part.
        probabilities, top_k, batch_size, long_text: as `Predictor.predict` takes them.
        overwrite: replace the file.
        on_rows: told how many more rows are answered, those of an earlier run first.

    Returns:
        How many rows an earlier run had answered.

    Raises:
        OutputError: the file is there already, or cannot be written.
        DataError: a row cannot be answered.
    """
    check_output(output, overwrite)
    assert model.task is not None  # `load` sees to it
    unfinished = output.with_name(f"{output.name}.unfinished")
    facts = unfinished.with_name(f"{unfinished.name}.json")
    options = {"probabilities": probabilities, "top_k": top_k, "long_text": long_text}
    asked = {"task": model.task.name, "task_options": model.task.options, **options}
    wanted = json.dumps({**identity, **asked}, sort_keys=True, default=str)
    refusal = (
        f"Another process is answering into {unfinished}: wait for it, end it, or choose another "
        "--output."
    )
    make_folder_of(output)
    try:
        with alone(unfinished.with_name(f"{unfinished.name}.lock"), refusal):
            check_output(output, overwrite)  # another run may have finished it meanwhile
            done = _answered(unfinished) if _same(facts, wanted) else 0
            if not done:
                unfinished.unlink(missing_ok=True)
                write_text(facts, wanted)
            on_rows(done)
            _write(model, source, unfinished, done, batch_size, options, on_rows)
            unfinished.replace(output)
            facts.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{output} cannot be written: {error.strerror or error}. What is answered is kept in "
            f"{unfinished}: the same command goes on from there."
        ) from error
    return done


def check_output(output: Path, overwrite: bool) -> None:
    """See that a file of answers may be written.

    Raises:
        OutputError: it may not.
    """
    check_new_file(output, overwrite, "answers.jsonl")


def identity_of(model: str | Path, source: TextFile) -> dict[str, Any]:
    """What answers depend on: the model's files, and the file of texts as it is now."""
    status = source.path.stat()
    return {
        "model": model_identity(model),
        "source": str(source.path.resolve()),
        "bytes": status.st_size,
        "changed": status.st_mtime_ns,
        "columns": [source.column, source.pair_column],
    }


def model_identity(model: str | Path) -> str:
    """What tells a model's files from others: a digest of its manifest, or its folder."""
    folder = folder_of(model)
    manifest = folder / MANIFEST_FILE
    return sha256_of(manifest) if manifest.exists() else str(folder)


def _write(
    model: Answering,
    source: TextFile,
    unfinished: Path,
    done: int,
    batch_size: int,
    options: dict[str, Any],
    on_rows: Callable[[int], object],
) -> None:
    """Add the answers to all rows but the first `done`."""
    assert model.task is not None
    pairs, name = compares_texts(model.task), model.task.name
    texts = islice(iter(source), done, None)
    with unfinished.open("ab") as file:
        row = done
        while window := list(islice(texts, WINDOW)):
            asked = [pair_of_line(text) for text in window] if pairs else window
            answers = _answer(model, asked, row, batch_size, options)
            for text, answer in zip(window, answers, strict=True):
                file.write(_line({"text": text, **document(name, answer)}))
            file.flush()
            row += len(window)
            on_rows(len(window))
        os.fsync(file.fileno())


def _line(answer: dict[str, Any]) -> bytes:
    """A line of JSON in UTF-8; half of a character, which UTF-8 has not, is escaped."""
    try:
        return json.dumps(answer, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(answer).encode() + b"\n"


def _same(facts: Path, wanted: str) -> bool:
    try:
        return facts.read_text(encoding="utf-8") == wanted
    except (OSError, UnicodeDecodeError):
        return False


def _answered(path: Path) -> int:
    """The whole lines of an unfinished file; half of a line at its end is cut off."""
    count = end = 0
    try:
        with path.open("r+b") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                count += 1
                end += len(line)
            file.truncate(end)
    except FileNotFoundError:
        return 0
    return count


def _answer(
    model: Answering, texts: Sequence[Any], first: int, batch_size: int, options: dict[str, Any]
) -> Iterator[Any]:
    try:
        return iter(model.predict(texts, batch_size=batch_size, **options))
    except ValueError as error:  # InputError is one: it numbers the texts of this window
        last = first + len(texts)
        raise DataError(f"Of the rows {first + 1} to {last} one has no answer: {error}") from error
