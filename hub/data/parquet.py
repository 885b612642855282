"""Parquet files, also those of Hugging Face's `datasets` with numbers that stand for names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hub.data.tables import Rows, Table
from hub.errors import DataError


def read_parquet(path: Path) -> Table:
    """Open a Parquet file; it is read in batches.

    Raises:
        DataError: it is none, or it is damaged.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except pyarrow.ArrowException as error:
        raise DataError(f"{path} is not a Parquet file: {error}.") from error
    schema = file.schema_arrow
    names = _class_names(schema.metadata or {})

    def rows() -> Rows:
        number = 0
        try:
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    for column, labels in names.items():
                        row[column] = class_name_of(row[column], labels)
                    yield number, row
        except (OSError, pyarrow.ArrowException) as error:
            raise DataError(f"{path} is damaged behind row {number:,}: {error}.") from error

    return Table(rows(), list(schema.names), str(path), "Parquet", unit="row")


def class_name_of(value: Any, labels: list[str]) -> Any:
    """The name of a class, or of every class in a list; None where there is none."""
    if isinstance(value, list):
        return [class_name_of(part, labels) for part in value]
    # Data sets mark hidden test labels with -1.
    return labels[value] if value is not None and 0 <= value < len(labels) else None


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """The names of `ClassLabel` columns, which `datasets` keeps in the file's metadata."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    found = {}
    for column, feature in features.items():
        if isinstance(feature, list) and feature:
            feature = feature[0]
        if isinstance(feature, dict):
            feature = feature.get("feature", feature)
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel":
            found[column] = feature["names"]
    return found
