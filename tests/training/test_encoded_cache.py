"""Training on many rows: encoded once, the same weights from the cache, no cache no matter."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import hub
from hub.constants import encoded_directory
from hub.tasks import encoded_passages
from hub.tasks.encoded_passages import EncodedPassages, read_all
from hub.tasks.passages import read
from hub.tokenizers import Tokenizer, WordPieceTokenizer
from hub.training.arguments import TrainingArguments
from hub.training.baseline import LinearBaseline, _sample
from hub.training.checkpoints import copy_weights
from hub.training.trainer import Trainer
from tests.conftest import CHARACTERS, SPECIAL_TOKENS

Rows = list[tuple[str, str]]
ENTRIES = [*SPECIAL_TOKENS, *CHARACTERS]
TEXTS = ["今天天气好", "放一首歌吧", "好吗", "我要去北京，去海南，明天再见"] * 3
PAIRS = [("今天天气好", "好吗"), ("放一首歌吧", "放歌听听放歌听听")]


@pytest.fixture(autouse=True)
def a_few_rows_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoded_passages, "MANY_ROWS", 2)
    monkeypatch.setattr(encoded_passages, "_PART", 5)


def tokenizer(lowercase: bool = True, extra: tuple[str, ...] = ()) -> Tokenizer:
    return WordPieceTokenizer.from_vocabulary([*ENTRIES, *extra], lowercase)


def count_encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts were encoded, call by call."""
    calls: list[int] = []
    original = Tokenizer.encode

    def encode(self: Tokenizer, texts: list, *rest: object, **more: object) -> object:
        calls.append(len(texts))
        return original(self, texts, *rest, **more)

    monkeypatch.setattr(Tokenizer, "encode", encode)
    return calls


