"""Data sets known by a name: a folder each, with a file for training, choosing and measuring.

A folder is looked for in `HUB_DATASETS_DIR`, then in `datasets` under `HUB_HOME`, where what was
fetched is kept. There may be others there than the catalogue knows.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from hub.constants import datasets_directories, offline
from hub.data.catalogue import DatasetEntry, DatasetSource, find_dataset, list_datasets
from hub.data.examples import BadRow
from hub.data.readers import EXTENSIONS, read_table
from hub.data.tables import Row, Table, peek
from hub.errors import ChecksumError, DataError, DownloadError, HubError, OfflineError
from hub.registry.catalogue import SourceFile
from hub.wording import must_be_one_of

logger = logging.getLogger(__name__)

# No data set of this kind is larger when it is unpacked.
_MAX_BYTES = 4 << 30
_MODES = {"train": ("train",), "dev": ("dev", "validation", "valid"), "test": ("test",)}


def locate(entry: DatasetEntry, mode: str) -> Path:
    """The file of a data set, fetched first if it is not on this machine.

    Args:
        entry: the data set.
        mode: "train", "dev" (or "validation") or "test".

    Raises:
        DataError: there is no such part.
        ChecksumError, DownloadError: it cannot be fetched from any of its places.
        OfflineError: the data set is not here, and may not be fetched.
    """
    mode = "dev" if mode in ("validation", "valid", "val") else mode
    if mode not in _MODES:
        raise DataError(must_be_one_of("The part of a data set", _MODES, mode))
    folder = _folder(entry.name) or _fetch(entry)
    if (path := _part(folder, mode)) is not None:
        return path
    found = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
    raise DataError(f"{folder} has no file for {mode!r}. It holds {found}.")


def open_named(entry: DatasetEntry, mode: str) -> Table:
    """A data set's rows, its columns under the names that are looked for.

    Raises:
        HubError: as `locate` does.
    """
    table = read_table(locate(entry, mode))
    sample, rows = peek(table.rows)
    # A user's folder of the same name may have other columns.
    taken = {c: role for role, c in entry.columns.items() if any(c in row for row in sample)}
    notes = table.notes
    if entry.licence:
        notes = (*notes, f"{entry.name}: licence {entry.licence}; {entry.homepage}")
    if not taken:
        return replace(table, rows=rows, notes=notes)

    def renamed(row: Row) -> Row:
        others = {k: v for k, v in row.items() if k not in taken and k not in taken.values()}
        return {**others, **{role: row[column] for column, role in taken.items() if column in row}}

    named = (item if isinstance(item, BadRow) else (item[0], renamed(item[1])) for item in rows)
    return replace(table, rows=named, columns=None, notes=notes)


def has_dev(data: Any) -> bool:
    """Whether `data` is the name of a data set with rows to choose by.

    Raises:
        HubError: as `locate` does.
    """
    entry = dataset_of(data)
    return entry is not None and _part(locate(entry, "train").parent, "dev") is not None


def dataset_of(data: Any) -> DatasetEntry | None:
    """The data set that `data` names, if it is no file or folder: of the catalogue, or a user's."""
    if not isinstance(data, str | Path) or Path(data).exists():
        return None
    return find_dataset(str(data)) or _own(str(data))


def is_here(entry: DatasetEntry) -> bool:
    """Whether the data set is on this machine."""
    return _folder(entry.name) is not None


def own_datasets() -> list[DatasetEntry]:
    """The folders of data files that the user has put beside those of the catalogue, by name."""
    known = {entry.name for entry in list_datasets()}
    names = {
        place.name
        for directory in datasets_directories()
        if directory.is_dir()
        for place in directory.iterdir()
    }
    return [own for name in sorted(names - known) if (own := _own(name)) is not None]


def _own(name: str) -> DatasetEntry | None:
    """A folder of data files that the user has put beside the others."""
    if Path(name).name != name or (folder := _folder(name)) is None:
        return None
    if _part(folder, "train") is None:
        return None
    summary = f"Your own, in {folder}"
    return DatasetEntry(name, summary, "", licence="", homepage="", sources=())


def _part(folder: Path, mode: str) -> Path | None:
    for stem in _MODES[mode]:
        for extension in EXTENSIONS:
            if (path := folder / f"{stem}{extension}").is_file():
                return path
    return None


def _folder(name: str) -> Path | None:
    places = (directory / name for directory in datasets_directories())
    return next((place for place in places if place.is_dir()), None)


def _fetch(entry: DatasetEntry) -> Path:
    target = datasets_directories()[-1] / entry.name
    by_hand = (
        f"Put its files train.tsv, dev.tsv and test.tsv into {target}, or say with "
        "HUB_DATASETS_DIR where its folder is."
    )
    if offline():
        raise OfflineError(
            f"The data set {entry.name} is not on this machine, and the network is forbidden. "
            f"{by_hand}"
        )
    from hub.registry.locks import locked

    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.parent / f".{entry.name}.lock", f"fetching the data set {entry.name}"):
        if target.is_dir():  # another process was quicker
            return target
        unfinished = target.parent / f".{entry.name}.unfinished"
        for number, source in enumerate(entry.sources, start=1):
            shutil.rmtree(unfinished, ignore_errors=True)
            try:
                _fetch_from(source, unfinished)
            except DownloadError as error:
                if number == len(entry.sources):
                    if isinstance(error, ChecksumError):
                        raise
                    raise DownloadError(
                        f"The data set {entry.name} could not be fetched: {error} {by_hand}"
                    ) from error
                logger.warning("%s The next place is tried.", error)
            else:
                break
        unfinished.rename(target)
    return target


def _fetch_from(source: DatasetSource, folder: Path) -> None:
    """Make the folder of a data set from one of its places."""
    from hub.registry.archives import unpack
    from hub.registry.download import RemoteFile, download
    from hub.registry.http import Client

    def get(file: SourceFile, target: Path) -> None:
        download(RemoteFile(target.name, file.url, file.expected), target, client)

    with Client() as client:
        if source.archive is None:
            folder.mkdir()
            for name, file in source.files.items():
                get(file, folder / name)
            return
        archive = folder.parent / Path(source.archive.url).name
        get(source.archive, archive)
        try:
            unpack(archive, folder, max_bytes=_MAX_BYTES)
        except HubError as error:
            raise DownloadError(f"{source.archive.url} is of no use: {error}") from error
        finally:
            archive.unlink(missing_ok=True)
