"""The data of a fine-tuning run, as its `metrics.json` records them: which files, which columns."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hub.constants import METRICS_FILE
from hub.data import TextDataset, load_dataset
from hub.data.corpus import read_corpus
from hub.data.readers import read_table
from hub.data.tables import peek
from hub.data.texts import has_lines
from hub.errors import DataError, HubError
from hub.files import write_text
from hub.tasks import LabelledTask, Task
from hub.tasks.known_rows import known_rows

if TYPE_CHECKING:
    from hub.module import Module

# Rows that a metric is compared on, unless the user gives others.
_MOST_ROWS = 1000
# `load_dataset`'s names for columns, and the facts in which a data set says what was read.
_COLUMNS = {
    "text_column": ("text column", "tokens column"),
    "text_pair_column": ("second text column",),
    "label_column": ("label column", "tags column"),
}
# Its options for tags, of which nothing was said where they are None or False.
_TAG_OPTIONS = ("scheme", "repair_tags")


def record(folder: Path, **parts: TextDataset) -> dict[str, Any]:
    """What a run keeps of its data: the files' paths, the columns that were read, what was said of
    the tags, and how rows were set aside from the training file.

    Args:
        folder: the run's, from which the paths begin.
        parts: the data, by the name of the split.
    """
    return {
        "files": {
            split: _seen_from(folder, Path(data.source))
            for split, data in parts.items()
            if Path(data.source).exists()  # not a name, nor a part of a file
        },
        "set_aside": {
            split: {**asdict(data.set_aside), "digest": _digest(data)}
            for split, data in parts.items()
            if data.set_aside is not None
        },
        "columns": {
            split: {
                option: data.facts[fact]
                for option, facts in _COLUMNS.items()
                for fact in facts
                if fact in data.facts
            }
            for split, data in parts.items()
        },
        "tags": {split: dict(data.tag_options) for split, data in parts.items()},
    }


def carry_record(run: Path, folder: Path, made: Path | None = None) -> None:
    """Let a model that was made from a run's say what data the run had.

    Args:
        run: the run's folder; nothing is written if it recorded nothing.
        folder: the model's, from which the paths begin.
        made: where the model lies now, if it is moved into its folder later.
    """
    summary = _summary(run)
    kept: dict[str, Any] = {
        name: summary[name] for name in ("data", "skipped_rows") if name in summary
    }
    if not kept:
        return
    _write(
        {"made_from": _seen_from(folder, run), **_from_folder(kept, run, folder)}, made or folder
    )


def move_record(run: Path, folder: Path) -> None:
    """Let a run say what data it had, seen from the folder that it will be moved into."""
    if summary := _summary(run):
        _write(_from_folder(summary, run, folder), run)


def _from_folder(summary: dict[str, Any], run: Path, folder: Path) -> dict[str, Any]:
    """A run's summary, with the paths of its files beginning at another folder."""
    files = _part_of(summary, "files")
    if not files:
        return summary
    moved = {split: _seen_from(folder, run / file) for split, file in files.items()}
    return {**summary, "data": {**summary["data"], "files": moved}}


def _write(summary: dict[str, Any], folder: Path) -> None:
    write_text(folder / METRICS_FILE, json.dumps(summary, ensure_ascii=False, indent=2) + "\n")


def _seen_from(folder: Path, path: Path) -> str:
    """The way from a folder to a path: a project may be moved, and a model carried away without
    telling how its maker's folders are called."""
    try:
        return os.path.relpath(path.resolve(), folder.resolve())
    except ValueError:  # on another drive
        return str(path.resolve())


