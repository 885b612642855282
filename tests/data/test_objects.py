"""Data that is no single file: `datasets` on disk and in memory, data frames, Python rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hub.data import Example, TextDataset, load_dataset
from hub.data.examples import Entity
from hub.errors import DataError


def class_label_dataset(texts: list[str], numbers: list[int | None]) -> Any:
    """A `datasets.Dataset` whose labels are numbers that stand for names."""
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["天气", "音乐"])}
    )
    return datasets.Dataset.from_dict({"text": texts, "label": numbers}, features=features)


@pytest.fixture(scope="module")
def saved_splits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `DatasetDict` on disk; each split's text names it."""
    import datasets

    folder = tmp_path_factory.mktemp("saved") / "intents"
    splits = {name: class_label_dataset([name], [1]) for name in ("train", "validation", "test")}
    datasets.DatasetDict(splits).save_to_disk(str(folder))
    return folder


# --- datasets ------------------------------------------------------------------------------------


def test_a_dataset_in_memory_gives_the_names_of_its_class_labels() -> None:
    data = load_dataset(class_label_dataset(["下雨吗", "放歌"], [0, 1]))
    assert list(data) == [Example("下雨吗", "天气", 1), Example("放歌", "音乐", 2)]


def test_a_hidden_or_missing_class_label_is_a_bad_row() -> None:
    dataset = class_label_dataset(["下雨吗", "放歌", "听歌"], [0, -1, None])
    with pytest.raises(DataError, match=r"line 2: 'label' is null"):
        load_dataset(dataset)
    data = load_dataset(dataset, skip_bad_rows=True)
    assert data.texts == ["下雨吗"]
    assert [row.line for row in data.skipped] == [2, 3]


def test_a_dataset_in_memory_without_the_column_is_refused() -> None:
    dataset = class_label_dataset(["下雨吗"], [0]).rename_column("text", "words_said")
    with pytest.raises(DataError, match=r"no column 'text'; it has 'words_said', 'label'"):
        load_dataset(dataset)
    assert load_dataset(dataset, text_column="words_said").labels == ["天气"]


@pytest.mark.parametrize(
    ("split", "chosen"), [("train", "train"), ("dev", "validation"), ("test", "test")]
)
def test_a_folder_of_splits_gives_the_one_that_fits(
    saved_splits: Path, split: str, chosen: str
) -> None:
    data = load_dataset(saved_splits, split=split)
    assert list(data) == [Example(chosen, "音乐", 1)]
    assert data.source == f"{saved_splits} ({chosen})"


def test_a_test_split_that_is_not_there_is_played_by_the_validation_split() -> None:
    import datasets

    splits = datasets.DatasetDict({"validation": class_label_dataset(["下雨吗"], [0])})
    assert load_dataset(splits, split="test").texts == ["下雨吗"]


def test_a_split_that_nothing_can_play_is_refused_with_those_there_are(saved_splits: Path) -> None:
    with pytest.raises(DataError, match=r"no split 'extra'; it has train, validation, test"):
        load_dataset(saved_splits, split="extra")


def test_a_single_dataset_on_disk_is_read(tmp_path: Path) -> None:
    class_label_dataset(["下雨吗"], [0]).save_to_disk(str(tmp_path / "one"))
    assert load_dataset(tmp_path / "one", split="dev").labels == ["天气"]


