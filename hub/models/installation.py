"""From a model's name to its folder on this machine, fetching it if need be."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hub import __version__
from hub.constants import FILES_BESIDE, MANIFEST_FILE, offline
from hub.errors import (
    CatalogueError,
    DownloadError,
    HubError,
    InputError,
    ModelError,
    UnknownModelError,
)
from hub.models.conversion import convert, default_length
from hub.registry.catalogue import ModelEntry, Source, find_model, known_model
from hub.registry.fetch import Originals, fetched, find_local, missing_here
from hub.registry.manifest import Manifest, read_manifest, write_manifest
from hub.registry.names import (
    Reference,
    check_name,
    check_version,
    parse_reference,
    tell_versions,
)
from hub.registry.settings import is_path, setting
from hub.registry.sources import AS_PUBLISHED, PublicSource, public_sources
from hub.registry.store import Store, StoredModel
from hub.registry.team import TeamCatalogue

logger = logging.getLogger(__name__)

# `hf://organisation/name@revision`, as Keras and others write it.
_REPOSITORY = re.compile(r"(hf|modelscope)://([\w.-]+/[\w.-]+?)(?:@([\w.+-]+))?")
_KINDS = {"hf": "huggingface", "modelscope": "modelscope"}


def locate(
    name: str, version: str | None = None, store: Store | None = None, quiet: bool = False
) -> tuple[ModelEntry | None, Path]:
    """The folder of a model by its name, fetched if it is not on this machine.

    Args:
        name: a model of the catalogue, a team's model, `NAME@VERSION`, or a repository as
            `hf://organisation/name` or `modelscope://organisation/name`.
        version: the version, if `name` does not hold it.
        store: where models are kept; `$HUB_HOME` unless given.
        quiet: show no progress bar.

    Returns:
        The catalogue's entry, None for a team's model, and the folder.

    Raises:
        UnknownModelError: there is no such model or version.
        DownloadError: it cannot be fetched.
        OutputError: it cannot be written to the store.
    """
    store = store or Store()
    entry = public_entry(name, version)
    if entry is None:
        return None, locate_team(parse_reference(name, version), store, quiet).folder
    return known_model(entry.name), install(entry, store, quiet)


def public_entry(name: str, version: str | None = None) -> ModelEntry | None:
    """The entry of a model of the catalogue, or one made for a repository; None for a team's model.

    Raises:
        UnknownModelError: the catalogue has the model in another version.
        InputError: no repository can be called so.
    """
    if match := _REPOSITORY.fullmatch(name.strip()):
        scheme, repository, revision = match.groups()
        return _repository_entry(scheme, repository, revision, version)
    reference = parse_reference(name, version)
    if known_model(reference.name) is None:
        return None
    return find_model(reference.given, reference.version)


def folder_of(model: str | Path) -> Path:
    """The folder of a model given by its folder or by its name.

    Raises:
        InputError: it is a path, and there is no such folder.
        UnknownModelError: it is a name, and there is no such model.
        DownloadError: it cannot be fetched.
    """
    if Path(model).is_dir():
        return Path(model)
    if isinstance(model, Path) or is_path(model):
        raise InputError(f"There is no folder {model}.")
    return locate(model)[1]


def check_name_is_known(name: str) -> None:
    """See that `locate` may find a model, without fetching it.

    Raises:
        UnknownModelError: there is no such model or version.
    """
    reference, store = parse_reference(name), Store()
    if public_entry(name) is None and not (find_stored(reference, store) or setting("catalogue")):
        raise not_here(reference, store)


def locate_team(reference: Reference, store: Store, quiet: bool = False) -> StoredModel:
    """A team's model: from this machine, or else from the team's catalogue.

    Raises:
        UnknownModelError: it is in neither.
        DownloadError: the catalogue cannot be reached.
    """
    if model := find_stored(reference, store):
        return model
    location = setting("catalogue")
    if location is None:
        raise not_here(reference, store)
    try:
        catalogue = TeamCatalogue(location, quiet)
        return catalogue.pull(reference.name, reference.version, store)
    except UnknownModelError as error:
        raise UnknownModelError(f"{not_here(reference, store)} {error}") from None


def find_stored(reference: Reference, store: Store) -> StoredModel | None:
    """A model on this machine by version, alias, or (without either) its newest version."""
    try:
        name = check_name(reference.name)
    except InputError:
        return None  # no model can have this name: the caller says what there is
    versions = store.versions(name)
    version = reference.version
    if version is None:
        version = versions[-1] if versions else None
    elif version not in versions:
        version = store.aliases(name).get(version)
    return None if version is None else store.find(name, version)


def not_here(reference: Reference, store: Store) -> HubError:
    """What to tell of a team's model that `find_stored` does not find."""
    if damaged := store.damaged(reference.name, reference.version):
        return ModelError(
            f"{damaged[-1]} is not whole. Remove it with `hub uninstall {reference.name}@"
            f"{damaged[-1].name} --yes`, and register or install it again."
        )
    try:
        versions, aliases = store.versions(reference.name), store.aliases(reference.name)
    except InputError:
        versions = []
    if versions:
        return UnknownModelError(
            f"There is no {reference} on this machine, only {tell_versions(versions, aliases)}."
        )
    try:
        find_model(reference.given)
    except UnknownModelError as error:  # with the nearest names
        return error
    return UnknownModelError(f"There is no model {reference.given!r}.")