def rows_of_run(
    folder: Path, module: Module, split: str = "dev", options: Mapping[str, Any] | None = None
) -> TextDataset | None:
    """The rows that a fine-tuning run recorded; None if it recorded no file of them.

    Of many rows a thousand at even distances are taken. Dev rows that were set aside from the
    training file are set aside again.

    Args:
        folder: that of the run.
        module: what it made.
        split: "dev" or "train".
        options: `load_dataset`'s, for a run that recorded no columns or not how it read tags.

    Raises:
        DataError: a file is recorded, and its rows cannot be read, or are others by now.
    """
    summary = _summary(folder)
    aside = _part_of(summary, "set_aside").get(split)
    source = _file(folder, summary, "train" if aside else split)
    if source is None or not isinstance(module.task, LabelledTask):
        return None
    given = dict(options or {})
    said_of_tags = {name: given.pop(name) for name in _TAG_OPTIONS if name in given}
    columns = _columns(summary).get(split, given)
    tags = _part_of(summary, "tags").get(split, said_of_tags)
    skipped = summary.get("skipped_rows")
    skips = bool(skipped.get(split)) if isinstance(skipped, dict) else False
    try:
        data = _load(source, module.task, split, {**columns, **tags, "skip_bad_rows": True}, skips)
        if aside:
            data = _set_aside_again(data, aside)
    except HubError as error:
        raise DataError(
            f"The {split} rows that {folder} was fine-tuned with cannot be read: {error}"
        ) from error
    return replace(data, examples=data.select(evenly(len(data), _MOST_ROWS)))


def _set_aside_again(data: TextDataset, aside: dict[str, Any]) -> TextDataset:
    """The rows of a training file that a run did not learn from.

    Raises:
        DataError: the file was changed, and they are others now: the model may have learned them.
    """
    _, rows = data.split(aside["fraction"], aside["seed"])
    if _digest(rows) != aside["digest"]:
        raise DataError(f"They were set aside from {data.source}, which was changed since.")
    return rows


def _digest(data: TextDataset) -> str:
    """What tells rows from others: a digest of where they stand, and of their texts."""
    rows = json.dumps([(example.line, example.text) for example in data])
    return hashlib.sha256(rows.encode()).hexdigest()


def load_rows(data: str, task: Task | None, split: str, options: Mapping[str, Any]) -> TextDataset:
    """Labelled rows for a model, whose labels are seen to be the model's.

    Args:
        data: a file, folder or name, as `load_dataset` takes it.
        task: the model's.
        split: which split to take where `data` has several.
        options: `load_dataset`'s; with `skip_bad_rows` rows of unknown labels are left out too.

    Raises:
        DataError: the rows cannot be read, or a label is not one of the model's.
    """
    return _load(data, task, split, options, bool(options.get("skip_bad_rows")))


def options_for(
    run: Path, data: str | Path, given: Mapping[str, Any], shared: bool = False
) -> dict[str, Any]:
    """How to read a file that is used with a run: as the user says, else by the run's columns and
    with its options for tags.

    Args:
        run: the folder, which may have recorded neither.
        data: the file; of columns that it lacks the usual names are looked for, as in a folder or
            under a name.
        given: `load_dataset`'s options, None (False for a flag) where the user said nothing.
        shared: the columns that the user named may be another file's: those that this one lacks
            are taken for such.
    """
    summary = _summary(run)
    said_of_tags = {name: given[name] for name in _TAG_OPTIONS if given.get(name)}
    tags = {**_part_of(summary, "tags").get("train", {}), **said_of_tags}
    options = {**dict.fromkeys(_COLUMNS), **given, **tags}
    recorded = [columns for columns in _columns(summary).values() if columns]
    named = any(options[name] for name in _COLUMNS)
    if named and not shared:
        return options
    there = _columns_in(Path(data)) if recorded or named else set()
    for name in _COLUMNS:
        options[name] = options[name] if options[name] in there else None
    if any(options[name] for name in _COLUMNS):
        return options
    fitting = next((columns for columns in recorded if set(columns.values()) <= there), {})
    return {**options, **fitting}


