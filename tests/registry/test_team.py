"""A team's catalogue in a folder: immutable versions, movable aliases, verified transfers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub.errors import CatalogueError, ChecksumError, UnknownModelError
from hub.registry.manifest import Manifest, write_manifest
from hub.registry.store import Store, StoredModel
from hub.registry.team import TeamCatalogue


def registered(store: Store, name: str, version: str, content: str) -> StoredModel:
    with store.new_folder(name, version) as folder:
        (folder / "weights.bin").write_text(content)
        (folder / "词表.txt").write_text("的\n")
        manifest = Manifest("model", None, [], 128, name, "0", name=name, version=version)
        write_manifest(folder, manifest, ["weights.bin", "词表.txt"])
    return store.get(name, version)


@pytest.fixture
def mine(tmp_path: Path) -> Store:
    return Store(tmp_path / "mine")


@pytest.fixture
def theirs(tmp_path: Path) -> Store:
    return Store(tmp_path / "theirs")


@pytest.fixture
def catalogue(tmp_path: Path) -> TeamCatalogue:
    return TeamCatalogue(str(tmp_path / "共享 盘"))


def test_what_is_published_is_pulled_by_another(
    catalogue: TeamCatalogue, mine: Store, theirs: Store
) -> None:
    assert catalogue.publish(registered(mine, "travel", "1.0.0", "one"), ["prod"])
    model = catalogue.pull("travel", "1.0.0", theirs)
    assert (model.folder / "weights.bin").read_text() == "one"
    assert model.manifest == mine.get("travel", "1.0.0").manifest
    assert theirs.aliases("travel") == {"prod": "1.0.0"}
    assert catalogue.names() == ["travel"]


def test_a_published_version_never_changes(
    catalogue: TeamCatalogue, mine: Store, theirs: Store
) -> None:
    first = registered(mine, "travel", "1.0.0", "one")
    assert catalogue.publish(first)
    assert not catalogue.publish(first)  # the same again: nothing happens
    with pytest.raises(CatalogueError, match="never changes"):
        catalogue.publish(registered(theirs, "travel", "1.0.0", "two"), ["prod"])
    assert catalogue.aliases("travel") == {}
    third = Store(mine.root.parent / "third")
    assert (catalogue.pull("travel", None, third).folder / "weights.bin").read_text() == "one"


def test_of_two_who_publish_at_once_one_wins_and_the_version_is_whole(
    catalogue: TeamCatalogue, mine: Store, theirs: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = registered(mine, "travel", "1.0.0", "one")
    second = registered(theirs, "travel", "1.0.0", "two")
    create = catalogue._storage.create

    def overtaken(path: str, content: bytes) -> bool:
        monkeypatch.setattr(catalogue._storage, "create", create)
        TeamCatalogue(catalogue.location).publish(second)  # between the files and hub.json
        return create(path, content)

    monkeypatch.setattr(catalogue._storage, "create", overtaken)
    with pytest.raises(CatalogueError, match="never changes"):
        catalogue.publish(first)
    third = Store(mine.root.parent / "third")
    assert (catalogue.pull("travel", "1.0.0", third).folder / "weights.bin").read_text() == "two"


def test_aliases_move_and_the_newest_is_the_default(
    catalogue: TeamCatalogue, mine: Store, theirs: Store
) -> None:
    catalogue.publish(registered(mine, "travel", "1.9.0", "old"), ["prod"])
    catalogue.publish(registered(mine, "travel", "1.10.0", "new"), ["canary"])
    assert catalogue.resolve("travel", None) == "1.10.0"
    assert catalogue.resolve("travel", "prod") == "1.9.0"
    catalogue.set_alias("travel", "prod", "1.10.0")
    assert catalogue.pull("travel", "prod", theirs).version == "1.10.0"
    assert theirs.aliases("travel") == {"canary": "1.10.0", "prod": "1.10.0"}


def test_an_alias_points_to_a_version_and_is_none(catalogue: TeamCatalogue, mine: Store) -> None:
    catalogue.publish(registered(mine, "travel", "1.0.0", "one"))
    with pytest.raises(UnknownModelError, match=r"only 1\.0\.0"):
        catalogue.set_alias("travel", "prod", "2.0.0")
    with pytest.raises(CatalogueError, match="is a version"):
        catalogue.set_alias("travel", "1.0.0", "1.0.0")


def test_what_is_not_there_is_said_with_what_is(
    catalogue: TeamCatalogue, mine: Store, theirs: Store
) -> None:
    with pytest.raises(UnknownModelError, match="has no model 'travel'"):
        catalogue.pull("travel", "1.0.0", theirs)
    catalogue.publish(registered(mine, "travel", "1.0.0", "one"), ["prod"])
    with pytest.raises(UnknownModelError, match=r"1\.0\.0, prod \(1\.0\.0\)"):
        catalogue.pull("travel", "staging", theirs)
    assert not theirs.root.exists()


def test_a_damaged_file_in_the_catalogue_never_arrives(
    catalogue: TeamCatalogue, mine: Store, theirs: Store, tmp_path: Path
) -> None:
    catalogue.publish(registered(mine, "travel", "1.0.0", "one"))
    for path in (tmp_path / "共享 盘" / "travel" / "files").iterdir():
        if path.read_text() == "one":
            path.write_text("onE")
    with pytest.raises(ChecksumError, match="sha256 expected"):
        catalogue.pull("travel", "1.0.0", theirs)
    assert theirs.models() == [] == theirs.damaged()


def test_a_file_that_an_earlier_try_left_half_is_published_whole(
    catalogue: TeamCatalogue, mine: Store, theirs: Store, tmp_path: Path
) -> None:
    model = registered(mine, "travel", "1.0.0", "one")
    half = tmp_path / "共享 盘" / "travel" / "files" / model.manifest.files["weights.bin"]["sha256"]
    half.parent.mkdir(parents=True)
    half.write_text("on")
    catalogue.publish(model)
    assert (catalogue.pull("travel", None, theirs).folder / "weights.bin").read_text() == "one"


def test_a_file_changed_after_registering_is_not_published(
    catalogue: TeamCatalogue, mine: Store
) -> None:
    model = registered(mine, "travel", "1.0.0", "one")
    (model.folder / "weights.bin").write_text("two")
    with pytest.raises(CatalogueError, match="was changed"):
        catalogue.publish(model)
    assert catalogue.versions("travel") == []


def test_two_models_of_one_name_are_not_mixed_up(
    catalogue: TeamCatalogue, mine: Store, theirs: Store
) -> None:
    catalogue.publish(registered(mine, "travel", "1.0.0", "one"))
    registered(theirs, "travel", "1.0.0", "two")
    with pytest.raises(CatalogueError, match="hub uninstall"):
        catalogue.pull("travel", "1.0.0", theirs)


def test_an_interrupted_pull_goes_on(
    catalogue: TeamCatalogue, mine: Store, theirs: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue.publish(registered(mine, "travel", "1.0.0", "one"))
    fetch = catalogue._storage.fetch
    fetched: list[str] = []

    def cut(path: str, target: Path, expected: object) -> None:
        if fetched:
            raise KeyboardInterrupt
        fetched.append(target.name)
        fetch(path, target, expected)  # type: ignore[arg-type]

    monkeypatch.setattr(catalogue._storage, "fetch", cut)
    with pytest.raises(KeyboardInterrupt):
        catalogue.pull("travel", "1.0.0", theirs)
    assert theirs.models() == []
    again: list[str] = []

    def counted(path: str, target: Path, expected: object) -> None:
        again.append(target.name)
        fetch(path, target, expected)  # type: ignore[arg-type]

    monkeypatch.setattr(catalogue._storage, "fetch", counted)
    assert catalogue.pull("travel", "1.0.0", theirs).version == "1.0.0"
    assert sorted(fetched + again) == ["weights.bin", "词表.txt"]


def test_a_pull_does_not_go_on_with_another_catalogues_files(
    catalogue: TeamCatalogue,
    mine: Store,
    theirs: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalogue.publish(registered(mine, "travel", "1.0.0", "one"))
    other = TeamCatalogue(str(tmp_path / "another"))
    other.publish(registered(Store(tmp_path / "another's"), "travel", "1.0.0", "two"))
    fetch = catalogue._storage.fetch

    def cut(path: str, target: Path, expected: object) -> None:
        fetch(path, target, expected)  # type: ignore[arg-type]
        if target.name == "weights.bin":
            raise KeyboardInterrupt

    monkeypatch.setattr(catalogue._storage, "fetch", cut)
    with pytest.raises(KeyboardInterrupt):
        catalogue.pull("travel", "1.0.0", theirs)
    model = other.pull("travel", "1.0.0", theirs)
    assert (model.folder / "weights.bin").read_text() == "two"
    assert theirs.verify(model) is None


def test_the_index_names_every_version_for_servers_that_cannot_list(
    catalogue: TeamCatalogue, mine: Store, tmp_path: Path
) -> None:
    catalogue.publish(registered(mine, "travel", "1.0.0", "one"))
    index = tmp_path / "共享 盘" / "index.json"
    index.unlink()  # as if two publishers had overwritten each other's
    catalogue.publish(registered(mine, "travel", "1.1.0", "two"))
    assert json.loads(index.read_text())["models"] == {"travel": ["1.0.0", "1.1.0"]}
