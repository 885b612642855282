"""Data sets of Hugging Face's `datasets`: folders on disk, names on their hub, loaded objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hub.constants import offline
from hub.data.parquet import class_name_of
from hub.data.tables import Rows, Table
from hub.errors import DataError

# What people call the part that a role is played by, in order of preference.
_SPLIT_NAMES = {
    "train": ("train",),
    "dev": ("validation", "dev", "valid", "eval"),
    "test": ("test", "validation", "dev"),
}


def open_dataset(name: str, split: str) -> Table:
    """Open a folder written by `save_to_disk`, or a data set by its name on the Hub.

    Raises:
        DataError: the folder is none, or the name cannot be fetched.
    """
    import datasets

    if Path(name).is_dir():
        try:
            return open_loaded(datasets.load_from_disk(name), split, name)
        except FileNotFoundError:
            raise DataError(
                f"{name} is a folder, but not a data set that `datasets` saved to disk. "
                "Give the data file itself, such as train.tsv."
            ) from None
    if offline():
        raise DataError(
            f"There is no file or folder {name}, and the network is switched off: the data set "
            "of that name on the Hugging Face Hub cannot be fetched."
        )
    try:
        return open_loaded(datasets.load_dataset(name), split, name)
    except Exception as error:  # every layer below has errors of its own
        reason = ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
        raise DataError(
            f"There is no file or folder {name}, and no data set of that name could be fetched "
            f"from the Hugging Face Hub ({reason})."
        ) from error


def open_loaded(data: Any, split: str, source: str) -> Table:
    """Open a `datasets.Dataset`, or the fitting split of a `DatasetDict`.

    Raises:
        DataError: the split is not there.
    """
    if isinstance(data, dict):
        for candidate in (split, *_SPLIT_NAMES.get(split, ())):
            if candidate in data:
                return open_loaded(data[candidate], split, f"{source} ({candidate})")
        raise DataError(f"{source} has no split {split!r}; it has {', '.join(data)}.")
    features = (data.features or {}).items()  # a stream may not know what it gives
    names = {column: found for column, feature in features if (found := _class_names(feature))}
    columns = None if data.column_names is None else list(data.column_names)

    def rows() -> Rows:
        for number, row in enumerate(data, start=1):
            for column, labels in names.items():
                row[column] = class_name_of(row[column], labels)
            yield number, row

    return Table(rows(), columns, source, "Hugging Face data set")


def _class_names(feature: Any) -> list[str] | None:
    """The names of a `ClassLabel`, whose numbers stand for them, or of a sequence of such."""
    if isinstance(feature, list) and len(feature) == 1:
        feature = feature[0]
    feature = getattr(feature, "feature", feature)
    return feature.names if hasattr(feature, "int2str") else None
