"""Data sets by name and PaddleHub's classes: found, fetched, or named with what to do."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import hub
from hub.cli.main import cli
from hub.data import Entity, Example, TextDataset
from hub.data.catalogue import (
    DatasetEntry,
    DatasetSource,
    find_dataset,
    list_datasets,
)
from hub.data.named import is_here, locate, open_named
from hub.errors import ChecksumError, DataError, DownloadError, HubError, InputError, OfflineError
from hub.registry.catalogue import SourceFile
from hub.training.finetune import finetune
from tests.servers import FileServer

TAGS = "text_a\tlabel\n北\2京\tB-LOC\2I-LOC\n好\tO\n"


def put(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True)
    for stem, content in files.items():
        (folder / f"{stem}.tsv").write_text(content, encoding="utf-8")


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that HUB_DATASETS_DIR names."""
    monkeypatch.setenv("HUB_DATASETS_DIR", str(tmp_path / "mine"))
    return tmp_path / "mine"


def test_paddlehubs_calls_read_the_users_folder(mine: Path) -> None:
    put(mine / "chnsenticorp", train="label\ttext_a\n1\t好\n", dev="label\ttext_a\n0\t坏\n")
    put(mine / "lcqmc", test="text_a\ttext_b\tlabel\n一\t二\t1\n")
    put(mine / "msra_ner", train=TAGS)
    train = hub.datasets.ChnSentiCorp(tokenizer=None, max_seq_len=128, mode="train")
    assert isinstance(train, TextDataset)
    assert list(train) == [Example("好", "1", 2)]
    assert train.get_labels() == ["0", "1"]
    assert hub.load_dataset(train) is train
    assert hub.datasets.ChnSentiCorp(None, mode="dev").classes == ["0"]
    assert hub.datasets.LCQMC(mode="test").texts == [("一", "二")]
    assert hub.datasets.MSRA_NER(mode="train").labels == [(Entity(0, 2, "LOC"),), ()]


def test_a_users_own_files_have_their_own_labels(mine: Path) -> None:
    put(mine / "chnsenticorp", train="label\ttext_a\npositive\t好\nnegative\t坏\n")
    assert hub.datasets.ChnSentiCorp(mode="train").get_labels() == ["negative", "positive"]


def test_a_folder_that_the_catalogue_does_not_know_is_a_data_set_too(mine: Path) -> None:
    put(mine / "ours", train="text\tlabel\n好\ta\n", dev="text\tlabel\n坏\tb\n")
    (mine / "empty").mkdir()
    assert hub.load_dataset("ours").classes == ["a"]
    dev = hub.load_dataset("ours", split="dev")
    assert dev.classes == ["b"] and not dev.notes
    with pytest.raises(DataError, match="There is no file empty"):
        hub.load_dataset("empty")


