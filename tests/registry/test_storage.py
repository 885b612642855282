"""A catalogue is the same thing in a folder, on an HTTP server and in an object store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.errors import (
    CatalogueError,
    ChecksumError,
    DownloadError,
    MissingPackageError,
    OutputError,
)
from hub.registry.checksums import Expected
from hub.registry.manifest import Manifest, write_manifest
from hub.registry.storage import Storage, open_storage
from hub.registry.store import Store, StoredModel
from hub.registry.team import TeamCatalogue
from tests.servers import Fault, FileServer
from tests.servers.files import Request, nobody, random_bytes
from tests.servers.s3 import S3Store, s3_store

WEIGHTS = random_bytes(300_000)


@pytest.fixture(scope="module")
def object_store() -> Iterator[S3Store]:
    with s3_store() as store:
        yield store


@pytest.fixture(params=["folder", "http", "s3"])
def location(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """An empty place of each kind."""
    if request.param == "folder":
        yield str(tmp_path / "共享 盘")
    elif request.param == "http":
        (tmp_path / "served").mkdir()
        monkeypatch.setenv("HUB_TOKEN", "team-secret")
        with FileServer(folder=tmp_path / "served", token="team-secret") as server:
            yield f"{server.url}/models"
    else:
        store = request.getfixturevalue("object_store")
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        yield f"{store.url}/{request.node.name[:40]}/models"


def registered(store: Store, version: str, content: bytes = WEIGHTS) -> StoredModel:
    with store.new_folder("travel", version) as folder:
        (folder / "model.safetensors").write_bytes(content)
        (folder / "vocab.txt").write_text("的\n", encoding="utf-8")
        manifest = Manifest("model", None, [], 128, "x", "0", name="travel", version=version)
        write_manifest(folder, manifest, ["model.safetensors", "vocab.txt"])
    return store.get("travel", version)


def test_publish_resolve_pull(location: str, tmp_path: Path) -> None:
    mine, theirs = Store(tmp_path / "mine"), Store(tmp_path / "theirs")
    catalogue = TeamCatalogue(location)
    assert catalogue.names() == []
    assert catalogue.publish(registered(mine, "1.0.0"), ["prod"])
    assert catalogue.publish(registered(mine, "1.1.0", WEIGHTS[:1000]), ["canary"])
    assert not catalogue.publish(mine.get("travel", "1.0.0"))
    other = TeamCatalogue(location)
    assert other.names() == ["travel"]
    assert other.versions("travel") == ["1.0.0", "1.1.0"]
    assert other.aliases("travel") == {"prod": "1.0.0", "canary": "1.1.0"}
    assert (other.pull("travel", "prod", theirs).folder / "model.safetensors").read_bytes() == (
        WEIGHTS
    )
    assert other.pull("travel", None, theirs).version == "1.1.0"
    with pytest.raises(CatalogueError, match="never changes"):
        other.publish(registered(Store(tmp_path / "third"), "1.0.0", b"other"))


def test_reading_writing_and_creating(location: str, tmp_path: Path) -> None:
    storage: Storage = open_storage(location)
    assert storage.read("a/b.json") is None
    assert storage.size("a/b.json") is None
    assert storage.names("a") == []
    storage.write("a/b.json", b"1")
    storage.write("a/b.json", b"22")
    assert storage.read("a/b.json") == b"22"
    assert storage.size("a/b.json") == 2
    assert not storage.create("a/b.json", b"333")
    assert storage.read("a/b.json") == b"22"
    assert storage.create("a/c.json", b"4")
    (tmp_path / "local").write_bytes(WEIGHTS)
    storage.put(tmp_path / "local", "a/big file")
    if storage.lists:
        assert storage.names("a") == ["b.json", "big file", "c.json"]
    expected = Expected(len(WEIGHTS), hashlib.sha256(WEIGHTS).hexdigest())
    storage.fetch("a/big file", tmp_path / "fetched", expected)
    assert (tmp_path / "fetched").read_bytes() == WEIGHTS
    with pytest.raises(ChecksumError):
        storage.fetch("a/big file", tmp_path / "wrong", Expected(len(WEIGHTS), "0" * 64))
    assert not (tmp_path / "wrong").exists()
    with pytest.raises(DownloadError):
        storage.fetch("a/nothing", tmp_path / "nothing", expected)


def test_an_object_store_is_gone_on_with(
    object_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    storage = open_storage(f"{object_store.url}/resumed")
    (tmp_path / "local").write_bytes(WEIGHTS)
    storage.put(tmp_path / "local", "file")
    from hub.registry.parts import Part

    expected = Expected(len(WEIGHTS), hashlib.sha256(WEIGHTS).hexdigest())
    for start in (WEIGHTS[:200_000], b"of another file", WEIGHTS):
        part = Part(tmp_path / "fetched", str(expected.sha256))
        part.path.write_bytes(start)
        part.release()
        storage.fetch("file", tmp_path / "fetched", expected)
        assert (tmp_path / "fetched").read_bytes() == WEIGHTS
        (tmp_path / "fetched").unlink()
        assert [p.name for p in tmp_path.iterdir() if "part" in p.name] == []


def test_a_server_that_takes_no_files_says_so(tmp_path: Path) -> None:
    with FileServer({}) as server:
        catalogue = TeamCatalogue(server.url)
        with pytest.raises(CatalogueError, match="405 to PUT"):
            catalogue.publish(registered(Store(tmp_path / "mine"), "1.0.0"))


def test_a_wrong_token_is_said_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_TOKEN", "wrong-secret")
    with FileServer({}, folder=tmp_path, token="right") as server:
        with pytest.raises(DownloadError, match=r"401.*HUB_TOKEN") as caught:
            TeamCatalogue(server.url).pull("travel", None, Store(tmp_path / "mine"))
        assert "wrong-secret" not in str(caught.value)


def test_a_place_that_cannot_be_reached_is_a_sentence(tmp_path: Path) -> None:
    with nobody() as address, pytest.raises(DownloadError, match="cannot be reached"):
        TeamCatalogue(address).names()
    with pytest.raises(DownloadError, match="There is no folder"):
        TeamCatalogue(str(tmp_path / "no" / "such")).aliases("travel")


def test_what_of_a_folder_cannot_be_read_is_said(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path / "shared"))
    (tmp_path / "shared" / "a").mkdir(parents=True)  # a folder where a file should be
    with pytest.raises(DownloadError, match=r"shared/a cannot be read"):
        storage.fetch("a", tmp_path / "fetched", Expected(1, "0" * 64))
    with pytest.raises(DownloadError, match="cannot be read: File name too long"):
        storage.size("x" * 300)
    (tmp_path / "shared" / "b").write_bytes(b"1")
    with pytest.raises(OutputError, match=r"nowhere/fetched cannot be written"):
        storage.fetch("b", tmp_path / "nowhere" / "fetched", Expected(1))


def test_a_bucket_that_is_not_there_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, object_store: S3Store
) -> None:
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    catalogue = TeamCatalogue("s3://no-such-bucket-here/models")
    with pytest.raises(DownloadError, match="no-such-bucket-here"):
        catalogue.publish(registered(Store(tmp_path / "mine"), "1.0.0"))


def test_offline_only_folders_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_OFFLINE", "1")
    for location in ("https://models.example/x", "s3://bucket/x"):
        with pytest.raises(DownloadError, match="HUB_OFFLINE"):
            TeamCatalogue(location).names()
    assert TeamCatalogue(str(tmp_path)).names() == []


def test_a_missing_package_is_named() -> None:
    with pytest.raises(MissingPackageError, match=r"ernie-hub\[oss\]"):
        open_storage("oss://bucket/models")
    with pytest.raises(CatalogueError, match="not a location"):
        open_storage("nonsense://bucket/models")


def test_an_alias_is_found_where_missing_files_are_forbidden(tmp_path: Path) -> None:
    """As object stores answer those who may read but not list."""

    class Secretive(FileServer):
        def answer(self, request: Request, handler: Any) -> bool:
            if self.find(request.path.lstrip("/"), "") is None:
                handler.reply(request, 403)
                return True
            return False

    mine, theirs = Store(tmp_path / "mine"), Store(tmp_path / "theirs")
    TeamCatalogue(str(tmp_path / "served")).publish(registered(mine, "1.0.0"), ["prod"])
    with Secretive(folder=tmp_path / "served") as server:
        catalogue = TeamCatalogue(server.url)
        assert catalogue.pull("travel", "prod", theirs).version == "1.0.0"
        with pytest.raises(DownloadError, match="403"):
            catalogue.pull("travel", "canary", theirs)


def test_an_http_catalogue_that_breaks_off_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    with FileServer(folder=tmp_path / "served") as server:
        catalogue = TeamCatalogue(server.url)
        model = registered(Store(tmp_path / "mine"), "1.0.0")
        catalogue.publish(model)
        path = f"travel/files/{model.manifest.files['model.safetensors']['sha256']}"
        server.fail(path, Fault(), Fault(close_after=100_000))
        theirs = Store(tmp_path / "theirs")
        assert catalogue.pull("travel", "1.0.0", theirs).version == "1.0.0"
        assert server.sent(path) < len(WEIGHTS) + 150_000
