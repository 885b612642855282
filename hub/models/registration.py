"""Models that enter and leave a machine as folders: a team's own, and those carried by hand."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from hub.constants import MANIFEST_FILE
from hub.errors import CatalogueError, InputError, ModelError, OutputError
from hub.files import filled_aside
from hub.models.installation import convert_folder, copy_model
from hub.registry.archives import is_archive, pack, unpack
from hub.registry.catalogue import known_model
from hub.registry.manifest import read_manifest
from hub.registry.names import check_name, check_version
from hub.registry.store import Store, StoredModel

# A model is a few files of at most some gigabytes.
_MAX_ARCHIVE_BYTES = 64 << 30


def register(folder: Path, name: str, version: str, store: Store) -> StoredModel:
    """Copy a model or an exported model into the store, under a name and version of the team's own.

    Args:
        folder: a folder that this package wrote, or a pretrained model in any format that is read.
        name: the model's name; names of the public catalogue are taken.
        version: the version; a version that is there already never changes.
        store: where to.

    Raises:
        InputError: the name or version cannot be used.
        ModelError: the folder is no whole model.
        CatalogueError: this version is there already with other files.
        OutputError: the store cannot be written.
    """
    name, version = check_name(name), check_version(version)
    if taken := known_model(name):
        raise InputError(
            f"{name!r} is the name of a public model ({taken.name}): choose another, such as "
            f"my-{name}."
        )
    if version in store.aliases(name):
        raise InputError(f"{version!r} is an alias of {name} and cannot be a version.")
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.")
    manifest = read_manifest(folder)
    with store.lock(name, version):
        with store.new_folder(name, version) as target:
            if manifest is None:
                convert_folder(folder, target, name, version)
            else:
                copy_model(folder, target, replace(manifest, name=name, version=version))
            made = read_manifest(target, check_content=False)
            existing = store.find(name, version)
        if existing is not None and made is not None and existing.manifest.files != made.files:
            raise CatalogueError(
                f"There already is a {name}@{version} with other files in {store.root}, and a "
                "version never changes. Register yours under a new version."
            )
    return store.get(name, version)


def install_from(place: Path, store: Store) -> StoredModel:
    """Put a model that was carried here, a folder or an archive of one, into the store.

    Raises:
        ModelError: it is damaged, or its `hub.json` does not name it.
        CatalogueError: the store has this version with other files.
        OutputError: the store cannot be written.
    """
    if not place.exists():
        raise InputError(f"There is no folder or archive {place}.")
    if is_archive(place):
        with store.scratch() as scratch:
            unpack(place, scratch / "content", max_bytes=_MAX_ARCHIVE_BYTES)
            return _install_folder(scratch / "content", place, store)
    if not place.is_dir():
        raise InputError(f"{place} is neither a model's folder nor an archive of one.")
    return _install_folder(place, place, store)


def write_converted(source: Path, output: Path) -> None:
    """Write the model of the folder `source` into the new or empty folder `output`.

    One that this package wrote is copied: it has the form already, and with it a task and labels.

    Raises:
        ModelError: it is no whole model, or an exported one.
        OutputError: there is something already, or it cannot be written.
    """
    _check_free(output, "--output")
    manifest = read_manifest(source)
    if manifest is not None and manifest.kind != "model":
        raise ModelError(
            f"{source} is an exported model, whose weights cannot be taken out of it: convert the "
            "folder that it was exported from."
        )
    try:
        with filled_aside(output, MANIFEST_FILE) as folder:
            if manifest is None:
                convert_folder(source, folder, Path(os.path.abspath(output)).name)
            else:
                copy_model(source, folder, manifest)
    except OSError as error:
        raise OutputError(f"{output} cannot be written: {error.strerror or error}.") from error


def _install_folder(folder: Path, place: Path, store: Store) -> StoredModel:
    """Put the model in a folder, which came from `place`, into the store."""
    manifest = read_manifest(folder)
    if manifest is None or manifest.name is None or manifest.version is None:
        unpacked = "" if folder == place else "unpack it and "
        raise ModelError(
            f"{place} does not say which model it is: only folders of `hub download` and "
            f"`hub pull` do. To give it a name, {unpacked}run: hub register FOLDER --name NAME "
            "--version VERSION"
        )
    name, version = check_name(manifest.name), check_version(manifest.version)
    with store.lock(name, version):
        existing = store.find(name, version)
        if existing is None:
            with store.new_folder(name, version) as target:
                copy_model(folder, target, manifest)
        elif existing.manifest.files != manifest.files:
            raise CatalogueError(
                f"{existing.folder} is another {name}@{version} than {place}. Remove it first: "
                f"hub uninstall {name}@{version}"
            )
    return store.get(name, version)


def carry(model: StoredModel, place: Path) -> None:
    """Copy a model to a new folder, or an archive if `place` is named like one, to be carried away.

    Raises:
        OutputError: there is something already, or it cannot be written.
    """
    _check_free(place, "--to")
    try:
        if is_archive(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            pack(model.folder, place)
            return
        with filled_aside(place, MANIFEST_FILE) as folder:
            copy_model(model.folder, folder, model.manifest)
    except OSError as error:
        raise OutputError(f"{place} cannot be written: {error.strerror or error}.") from error


def _check_free(place: Path, option: str) -> None:
    """See that there is nothing at a place, or an empty folder; `option` is what names it."""
    if place.exists() and (place.is_file() or any(place.iterdir())):
        raise OutputError(f"{place} is there already and not empty: choose another {option}.")
