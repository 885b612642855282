"""`load_dataset`: labelled texts from a file, a folder, a name or Python objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hub.constants import MANY_ROWS
from hub.data.arrow_rows import ExampleBuilder
from hub.data.bad_rows import BadRows
from hub.data.catalogue import near_datasets
from hub.data.choosing import choose_columns, detect_kind, kind_name, note_on
from hub.data.columns import Chosen
from hub.data.entity_schemas import SpanEntities, TagEntities
from hub.data.examples import BadRow, TextDataset
from hub.data.named import dataset_of, has_dev, open_named
from hub.data.readers import read_table
from hub.data.schemas import Classes, Schema, SeveralLabels
from hub.data.tables import Rows, Table, column_names, peek, tell_bad_rows
from hub.errors import DataError


def load_dataset(
    data: Any,
    *,
    kind: str | None = None,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    split: str = "train",
    scheme: str | None = None,
    repair_tags: bool = False,
    skip_bad_rows: bool = False,
) -> TextDataset:
    """Read labelled texts.

    Args:
        data: a file (`.tsv`, `.csv`, `.jsonl`, `.json`, `.conll` and its like); a folder that
            `datasets.Dataset.save_to_disk` wrote; a name that `hub data list` shows; a data set's
            name on the Hugging Face Hub ("owner/name"); or Python objects: a `datasets.Dataset`, a
            pandas data frame, or an iterable of dictionaries or of (text, label) pairs.
        kind: what the labels are: "text-classification" (of pairs of texts too, or of them only
            with "text-matching"), "multi-label-classification", "token-classification" or
            "intent-slots"; None finds it out.
        text_column: the column with the text, or its tokens; None takes one of a usual name.
        text_pair_column: the column with the second text of a pair.
        label_column: the column with the label, labels, entities or tags; None as above.
        group_column: the column with what rows belong to, such as a dialogue.
        split: which split to take where `data` has several.
        scheme: how tags are written, such as "BIO"; None finds it out.
        repair_tags: read tags that break their scheme for what they can mean.
        skip_bad_rows: leave unusable rows out, and count them, instead of refusing the file.

    Raises:
        DataError: the data cannot be read, lacks a column, has no usable row or (without
            `skip_bad_rows`) has an unusable one.
        InputError: there is no such kind or scheme.
    """
    if isinstance(data, TextDataset):
        return data
    kind = None if kind is None else kind_name(kind)
    table = _open(data, split, text_column or "text", label_column or "label")
    sample, rows = peek(table.rows)
    columns = column_names(table, sample)
    kind = kind or detect_kind(columns, sample)
    given = (text_column, text_pair_column, label_column)
    chosen = choose_columns(
        kind, table, columns, sample,
        text=text_column, pair=text_pair_column, label=label_column,
    )  # fmt: skip
    if group_column is not None and columns and group_column not in columns:
        raise DataError(
            f"{table.source} has no column {group_column!r}; it has "
            f"{', '.join(map(repr, columns))}. Name the right one with --group-column."
        )
    schema = _schema(kind, chosen, group_column, scheme, repair_tags)
    builder = ExampleBuilder()
    bad = BadRows()
    for item in schema.examples(rows):
        if isinstance(item, BadRow):
            bad.append(item)
        else:
            builder.append(item)
    examples = builder.finish()
    if bad and not skip_bad_rows:
        raise DataError(_describe(bad, table, schema.remedy()))
    if not examples:
        first = f" In {table.unit} {bad[0].line}: {bad[0].reason}." if bad else ""
        remedy = f" {schema.remedy()}." if schema.remedy() else ""
        raise DataError(f"{table.source} has no usable row.{first}{remedy}")
    note = note_on(chosen, given, table)
    notes = [*table.notes, *([note] if note else []), *schema.notes(table.source)]
    roles = {} if table.format == "CoNLL" else chosen.roles()
    columns_of = {f"{role} column": name for role, name in roles.items()}
    facts = {"format": table.format, **table.facts, **columns_of, **schema.facts()}
    skipped = bad if len(bad) >= MANY_ROWS else list(bad)
    given_for_tags = {"scheme": scheme, "repair_tags": repair_tags} if chosen.tagged else {}
    return TextDataset(
        examples, table.source, skipped, notes, schema.kind, facts, table.unit,
        tag_options={name: value for name, value in given_for_tags.items() if value},
    )  # fmt: skip


def with_dev(
    train_data: TextDataset, train: Any, dev: Any, seed: int, **options: Any
) -> tuple[TextDataset, TextDataset]:
    """The rows to learn from, and those to choose by.

    Args:
        train_data: what `load_dataset` made of `train`.
        train, dev: as `load_dataset` takes them; where `dev` is None, it is the dev part of a data
            set known by name, and else a tenth of the training rows.
        seed: of the tenth.
        options: `load_dataset`'s.

    Raises:
        DataError: as `load_dataset`.
    """
    if dev is None and has_dev(train):
        dev = train
    if dev is None:
        return train_data.split(0.1, seed)
    return train_data, load_dataset(dev, kind=train_data.kind, split="dev", **options)


def _schema(
    kind: str, chosen: Chosen, group_column: str | None, scheme: str | None, repair_tags: bool
) -> Schema:
    if kind == "multi-label-classification":
        return SeveralLabels(chosen, group_column)
    if kind not in ("token-classification", "intent-slots"):
        return Classes(chosen, group_column)
    if chosen.tagged:
        return TagEntities(chosen, group_column, scheme, repair_tags)
    return SpanEntities(chosen, group_column)


def _open(data: Any, split: str, text_column: str, label_column: str) -> Table:
    if isinstance(data, Table):
        return data
    if isinstance(data, str | Path):
        path = Path(data)
        if (entry := dataset_of(data)) is not None:
            return open_named(entry, split)
        if path.is_dir() or (not path.exists() and _is_hub_name(str(data))):
            from hub.data.huggingface import open_dataset

            return open_dataset(str(data), split)
        if not path.exists() and (near := near_datasets(str(data))):
            raise DataError(
                f"There is no file or data set {data}. Did you mean {' or '.join(near)}? "
                "`hub data list` shows all."
            )
        return read_table(path)
    if hasattr(data, "column_names"):  # datasets.Dataset, without importing datasets
        from hub.data.huggingface import open_loaded

        return open_loaded(data, split, "the data set")
    if hasattr(data, "to_dict") and hasattr(data, "columns"):  # pandas.DataFrame
        return Table(_rows_of_frame(data), list(data.columns), "the data frame", "pandas")
    if isinstance(data, Iterable) and not isinstance(data, Mapping):
        return Table(_rows_of(data, text_column, label_column), None, "the data", "Python rows")
    raise DataError(f"Data must be a file, a folder, a name or rows, not {type(data).__name__}.")


def _rows_of(rows: Iterable[Any], text_column: str, label_column: str) -> Rows:
    for number, row in enumerate(rows, start=1):
        if isinstance(row, Mapping):
            yield number, dict(row)
        elif isinstance(row, list | tuple) and len(row) == 2:
            yield number, {text_column: row[0], label_column: row[1]}
        else:
            yield BadRow(number, f"neither a dictionary nor a (text, label) pair: {row!r:.60}")


def _rows_of_frame(frame: Any) -> Rows:
    """The rows of a data frame, their cells as a file has them: what is missing is empty."""
    filled = frame.astype(object).where(frame.notna(), "")
    for number, row in enumerate(filled.to_dict("records"), start=1):
        yield number, {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    """A cell without NumPy's types; pandas makes floats of numbers where one is missing."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_hub_name(text: str) -> bool:
    """Whether `text` can be "owner/name" on the Hugging Face Hub rather than a missing file."""
    parts = text.split("/")
    return len(parts) == 2 and all(parts) and not Path(text).suffix and not text.startswith(".")


def _describe(bad: Sequence[BadRow], table: Table, remedy: str) -> str:
    head = "One row is unusable" if len(bad) == 1 else f"{len(bad):,} rows are unusable"
    remedies = "--skip-bad-rows leaves them out" + (f"; {remedy}" if remedy else "")
    return tell_bad_rows(bad, table, f"{head} ({remedies}):")
