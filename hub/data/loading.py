"""`load_dataset`: labelled texts from a file, a folder, a name or Python objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from hub.data.examples import BadRow, Example, TextDataset
from hub.data.readers import Rows, read_rows
from hub.errors import DataError

_SHOWN_BAD_ROWS = 5


def load_dataset(
    data: Any,
    *,
    text_column: str = "text",
    label_column: str = "label",
    split: str = "train",
    skip_bad_rows: bool = False,
) -> TextDataset:
    """Read labelled texts.

    Args:
        data: a `.tsv`, `.csv` or `.jsonl` file; a folder that `datasets.Dataset.save_to_disk`
            wrote; a data set's name on the Hugging Face Hub ("owner/name"); or Python objects: a
            `datasets.Dataset`, a pandas data frame, or an iterable of dictionaries or of
            (text, label) pairs.
        text_column: the column with the text.
        label_column: the column with the label.
        split: which split to take where `data` has several.
        skip_bad_rows: leave unusable rows out, and count them, instead of refusing the file.

    Raises:
        DataError: the data cannot be read, lacks a column, has no usable row or (without
            `skip_bad_rows`) has an unusable one.
    """
    if isinstance(data, TextDataset):
        return data
    rows, columns, source, notes = _open(data, split, text_column, label_column)
    if columns is not None:
        _require_columns(columns, text_column, label_column, source)
    examples: list[Example] = []
    bad: list[BadRow] = []
    for row in rows:
        item = row if isinstance(row, BadRow) else _to_example(*row, text_column, label_column)
        if isinstance(item, BadRow):
            bad.append(item)
        else:
            examples.append(item)
    if bad and not skip_bad_rows:
        raise DataError(_describe(bad, source))
    if not examples:
        raise DataError(f"{source} has no usable row.")
    return TextDataset(examples, source, bad, notes)


def _open(
    data: Any, split: str, text_column: str, label_column: str
) -> tuple[Rows, list[str] | None, str, list[str]]:
    if isinstance(data, str | Path):
        path = Path(data)
        if path.is_dir() or (not path.exists() and _is_hub_name(str(data))):
            from hub.data.huggingface import open_dataset

            return open_dataset(str(data), split)
        rows, columns, notes = read_rows(path)
        return rows, columns, str(path), notes
    if hasattr(data, "column_names"):  # datasets.Dataset, without importing datasets
        from hub.data.huggingface import open_loaded

        return open_loaded(data, split, "the data set")
    if hasattr(data, "to_dict") and hasattr(data, "columns"):  # pandas.DataFrame
        records = data.to_dict("records")
        rows = _rows_of(records, text_column, label_column)
        return rows, list(data.columns), "the data frame", []
    if isinstance(data, Iterable) and not isinstance(data, Mapping):
        return _rows_of(data, text_column, label_column), None, "the data", []
    raise DataError(f"Data must be a file, a folder, a name or rows, not {type(data).__name__}.")


def _rows_of(rows: Iterable[Any], text_column: str, label_column: str) -> Rows:
    for number, row in enumerate(rows, start=1):
        if isinstance(row, Mapping):
            yield number, dict(row)
        elif isinstance(row, list | tuple) and len(row) == 2:
            yield number, {text_column: row[0], label_column: row[1]}
        else:
            yield BadRow(number, f"neither a dictionary nor a (text, label) pair: {row!r:.60}")


def _is_hub_name(text: str) -> bool:
    """Whether `text` can be "owner/name" on the Hugging Face Hub rather than a missing file."""
    parts = text.split("/")
    return len(parts) == 2 and all(parts) and not Path(text).suffix and not text.startswith(".")


def _require_columns(columns: list[str], text: str, label: str, source: str) -> None:
    missing = [name for name in (text, label) if name not in columns]
    if missing:
        named = " and ".join(repr(name) for name in missing)
        raise DataError(
            f"{source} has no column {named}; it has {', '.join(map(repr, columns))}. "
            "Name the right ones with --text-column and --label-column."
        )


def _to_example(number: int, row: Mapping[str, Any], text: str, label: str) -> Example | BadRow:
    for name in (text, label):
        if name not in row:
            return BadRow(number, f"no {name!r}; there is {', '.join(map(repr, row))}")
        if row[name] is None:
            return BadRow(number, f"{name!r} is null")
    if not isinstance(row[text], str):
        return BadRow(number, f"{text!r} is {type(row[text]).__name__}, not text")
    if isinstance(row[label], dict | list | float):
        return BadRow(number, f"{label!r} is {type(row[label]).__name__}, not one label")
    value = str(row[label]).strip()
    if not row[text].strip():
        return BadRow(number, "the text is empty")
    if not value:
        return BadRow(number, "the label is empty")
    return Example(row[text], value, number)


def _describe(bad: list[BadRow], source: str) -> str:
    shown = [f"  {source}, line {row.line}: {row.reason}" for row in bad[:_SHOWN_BAD_ROWS]]
    if len(bad) > _SHOWN_BAD_ROWS:
        shown.append(f"  ... and {len(bad) - _SHOWN_BAD_ROWS:,} more")
    head = "One row is unusable" if len(bad) == 1 else f"{len(bad):,} rows are unusable"
    return "\n".join(chain([f"{head} (--skip-bad-rows leaves them out):"], shown))
