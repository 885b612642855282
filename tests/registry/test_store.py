"""The folder of all models: whole models only, also when processes die or disks are read-only."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hub.errors import ModelError, OutputError
from hub.registry.manifest import Manifest, write_manifest
from hub.registry.owners import owner_mark
from hub.registry.store import Store, folder_size


def fill(folder: Path, name: str, version: str, content: str = "weights") -> None:
    (folder / "weights.bin").write_text(content)
    manifest = Manifest("model", None, [], 128, name, "0", name=name, version=version)
    write_manifest(folder, manifest, ["weights.bin"])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "家 目录")


def add(store: Store, name: str, version: str, content: str = "weights") -> None:
    with store.new_folder(name, version) as folder:
        fill(folder, name, version, content)


def test_what_was_put_there_is_found_and_listed(store: Store) -> None:
    add(store, "travel", "1.10.0")
    add(store, "travel", "1.9.0", "other weights")
    assert store.versions("travel") == ["1.9.0", "1.10.0"]
    model = store.get("travel", "1.10.0")
    assert (model.folder / "weights.bin").read_text() == "weights"
    assert [(m.name, m.version, m.size_bytes) for m in store.models()] == [
        ("travel", "1.9.0", 13),
        ("travel", "1.10.0", 7),
    ]
    assert (
        "Signature: 8a477f597d28d172789f06886806bc55" in (store.root / "CACHEDIR.TAG").read_text()
    )


def test_looking_up_writes_nothing(store: Store) -> None:
    assert store.find("travel", "1.0.0") is None
    assert store.models() == [] == store.versions("travel") == store.damaged()
    assert store.checksums("travel", "1.0.0") == {} == store.aliases("travel")
    assert not store.root.exists()


def test_a_model_appears_in_one_step_or_not_at_all(store: Store) -> None:
    with pytest.raises(KeyError), store.new_folder("travel", "1.0.0") as folder:
        fill(folder, "travel", "1.0.0")
        assert store.find("travel", "1.0.0") is None
        raise KeyError
    with pytest.raises(ModelError, match=r"hub\.json"), store.new_folder("travel", "1.0.0"):
        pass
    assert list((store.root / "models").iterdir()) == []


def test_what_a_killed_process_left_is_removed(store: Store) -> None:
    left = store.root / "models" / "travel" / ".new-elsewhere"
    left.mkdir(parents=True)
    fill(left, "travel", "1.0.0")
    assert store.models() == []
    add(store, "travel", "1.0.0")
    assert not left.exists()
    assert [p.name for p in (store.root / "models" / "travel").iterdir()] == ["1.0.0"]


@pytest.mark.parametrize("damage", ["missing", "short", "manifest", "no manifest"])
def test_a_damaged_model_is_not_found_and_is_replaced(store: Store, damage: str) -> None:
    add(store, "travel", "1.0.0")
    folder = store.get("travel", "1.0.0").folder
    if damage == "missing":
        (folder / "weights.bin").unlink()
    elif damage == "short":
        (folder / "weights.bin").write_text("wei")
    elif damage == "manifest":
        (folder / "hub.json").write_text("{")
    else:
        (folder / "hub.json").unlink()
    assert store.find("travel", "1.0.0") is None
    # Without its manifest it may be anybody's folder: it is not cleaned away.
    assert store.damaged() == ([] if damage == "no manifest" else [folder])
    add(store, "travel", "1.0.0", "new weights")
    assert (store.get("travel", "1.0.0").folder / "weights.bin").read_text() == "new weights"
    assert store.damaged() == []


def test_a_whole_model_is_not_replaced(store: Store) -> None:
    add(store, "travel", "1.0.0")
    add(store, "travel", "1.0.0", "of another process")
    assert (store.get("travel", "1.0.0").folder / "weights.bin").read_text() == "weights"


def test_only_models_were_checked_when_they_came(store: Store) -> None:
    add(store, "travel", "1.0.0")
    run = store.root / "runs" / "x"
    run.mkdir(parents=True)
    fill(run, "x", "1.0.0")
    assert store.holds(store.get("travel", "1.0.0").folder)
    assert not store.holds(run)


def test_verify_finds_a_changed_byte_of_the_same_size(store: Store) -> None:
    add(store, "travel", "1.0.0")
    model = store.get("travel", "1.0.0")
    assert store.verify(model) is None
    (model.folder / "weights.bin").write_text("weightz")
    assert "weights.bin" in str(store.verify(store.get("travel", "1.0.0")))


def test_removing_forgets_aliases_and_what_is_on_its_way(store: Store) -> None:
    add(store, "travel", "1.0.0")
    store.add_aliases("travel", {"prod": "1.0.0"})
    (store.unfinished("travel", "1.0.0") / "x.part").write_text("x")
    store.remember_checksum("travel", "1.0.0", "https://example.org/x", {"size": 1})
    store.remove("travel", "1.0.0")
    assert store.find("travel", "1.0.0") is None
    assert list((store.root / "models").iterdir()) == []
    assert not (store.root / "unfinished").exists()
    # The checksums of a first download outlive it: that is what they are for.
    assert store.checksums("travel", "1.0.0") == {"https://example.org/x": {"size": 1}}


def test_a_scratch_folder_is_a_processs_own_and_what_a_killed_one_left_is_removed(
    store: Store,
) -> None:
    left = store.root / "unfinished" / "archive" / owner_mark().replace(str(os.getpid()), "4194305")
    (left / "content").mkdir(parents=True)
    with store.scratch() as one, store.scratch() as other:
        assert one != other and one.is_dir() and other.is_dir()
        assert not left.exists()
    assert not (store.root / "unfinished").exists()


def test_aliases_are_added_to_those_there_are(store: Store) -> None:
    add(store, "travel", "1.0.0")
    store.add_aliases("travel", {"prod": "1.0.0", "old": "0.9"})
    store.add_aliases("travel", {"prod": "1.1.0"})
    assert store.aliases("travel") == {"prod": "1.1.0", "old": "0.9"}


def test_clean_frees_what_is_unfinished_or_damaged_and_nothing_else(store: Store) -> None:
    add(store, "travel", "1.0.0")
    add(store, "travel", "2.0.0")
    (store.get("travel", "2.0.0").folder / "hub.json").write_text("{}")
    (store.unfinished("other", "1.0.0") / "x.part").write_text("12345")
    before = folder_size(store.root)
    assert store.clean() == 5 + 7 + 2
    assert folder_size(store.root) == before - 14
    assert [m.version for m in store.models()] == ["1.0.0"]


def test_hostile_names_never_leave_the_store(store: Store, tmp_path: Path) -> None:
    for name in ("..", "../..", "/etc", "a/b", "con"):
        with pytest.raises(ValueError, match="cannot"), store.new_folder(name, "1.0.0"):
            pass
        with pytest.raises(ValueError, match="cannot"), store.new_folder("travel", name):
            pass
    assert [p for p in tmp_path.rglob("*") if p.is_dir() and p.name not in {store.root.name}] in (
        [],
        [store.root / "models"],
        [store.root / "models", store.root / "models" / "travel"],
    )


def test_folders_that_are_no_models_are_left_alone(store: Store) -> None:
    add(store, "travel", "1.0.0")
    (store.root / "models" / "My notes" / "x y").mkdir(parents=True)
    (store.root / "models" / "travel" / "not a version!").mkdir()
    assert [m.version for m in store.models()] == ["1.0.0"]
    assert store.damaged() == []
    store.clean()
    assert (store.root / "models" / "My notes" / "x y").is_dir()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_store_says_so(store: Store) -> None:
    store.root.mkdir()
    store.root.chmod(0o555)
    with pytest.raises(OutputError, match="HUB_HOME"):
        store.unfinished("travel", "1.0.0")


def test_a_file_where_the_store_should_be_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="HUB_HOME"):
        Store(tmp_path / "file").unfinished("travel", "1.0.0")


def test_a_manifest_cannot_name_files_outside_its_folder(store: Store) -> None:
    add(store, "travel", "1.0.0")
    path = store.get("travel", "1.0.0").folder / "hub.json"
    values = json.loads(path.read_text())
    values["files"] = {"../../secret": {"size": 0, "sha256": "0"}}
    path.write_text(json.dumps(values))
    assert store.find("travel", "1.0.0") is None
