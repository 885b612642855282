"""Data sets known by a name: a folder each, with a file for training, choosing and measuring.

A folder is looked for in `HUB_DATASETS_DIR`, then in `datasets` under `HUB_HOME`, where what was
fetched is kept.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from hub.constants import datasets_directories, offline
from hub.data.readers import EXTENSIONS
from hub.errors import DataError, OfflineError

# No data set of this kind is larger when it is unpacked.
_MAX_BYTES = 4 << 30
_MODES = {"train": ("train",), "dev": ("dev", "validation", "valid"), "test": ("test",)}


def locate(name: str, mode: str, url: str | None = None) -> Path:
    """The file of a data set, fetched first if it is not on this machine.

    Args:
        name: the folder's name.
        mode: "train", "dev" (or "validation") or "test".
        url: an archive with the folder, if one is published.

    Raises:
        DataError: there is no such part.
        DownloadError: the archive cannot be fetched.
        OfflineError: the data set is not here, and cannot or may not be fetched.
    """
    mode = "dev" if mode in ("validation", "valid", "val") else mode
    if mode not in _MODES:
        raise DataError(f"There is no part {mode!r} of a data set; there is {', '.join(_MODES)}.")
    folder = _folder(name) or _fetch(name, url)
    for stem in _MODES[mode]:
        for extension in EXTENSIONS:
            if (path := folder / f"{stem}{extension}").is_file():
                return path
    found = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
    raise DataError(f"{folder} has no file for {mode!r}; there is {found}.")


def _folder(name: str) -> Path | None:
    places = (directory / name for directory in datasets_directories())
    return next((place for place in places if place.is_dir()), None)


def _fetch(name: str, url: str | None) -> Path:
    target = datasets_directories()[-1] / name
    if url is None or offline():
        why = "no address is known to fetch it from" if url is None else "the network is forbidden"
        raise OfflineError(
            f"The data set {name} is not on this machine, and {why}. Put its files train.tsv, "
            f"dev.tsv and test.tsv into {target}, or say with HUB_DATASETS_DIR where its folder is."
        )
    from hub.registry.archives import unpack
    from hub.registry.checksums import Expected
    from hub.registry.download import RemoteFile, download
    from hub.registry.http import Client
    from hub.registry.locks import locked

    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.parent / f".{name}.lock", f"fetching the data set {name}"):
        if target.is_dir():  # another process was quicker
            return target
        archive = target.parent / Path(url).name
        with Client() as client:
            download(RemoteFile(archive.name, url, Expected()), archive, client)
        unfinished = target.parent / f".{name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            unpack(archive, unfinished, max_bytes=_MAX_BYTES)
        finally:
            archive.unlink(missing_ok=True)
        unfinished.rename(target)
    return target
