"""A team's own catalogue: versions that never change, and aliases that do.

    index.json                   name -> versions, for servers that cannot list their folders
    NAME/versions/VERSION.json   the `hub.json` of that version; it is written once
    NAME/files/SHA256            the files of all versions
    NAME/aliases.json            alias -> version

Files are named by their content, so that two people who publish at the same time cannot mix theirs
up; a version exists from the moment when its `VERSION.json` does, and only one can create it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from hub.constants import MANIFEST_FILE
from hub.errors import CatalogueError, DownloadError, UnknownModelError
from hub.files import sha256_of, write_text
from hub.registry.checksums import Expected
from hub.registry.manifest import Manifest, parse_manifest
from hub.registry.names import check_name, check_version, tell_versions, version_order
from hub.registry.storage import open_storage
from hub.registry.store import Store, StoredModel

_INDEX = "index.json"
_FORMAT_VERSION = 1


class TeamCatalogue:
    """The catalogue at a location.

    Args:
        location: a folder, `https://...`, `s3://...`, `oss://...`.
        quiet: show no progress bar.

    Raises:
        CatalogueError: the location cannot be understood.
    """

    def __init__(self, location: str, quiet: bool = False) -> None:
        self._storage = open_storage(location, quiet)
        self.location = self._storage.location

    # --- reading ---------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """The models that are published here."""
        if self._storage.lists:
            found = self._storage.names("")
            return [name for name in found if name != _INDEX and self.versions(name)]
        return sorted(self._index())

    def versions(self, name: str) -> list[str]:
        """A model's versions, the newest last."""
        if self._storage.lists:
            files = self._storage.names(f"{check_name(name)}/versions")
            found = [file.removesuffix(".json") for file in files if file.endswith(".json")]
        else:
            found = self._index().get(name, [])
        return sorted(found, key=version_order)

    def aliases(self, name: str) -> dict[str, str]:
        """A model's aliases: alias -> version."""
        content = self._storage.read(f"{check_name(name)}/aliases.json")
        return {} if content is None else self._understand(content, "aliases.json")

    def resolve(self, name: str, version: str | None) -> str | None:
        """The version meant by a version, an alias, or None (the newest); None if there is none."""
        if version is None:
            versions = self.versions(name)
            return versions[-1] if versions else None
        path = f"{check_name(name)}/versions/{check_version(version)}.json"
        try:
            if self._storage.size(path) is not None or self._storage.read(path) is not None:
                return version
        except DownloadError as error:
            # An object store that may not be listed says 403 of what is not there.
            meant = self.aliases(name).get(version) if error.status == 403 else None
            if meant is None:
                raise
            return meant
        return self.aliases(name).get(version)

    def manifest(self, name: str, version: str) -> Manifest | None:
        """What a published version holds; None if there is no such version."""
        content = self._storage.read(f"{check_name(name)}/versions/{check_version(version)}.json")
        where = f"{self.location}/{name}@{version}"
        return None if content is None else parse_manifest(content.decode(errors="replace"), where)

    def pull(self, name: str, version: str | None, store: Store) -> StoredModel:
        """Bring a version, or an alias's, to this machine, with the model's aliases.

        Raises:
            UnknownModelError: it is not published here.
            DownloadError: it cannot be fetched.
            OutputError: it cannot be written to the store.
        """
        meant = self.resolve(name, version)
        manifest = None if meant is None else self.manifest(name, meant)
        if meant is None or manifest is None:
            raise UnknownModelError(self._unknown(name, version))
        with store.lock(name, meant):
            model = store.find(name, meant)
            if model is None:
                model = self._fetch(name, meant, manifest, store)
            elif model.manifest.files != manifest.files:
                raise CatalogueError(
                    f"{model.folder} is another {name}@{meant} than the one that "
                    f"{self.location} has. Remove one: hub uninstall {name}@{meant}"
                )
            store.add_aliases(name, self.aliases(name))
        return model

    def pull_locked(self, name: str, version: str, store: Store) -> StoredModel:
        """Bring a version to this machine, by a caller who holds the store's lock for it.

        Raises:
            DownloadError: it is not published here, or cannot be fetched.
            OutputError: it cannot be written to the store.
        """
        manifest = self.manifest(name, version)
        if manifest is None:
            raise DownloadError(f"{self.location} has no {name}@{version}.")
        return self._fetch(name, version, manifest, store)

    def _fetch(self, name: str, version: str, manifest: Manifest, store: Store) -> StoredModel:
        waiting = store.unfinished(name, version) / "team"
        waiting.mkdir(parents=True, exist_ok=True)
        for file, facts in manifest.files.items():
            expected = Expected(facts["size"], facts["sha256"], known_from=self.location)
            path = f"{name}/files/{facts['sha256']}"
            # A whole file has its name, but it may be another catalogue's of this name and version.
            if not (waiting / file).exists() or sha256_of(waiting / file) != facts["sha256"]:
                self._storage.fetch(path, waiting / file, expected)
        with store.new_folder(name, version) as folder:
            for file in manifest.files:
                (waiting / file).replace(folder / file)
            write_text(folder / MANIFEST_FILE, manifest.to_json())
        store.clear_unfinished(name, version)
        return store.get(name, version)

    # --- writing ---------------------------------------------------------------------------------

    def publish(self, model: StoredModel, aliases: Iterable[str] = ()) -> bool:
        """Publish a version for good, then point aliases to it.

        Returns:
            Whether it is new; publishing the same files again changes nothing.

        Raises:
            CatalogueError: the version is published with other files, or the place refuses.
        """
        names = [check_version(alias) for alias in aliases]
        existing = self.manifest(model.name, model.version)
        created = existing is None
        if existing is None:
            for file, facts in model.manifest.files.items():
                path = f"{model.name}/files/{facts['sha256']}"
                if self._storage.size(path) == facts["size"]:
                    continue
                if sha256_of(model.folder / file) != facts["sha256"]:
                    raise CatalogueError(
                        f"{model.folder / file} was changed since it was registered: publish it as "
                        "a new version."
                    )
                self._storage.put(model.folder / file, path)
            content = model.manifest.to_json().encode()
            path = f"{model.name}/versions/{model.version}.json"
            if not self._storage.create(path, content):
                created = False
                existing = self.manifest(model.name, model.version)
        if existing is not None and existing.files != model.manifest.files:
            raise CatalogueError(
                f"{self.location} already has a {model.name}@{model.version} with other files, and "
                "a published version never changes. Publish yours under a new version."
            )
        self._note(model.name, model.version)
        for alias in names:
            self.set_alias(model.name, alias, model.version)
        return created

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias, such as `prod`, to a published version.

        Raises:
            UnknownModelError: there is no such version.
            CatalogueError: the alias is a version's name, or the place refuses.
        """
        check_version(alias)
        versions = self.versions(name)
        if version not in versions:
            raise UnknownModelError(self._unknown(name, version))
        if alias in versions:
            raise CatalogueError(f"{alias!r} is a version of {name} and cannot be an alias.")
        aliases = self.aliases(name) | {alias: version}
        self._storage.write(f"{name}/aliases.json", _to_json(aliases))

    def _note(self, name: str, version: str) -> None:
        """Bring the index up to date; storages that list their folders do not need it to be."""
        index = self._index()
        known = self.versions(name) if self._storage.lists else index.get(name, [])
        versions = sorted({*known, version}, key=version_order)
        if index.get(name) != versions:
            index[name] = versions
            values = {"format_version": _FORMAT_VERSION, "models": index}
            self._storage.write(_INDEX, _to_json(values))

    def _index(self) -> dict[str, list[str]]:
        content = self._storage.read(_INDEX)
        if content is None:
            return {}
        models: dict[str, list[str]] = self._understand(content, _INDEX).get("models", {})
        return models

    def _understand(self, content: bytes, name: str) -> dict[str, Any]:
        try:
            values = json.loads(content)
        except ValueError as error:
            raise CatalogueError(f"{self.location}/{name} is not JSON ({error}).") from error
        return values if isinstance(values, dict) else {}

    def _unknown(self, name: str, version: str | None) -> str:
        versions = self.versions(name)
        if not versions:
            return f"{self.location} has no model {name!r}."
        there = tell_versions(versions, self.aliases(name))
        return f"{self.location} has no {name}@{version}, only {there}."


def _to_json(values: Any) -> bytes:
    return (json.dumps(values, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()
