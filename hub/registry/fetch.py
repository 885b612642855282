"""The original files of a model, from the first source that gives them whole."""

from __future__ import annotations

import datetime
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hub.constants import offline
from hub.errors import ChecksumError, DownloadError, ModelError, OfflineError, OutputError
from hub.files import sha256_of
from hub.registry.catalogue import ModelEntry
from hub.registry.checksums import Expected
from hub.registry.download import Fetched, RemoteFile, download
from hub.registry.http import Client, public_url
from hub.registry.settings import setting, where_set
from hub.registry.sources import Listing, PublicSource
from hub.registry.store import Store

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Originals:
    """The files as the source has them.

    Attributes:
        folder: where they are.
        names: which files of the folder belong to the model.
        origin: what `hub.json` keeps of where they came from.
    """

    folder: Path
    names: list[str]
    origin: dict[str, Any]


def missing_here(entry: ModelEntry, reasons: list[str]) -> OfflineError:
    """The error for a model that cannot be had on this machine, with what to do about it."""
    if reasons:
        why = "Tried:" + "".join(f"\n  {reason}" for reason in reasons) + "\n"
    elif offline():
        why = "HUB_OFFLINE forbids the network. "
    else:
        why = f"The sources in force ({setting('sources')}, {where_set('sources')}) lack it. "
    places = [
        f"{source.kind} {source.repository}"
        if source.repository
        else next((public_url(file.url) for file in source.files.values()), source.kind)
        for source in entry.sources
    ]
    spelled, folder = _spelled(entry), entry.name
    return OfflineError(
        f"{spelled} is not on this machine and cannot be fetched now. {why}"
        f"It is at: {', '.join(places)}.\n"
        f"On a machine with a network run `hub download {spelled} --to {folder}`, copy that "
        f"folder here, and run `hub install {folder}/` or load it with "
        f"hub.Module(directory='{folder}')."
    )


def _spelled(entry: ModelEntry) -> str:
    """What the user writes for a model, which may be a repository that has no name."""
    return entry.summary if "://" in entry.summary else entry.name


def find_local(sources: list[PublicSource]) -> Originals | None:
    """Files that another program on this machine has fetched from one of the sources."""
    for source in sources:
        listing = source.list_local()
        if listing is None or not all(map(_is_intact, listing.local.values())):
            continue
        files = {
            name: {"size": path.stat().st_size, "sha256": sha256_of(path)}
            for name, path in listing.local.items()
        }
        folder = next(iter(listing.local.values())).parent
        origin = {"source": source.label, "revision": listing.revision, "files": files}
        return Originals(folder, list(files), origin)
    return None


def _is_intact(path: Path) -> bool:
    """Hugging Face's cache names a large file by its SHA-256."""
    name = path.resolve().name
    return re.fullmatch(r"[0-9a-f]{64}", name) is None or sha256_of(path) == name


@contextmanager
def fetched(
    entry: ModelEntry, source: PublicSource, store: Store, quiet: bool
) -> Iterator[Originals]:
    """Fetch a model's files from one source; they are removed when the body ends well.

    Raises:
        DownloadError: the source does not have them, or not as they must be.
        OutputError: they cannot be written here.
    """
    if offline():
        raise DownloadError(f"{source.label}: the network is forbidden by HUB_OFFLINE.")
    listing = source.list_files()
    folder = store.unfinished(entry.name, entry.version) / source.key
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    learnt = []
    try:
        with Client(listing.token, token_name=listing.token_name) as client:
            for file in listing.files:
                known = store.checksums(entry.name, entry.version)
                facts = _fetch_one(entry, file, folder / file.name, client, store, quiet)
                files[file.name] = {"size": facts.size, "sha256": facts.sha256, "url": file.url}
                if store.checksums(entry.name, entry.version) != known:
                    learnt.append(file.name)
    except OutputError:
        store.clear_unfinished(entry.name, entry.version)  # a full disk is not filled further
        raise
    finally:
        store.tidy_unfinished(folder)
    if learnt:
        logger.warning(
            "%s publishes no checksum of %s: what came was recorded, and every later download of "
            "%s must be the same.",
            source.label,
            ", ".join(learnt),
            entry.name,
        )
    try:
        yield Originals(folder, list(files), _origin(source, listing, files))
    except (ModelError, OutputError):
        store.clear_unfinished(entry.name, entry.version)  # of no use, or in the way
        raise
    store.clear_unfinished(entry.name, entry.version)


def _origin(source: PublicSource, listing: Listing, files: dict[str, Any]) -> dict[str, Any]:
    public = {
        name: {**facts, "url": public_url(str(facts["url"]))} for name, facts in files.items()
    }
    return {"source": source.label, "revision": listing.revision, "files": public}


def _fetch_one(
    entry: ModelEntry,
    file: RemoteFile,
    target: Path,
    client: Client,
    store: Store,
    quiet: bool,
) -> Fetched:
    address = f"{public_url(file.url)}#{file.name}"
    recorded = store.checksums(entry.name, entry.version).get(address)
    pinned = False
    if recorded is not None and not file.expected.has_checksum:
        pinned = True
        expected = Expected(
            size=recorded["size"],
            sha256=recorded["sha256"],
            known_from=f"its first download on {recorded['date']}",
        )
        file = replace(file, expected=expected)
    if file.expected.has_checksum and (whole := _is_there(target, file.expected)):
        return whole
    try:
        facts = download(file, target, client, quiet)
    except ChecksumError as error:
        if not pinned:
            raise
        raise ChecksumError(
            f"{error} If the publisher has replaced the file on purpose, accept the new one with "
            f"`hub install {_spelled(entry)} --accept-new-files`."
        ) from error
    if not file.expected.has_checksum:
        store.remember_checksum(
            entry.name,
            entry.version,
            address,
            {
                "size": facts.size,
                "sha256": facts.sha256,
                "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            },
        )
    return facts


def _is_there(path: Path, expected: Expected) -> Fetched | None:
    """The file, if an earlier try ended between it and the next one."""
    if not path.is_file() or expected.sha256 is None:
        return None
    facts = Fetched(path.stat().st_size, sha256_of(path))
    return facts if facts.sha256 == expected.sha256 else None
