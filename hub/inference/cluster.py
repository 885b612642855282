"""Answering a folder of files on a cluster of machines, with Ray (https://docs.ray.io).

Every file is answered by one worker into a file of its own, which appears when all of its rows are
answered. A worker that dies is replaced and its file begun again, so that no row is lost and none
is doubled; a run that was stopped goes on with the files that are not there yet. The machines need
this package, and a file system that all of them see.

out/part-1.jsonl         the answers to part-1.parquet, a JSON object a line, in their order
out/.made-from           what the answers are of: a run with something else is refused
out/.files/part-1.json   the size and time of the file that was answered: another is answered again
out/.working/            what is being written
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.errors import DataError, HubError, InputError, OutputError
from hub.files import write_text
from hub.inference.files import identity_of, model_identity, predict_file, read_asked
from hub.models.installation import folder_of
from hub.third_party import load

_FACTS, _FILES, _WORKING = ".made-from", ".files", ".working"
# How often a worker is replaced, and a file tried again, after it died.
_REPLACED = 3


@dataclass(frozen=True)
class Answered:
    """What became of a file: how many rows it has, or why it cannot be answered."""

    name: str
    rows: int = 0
    reason: str = ""


def predict_shards(
    model: str,
    shards: Sequence[Path],
    output: Path,
    *,
    workers: int = 1,
    threads: int = 1,
    address: str | None = None,
    columns: tuple[str | None, str | None] = (None, None),
    task: str | None = None,
    options: dict[str, Any] | None = None,
    overwrite: bool = False,
    on_shard: Callable[[Answered], object] = lambda done: None,
) -> int:
    """Answer files on a Ray cluster; a run that was stopped goes on where it was.

    Args:
        model: the name or folder of a model, as every machine finds it.
        shards: the files, of different names.
        output: the folder for the answers.
        workers: how many files are answered at a time.
        threads: the processors of a worker.
        address: of a cluster, "auto" for the one that this machine belongs to; None starts one of
            this machine alone, which nobody else can reach.
        columns: those of the text, and of a pair's second; None takes one of a usual name.
        task: what is asked; None is what the model was made for.
        options: what `predict_file` takes besides.
        overwrite: replace answers of another model or of other options.
        on_shard: told of each file that is answered.

    Returns:
        How many rows were answered, without those of an earlier run.

    Raises:
        InputError: there are no files, or two of one name.
        OutputError: the folder holds something else, or cannot be written.
        DataError: files cannot be answered; the others are.
        MissingPackageError: ray is not installed.
    """
    names = [shard.stem for shard in shards]
    if not shards:
        raise InputError("There is no file to answer.")
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise InputError(f"Two files are called {double!r}: their answers would be one file.")
    facts = {
        "model": model_identity(model),
        "task": task,
        "columns": columns,
        **(options or {}),
    }
    if Path(model).is_dir():
        model = str(Path(model).resolve())  # the workers have other current folders
    _prepare(output, json.dumps(facts, sort_keys=True, default=str), overwrite)
    left = [shard for shard in shards if not _is_answered(shard, output)]
    rows = 0
    if left:
        ray = load("ray", "ray", "Answering on a cluster")
        local = address is None
        ray.init(
            address=address, include_dashboard=False, log_to_driver=False, logging_level="error",
            **({"num_cpus": workers * threads, "_node_ip_address": "127.0.0.1"} if local else {}),
        )  # fmt: skip
        try:
            count = min(workers, len(left))
            settings = (model, threads, task, columns, options or {}, str(output.resolve()))
            remote = ray.remote(
                num_cpus=threads, max_restarts=_REPLACED, max_task_retries=_REPLACED
            )(_Worker)
            rows = _hand_out(ray, lambda: remote.remote(*settings), count, left, on_shard)
        finally:
            ray.shutdown()
    shutil.rmtree(output / _WORKING, ignore_errors=True)
    return rows


class _Worker:
    """An actor: a loaded model that answers one file after the other."""

    def __init__(
        self,
        model: str,
        threads: int,
        task: str | None,
        columns: tuple[str | None, str | None],
        options: dict[str, Any],
        output: str,
    ) -> None:
        from hub.inference.loading import load

        self._name, self._columns, self._options = model, columns, options
        self._output = Path(output)
        self._failure = ""
        try:
            self._model = load(model, threads, task=task)
        except Exception as error:  # told with the first file: an actor's own errors are not read
            self._failure = _told(error)

    def answer(self, shard: str) -> Answered:
        """Answer a file whole."""
        source = Path(shard)
        if self._failure:
            return Answered(source.name, reason=self._failure)
        working = self._output / _WORKING
        # A name of its own for each attempt: one that is only believed to be dead may still write.
        made = working / f"{source.stem}.{uuid.uuid4().hex}.jsonl"
        try:
            working.mkdir(exist_ok=True)
            version = _version(source)  # before it is read
            file = read_asked(source, self._model, folder_of(self._name), *self._columns)
            identity = identity_of(self._name, file)
            predict_file(self._model, file, made, identity=identity, **self._options)
            made.replace(self._output / f"{source.stem}.jsonl")
            known = _known(source, self._output)
            known.parent.mkdir(exist_ok=True)
            write_text(known, version)
        except Exception as error:  # the other files go on
            return Answered(source.name, reason=_told(error))
        return Answered(source.name, len(file))


def _told(error: Exception) -> str:
    """Why something failed: a sentence for the user, or the name of what nobody thought of."""
    known = isinstance(error, HubError | OSError)
    return str(error) if known else f"{type(error).__name__}: {error}"


def _version(shard: Path) -> str:
    """What tells a file from what it was before: its size in bytes, and when it was changed."""
    status = shard.stat()
    return json.dumps({"bytes": status.st_size, "changed": status.st_mtime_ns})


def _known(shard: Path, output: Path) -> Path:
    return output / _FILES / f"{shard.stem}.json"


def _is_answered(shard: Path, output: Path) -> bool:
    """Whether there are answers to the file as it is now; answers to another one are removed.

    Raises:
        OutputError: they cannot be.
    """
    answers = output / f"{shard.stem}.jsonl"
    if not answers.exists():
        return False
    try:
        if _known(shard, output).read_text(encoding="utf-8") == _version(shard):
            return True
    except (OSError, UnicodeDecodeError):  # a worker died between answers and this
        pass
    try:
        answers.unlink()
    except OSError as error:
        raise OutputError(f"{answers} cannot be removed: {error.strerror or error}.") from error
    return False


def _hand_out(
    ray: Any,
    start: Callable[[], Any],
    count: int,
    shards: list[Path],
    on_shard: Callable[[Answered], object],
) -> int:
    """Give each worker a file as soon as it has none; the rows that were answered.

    Args:
        ray: the package.
        start: starts a worker.
        count: how many work at a time.
        shards: the files.
        on_shard: told of each file that is answered.

    Raises:
        DataError: some files cannot be answered; the others are.
    """
    waiting = [str(shard.resolve()) for shard in reversed(shards)]
    running: dict[Any, tuple[Any, str]] = {}

    def give(actor: Any) -> None:
        shard = waiting.pop()
        running[actor.answer.remote(shard)] = (actor, shard)

    for _ in range(count):
        give(start())
    rows = 0
    failed: list[Answered] = []
    while running:
        (ready, *_), _ = ray.wait(list(running))
        actor, shard = running.pop(ready)
        done, dead = _outcome(ray, ready, Path(shard).name)
        if done.reason:
            failed.append(done)
        else:
            rows += done.rows
            on_shard(done)
        if waiting:
            give(start() if dead else actor)
    if failed:
        named = "; ".join(f"{done.name}: {done.reason}" for done in failed[:3])
        raise DataError(
            f"{len(failed):,} of the files cannot be answered. {named} The answers to the others "
            "are kept; the same command goes on with these."
        )
    return rows


def _outcome(ray: Any, ready: Any, name: str) -> tuple[Answered, bool]:
    """What became of a file, and whether its worker is dead."""
    try:
        return ray.get(ready), False
    except ray.exceptions.RayTaskError as error:  # what the worker raised; it lives
        return Answered(name, reason=_told(error)), False
    except ray.exceptions.RayError as error:
        kind = type(error).__name__
        reason = f"its worker died {_REPLACED + 1} times ({kind}): its machine may lack memory."
        return Answered(name, reason=reason), True


def _prepare(output: Path, facts: str, overwrite: bool) -> None:
    """Make the folder for the answers ready.

    Raises:
        OutputError: it holds something else, or cannot be written.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        path = output / _FACTS
        if not path.exists():
            if any(output.iterdir()):
                raise OutputError(f"{output} holds other files: choose another --output.")
        elif overwrite:
            for old in output.glob("*.jsonl"):
                old.unlink()
            shutil.rmtree(output / _FILES, ignore_errors=True)
        elif path.read_text(encoding="utf-8") != facts:
            raise OutputError(
                f"{output} holds answers of another model or with other options: choose another "
                "--output, or --overwrite them."
            )
        write_text(path, facts)
    except OSError as error:
        raise OutputError(f"{output} cannot be written: {error.strerror or error}.") from error
