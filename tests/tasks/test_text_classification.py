"""Text classification: labels and their numbers, metrics as scikit-learn's, answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.metrics

from hub.data import Entity, Example, TextDataset, Utterance, load_dataset
from hub.data.examples import Label
from hub.errors import DataError, InputError
from hub.tasks import (
    TASK_NAMES,
    AnswerOptions,
    LabelledTask,
    Task,
    TextClassification,
    create_task,
    task_name,
)
from hub.tasks.text_classification import classification_metrics, labels_of
from hub.tokenizers import WordPieceTokenizer


def dataset(*labels: str) -> TextDataset:
    """A row for each label."""
    return load_dataset([("好", label) for label in labels])


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelling",
    ["text-classification", "seq-cls", "seq_cls", "SEQ-CLS", "Sequence_Classification"],
)
def test_every_spelling_of_the_task_is_the_same_task(spelling: str) -> None:
    assert task_name(spelling) == "text-classification"
    task = create_task(spelling, ["a", "b"])
    assert isinstance(task, TextClassification)
    assert (task.name, task.labels) == ("text-classification", ["a", "b"])


def test_an_unknown_task_is_answered_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"The task must be one of .*, not 'tokens'\.$") as caught:
        task_name("tokens")
    for name in TASK_NAMES:
        assert name in str(caught.value)


def test_a_label_may_not_stand_twice() -> None:
    with pytest.raises(InputError, match="stands twice"):
        create_task("seq-cls", ["a", "b", "a"])


# --- labels --------------------------------------------------------------------------------------


def test_labels_do_not_depend_on_the_order_of_the_rows() -> None:
    assert labels_of(dataset("c", "a", "b", "a")) == ["a", "b", "c"]
    assert labels_of(dataset("a", "b", "c")) == labels_of(dataset("c", "b", "a"))


def test_numbers_as_labels_are_ordered_by_value() -> None:
    assert labels_of(dataset("10", "9", "2", "0")) == ["0", "2", "9", "10"]
    assert labels_of(dataset("10", "9", "x")) == ["10", "9", "x"]  # names: by their characters


def test_one_label_is_no_classification() -> None:
    with pytest.raises(DataError, match="at least two") as caught:
        labels_of(dataset("天气", "天气"))
    assert "All 2 rows of the data have the label '天气'" in str(caught.value)


def test_a_label_may_be_given_by_name_or_by_number() -> None:
    task = create_task("seq-cls", ["天气", "音乐", "车票"])
    targets = task.targets(dataset("车票", "天气", "1", "音乐", "0"))
    assert targets.dtype == np.int64
    assert targets.tolist() == [2, 0, 1, 1, 0]


def test_a_name_goes_before_a_number() -> None:
    task = create_task("seq-cls", ["1", "0"])
    assert task.targets(dataset("0", "1")).tolist() == [1, 0]


@pytest.mark.parametrize("label", ["3", "-1", "1.0", "１", "²", "天", ""])
def test_what_is_neither_name_nor_number_is_no_label(label: str) -> None:
    assert TextClassification(["天气", "音乐", "车票"]).number_of(label) is None


def test_a_number_is_not_taken_for_a_position_where_labels_are_numbers_themselves() -> None:
    """A model of the labels 1, 2, 3 must not answer for the label 0."""
    assert TextClassification(["1", "2", "3"]).number_of("0") is None
    assert TextClassification(["10", "20", "30"]).number_of("1") is None
    assert TextClassification(["-1", "0", "1"]).number_of("2") is None
    assert TextClassification(["-1", "0"]).number_of("1") is None
    assert TextClassification(["0.5", "1.5"]).number_of("1") is None
    assert TextClassification(["0", "1", "其他"]).number_of("2") is None


def test_a_very_long_number_is_no_label() -> None:
    assert TextClassification(["a", "b"]).number_of("9" * 5000) is None


def test_an_unknown_label_is_reported_with_file_and_line() -> None:
    data = TextDataset(list(dataset("a", "b", "x")), "dev.tsv")
    with pytest.raises(DataError) as caught:
        create_task("seq-cls", ["a", "b"]).targets(data)
    message = str(caught.value)
    assert message.startswith("dev.tsv, line 3: the label 'x' is not one of the 2")
    assert "(a, b)" in message


def test_a_row_is_named_by_what_its_source_counts() -> None:
    entities = Example("去北京", (Entity(1, 3, "LOC"),), 7)
    unknown = Example("好", "x", 7)

    def complaint(name: str, example: Example) -> str:
        task = create_task(name, ["a", "b"])
        assert isinstance(task, LabelledTask)
        with pytest.raises(DataError) as caught:
            task.targets(TextDataset([example], "export.json", unit="task"))
        assert str(caught.value).startswith("export.json, task 7: ")
        return str(caught.value)

    for task in ("seq-cls", "multi-label"):
        assert "'x' is not one of the 2" in complaint(task, unknown)
        assert "needed here" in complaint(task, entities)


@pytest.mark.parametrize("kind", ["type", "intent"])
def test_of_many_types_and_intents_the_message_shows_twenty_too(kind: str) -> None:
    types = [f"T{number:02}" for number in range(30)]
    tags = ["O", *(f"{mark}-{name}" for name in types for mark in "BI")]
    entity = Entity(0, 1, "x" if kind == "type" else "T00")
    label = Utterance("T00" if kind == "type" else "x", (entity,))
    rows: list[tuple[Task, Label]] = [(create_task("joint", tags, {"intents": types}), label)]
    if kind == "type":
        rows.append((create_task("ner", tags), (entity,)))
    for task, label in rows:
        assert isinstance(task, LabelledTask)
        with pytest.raises(DataError) as caught:
            task.targets(TextDataset([Example("好", label, 3)], "a"))
        assert f"line 3: the {kind} 'x' is not one of the 30" in str(caught.value)
        assert "T19, ...)" in str(caught.value) and "T20" not in str(caught.value)


def test_of_many_labels_the_message_shows_the_first_twenty() -> None:
    task = create_task("seq-cls", [f"l{i:02}" for i in range(30)])
    with pytest.raises(DataError) as caught:
        task.targets(dataset("x"))
    assert "l19, ...)" in str(caught.value) and "l20" not in str(caught.value)


# --- metrics -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("classes", [2, 5])
def test_metrics_equal_those_of_scikit_learn(seed: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(60, classes)).astype(np.float32)
    targets = generator.integers(0, classes, 60)
    predicted = logits.argmax(1)
    metrics = create_task("seq-cls", list("abcde")[:classes]).metrics(predicted, targets)
    assert metrics == {
        "accuracy": pytest.approx(sklearn.metrics.accuracy_score(targets, predicted)),
        "macro_f1": pytest.approx(sklearn.metrics.f1_score(targets, predicted, average="macro")),
        "micro_f1": pytest.approx(sklearn.metrics.f1_score(targets, predicted, average="micro")),
        "weighted_f1": pytest.approx(
            sklearn.metrics.f1_score(targets, predicted, average="weighted")
        ),
    }
    assert all(type(value) is float for value in metrics.values())


def test_metrics_by_hand() -> None:
    """Three classes; one is never predicted: its F1 is 0 and counts."""
    metrics = classification_metrics(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2]))
    assert metrics["accuracy"] == pytest.approx(3 / 4)
    assert metrics["macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert metrics["weighted_f1"] == pytest.approx((2 * 1 + 1 * 2 / 3 + 1 * 0) / 4)


def test_the_metrics_are_those_announced() -> None:
    task = create_task("seq-cls", ["a", "b"])
    assert tuple(task.metrics(np.array([0, 1]), np.array([0, 1]))) == task.metric_names


# --- answers -------------------------------------------------------------------------------------


def decode(labels: list[str], logits: np.ndarray, probabilities: bool) -> list[Any]:
    """A classifier's answers; it needs neither texts nor tokenizer."""
    tokenizer = WordPieceTokenizer.from_vocabulary(["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]"])
    task = create_task("seq-cls", labels)
    return task.decode(list(logits), [], tokenizer, AnswerOptions(probabilities))


LOGITS = np.array([[0.0, 2.0, 1.0], [5.0, -5.0, 0.0]], np.float32)


def test_without_probabilities_an_answer_is_a_label() -> None:
    assert decode(["a", "b", "c"], LOGITS, False) == ["b", "a"]


def test_with_probabilities_an_answer_has_label_score_and_all_probabilities() -> None:
    answers = decode(["a", "b", "c"], LOGITS, True)
    assert [answer["label"] for answer in answers] == ["b", "a"]
    for answer, row in zip(answers, LOGITS, strict=True):
        weights = np.exp(row.astype(np.float64))
        assert list(answer["probabilities"]) == ["a", "b", "c"]
        assert list(answer["probabilities"].values()) == pytest.approx(weights / weights.sum())
        assert sum(answer["probabilities"].values()) == pytest.approx(1)
        assert answer["score"] == max(answer["probabilities"].values())
        assert type(answer["score"]) is float


def test_large_logits_do_not_overflow() -> None:
    (answer,) = decode(["a", "b"], np.array([[1e4, -1e4]]), True)
    assert answer["probabilities"] == {"a": 1.0, "b": 0.0}