def text_columns(
    run: Path, path: Path, first: str | None = None, second: str | None = None
) -> tuple[str | None, str | None]:
    """The columns of a table of texts without labels, which a run's model shall answer.

    Args:
        run: the folder, which may have recorded no columns.
        path: the table.
        first, second: the columns that the user names: of the text, and of a pair's second one.

    Returns:
        What the user named, else the run's columns if the table has texts in them, else None: any
        of a usual name.
    """
    if first is not None or second is not None:
        return first, second
    recorded = _columns(_summary(run)).values()
    chosen = [tuple(columns.get(name) for name in _COLUMNS)[:2] for columns in recorded]
    chosen = [(one, other) for one, other in chosen if one is not None]
    there = _columns_in(path, of_texts=True) if chosen else set()
    fitting = ((one, other) for one, other in chosen if {one, other} - {None} <= there)
    return next(fitting, (None, None))


@dataclass(frozen=True)
class RunTexts:
    """The texts of files, without labels, that are used with a run; iterating reads them again.

    Attributes:
        files: tables and files of lines, as `hub.data.corpus.corpus_files` gives them.
        run: the folder whose columns the tables have, if they have them.
        given: `load_dataset`'s options, None where the user said nothing.
        pairs: whether the run's model compares two texts: then a tab divides them.
        shared: as `options_for` has it.
    """

    files: Sequence[Path]
    run: Path
    given: Mapping[str, Any]
    pairs: bool = False
    shared: bool = False

    def __iter__(self) -> Iterator[str]:
        """Every text that is not blank.

        Raises:
            DataError: as `read_corpus`.
        """
        for path in self.files:
            # A file of lines among tables has texts, whatever their columns are.
            shared = self.shared or has_lines(path)
            options = options_for(self.run, path, self.given, shared)
            first, second = options["text_column"], options["text_pair_column"]
            yield from read_corpus([path], first, second if self.pairs else None, self.pairs)


def evenly(count: int, most: int) -> np.ndarray:
    """The numbers of at most `most` of `count` things, at even distances: int64, ascending."""
    if count <= most:
        return np.arange(count)
    numbers: np.ndarray = np.linspace(0, count - 1, most).round().astype(np.int64)
    return numbers


def _load(
    data: str, task: Task | None, split: str, options: Mapping[str, Any], skips_unknown: bool
) -> TextDataset:
    rows = load_dataset(data, kind=None if task is None else task.name, split=split, **options)
    if isinstance(task, LabelledTask):
        if skips_unknown:
            rows = known_rows(rows, task)
        task.targets(rows)
    return rows


def _summary(folder: Path) -> dict[str, Any]:
    try:
        summary = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return summary if isinstance(summary, dict) else {}


def _file(folder: Path, summary: dict[str, Any], split: str) -> str | None:
    """The file of a split, if one is recorded."""
    data = summary.get("data")
    if not isinstance(data, dict):
        return None
    if isinstance(files := data.get("files"), dict):
        return os.path.normpath(folder.resolve() / files[split]) if split in files else None
    # Runs of before kept what the user typed: a path, a name, or "10% of" a path.
    source = data.get(split)
    if not isinstance(source, str) or "% of " in source:
        return None
    return source if Path(source).suffix or Path(source).exists() else None


def _columns(summary: dict[str, Any]) -> dict[str, dict[str, str]]:
    return _part_of(summary, "columns")


def _part_of(summary: dict[str, Any], name: str) -> dict[str, Any]:
    """What `record` kept under a name; nothing if the run did not."""
    data = summary.get("data")
    part = data.get(name) if isinstance(data, dict) else None
    return part if isinstance(part, dict) else {}


def _columns_in(path: Path, of_texts: bool = False) -> set[str]:
    """The names of a table's columns; none of a file that is no table, or compressed.

    Args:
        path: the file.
        of_texts: only of columns whose first values are texts, as lists of tokens are not.
    """
    if has_lines(path) or path.suffix.lower() == ".zst" or not path.is_file():
        return set()
    table = read_table(path)
    sample, _ = peek(table.rows)
    if of_texts:
        return {name for row in sample for name, value in row.items() if isinstance(value, str)}
    return set(table.columns or [name for row in sample for name in row])
