"""`hub.json`: written last, read back the same, and a changed folder is noticed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.errors import ModelError
from hub.registry.manifest import FORMAT_VERSION, Manifest, read_manifest, write_manifest

MANIFEST = Manifest(
    kind="model",
    task="text-classification",
    labels=["天气", "音乐"],
    max_seq_len=64,
    base_model="ernie-pocket-zh",
    package_version="0.1.0",
)
FILES = {"model.safetensors": b"weights", "config.json": b"{}", "README.md": b"card"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three files and their manifest."""
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    write_manifest(tmp_path, MANIFEST, FILES)
    return tmp_path


def edited(folder: Path, **changes: Any) -> None:
    """Change entries of `hub.json`."""
    path = folder / "hub.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**values, **changes}), encoding="utf-8")


def test_a_manifest_is_read_back_as_it_was_written(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert manifest is not None
    assert replace(manifest, files={}) == MANIFEST
    assert manifest.files == {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in FILES.items()
    }
    assert manifest.format_version == FORMAT_VERSION


def test_a_manifest_is_readable_by_people_and_the_same_each_time(folder: Path) -> None:
    text = (folder / "hub.json").read_text(encoding="utf-8")
    assert "天气" in text and text.endswith("}\n")
    write_manifest(folder, MANIFEST, reversed(list(FILES)))
    assert (folder / "hub.json").read_text(encoding="utf-8") == text


def test_the_engine_is_kept(folder: Path) -> None:
    write_manifest(folder, replace(MANIFEST, kind="inference", engine="onnx"), FILES)
    manifest = read_manifest(folder)
    assert manifest is not None
    assert (manifest.kind, manifest.engine) == ("inference", "onnx")


def test_a_folder_without_a_manifest_has_none(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None


def test_files_that_are_not_listed_are_nobodys_business(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    assert read_manifest(folder) is not None


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=r"is missing, though hub\.json lists it") as caught:
        read_manifest(folder)
    assert str(folder / name) in str(caught.value)


@pytest.mark.parametrize("content", [b"weightz", b"weight", b"weights!", b""])
def test_a_changed_byte_or_length_is_noticed(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="changed or damaged") as caught:
        read_manifest(folder)
    assert str(folder / "model.safetensors") in str(caught.value)


def test_the_card_may_be_edited(folder: Path) -> None:
    (folder / "README.md").write_text("another card", encoding="utf-8")
    assert read_manifest(folder) is not None


def test_a_newer_format_is_refused_even_with_entries_unknown_here(folder: Path) -> None:
    edited(folder, format_version=FORMAT_VERSION + 1, something_new=[1])
    with pytest.raises(ModelError, match=f"of format {FORMAT_VERSION + 1}") as caught:
        read_manifest(folder)
    assert "pip install --upgrade" in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b"null", b'{"format_version": 1}', b"\xff\xfe", b'"text"'],
)
def test_a_damaged_manifest_is_called_damaged(folder: Path, content: bytes) -> None:
    (folder / "hub.json").write_bytes(content)
    with pytest.raises(ModelError, match="is damaged") as caught:
        read_manifest(folder)
    assert str(folder / "hub.json") in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"format_version": "1"},
        {"format_version": None},
        {"surprise": 1},
        {"labels": 5},
        {"labels": ["a", 1]},
        {"labels": None},
        {"task_options": []},
        {"max_seq_len": "128"},
        {"max_seq_len": 0},
        {"task": 7},
        {"version": 1.0},
        {"engine": ["onnx"]},
    ],
)
def test_wrong_entries_are_damage(folder: Path, changes: dict[str, Any]) -> None:
    edited(folder, **changes)
    with pytest.raises(ModelError, match="is damaged"):
        read_manifest(folder)


@pytest.mark.parametrize(
    "files", [None, ["config.json"], {"config.json": {}}, {"config.json": None}]
)
def test_a_wrong_list_of_files_is_damage(folder: Path, files: Any) -> None:
    edited(folder, files=files)
    with pytest.raises(ModelError, match="is damaged"):
        read_manifest(folder)