@pytest.mark.parametrize("offsets", [False, True])
@pytest.mark.parametrize("how", ["cut", "window"])
@pytest.mark.parametrize("texts", [TEXTS, PAIRS])
def test_flat_passages_equal_those_in_a_list_and_come_back_from_the_disk(
    texts: list, how: str, offsets: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read(tokenizer(), texts, 8, how, offsets)
    made = read_all(tokenizer(), texts, 8, how, offsets)
    calls = count_encoded(monkeypatch)
    again = read_all(tokenizer(), texts, 8, how, offsets)
    assert calls == []
    for passages in (made, again):
        assert isinstance(passages, EncodedPassages)
        assert list(passages) == expected and passages[-1] == expected[-1]
        assert passages.window_counts.tolist() == [len(p.windows) for p in expected]


@pytest.mark.parametrize(
    "change",
    [
        lambda: (tokenizer(lowercase=False), TEXTS, 8, "cut", False),
        lambda: (tokenizer(extra=("龙",)), TEXTS, 8, "cut", False),
        lambda: (tokenizer(), [*TEXTS[:-1], TEXTS[-1] + "。"], 8, "cut", False),
        lambda: (tokenizer(), TEXTS[::-1], 8, "cut", False),
        lambda: (tokenizer(), TEXTS, 9, "cut", False),
        lambda: (tokenizer(), TEXTS, 8, "window", False),
        lambda: (tokenizer(), TEXTS, 8, "cut", True),
    ],
)
def test_whatever_changes_the_encodings_misses(
    change: Callable[[], tuple], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_all(tokenizer(), TEXTS, 8, "cut", False)
    calls = count_encoded(monkeypatch)
    read_all(*change())
    assert sum(calls) == len(TEXTS)


def test_pairs_are_not_taken_for_other_pairs_of_the_same_characters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[list] = [[("好", "的吗"), ("a", "b")], [("好的", "吗"), ("a", "b")]]
    given += [["好的吗", ("a", "b")], ["好", "的吗", "a", "b"]]
    calls = count_encoded(monkeypatch)
    for texts in given:
        assert list(read_all(tokenizer(), texts, 8)) == read(tokenizer(), texts, 8)
    assert len(list(encoded_directory().iterdir())) == len(given)
    assert len(calls) == 2 * len(given)


def test_how_many_texts_are_too_long_is_told_from_the_cache_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            read_all(tokenizer(), TEXTS, 8)
        assert "3 of 12 texts are longer than 8 tokens: only their beginning" in caplog.text
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            read_all(tokenizer(), TEXTS, 8, "window")
        assert "3 of 12 texts are longer than 8 tokens: read in 9 windows" in caplog.text


def trained(folder: Path, train: Rows, dev: Rows, task: str = "seq-cls") -> dict[str, bytes]:
    """The weights after two epochs, to the bit."""
    module = hub.Module(directory=folder, task=task)
    arguments = TrainingArguments(epochs=2, batch_size=8, learning_rate=1e-2, seed=5)
    Trainer(module, arguments=arguments, progress=False).finetune_and_eval(train, dev)
    return {name: value.tobytes() for name, value in copy_weights(module.network).items()}


def test_training_from_the_cache_is_bit_equal_also_after_damage(
    tiny_folder: Path, toy_train: Rows, toy_dev: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(encoded_passages, "MANY_ROWS", 10_000)
        without = trained(tiny_folder, toy_train, toy_dev)
    assert not encoded_directory().exists()
    first = trained(tiny_folder, toy_train, toy_dev)
    assert len(list(encoded_directory().iterdir())) == 2
    calls = count_encoded(monkeypatch)
    second = trained(tiny_folder, toy_train, toy_dev)
    assert calls == []
    for path in encoded_directory().iterdir():
        path.write_bytes(path.read_bytes()[:-3])
    third = trained(tiny_folder, toy_train, toy_dev)
    assert sum(calls) == len(toy_train) + len(toy_dev)
    assert without == first == second == third


def test_a_cache_that_cannot_be_written_changes_nothing(
    tiny_folder: Path, toy_train: Rows, toy_dev: Rows
) -> None:
    encoded_directory().parent.mkdir(parents=True)
    encoded_directory().write_text("a file where the folder should be")
    first = trained(tiny_folder, toy_train, toy_dev)
    encoded_directory().unlink()
    assert first == trained(tiny_folder, toy_train, toy_dev)


# --- the baseline on many rows -------------------------------------------------------------------


def test_the_baseline_takes_each_labels_share_of_many_rows_and_says_so(
    monkeypatch: pytest.MonkeyPatch, toy_train: Rows, toy_dev: Rows
) -> None:
    from hub.data import load_dataset
    from hub.tasks import TextClassification

    data = load_dataset(toy_train * 3)
    task = TextClassification.from_data(data)
    targets = task.targets(data)
    whole = LinearBaseline(task).fit(data.texts, targets)
    assert whole.name == "linear SVM over character 1-3-grams"
    monkeypatch.setattr("hub.training.baseline.MOST_ROWS", len(data) // 2)
    rows = _sample(targets)
    assert len(set(rows.tolist())) == len(rows) <= len(data) // 2
    shares = np.bincount(targets[rows]) / np.bincount(targets)
    assert (abs(shares - 0.5) < 0.1).all()
    part = LinearBaseline(task).fit(data.texts, targets)
    assert part.name == f"{whole.name}, fitted to {len(rows)} of {len(data)} rows in 10 passes"
    assert set(part.evaluate(data.texts, targets)) == set(whole.evaluate(data.texts, targets))


def test_the_baseline_answers_a_single_intent_with_it() -> None:
    from hub.data import load_dataset
    from hub.tasks import IntentSlots

    rows = [{"text": "去北京", "intent": "订票", "entities": [[1, 3, "地"]]}] * 3
    data = load_dataset(rows, kind="intent-slots")
    task = IntentSlots.from_data(data)
    baseline = LinearBaseline(task).fit(data.texts, task.targets(data))
    assert baseline.evaluate(data.texts, task.targets(data)) == {"intent_accuracy": 1.0}


def test_a_sample_has_a_row_of_every_label(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.training.baseline.MOST_ROWS", 20)
    assert {1} < set(np.array([0] * 99 + [1])[_sample(np.array([0] * 99 + [1]))].tolist())
    several = np.zeros((100, 3), bool)
    several[:, 0], several[50, 2] = True, True
    assert 50 in _sample(several)
