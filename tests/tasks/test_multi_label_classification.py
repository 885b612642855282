"""Several labels a text: targets, thresholds, figures and answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

import hub
from hub.errors import DataError, InputError
from hub.inference.export import export
from hub.tasks import AnswerOptions, MultiLabelClassification, create_task
from hub.tasks.base import sigmoid
from hub.training.finetune import finetune

ROWS = [
    {"text": "找酒店和景点", "labels": ["找酒店", "找景点"]},
    {"text": "电话是多少", "labels": ["问电话"]},
    {"text": "你好", "labels": []},
]


def data(rows: Any = ROWS) -> hub.data.TextDataset:
    return hub.load_dataset(rows, kind="multi-label")


def test_labels_and_targets_come_from_data() -> None:
    task = MultiLabelClassification.from_data(data())
    assert task.labels == ["找景点", "找酒店", "问电话"]
    assert task.targets(data()).tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 0]]
    with pytest.raises(DataError, match="line 1: the label '打车' is not one of the 3"):
        task.targets(data([{"text": "x", "labels": ["打车"]}]))
    with pytest.raises(DataError, match="nothing to learn"):
        MultiLabelClassification.from_data(data([{"text": "x", "labels": []}]))


@pytest.mark.parametrize("seed", range(6))
def test_figures_equal_those_of_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth = generator.random((40, 5)) < 0.3
    found = truth ^ (generator.random((40, 5)) < 0.2)
    task = create_task("multi-label", list("abcde"))
    figures = task.metrics(found, truth)  # type: ignore[attr-defined]
    assert tuple(figures) == task.metric_names  # type: ignore[attr-defined]
    f1 = sklearn.metrics.f1_score
    assert figures["micro_f1"] == pytest.approx(f1(truth, found, average="micro"))
    expected = f1(truth, found, average="macro", zero_division=0)
    assert figures["macro_f1"] == pytest.approx(expected)
    jaccard = sklearn.metrics.jaccard_score(truth, found, average="samples", zero_division=1.0)
    assert figures["accuracy"] == pytest.approx(jaccard)
    exact = sklearn.metrics.accuracy_score(truth, found)
    assert figures["exact_match"] == pytest.approx(exact)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([-3.0, -1.0, -0.5, 0.0, 0.25, 2.0]), st.booleans()),
        min_size=2, max_size=12,
    )
)  # fmt: skip
def test_a_tuned_threshold_has_the_highest_f1(rows: list[tuple[float, bool]]) -> None:
    logits = [np.array([value, 0.0]) for value, _ in rows]
    truth = np.array([[yes, False] for _, yes in rows])
    task = MultiLabelClassification(["a", "b"])
    task.tune(logits, truth)
    assert task.thresholds[1] == 0.5  # b never occurs: nothing to learn from
    if not truth[:, 0].any():
        assert task.thresholds[0] == 0.5
        return
    shares = sigmoid(np.array([value for value, _ in rows]))

    def f1(threshold: float) -> float:
        return float(sklearn.metrics.f1_score(truth[:, 0], shares >= threshold, zero_division=0))

    assert f1(task.thresholds[0]) == pytest.approx(max(f1(share) for share in shares))


def test_thresholds_decide_and_travel() -> None:
    logits = [np.array([0.0, -1.0, 3.0])]
    task = MultiLabelClassification(["a", "b", "c"], thresholds=[0.6, 0.2, 0.5])
    again = create_task(task.name, task.labels, task.options)
    for made in (task, again):
        (answer,) = made.decode(logits, [], None, AnswerOptions())  # type: ignore[arg-type]
        assert answer == ["c", "b"]  # the likeliest first
    (ranked,) = task.decode(logits, [], None, AnswerOptions(top_k=2))  # type: ignore[arg-type]
    assert [row["label"] for row in ranked] == ["c", "a"]
    full = task.decode(logits, [], None, AnswerOptions(probabilities=True))[0]  # type: ignore[arg-type]
    assert [row["label"] for row in full["labels"]] == ["c", "b"]
    assert full["probabilities"]["a"] == pytest.approx(0.5)


@pytest.mark.parametrize("thresholds", [[0.5], [0.0, 0.5], [0.5, 1.0]])
def test_bad_thresholds_are_refused(thresholds: list[float]) -> None:
    with pytest.raises(InputError, match="hreshold"):
        MultiLabelClassification(["a", "b"], thresholds=thresholds)


def test_rare_labels_weigh_more() -> None:
    truth = np.array([[1, 1, 0]] + [[1, 0, 0]] * 99, bool)
    weights = MultiLabelClassification(["a", "b", "c"]).class_weights(truth)
    assert weights.tolist() == [1.0, 20.0, 20.0]


def test_a_model_learns_several_labels(tiny_folder: Any, tmp_path: Any) -> None:
    signs = {"天气": "雨", "音乐": "歌", "车票": "票"}
    generator = np.random.default_rng(0)
    rows = []
    for _ in range(120):
        labels = [label for label in signs if generator.random() < 0.4]
        text = "的一是在" + "".join(signs[label] for label in labels) + "不了有和"
        rows.append({"text": text, "labels": labels})
    module = hub.Module(directory=tiny_folder, task="multi-label")
    trainer = hub.Trainer(module, progress=False)
    figures = trainer.finetune_and_eval(
        rows[:90], rows[90:], epochs=30, batch_size=8, learning_rate=1e-2, patience=None
    )
    assert figures["micro_f1"] > 0.95 and figures["exact_match"] > 0.9
    assert figures == trainer.evaluate(rows[90:])
    module.save(tmp_path / "run")
    loaded = hub.Module(directory=tmp_path / "run")
    assert loaded.task is not None and module.task is not None
    assert loaded.task.options == module.task.options
    assert loaded.predict("今天雨和歌") == module.predict("今天雨和歌")
    assert set(loaded.predict("的一是在雨歌不了有和")) == {"天气", "音乐"}


@pytest.mark.parametrize("always", [False, True])
def test_one_label_alone_goes_all_the_way(tiny_folder: Any, tmp_path: Any, always: bool) -> None:
    rows = [
        {"text": f"的一是在{sign}{n}", "labels": ["天气"] if always or sign == "雨" else []}
        for n in range(8)
        for sign in "雨歌"
    ]
    result = finetune(
        data(rows), tmp_path / "run", dev=data(rows), model=str(tiny_folder),
        changes={"epochs": 12, "batch_size": 4, "learning_rate": 1e-2}, progress=False, say=str,
    )  # fmt: skip
    assert result.summary["labels"] == ["天气"]
    assert result.summary["baseline"]["dev"]["micro_f1"] == 1.0
    loaded = hub.Module(directory=tmp_path / "run")
    assert loaded.predict(["今天雨", "今天歌"]) == [["天气"], ["天气"] if always else []]
    export(loaded, tmp_path / "artefact")
    texts = [row["text"] for row in rows]
    assert hub.Predictor(tmp_path / "artefact").predict(texts) == loaded.predict(texts)


def test_a_model_of_pairs_says_so_and_refuses_single_texts(tiny_folder: Any, tmp_path: Any) -> None:
    rows = [
        {"text_a": f"天气{n}", "text_b": "雨", "labels": ["天气"] if n % 2 else ["音乐"]}
        for n in range(8)
    ]
    task = MultiLabelClassification.from_data(data(rows))
    assert task.pairs is True
    assert MultiLabelClassification.from_data(data()).pairs is False
    module = hub.Module(directory=tiny_folder, task="multi-label")
    module.set_task(task)
    module.save(tmp_path / "run")
    loaded = hub.Module(directory=tmp_path / "run")
    assert loaded.task is not None and loaded.task.pairs is True
    assert isinstance(loaded.predict([("天气", "雨")])[0], list)
    with pytest.raises(InputError, match="trained for pairs"):
        loaded.predict(["天气"])
