"""The models on this machine: `$HUB_HOME`.

    models/NAME/VERSION/     a whole model folder; it appears in one step
    models/NAME/aliases.json alias -> version, of a team's models
    unfinished/NAME/VERSION/ files on their way, kept for the next try
    checksums/NAME@VERSION.json  what the files turned out to be when they were first fetched
    locks/                   one process at a time fetches a model
    settings.json            `hub config`

Looking a model up writes nothing: a store may be read-only, or shared by many machines.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.constants import MANIFEST_FILE, home
from hub.errors import InputError, ModelError, OutputError
from hub.files import sync, write_text
from hub.registry.locks import locked
from hub.registry.manifest import Manifest, read_manifest
from hub.registry.names import check_name, check_version, version_order
from hub.registry.owners import is_abandoned, owner_mark

# https://bford.info/cachedir/: backup programs leave such folders out.
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# The models of ernie-hub; see `hub cache`.\n"


@dataclass(frozen=True)
class StoredModel:
    """A model on this machine."""

    name: str
    version: str
    folder: Path
    manifest: Manifest

    @property
    def size_bytes(self) -> int:
        """The size of its files."""
        return self.manifest.size_bytes


class Store:
    """The folder of all models on this machine.

    Args:
        root: the folder; `$HUB_HOME` unless given. It is made when something is first put into it.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or home()

    # --- looking up ------------------------------------------------------------------------------

    def find(self, name: str, version: str) -> StoredModel | None:
        """The model, if all of its files are there."""
        folder = self._folder(name, version)
        try:
            manifest = read_manifest(folder, check_content=False)
        except ModelError:
            return None  # to be fetched again; `hub cache verify` says what is wrong with it
        return None if manifest is None else StoredModel(name, version, folder, manifest)

    def holds(self, folder: Path) -> bool:
        """Whether the folder is one of a model here: its files were checked when they came."""
        return (self.root / "models").resolve() in folder.resolve().parents

    def get(self, name: str, version: str) -> StoredModel:
        """The model that must be there.

        Raises:
            ModelError: it is not.
        """
        model = self.find(name, version)
        if model is None:
            raise ModelError(f"{name}@{version} is not in {self.root}, or not whole.")
        return model

    def versions(self, name: str) -> list[str]:
        """The versions of a model that are here, the newest last."""
        return [v for v in self._version_folders(check_name(name)) if self.find(name, v)]

    def models(self) -> list[StoredModel]:
        """Every model that is here, by name and version."""
        found = (self.find(name, version) for name, version in self._folders())
        return [model for model in found if model is not None]

    def damaged(self, name: str | None = None, version: str | None = None) -> list[Path]:
        """The folders of models that are not whole: of all, of a name, or of a version of it."""
        return [
            self._folder(*found)
            for found in self._folders()
            if name in (None, found[0])
            and version in (None, found[1])
            and (self._folder(*found) / MANIFEST_FILE).exists()
            and self.find(*found) is None
        ]

    def verify(self, model: StoredModel) -> str | None:
        """Compute every checksum of a model; what is wrong with it, or None."""
        try:
            read_manifest(model.folder)
        except ModelError as error:
            return str(error)
        return None

    def aliases(self, name: str) -> dict[str, str]:
        """Alias -> version, of a team's model."""
        return _read_json(self._aliases_file(name))

    # --- changing --------------------------------------------------------------------------------

    @contextmanager
    def lock(self, name: str, version: str) -> Iterator[None]:
        """Only one process at a time fetches or changes this model."""
        folder = self._make("locks")
        with locked(folder / f"{name}@{version}.lock", f"fetching {name}"):
            yield

    def unfinished(self, name: str, version: str) -> Path:
        """The folder for files on their way; it exists."""
        return self._make(f"unfinished/{check_name(name)}/{check_version(version)}")

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder of this process's own for files on their way; it is removed again."""
        parent = self._make("unfinished/archive")
        _remove_abandoned(parent, "*")
        folder = parent / owner_mark()
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            self.tidy_unfinished(parent)

    def clear_unfinished(self, name: str, version: str) -> None:
        """Forget what is on its way."""
        folder = self.root / "unfinished" / name
        shutil.rmtree(folder / version, ignore_errors=True)
        self.tidy_unfinished(folder)

    def tidy_unfinished(self, folder: Path) -> None:
        """Remove a folder of files on their way, and those above it, if nothing came."""
        for place in (folder, *folder.parents):
            if place == self.root:
                break
            try:
                place.rmdir()
            except OSError:
                break

    @contextmanager
    def new_folder(self, name: str, version: str) -> Iterator[Path]:
        """A folder to fill; it becomes the model in one step if the body ends well.

        A damaged model that lies there is replaced. If another process put a whole one there in the
        meantime, that one stays.
        """
        target = self._folder(name, version)
        parent = self._make(f"models/{check_name(name)}")
        _remove_abandoned(parent)
        folder = parent / f".new-{owner_mark()}"
        folder.mkdir()
        try:
            yield folder
            if not (folder / MANIFEST_FILE).exists():
                raise ModelError(f"{folder} was left without {MANIFEST_FILE}.")
            for path in folder.iterdir():
                sync(path)  # a name must not outlive a power cut that its bytes do not
            if target.exists() and self.find(name, version) is None:
                target.replace(parent / f".old-{owner_mark()}")
            with contextlib.suppress(OSError):  # another process put the same there first
                folder.replace(target)
        except OSError as error:
            raise unwritable(parent, error) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            for old in parent.glob(".old-*"):
                shutil.rmtree(old, ignore_errors=True)
            with contextlib.suppress(OSError):
                parent.rmdir()  # if nothing came of it

    def remove(self, name: str, version: str) -> None:
        """Remove a model and what is on its way; its checksums stay known.

        Raises:
            OutputError: it cannot be removed.
        """
        folder = self._folder(name, version)
        try:
            if folder.exists():
                # In one step: nobody meets half a model.
                gone = folder.with_name(f".old-{owner_mark()}")
                folder.replace(gone)
                shutil.rmtree(gone)
        except OSError as error:
            raise unwritable(folder, error) from error
        self.clear_unfinished(name, version)
        remaining = {a: v for a, v in self.aliases(name).items() if v != version}
        with contextlib.suppress(OSError):
            self._write_aliases(name, remaining)
            folder.parent.rmdir()

    def add_aliases(self, name: str, aliases: dict[str, str]) -> None:
        """Point aliases of a model to other versions; the others stay as they are."""
        self._write_aliases(name, self.aliases(name) | aliases)

    def _write_aliases(self, name: str, aliases: dict[str, str]) -> None:
        path = self._aliases_file(name)
        if aliases:
            write_text(path, json.dumps(aliases, indent=2, sort_keys=True) + "\n")
        else:
            path.unlink(missing_ok=True)

    def clean(self) -> int:
        """Remove everything that is on its way, and damaged models; the bytes that were freed."""
        folders = [self.root / "unfinished", *self.damaged()]
        folders += (self.root / "models").glob("*/.old-*")
        folders += (f for f in (self.root / "models").glob("*/.new-*") if _is_left(f))
        freed = sum(folder_size(folder) for folder in folders)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        return freed

    # --- checksums -------------------------------------------------------------------------------

    def checksums(self, name: str, version: str) -> dict[str, dict[str, Any]]:
        """What each file, by its address, turned out to be when it was first fetched."""
        return _read_json(self.root / "checksums" / f"{name}@{version}.json")

    def remember_checksum(self, name: str, version: str, url: str, facts: dict[str, Any]) -> None:
        """Keep what a file turned out to be."""
        path = self._make("checksums") / f"{name}@{version}.json"
        known = self.checksums(name, version) | {url: facts}
        write_text(path, json.dumps(known, indent=2, sort_keys=True) + "\n")

    def forget_checksums(self, name: str, version: str) -> None:
        """Take the next files that come as the right ones."""
        (self.root / "checksums" / f"{name}@{version}.json").unlink(missing_ok=True)

    # --- files -----------------------------------------------------------------------------------

    def _folder(self, name: str, version: str) -> Path:
        return self.root / "models" / check_name(name) / check_version(version)

    def _version_folders(self, name: str) -> list[str]:
        return sorted(_subfolders(self.root / "models" / name, check_version), key=version_order)

    def _folders(self) -> Iterator[tuple[str, str]]:
        for name in sorted(_subfolders(self.root / "models", check_name)):
            for version in self._version_folders(name):
                yield name, version

    def _aliases_file(self, name: str) -> Path:
        return self.root / "models" / check_name(name) / "aliases.json"

    def _make(self, inside: str) -> Path:
        folder = self.root / inside
        try:
            if not (self.root / "CACHEDIR.TAG").exists():
                self.root.mkdir(parents=True, exist_ok=True)
                write_text(self.root / "CACHEDIR.TAG", _TAG)
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(folder, error) from error
        if not os.access(folder, os.W_OK):
            raise OutputError(
                f"{folder} is read-only. Set HUB_HOME to a folder that can be written."
            )
        return folder


def unwritable(path: Path, error: OSError) -> OutputError:
    """The error for a place that cannot be written."""
    return OutputError(
        f"{path} cannot be written: {error.strerror or error}. "
        "HUB_HOME chooses another folder for models."
    )


def folder_size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _is_left(path: Path) -> bool:
    """Whether a folder is of a process that was killed."""
    try:
        return is_abandoned(path)
    except OSError:
        return False
    except ValueError:
        return True


def _remove_abandoned(parent: Path, pattern: str = ".new-*") -> None:
    for path in parent.glob(pattern):
        if _is_left(path):
            shutil.rmtree(path, ignore_errors=True)


def _subfolders(folder: Path, check: Callable[[str], str]) -> list[str]:
    """The names of subfolders that `check` takes; others are not this package's."""
    names = []
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            with contextlib.suppress(InputError):
                if path.is_dir() and check(path.name) == path.name:
                    names.append(path.name)
    return names


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