def test_a_folder_that_is_no_data_set_is_called_that(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("text\tlabel\n好\ta\n", encoding="utf-8")
    with pytest.raises(DataError, match="is a folder, but not a data set") as caught:
        load_dataset(tmp_path)
    assert str(tmp_path) in str(caught.value) and "train.tsv" in str(caught.value)


@pytest.mark.parametrize("variable", ["HUB_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_a_hub_name_is_not_fetched_when_offline(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(DataError, match="network is switched off") as caught:
        load_dataset("owner/intents")
    assert "no file or folder owner/intents" in str(caught.value)


def test_a_hub_name_that_cannot_be_fetched_is_a_data_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def fail(name: str) -> Any:
        raise ConnectionError(f"cannot reach the Hub for {name}\nmore")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match="could be fetched") as caught:
        load_dataset("owner/intents")
    assert "ConnectionError: cannot reach the Hub for owner/intents)" in str(caught.value)

    def fail_silently(name: str) -> Any:
        raise TimeoutError

    monkeypatch.setattr(datasets, "load_dataset", fail_silently)
    with pytest.raises(DataError, match=r"Hugging Face Hub \(TimeoutError\)"):
        load_dataset("owner/intents")


def test_a_hub_name_is_fetched_with_the_split_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    splits = {"train": class_label_dataset(["甲"], [0]), "dev": class_label_dataset(["乙"], [1])}
    monkeypatch.setattr(datasets, "load_dataset", lambda name: datasets.DatasetDict(splits))
    data = load_dataset("owner/intents", split="dev")
    assert data.texts == ["乙"]
    assert data.source == "owner/intents (dev)"


# --- Python objects ------------------------------------------------------------------------------


def test_a_data_frame_is_read() -> None:
    import pandas

    frame = pandas.DataFrame({"text": ["下雨吗", "放歌"], "label": [1, 0], "id": [7, 8]})
    assert list(load_dataset(frame)) == [Example("下雨吗", "1", 1), Example("放歌", "0", 2)]


def test_a_data_frame_without_the_column_or_with_a_gap_is_refused() -> None:
    import pandas

    frame = pandas.DataFrame({"said": ["下雨吗", None], "label": ["a", "b"]})
    with pytest.raises(DataError, match=r"the data frame has no column 'text'; it has 'said'"):
        load_dataset(frame)
    with pytest.raises(DataError, match=r"the data frame, line 2: "):
        load_dataset(frame, text_column="said")


def test_a_data_frame_of_lists_with_gaps_is_read(tmp_path: Path) -> None:
    """As `read_parquet` gives lists, and `read_csv` what is missing."""
    import pandas

    rows = {"text": ["去北京", "好"], "labels": [["x", "y"], []]}
    pandas.DataFrame(rows).to_parquet(tmp_path / "a.parquet")
    several = load_dataset(pandas.read_parquet(tmp_path / "a.parquet"), kind=None)
    assert (several.kind, several.labels) == ("multi-label-classification", [("x", "y"), ()])
    frame = pandas.DataFrame({"text": ["去北京", "好"], "labels": ["x,y", float("nan")]})
    assert load_dataset(frame, kind=None).labels == [("x", "y"), ()]
    found = [[{"start": 1, "end": 3, "type": "地", "text": None}], []]
    pandas.DataFrame({"text": rows["text"], "entities": found}).to_parquet(tmp_path / "b.parquet")
    entities = load_dataset(pandas.read_parquet(tmp_path / "b.parquet"), kind=None)
    assert entities.labels == [(Entity(1, 3, "地"),), ()]


def test_whole_numbers_of_a_data_frame_stay_whole_beside_a_gap() -> None:
    import pandas

    frame = pandas.DataFrame({"text": ["一", "二", "三"], "label": [1, 0, None]})
    data = load_dataset(frame, skip_bad_rows=True)
    assert data.labels == ["1", "0"]
    assert [(row.line, row.reason) for row in data.skipped] == [(3, "the label is empty")]


def test_a_stream_without_features_is_read() -> None:
    import datasets

    def rows() -> Any:
        yield {"text": "下雨吗", "label": "天气"}

    assert load_dataset(datasets.IterableDataset.from_generator(rows)).labels == ["天气"]


def test_dictionaries_and_pairs_are_read() -> None:
    expected = [Example("下雨吗", "天气", 1), Example("放歌", "音乐", 2)]
    pairs = [("下雨吗", "天气"), ("放歌", "音乐")]
    assert list(load_dataset(pairs)) == expected
    assert list(load_dataset([list(pair) for pair in pairs])) == expected
    assert list(load_dataset(pair for pair in pairs)) == expected
    assert list(load_dataset([{"text": t, "label": k} for t, k in pairs])) == expected
    renamed = [{"query": t, "intent": k, "text": "x"} for t, k in pairs]
    data = load_dataset(renamed, text_column="query", label_column="intent")
    assert list(data) == expected


def test_a_data_set_already_read_is_given_back() -> None:
    data = load_dataset([("下雨吗", "天气")])
    assert load_dataset(data) is data


def test_a_pair_without_a_label_is_a_bad_row() -> None:
    with pytest.raises(DataError, match=r"the data, line 2: neither a dictionary nor"):
        load_dataset([("下雨吗", "天气"), ("放歌",)])


def test_no_rows_at_all_are_refused() -> None:
    with pytest.raises(DataError, match="no usable row"):
        load_dataset([])


def test_an_object_that_is_no_data_is_refused() -> None:
    with pytest.raises(DataError, match="not int"):
        load_dataset(7)


@pytest.mark.parametrize(
    "data",
    [["你好", "再见"], {"text": ["你好"], "label": ["a"]}, [("你好", "a", "b")], [1, 2]],
    ids=["strings", "columns", "triples", "numbers"],
)
def test_rows_that_are_neither_dictionaries_nor_pairs_are_refused(data: Any) -> None:
    with pytest.raises(DataError):
        load_dataset(data)


# --- TextDataset ---------------------------------------------------------------------------------


def test_a_data_set_is_a_sequence_of_examples() -> None:
    data = load_dataset([("一", "a"), ("二", "b"), ("三", "b")])
    assert len(data) == 3
    assert data[1] == Example("二", "b", 2)
    assert list(data[1:]) == [Example("二", "b", 2), Example("三", "b", 3)]
    assert data.label_counts() == {"b": 2, "a": 1}
    assert list(data.label_counts()) == ["b", "a"]


def toy(counts: dict[str, int]) -> TextDataset:
    """`counts[label]` rows of each label, the labels mixed."""
    rows = [(f"{label}{i}", label) for label, count in counts.items() for i in range(count)]
    return load_dataset(rows[::2] + rows[1::2])


def test_a_split_is_stratified_disjoint_and_complete() -> None:
    data = toy({"a": 100, "b": 50, "c": 10, "d": 1})
    kept, aside = data.split(0.1, seed=3)
    assert aside.label_counts() == {"a": 10, "b": 5, "c": 1}
    assert kept.label_counts() == {"a": 90, "b": 45, "c": 9, "d": 1}
    assert not set(kept) & set(aside)
    assert set(kept) | set(aside) == set(data)
    assert len(kept) + len(aside) == len(data)


def test_the_parts_of_a_split_keep_the_order_of_the_rows() -> None:
    for part in toy({"a": 40, "b": 40}).split(0.25, seed=3):
        lines = [example.line for example in part]
        assert lines == sorted(lines)


def test_a_split_is_reproducible_and_depends_on_the_seed() -> None:
    data = toy({"a": 100, "b": 50})
    assert data.split(0.1, seed=3) == data.split(0.1, seed=3)
    assert list(data.split(0.1, seed=3)[1]) != list(data.split(0.1, seed=4)[1])


def test_a_split_never_takes_a_labels_last_row() -> None:
    kept, aside = toy({"a": 2, "b": 3}).split(0.99, seed=0)
    assert kept.label_counts() == {"a": 1, "b": 1}
    assert len(aside) == 3


def test_a_split_keeps_the_source_notes_and_skipped_rows() -> None:
    data = TextDataset(list(toy({"a": 20, "b": 20})), "train.tsv", notes=["a note"])
    kept, aside = data.split(0.1, seed=3)
    assert (kept.source, list(kept.notes)) == ("train.tsv", ["a note"])
    assert aside.source == "10% of train.tsv"


def test_a_split_of_too_few_rows_is_refused() -> None:
    with pytest.raises(DataError, match="too few rows"):
        toy({"a": 1, "b": 1}).split(0.1, seed=3)


def test_a_split_keeps_the_rows_of_one_text_together() -> None:
    rows = [(f"{label}{n % 40}", label) for label in "ab" for n in range(100)]
    data = load_dataset(rows)
    kept, aside = data.split(0.2, seed=3)
    assert not set(kept.texts) & set(aside.texts)
    assert len(kept) + len(aside) == 200 and 35 <= len(aside) <= 45
    assert data.split(0.2, seed=3) == (kept, aside)
    few = load_dataset([("好", "a"), ("坏", "b")] * 20)
    assert len(few.split(0.2, seed=3)[1]) == 8  # two texts cannot be apart and in both parts