def install(entry: ModelEntry, store: Store | None = None, quiet: bool = False) -> Path:
    """The folder of a model of the catalogue, fetched and converted if it is not there yet.

    A model that is on this machine is found without any request to the network.

    Args:
        entry: the model.
        store: where it is kept; `$HUB_HOME` unless given.
        quiet: show no progress bar.

    Raises:
        DownloadError: no source gave it.
        OutputError: it cannot be written to the store.
    """
    if entry.folder is not None:
        return entry.folder
    store = store or Store()
    if model := store.find(entry.name, entry.version):
        return model.folder
    if offline() and not _may_be_here(entry):
        raise missing_here(entry, [])  # without touching the store, which may be read-only
    with store.lock(entry.name, entry.version):
        # Another process may have fetched it while this one waited.
        model = store.find(entry.name, entry.version)
        if model is None:
            try:
                model = _install(entry, store, quiet)
            except HubError:
                # Where locks do not work, another process may have been faster and tidied up.
                model = store.find(entry.name, entry.version)
                if model is None:
                    raise
    return model.folder


def _may_be_here(entry: ModelEntry) -> bool:
    """Whether a source is a folder, or another program's cache has the model."""
    sources = list(public_sources(entry))
    return any(
        "://" not in source if isinstance(source, str) else source.list_local() is not None
        for source in sources
    )


def _install(entry: ModelEntry, store: Store, quiet: bool) -> StoredModel:
    sources = list(public_sources(entry))
    local = find_local([source for source in sources if not isinstance(source, str)])
    if local is not None:
        logger.info("%s: found at %s", entry.name, local.folder)
        return _convert(entry, local, store)
    reasons: list[str] = []
    for number, source in enumerate(sources):
        label = source if isinstance(source, str) else source.label
        try:
            return _install_from(source, entry, store, quiet)
        except (DownloadError, ModelError, CatalogueError) as error:
            reasons.append(f"{label}: {error}")
            if number + 1 < len(sources):
                why = str(error).rstrip(".")
                logger.warning("%s from %s: %s; trying the next source.", entry.name, label, why)
    raise missing_here(entry, reasons)


def _install_from(
    source: PublicSource | str, entry: ModelEntry, store: Store, quiet: bool
) -> StoredModel:
    if isinstance(source, str):
        return TeamCatalogue(source, quiet).pull_locked(entry.name, entry.version, store)
    with fetched(entry, source, store, quiet) as originals:
        return _convert(entry, originals, store)


def _convert(entry: ModelEntry, originals: Originals, store: Store) -> StoredModel:
    lowercase = entry.tokenizer.get("lowercase") if entry.tokenizer["kind"] == "wordpiece" else None
    own = read_manifest(originals.folder) if MANIFEST_FILE in originals.names else None
    if own is not None and own.kind != "model":
        raise ModelError("it is an exported model, of which hub.Module has no use.")
    with store.new_folder(entry.name, entry.version) as folder:
        if own is not None:
            named = replace(own, name=entry.name, version=entry.version, origin=originals.origin)
            copy_model(originals.folder, folder, named)
        else:
            convert_folder(
                originals.folder,
                folder,
                entry.name,
                entry.version,
                base_model=entry.name if entry.architecture else entry.sources[0].repository,
                architecture=entry.architecture or None,
                lowercase=lowercase,
                origin=originals.origin,
            )
    return store.get(entry.name, entry.version)


def copy_model(source: Path, target: Path, manifest: Manifest) -> None:
    """Copy a model's files and what belongs beside them; `hub.json` comes last."""
    names = {*manifest.files, *(n for n in FILES_BESIDE if (source / n).is_file())}
    names |= {path.name for path in source.glob("*.png")}
    for name in sorted(names - {MANIFEST_FILE}):
        shutil.copyfile(source / name, target / name)
    write_manifest(target, manifest, names - {MANIFEST_FILE})


def convert_folder(
    source: Path,
    target: Path,
    name: str,
    version: str | None = None,
    *,
    base_model: str | None = None,
    architecture: Mapping[str, Any] | None = None,
    lowercase: bool | None = None,
    origin: dict[str, Any] | None = None,
) -> None:
    """Write a pretrained model into the empty folder `target`, with its `hub.json`.

    Args:
        source: a model folder in any format that is read.
        target: an existing, empty folder.
        name: what the model is called.
        version: its version.
        base_model: what a model card calls it, if that is another name.
        architecture, lowercase: what is known better than from the folder, see `convert`.
        origin: where the folder came from, for `hub.json`.

    Raises:
        ModelError: a file is missing, damaged, unsafe or does not fit the others.
    """
    config = convert(source, target, architecture, lowercase)
    manifest = Manifest(
        kind="model",
        task=None,
        labels=[],
        max_seq_len=default_length(config),
        base_model=base_model or name,
        package_version=__version__,
        name=name,
        version=version,
        origin=origin,
    )
    write_manifest(target, manifest, [path.name for path in target.iterdir()])


def _repository_entry(
    scheme: str, repository: str, own: str | None, given: str | None
) -> ModelEntry:
    """An entry for a repository that the catalogue does not know."""
    if own and given and own != given:
        raise InputError(f"{repository!r} was given two revisions: {own} and {given}.")
    revision = own or given or ""
    if scheme == "hf" and re.search(r"--|\.\.", repository):
        raise InputError(f"{repository!r} cannot be a repository: its name has '--' or '..'.")
    source = Source(_KINDS[scheme], repository=repository, revision=revision)
    return ModelEntry(
        name=check_name(f"{scheme}--{repository.replace('/', '--')}"),
        version=check_version(source.revision),
        summary=f"{scheme}://{repository}",
        tokenizer={"kind": AS_PUBLISHED},
        sources=[source],
    )