def test_a_name_on_the_hugging_face_hub_may_be_like_one_here(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_OFFLINE", "1")
    with pytest.raises(HubError, match="seamew/ChnSentiCorp, and the network is switched off"):
        hub.load_dataset("seamew/ChnSentiCorp")


def test_a_part_that_is_not_there_is_named(mine: Path) -> None:
    put(mine / "chnsenticorp", train="label\ttext_a\n1\t好\n")
    with pytest.raises(DataError, match=r"has no file for 'dev'\. It holds train\.tsv"):
        hub.datasets.ChnSentiCorp(mode="dev")
    with pytest.raises(DataError, match="one of train, dev, test, not 'all'"):
        hub.datasets.ChnSentiCorp(mode="all")


def test_offline_says_where_to_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_OFFLINE", "1")
    with pytest.raises(OfflineError, match="HUB_DATASETS_DIR") as caught:
        hub.datasets.LCQMC()
    assert str(tmp_path / "hub-home" / "datasets" / "lcqmc") in str(caught.value)


def archive(**files: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for stem, content in files.items():
            entry = tarfile.TarInfo(f"toy/{stem}.tsv")
            entry.size = len(content.encode())
            tar.addfile(entry, io.BytesIO(content.encode()))
    return stream.getvalue()


def entry(*sources: DatasetSource, **more: Any) -> DatasetEntry:
    return DatasetEntry(
        "toy", "Toys", "text-classification", "MIT", "https://toys", sources, **more
    )


def test_what_is_not_here_is_fetched_once(tmp_path: Path) -> None:
    with FileServer({"toy.tar.gz": archive(train="text\tlabel\n好\t1\n")}) as server:
        toy = entry(DatasetSource(SourceFile(f"{server.url}/toy.tar.gz")))
        path = locate(toy, "train")
    assert path == tmp_path / "hub-home" / "datasets" / "toy" / "train.tsv"
    assert locate(toy, "train") == path and is_here(toy)  # the server is gone
    assert hub.load_dataset(path).classes == ["1"]
    assert not [p for p in path.parent.parent.iterdir() if p.suffix == ".gz"]


def test_an_archive_that_is_none_leaves_nothing(tmp_path: Path) -> None:
    with (
        FileServer({"toy.tar.gz": b"no archive" * 100}) as server,
        pytest.raises(DownloadError, match=r"toy\.tar\.gz is of no use"),
    ):
        locate(entry(DatasetSource(SourceFile(f"{server.url}/toy.tar.gz"))), "train")
    assert not (tmp_path / "hub-home" / "datasets" / "toy").exists()
    with FileServer({}) as server, pytest.raises(DownloadError, match="HUB_DATASETS_DIR"):
        locate(entry(DatasetSource(SourceFile(f"{server.url}/toy.tar.gz"))), "train")


def known(url: str, content: bytes) -> SourceFile:
    return SourceFile(url, hashlib.sha256(content).hexdigest(), size=len(content))


def test_files_are_verified_and_the_next_place_is_tried(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = '{"sentence": "好", "label": 7, "word": "good"}\n'.encode()
    with FileServer({"a/train.json": rows[:-9] + b'"bad"}  \n', "b/train.json": rows}) as server:
        places = [
            DatasetSource(files={"train.json": known(f"{server.url}/{place}/train.json", rows)})
            for place in "ab"
        ]
        with pytest.raises(ChecksumError):
            locate(entry(places[0]), "train")
        assert not (tmp_path / "hub-home" / "datasets" / "toy").exists()
        table = open_named(entry(*places, columns={"label": "word"}), "train")
    assert "The next place is tried" in caplog.text
    data = hub.load_dataset(table)
    assert list(data) == [Example("好", "good", 1)]
    assert any("licence MIT; https://toys" in note for note in data.notes)


def test_a_name_is_taken_wherever_a_file_is(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_folder: Path
) -> None:
    """Its dev part chooses the epoch, its test part is measured on."""
    rows = "".join(f"{n}好\t1\n{n}坏\t0\n" for n in range(8))
    parts = dict.fromkeys(("train", "dev", "test"), "text\tlabel\n" + rows)
    put(mine / "book_review", **{**parts, "dev": "text\tlabel\n好\t1\n"})
    assert len(hub.load_dataset("Book-Review", split="dev")) == 1
    said: list[str] = []
    changes = {"epochs": 1, "max_steps": 2}
    finetune(
        "book_review", tmp_path / "run", model=str(tiny_folder), changes=changes, progress=False,
        say=said.append,
    )  # fmt: skip
    assert [line for line in said if "book_review: licence Apache-2.0" in line]
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["rows"] == {"train": 16, "dev": 1}
    ran = CliRunner().invoke(cli, ["evaluate", str(tmp_path / "run"), "book_review", "--json"])
    assert json.loads(ran.stdout)["rows"] == 16
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book_review").write_text("")  # a file of that name is the user's
    with pytest.raises(DataError, match="extension"):
        hub.load_dataset("book_review")


def test_the_catalogue_of_data_sets_is_whole() -> None:
    names = [entry.name for entry in list_datasets()]
    assert len(set(names)) == len(names) >= 12
    for each in list_datasets():
        assert find_dataset(each.name.upper().replace("_", "-")) is each
        assert each.summary and each.licence and each.homepage.startswith("https://")
        assert each.sources and set(each.rows) <= {"train", "dev", "test"}
        for source in each.sources:
            assert (source.archive is None) == bool(source.files)
            for name, file in source.files.items():
                assert name.split(".")[0] in ("train", "dev", "test")
                assert re.fullmatch(
                    r"https://raw\.githubusercontent\.com/.+/[0-9a-f]{40}/.+", file.url
                )
                assert re.fullmatch(r"[0-9a-f]{64}", file.sha256 or "") and file.size
    assert find_dataset("nothing") is None
    shown = json.loads(CliRunner().invoke(cli, ["data", "list", "--json"]).stdout)
    assert [row["name"] for row in shown] == names
    assert "fewclue_tnews" in CliRunner().invoke(cli, ["data", "list"]).stdout


def test_a_teams_own_folders_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_DATASETS_DIR", str(tmp_path))
    for name in ("travel", "lcqmc", "empty"):
        (tmp_path / name).mkdir()
    for name in ("travel", "lcqmc"):
        (tmp_path / name / "train.tsv").write_text("text\tlabel\n一\t1\n", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("", encoding="utf-8")
    shown = json.loads(CliRunner().invoke(cli, ["data", "list", "--json"]).stdout)
    here = {row["name"]: row["summary"] for row in shown if row["here"]}
    assert list(here) == ["lcqmc", "travel"]  # once each, the catalogue's first
    assert str(tmp_path / "travel") in here["travel"]
    monkeypatch.setenv("HUB_DATASETS_DIR", str(tmp_path / "nowhere"))
    assert CliRunner().invoke(cli, ["data", "list"]).exit_code == 0


class Mine(hub.datasets.TextClassificationDataset):
    """As PaddleHub's users derive theirs."""

    def __init__(self, folder: Path, tokenizer: object = None, mode: str = "train") -> None:
        super().__init__(
            base_path=folder,
            tokenizer=tokenizer,
            max_seq_len=128,
            mode=mode,
            data_file=f"{mode}.txt",
            label_list=["b", "a"],
            is_file_with_header=False,
        )


def test_a_class_of_ones_own_reads_columns_by_their_order(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a\t好\tmore\n\nb\t坏\n", encoding="utf-8")
    data = Mine(tmp_path)
    assert list(data) == [Example("好", "a", 1), Example("坏", "b", 3)]
    assert data.get_labels() == ["b", "a"] and data.label_list == ["b", "a"]
    (tmp_path / "dev.txt").write_text("a\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"dev\.txt, line 1: 1 columns instead of 2"):
        Mine(tmp_path, mode="dev")
    with pytest.raises(DataError, match="There is no file"):
        Mine(tmp_path, mode="test")


def test_labels_of_a_file_go_by_lines(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("查 余额\t帮我查\n转账\t转\n", encoding="utf-8")
    (tmp_path / "labels.txt").write_text("\ufeff查 余额 \r\n\r\n转账\r\n", encoding="utf-8")
    read = partial(hub.datasets.TextClassificationDataset, tmp_path, label_file="labels.txt")
    assert read().get_labels() == ["查 余额", "转账"]
    (tmp_path / "labels.txt").write_bytes("查余额\n".encode("gbk"))
    with pytest.raises(InputError, match=r"labels\.txt is not UTF-8"):
        read()


def test_pairs_and_tags_go_by_their_order(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("x\ty\tz\n一\t二\t1\n", encoding="utf-8")
    (tmp_path / "labels.txt").write_text("0\n1\n", encoding="utf-8")
    pairs = hub.datasets.TextMatchingDataset(
        tmp_path, label_file="labels.txt", is_file_with_header=True
    )
    assert list(pairs) == [Example(("一", "二"), "1", 2)]
    assert pairs.get_labels() == ["0", "1"]
    (tmp_path / "dev.tsv").write_text(TAGS, encoding="utf-8")
    tags = hub.datasets.SeqLabelingDataset(tmp_path, mode="dev", is_file_with_header=True)
    assert tags.labels == [(Entity(0, 2, "LOC"),), ()]
