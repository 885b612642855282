"""The trainer on a tiny model: it learns, keeps the best, and goes on where it was stopped."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import hub
from hub import onednn
from hub.backend import paddle
from hub.errors import DataError, HubError, InputError, OutputError, TrainingError
from hub.models.ernie.dropout import Dropout
from hub.training.arguments import TrainingArguments
from hub.training.callbacks import Callback
from hub.training.checkpoints import copy_weights
from hub.training.signals import TrainingInterrupted
from hub.training.trainer import Trainer

Rows = list[tuple[str, str]]
LABELS = ["天气", "音乐", "车票"]
ARGUMENTS = TrainingArguments(epochs=4, batch_size=8, learning_rate=1e-2, patience=None, seed=5)
STEPS_AN_EPOCH = 7  # 52 rows in batches of 8


class Recorder(Callback):
    """Remembers every loss, and sends this process a signal after step `stop_at`."""

    def __init__(self, stop_at: int | None = None, number: int = signal.SIGINT) -> None:
        self.losses: dict[int, float] = {}
        self.calls: list[str] = []
        self.stop_at = stop_at
        self.number = number

    def on_train_begin(self, *_: Any) -> None:
        self.calls.append("begin")

    def on_step(self, state: Any, loss: float, rows: int) -> None:
        self.losses[state.step] = loss
        self.calls.append("step")
        if state.step == self.stop_at:
            os.kill(os.getpid(), self.number)

    def on_epoch_end(self, state: Any, entry: dict[str, Any]) -> None:
        self.calls.append("epoch")

    def on_train_end(self, state: Any) -> None:
        self.calls.append("end")


@pytest.fixture
def trainer(tiny_folder: Path) -> Callable[..., Trainer]:
    """Makes a trainer of a fresh tiny module, as a new process would."""

    def make(
        checkpoint_dir: Path | None = None, callbacks: Iterable[Callback] = (), **changes: Any
    ) -> Trainer:
        module = hub.Module(directory=tiny_folder, task="seq-cls")
        return Trainer(
            module,
            checkpoint_dir=checkpoint_dir,
            arguments=ARGUMENTS.with_changes(**changes),
            callbacks=list(callbacks),
            progress=False,
        )

    return make


def labelled(tiny_folder: Path) -> hub.Module:
    """A module that knows its labels, for optimizers of the user's own."""
    return hub.Module(directory=tiny_folder, task="seq-cls", label_map=LABELS)


def digest(trainer: Trainer) -> dict[str, bytes]:
    """The network's weights, to the bit."""
    return {k: v.tobytes() for k, v in copy_weights(trainer.module.network).items()}


def without_seconds(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The learning curve but for how long it took."""
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in history]


# --- learning ------------------------------------------------------------------------------------


def test_the_loss_falls_and_dev_accuracy_beats_the_majority(
    trainer: Callable[..., Trainer], toy_train: Rows, toy_dev: Rows
) -> None:
    subject = trainer(epochs=10)
    metrics = subject.finetune_and_eval(toy_train, toy_dev)
    losses = [entry["loss"] for entry in subject.state.history]
    assert losses[0] > math.log(3) * 0.8
    assert losses[-1] < losses[0] / 2
    majority = sum(label == "天气" for _, label in toy_dev) / len(toy_dev)
    assert majority == 0.5
    assert metrics["accuracy"] > 0.75
    assert set(metrics) == {"accuracy", "macro_f1", "micro_f1", "weighted_f1"}
    answers = subject.predict([text for text, _ in toy_dev])
    right = sum(answer == label for answer, (_, label) in zip(answers, toy_dev, strict=True))
    assert right / len(toy_dev) == pytest.approx(metrics["accuracy"])


def test_the_encoder_is_trained_and_not_only_the_head(
    trainer: Callable[..., Trainer], toy_train: Rows, toy_dev: Rows
) -> None:
    subject = trainer(epochs=1)
    before = copy_weights(subject.module.network)
    subject.finetune_and_eval(toy_train, toy_dev)
    after = copy_weights(subject.module.network)
    # A key's bias changes no attention weight; every other parameter must move.
    still = [n for n in before if n in after and np.array_equal(before[n], after[n])]
    assert [name for name in still if not name.endswith("key.bias")] == []


def test_history_has_an_entry_for_every_epoch(
    trainer: Callable[..., Trainer], toy_train: Rows, toy_dev: Rows
) -> None:
    recorder = Recorder()
    subject = trainer(callbacks=[recorder], epochs=3)
    subject.finetune_and_eval(toy_train, toy_dev)
    history = subject.state.history
    assert [entry["epoch"] for entry in history] == [1, 2, 3]
    assert [entry["step"] for entry in history] == [7, 14, 21]
    # An epoch's loss is the mean over its rows; the batches do not all have eight of them.
    losses = [recorder.losses[step] for step in range(1, 8)]
    assert min(losses) <= history[0]["loss"] <= max(losses)
    assert history[-1]["learning_rate"] == 0
    assert history[0]["learning_rate"] > history[1]["learning_rate"] > 0
    assert recorder.calls == ["begin", *(["step"] * 7 + ["epoch"]) * 3, "end"]


def test_an_epochs_loss_weighs_every_row_the_same(
    trainer: Callable[..., Trainer], toy_train: Rows
) -> None:
    sizes: list[int] = []
    losses: list[float] = []

    class Weights(Callback):
        def on_step(self, state: Any, loss: float, rows: int) -> None:
            sizes.append(rows)
            losses.append(loss)

    subject = trainer(callbacks=[Weights()], epochs=1)
    subject.train(toy_train)
    assert sorted(sizes) == [4, 8, 8, 8, 8, 8, 8]
    mean = np.average(losses, weights=sizes)
    assert subject.state.history[0]["loss"] == pytest.approx(mean)


def test_dropout_is_on_in_training_and_off_in_evaluation(
    trainer: Callable[..., Trainer],
    toy_train: Rows,
    toy_dev: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    modes: list[bool] = []
    original = Dropout.forward

    def watched(self: Dropout, x: paddle.Tensor) -> paddle.Tensor:
        modes.append(self.training)
        return original(self, x)

    monkeypatch.setattr(Dropout, "forward", watched)
    subject = trainer(epochs=1)
    subject.train(toy_train)
    assert set(modes) == {True}
    assert not subject.module.training
    modes.clear()
    subject.evaluate(toy_dev)
    assert set(modes) == {False}


# --- the best checkpoint -------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [True, False], ids=["with-folder", "in-memory"])
def test_the_best_epoch_is_kept(
    trainer: Callable[..., Trainer], tmp_path: Path, toy_train: Rows, toy_dev: Rows, kept: bool
) -> None:
    subject = trainer(tmp_path / "run" if kept else None, epochs=6, seed=1)
    at_epoch: dict[int, dict[str, bytes]] = {}

    class Keep(Callback):
        def on_epoch_end(self, state: Any, entry: dict[str, Any]) -> None:
            at_epoch[entry["epoch"]] = digest(subject)

    subject.callbacks.append(Keep())
    metrics = subject.finetune_and_eval(toy_train, toy_dev)
    accuracies = [entry["dev_accuracy"] for entry in subject.state.history]
    best = 1 + accuracies.index(max(accuracies))  # the first of equals
    assert subject.state.best_epoch == best
    assert metrics["accuracy"] == subject.state.best_metric == max(accuracies)
    assert digest(subject) == at_epoch[best]
    assert subject.evaluate(toy_dev) == metrics


def test_the_best_epoch_may_be_one_in_the_middle(
    trainer: Callable[..., Trainer],
    toy_train: Rows,
    toy_dev: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The metrics are dictated: the second of four epochs is the best."""
    subject = trainer()
    weights: list[dict[str, bytes]] = []
    given = iter([0.5, 0.9, 0.9, 0.1])

    class Keep(Callback):
        def on_epoch_end(self, state: Any, entry: dict[str, Any]) -> None:
            weights.append(digest(subject))

    subject.callbacks.append(Keep())
    monkeypatch.setattr(
        type(subject.task), "metrics", lambda *_: {"accuracy": next(given), "macro_f1": 0.0}
    )
    assert subject.finetune_and_eval(toy_train, toy_dev)["accuracy"] == 0.9
    assert subject.state.best_epoch == 2
    assert digest(subject) == weights[1] != weights[3]


def test_another_metric_can_choose_the_best(
    trainer: Callable[..., Trainer],
    toy_train: Rows,
    toy_dev: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for metric, best in (("accuracy", 2), ("macro_f1", 3), ("macro-F1", 3), (None, 2)):
        given = iter([(0.1, 0.1), (0.9, 0.2), (0.8, 0.7), (0.3, 0.3)])
        subject = trainer(metric=metric)
        monkeypatch.setattr(
            type(subject.task),
            "metrics",
            lambda *_, given=given: dict(zip(("accuracy", "macro_f1"), next(given), strict=True)),
        )
        subject.finetune_and_eval(toy_train, toy_dev)
        assert subject.state.best_epoch == best


def test_an_unknown_metric_is_refused_with_those_there_are(
    trainer: Callable[..., Trainer], toy_train: Rows, toy_dev: Rows
) -> None:
    with pytest.raises(InputError, match="no metric 'f1'") as caught:
        trainer().finetune_and_eval(toy_train, toy_dev, metric="f1")
    for name in ("accuracy", "macro_f1", "weighted_f1"):
        assert name in str(caught.value)


def test_an_unknown_metric_is_refused_before_any_training(
    trainer: Callable[..., Trainer], toy_train: Rows, toy_dev: Rows
) -> None:
    recorder = Recorder()
    with pytest.raises(InputError):
        trainer(callbacks=[recorder]).finetune_and_eval(toy_train, toy_dev, metric="f1")
    assert recorder.losses == {}


def test_training_stops_early_without_a_better_metric(
    trainer: Callable[..., Trainer],
    toy_train: Rows,
    toy_dev: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = iter([0.5, 0.6, 0.6, 0.7, 0.2, 0.3, 0.9, 0.9])
    subject = trainer(epochs=8, patience=2)
    monkeypatch.setattr(type(subject.task), "metrics", lambda *_: {"accuracy": next(given)})
    subject.finetune_and_eval(toy_train, toy_dev)
    assert [e["dev_accuracy"] for e in subject.state.history] == [0.5, 0.6, 0.6, 0.7, 0.2, 0.3]
    assert subject.state.best_epoch == 4


def test_a_learning_rate_too_low_to_learn_stops_after_patience(
    trainer: Callable[..., Trainer], toy_train: Rows, toy_dev: Rows
) -> None:
    subject = trainer(epochs=8, patience=1, learning_rate=1e-12)
    subject.finetune_and_eval(toy_train, toy_dev)
    assert len(subject.state.history) == 2


def test_max_steps_ends_the_run_within_an_epoch(
    trainer: Callable[..., Trainer], toy_train: Rows, toy_dev: Rows
) -> None:
    subject = trainer(max_steps=STEPS_AN_EPOCH + 2)
    subject.finetune_and_eval(toy_train, toy_dev)
    assert subject.state.step == subject.state.total_steps == STEPS_AN_EPOCH + 2
    assert [entry["step"] for entry in subject.state.history] == [7, 9]
    assert subject.state.history[-1]["learning_rate"] == 0


# --- data ----------------------------------------------------------------------------------------


def test_without_dev_data_a_tenth_of_the_training_rows_is_set_aside(
    trainer: Callable[..., Trainer], toy_train: Rows
) -> None:
    rows: list[int] = []

    class Count(Callback):
        def on_train_begin(self, arguments: Any, state: Any, count: int, metric: str) -> None:
            rows.append(count)

    subject = trainer(callbacks=[Count()], epochs=1)
    assert "accuracy" in subject.finetune_and_eval(toy_train)
    assert rows == [len(toy_train) - 5]  # a tenth of 26, 13 and 13: 3, 1 and 1


def test_a_data_set_known_by_name_has_its_own_dev_rows(
    trainer: Callable[..., Trainer], toy_train: Rows, toy_dev: Rows,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = tmp_path / "book_review"
    folder.mkdir()
    for name, rows in (("train", toy_train), ("dev", toy_dev)):
        lines = ["text\tlabel", *("\t".join(row) for row in rows)]
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.setenv("HUB_DATASETS_DIR", str(tmp_path))
    first, second = trainer(epochs=1), trainer(epochs=1)
    assert first.finetune_and_eval("book_review") == second.finetune_and_eval(toy_train, toy_dev)
    assert digest(first) == digest(second)


def test_files_are_read_by_the_trainer(
    trainer: Callable[..., Trainer], tmp_path: Path, toy_train: Rows, toy_dev: Rows
) -> None:
    paths = []
    for name, rows in (("train", toy_train), ("dev", toy_dev)):
        path = tmp_path / f"{name}.tsv"
        lines = ["text\tlabel", *("\t".join(row) for row in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        paths.append(path)
    first, second = trainer(epochs=1), trainer(epochs=1)
    assert first.finetune_and_eval(*map(str, paths)) == second.finetune_and_eval(toy_train, toy_dev)
    assert digest(first) == digest(second)


def test_labels_are_learnt_from_the_data(
    trainer: Callable[..., Trainer], toy_train: Rows, toy_dev: Rows
) -> None:
    subject = trainer(epochs=1)
    subject.finetune_and_eval(toy_train, toy_dev)
    assert subject.task.labels == sorted(LABELS)


def test_a_label_of_the_dev_data_that_training_has_not_is_refused(
    trainer: Callable[..., Trainer], toy_train: Rows
) -> None:
    with pytest.raises(DataError, match=r"the data, line 2: the label '新闻'"):
        trainer().finetune_and_eval(toy_train, [("好", "天气"), ("好", "新闻")])


def test_a_module_without_a_task_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(InputError, match="without a task"):
        Trainer(hub.Module(directory=tiny_folder))


def test_texts_longer_than_the_model_takes_are_refused(
    trainer: Callable[..., Trainer], toy_train: Rows
) -> None:
    with pytest.raises(InputError, match=r"max_seq_len is 65; tiny-ernie takes 64 at most"):
        trainer().train(toy_train, max_seq_len=65)


def test_evaluation_cuts_texts_as_the_run_did(
    trainer: Callable[..., Trainer], toy_train: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metric of the run and that of `evaluate` are of the same lengths of text."""
    subject = trainer(max_seq_len=4, epochs=1)
    subject.train(toy_train, max_seq_len=32)
    assert subject.module.max_seq_len == 32
    lengths: list[int] = []
    original = subject.module.compute

    def watched(batch: Any) -> np.ndarray:
        lengths.append(batch.input_ids.shape[1])
        return original(batch)

    monkeypatch.setattr(subject.module, "compute", watched)
    subject.evaluate([("雨" * 20, "天气"), ("歌" * 20, "音乐")])
    assert lengths == [22]


def test_long_texts_are_learnt_in_windows_and_evaluated_by_their_mean(
    trainer: Callable[..., Trainer], toy_train: Rows, toy_dev: Rows, tmp_path: Path
) -> None:
    """What tells the labels apart stands at the end of texts twice too long."""

    def longer(rows: Rows) -> Rows:
        return [("的一是在不了有和" * 2 + text, label) for text, label in rows]

    cut, window = (trainer(max_seq_len=16, epochs=20, long_text=how) for how in ("cut", "window"))
    figures = [t.finetune_and_eval(longer(toy_train), longer(toy_dev)) for t in (cut, window)]
    assert figures[0]["accuracy"] <= 0.55  # half of the rows are of one label
    assert figures[1]["accuracy"] >= 0.8
    # Every window of every text is a row: 2 or 3 windows a text.
    assert cut.state.total_steps == 20 * STEPS_AN_EPOCH
    assert window.state.total_steps > 1.9 * cut.state.total_steps
    # The way is the model's from now on.
    assert window.evaluate(longer(toy_dev)) == figures[1]
    window.module.save(tmp_path / "saved")
    again = hub.Module(directory=tmp_path / "saved")
    texts = [text for text, _ in longer(toy_dev)]
    assert again.predict(texts) == window.predict(texts) != again.predict(texts, long_text="cut")


def test_recomputation_changes_memory_and_nothing_else(
    trainer: Callable[..., Trainer], toy_train: Rows, toy_dev: Rows, tmp_path: Path
) -> None:
    plain, recomputed = trainer(epochs=1), trainer(epochs=1, recompute=True)
    for subject in (plain, recomputed):
        subject.train(toy_train, eval_dataset=toy_dev)
    assert digest(plain) == digest(recomputed)
    assert recomputed.module.network.encoder.recompute
    # A run out of memory can be resumed with it.
    stopped = trainer(tmp_path / "run", [Recorder(stop_at=3)], epochs=1)
    with pytest.raises(TrainingInterrupted):
        stopped.train(toy_train, eval_dataset=toy_dev)
    resumed = trainer(tmp_path / "run", epochs=1, recompute=True)
    resumed.train(toy_train, eval_dataset=toy_dev, resume=True)
    assert digest(resumed) == digest(plain)


@pytest.mark.skipif(not onednn.has_bfloat16(), reason="the processor has no bfloat16")
def test_a_run_in_bfloat16_learns_and_is_resumed_to_the_bit(
    trainer: Callable[..., Trainer], toy_train: Rows, toy_dev: Rows, tmp_path: Path
) -> None:
    whole, exact = trainer(epochs=10, precision="bf16"), trainer(epochs=10)
    for subject in (whole, exact):
        subject.train(toy_train, eval_dataset=toy_dev)
    losses, others = (
        [entry["loss"] for entry in subject.state.history] for subject in (whole, exact)
    )
    assert losses[-1] < losses[0] / 2
    assert losses != others and losses[:2] == pytest.approx(others[:2], rel=0.02)
    stopped = trainer(tmp_path / "run", [Recorder(stop_at=9)], epochs=10, precision="bf16")
    with pytest.raises(TrainingInterrupted):
        stopped.train(toy_train, eval_dataset=toy_dev)
    resumed = trainer(tmp_path / "run", epochs=10, precision="bf16")
    resumed.train(toy_train, eval_dataset=toy_dev, resume=True)
    assert digest(resumed) == digest(whole)


# --- PaddleHub's spelling ------------------------------------------------------------------------


def test_train_takes_paddlehubs_arguments(
    trainer: Callable[..., Trainer], toy_train: Rows, toy_dev: Rows
) -> None:
    subject, other = trainer(), trainer()
    assert subject.train(toy_train, epochs=2, batch_size=16, eval_dataset=toy_dev) is None  # type: ignore[func-returns-value]
    assert [entry["step"] for entry in subject.state.history] == [4, 8]
    metrics = other.finetune_and_eval(toy_train, toy_dev, epochs=2, batch_size=16)
    assert digest(subject) == digest(other)
    assert subject.evaluate(toy_dev) == metrics
    assert subject.evaluate(toy_dev, batch_size=1)["accuracy"] == metrics["accuracy"]


def test_train_without_eval_data_uses_every_row_and_keeps_the_last_epoch(
    trainer: Callable[..., Trainer], toy_train: Rows
) -> None:
    subject = trainer(epochs=2)
    subject.train(toy_train)
    assert subject.state.step == 2 * STEPS_AN_EPOCH
    assert subject.state.best_epoch is None
    assert not any(name.startswith("dev_") for name in subject.state.history[0])


# --- reproducibility -----------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_weights_and_another_not(
    trainer: Callable[..., Trainer], toy_train: Rows, toy_dev: Rows
) -> None:
    runs = [trainer(epochs=1, seed=seed) for seed in (7, 7, 8)]
    for run in runs:
        run.train(toy_train, eval_dataset=toy_dev)
    first, second, other = map(digest, runs)
    assert first == second
    assert first != other
    assert without_seconds(runs[0].state.history) == without_seconds(runs[1].state.history)


def test_a_seed_decides_more_than_the_head(
    tiny_folder: Path, trainer: Callable[..., Trainer], toy_train: Rows
) -> None:
    """With the same head, order and dropout still come from the seed."""
    losses = []
    for seed in (7, 8):
        recorder = Recorder()
        Trainer(
            labelled(tiny_folder),
            arguments=ARGUMENTS.with_changes(epochs=1, seed=seed),
            callbacks=[recorder],
            progress=False,
        ).train(toy_train)
        losses.append(recorder.losses)
    assert losses[0] != losses[1]


# --- interruption and resuming -------------------------------------------------------------------


@pytest.mark.parametrize("stop_at", [1, 10, 2 * STEPS_AN_EPOCH, 4 * STEPS_AN_EPOCH - 1])
@pytest.mark.parametrize("with_dev", [True, False], ids=["best", "last"])
def test_a_resumed_run_ends_bit_equal_to_one_that_was_not_interrupted(
    trainer: Callable[..., Trainer],
    tmp_path: Path,
    toy_train: Rows,
    toy_dev: Rows,
    stop_at: int,
    with_dev: bool,
) -> None:
    dev = toy_dev if with_dev else None
    whole = Recorder()
    expected = trainer(callbacks=[whole])
    expected.train(toy_train, eval_dataset=dev)

    first = Recorder(stop_at)
    with pytest.raises(TrainingInterrupted, match=f"Stopped at step {stop_at} of 28"):
        trainer(tmp_path / "run", [first]).train(toy_train, eval_dataset=dev)
    second = Recorder()
    resumed = trainer(tmp_path / "run", [second])
    resumed.train(toy_train, eval_dataset=dev, resume=True)

    assert max(first.losses) == stop_at
    assert min(second.losses) == stop_at + 1  # no step is done twice
    assert first.losses | second.losses == whole.losses
    assert without_seconds(resumed.state.history) == without_seconds(expected.state.history)
    assert digest(resumed) == digest(expected)


def test_a_run_may_be_interrupted_again_and_again(
    trainer: Callable[..., Trainer], tmp_path: Path, toy_train: Rows, toy_dev: Rows
) -> None:
    expected = trainer(epochs=2)
    metrics = expected.finetune_and_eval(toy_train, toy_dev)
    for stop_at in (3, 5, 7, 11):
        with pytest.raises(TrainingInterrupted):
            trainer(tmp_path / "run", [Recorder(stop_at)], epochs=2).finetune_and_eval(
                toy_train, toy_dev, resume=stop_at > 3
            )
    resumed = trainer(tmp_path / "run", epochs=2)
    assert resumed.finetune_and_eval(toy_train, toy_dev, resume=True) == metrics
    assert digest(resumed) == digest(expected)


@pytest.mark.parametrize("max_steps", [None, 10, 5])
def test_a_run_stopped_at_its_very_last_step_is_still_evaluated(
    trainer: Callable[..., Trainer],
    tmp_path: Path,
    toy_train: Rows,
    toy_dev: Rows,
    max_steps: int | None,
) -> None:
    expected = trainer(max_steps=max_steps)
    metrics = expected.finetune_and_eval(toy_train, toy_dev)
    last = expected.state.step
    with pytest.raises(TrainingInterrupted, match=f"Stopped at step {last} of {last}"):
        stopped = trainer(tmp_path / "run", [Recorder(last)], max_steps=max_steps)
        stopped.finetune_and_eval(toy_train, toy_dev)
    resumed = trainer(tmp_path / "run", max_steps=max_steps)
    assert resumed.finetune_and_eval(toy_train, toy_dev, resume=True) == metrics
    assert without_seconds(resumed.state.history) == without_seconds(expected.state.history)
    assert digest(resumed) == digest(expected)


def test_a_finished_run_can_be_resumed_without_a_step(
    trainer: Callable[..., Trainer], tmp_path: Path, toy_train: Rows, toy_dev: Rows
) -> None:
    first = trainer(tmp_path / "run", epochs=2)
    metrics = first.finetune_and_eval(toy_train, toy_dev)
    recorder = Recorder()
    second = trainer(tmp_path / "run", [recorder], epochs=2)
    assert second.finetune_and_eval(toy_train, toy_dev, resume=True) == metrics
    assert recorder.losses == {}
    assert digest(second) == digest(first)


def test_how_often_is_saved_and_evaluated_at_once_may_change_on_resuming(
    trainer: Callable[..., Trainer], tmp_path: Path, toy_train: Rows, toy_dev: Rows
) -> None:
    expected = trainer(epochs=2)
    expected.train(toy_train, eval_dataset=toy_dev)
    with pytest.raises(TrainingInterrupted):
        # 0 minutes: a checkpoint after every step.
        trainer(tmp_path / "run", [Recorder(4)], epochs=2, checkpoint_minutes=0).train(
            toy_train, eval_dataset=toy_dev
        )
    resumed = trainer(tmp_path / "run", epochs=2, checkpoint_minutes=5, eval_batch_size=8)
    resumed.train(toy_train, eval_dataset=toy_dev, resume=True)
    assert digest(resumed) == digest(expected)


def test_a_checkpoint_is_written_within_an_epoch_and_survives_a_crash(
    trainer: Callable[..., Trainer], tmp_path: Path, toy_train: Rows
) -> None:
    class Crash(Callback):
        def on_step(self, state: Any, loss: float, rows: int) -> None:
            if state.step == 10:
                raise RuntimeError("out of memory")

    expected = trainer()
    expected.train(toy_train)
    with pytest.raises(RuntimeError, match="out of memory"):
        trainer(tmp_path / "run", [Crash()], checkpoint_minutes=0).train(toy_train)
    recorder = Recorder()
    resumed = trainer(tmp_path / "run", [recorder])
    resumed.train(toy_train, resume=True)
    assert min(recorder.losses) == 10  # the step that crashed was not yet saved
    assert digest(resumed) == digest(expected)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("kept", [True, False], ids=["with-folder", "without"])
def test_an_interrupted_run_has_the_exit_code_that_shells_expect(
    trainer: Callable[..., Trainer],
    tmp_path: Path,
    toy_train: Rows,
    number: int,
    code: int,
    kept: bool,
) -> None:
    before = signal.getsignal(number)
    recorder = Recorder(2, number)
    subject = trainer(tmp_path / "run" if kept else None, [recorder])
    with pytest.raises(TrainingInterrupted) as caught:
        subject.train(toy_train)
    assert isinstance(caught.value, HubError)
    assert caught.value.exit_code == code
    message = str(caught.value)
    assert ("--resume" in message and str(tmp_path / "run") in message) is kept
    assert ("nothing was saved" in message) is not kept
    assert signal.getsignal(number) == before
    assert recorder.calls[-1] == "end"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch_size": 16}, "batch_size was 8 and is 16"),
        ({"epochs": 9}, "epochs was 4 and is 9"),
        ({"learning_rate": 0.5}, "learning_rate was 0.01 and is 0.5"),
        ({"seed": 6}, "seed was 5 and is 6"),
    ],
)
def test_resuming_with_other_arguments_is_refused_naming_what_changed(
    trainer: Callable[..., Trainer],
    tmp_path: Path,
    toy_train: Rows,
    change: dict[str, Any],
    words: str,
) -> None:
    with pytest.raises(TrainingInterrupted):
        trainer(tmp_path / "run", [Recorder(1)]).train(toy_train)
    with pytest.raises(TrainingError, match="of another run") as caught:
        trainer(tmp_path / "run").train(toy_train, resume=True, **change)
    assert words in str(caught.value)
    assert str(caught.value).count(" was ") == 1


def test_resuming_with_other_data_is_refused_naming_what_changed(
    trainer: Callable[..., Trainer], tmp_path: Path, toy_train: Rows, toy_dev: Rows
) -> None:
    def resume(train: Rows, dev: Rows | None) -> str:
        with pytest.raises(TrainingError, match="of another run") as caught:
            trainer(tmp_path / "run").train(train, eval_dataset=dev, resume=True)
        return str(caught.value)

    with pytest.raises(TrainingInterrupted):
        trainer(tmp_path / "run", [Recorder(1)]).train(toy_train, eval_dataset=toy_dev)
    text, label = toy_train[0]
    message = resume([(text + "的", label), *toy_train[1:]], toy_dev)
    assert "train data was" in message and "dev data" not in message
    message = resume(toy_train, toy_dev[:-1])
    assert "dev data was" in message and "train data" not in message
    assert "dev data was" in resume(toy_train, None)
    assert "train data was" in resume(toy_train[::-1], toy_dev)
    assert "labels was" in resume([*toy_train, ("好", "新闻")], toy_dev)


@pytest.mark.parametrize("crf", [False, True])
def test_a_run_with_a_crf_is_not_one_without(tiny_folder: Path, tmp_path: Path, crf: bool) -> None:
    rows = [{"text": f"去北京{n}", "entities": [[1, 3, "地"]]} for n in range(9)]

    def make(crf: bool, *callbacks: Callback) -> Trainer:
        module = hub.Module(directory=tiny_folder, task="ner", task_options={"crf": crf})
        return Trainer(
            module, checkpoint_dir=tmp_path, arguments=ARGUMENTS, callbacks=callbacks,
            progress=False,
        )  # fmt: skip

    with pytest.raises(TrainingInterrupted):
        make(crf, Recorder(1)).train(rows)
    with pytest.raises(TrainingError, match="of another run: task options was"):
        make(not crf).train(rows, resume=True)
    make(crf).train(rows, resume=True)


def test_resuming_without_a_checkpoint_is_refused(
    trainer: Callable[..., Trainer], tmp_path: Path, toy_train: Rows
) -> None:
    with pytest.raises(TrainingError, match="holds no checkpoint"):
        trainer(tmp_path / "run").train(toy_train, resume=True)
    with pytest.raises(InputError, match="without a checkpoint_dir"):
        trainer().train(toy_train, resume=True)


def test_a_failed_save_is_told_and_the_one_before_can_be_resumed(
    trainer: Callable[..., Trainer],
    tmp_path: Path,
    toy_train: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = trainer()
    expected.train(toy_train)
    original, calls = safetensors.numpy.save_file, []

    def full(*args: Any, **options: Any) -> None:
        calls.append(args)
        if len(calls) > 2:  # the first checkpoint is two files
            raise OSError(28, "No space left on device")
        original(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(safetensors.numpy, "save_file", full)
        with pytest.raises(OutputError, match=r"step 14 could not be written .*No space left"):
            trainer(tmp_path / "run").train(toy_train)
    assert len(calls) == 3
    recorder = Recorder()
    resumed = trainer(tmp_path / "run", [recorder])
    resumed.train(toy_train, resume=True)
    assert min(recorder.losses) == STEPS_AN_EPOCH + 1
    assert digest(resumed) == digest(expected)


# --- optimizers of the user's own ----------------------------------------------------------------


def test_an_optimizer_of_the_users_own_is_used_and_its_schedule_stepped(
    tiny_folder: Path, toy_train: Rows, toy_dev: Rows
) -> None:
    module = labelled(tiny_folder)
    schedule = paddle.optimizer.lr.PolynomialDecay(1e-2, decay_steps=100)
    optimizer = paddle.optimizer.Adam(schedule, parameters=module.parameters())
    subject = Trainer(module, optimizer, arguments=ARGUMENTS, progress=False)
    subject.finetune_and_eval(toy_train, toy_dev)
    assert schedule.last_epoch == 4 * STEPS_AN_EPOCH
    assert subject.state.history[-1]["learning_rate"] == optimizer.get_lr() < 1e-2
    losses = [entry["loss"] for entry in subject.state.history]
    assert losses[-1] < losses[0]


def test_an_optimizer_with_a_fixed_rate_keeps_it(tiny_folder: Path, toy_train: Rows) -> None:
    module = labelled(tiny_folder)
    before = copy_weights(module.network)
    optimizer = paddle.optimizer.Adam(2e-3, parameters=module.parameters())
    subject = Trainer(module, optimizer, arguments=ARGUMENTS, progress=False)
    subject.train(toy_train, epochs=2)
    rates = [entry["learning_rate"] for entry in subject.state.history]
    assert rates == [pytest.approx(2e-3)] * 2
    after = copy_weights(module.network)
    assert not np.array_equal(before["classifier.weight"], after["classifier.weight"])


def test_a_run_with_an_optimizer_of_the_users_own_can_be_resumed(
    tiny_folder: Path, tmp_path: Path, toy_train: Rows
) -> None:
    def make(folder: Path | None, stop_at: int | None = None) -> Trainer:
        module = labelled(tiny_folder)
        schedule = paddle.optimizer.lr.CosineAnnealingDecay(1e-2, T_max=30)
        optimizer = paddle.optimizer.Adam(schedule, parameters=module.parameters())
        return Trainer(
            module,
            optimizer,
            folder,
            arguments=ARGUMENTS,
            callbacks=[Recorder(stop_at)],
            progress=False,
        )

    expected = make(None)
    expected.train(toy_train)
    with pytest.raises(TrainingInterrupted):
        make(tmp_path / "run", 10).train(toy_train)
    resumed = make(tmp_path / "run")
    resumed.train(toy_train, resume=True)
    assert digest(resumed) == digest(expected)


def test_an_optimizer_of_the_users_own_needs_the_labels_beforehand(
    tiny_folder: Path, toy_train: Rows
) -> None:
    module = hub.Module(directory=tiny_folder, task="seq-cls")
    optimizer = paddle.optimizer.Adam(1e-3, parameters=module.parameters())
    with pytest.raises(InputError, match="label_map"):
        Trainer(module, optimizer, progress=False).train(toy_train)


@pytest.mark.parametrize("change", [{"lora": 2}, {"layer_decay": 0.9}, {"shard_optimizer": True}])
def test_what_an_optimizer_of_the_users_own_cannot_do_is_refused(
    tiny_folder: Path, toy_train: Rows, change: dict[str, Any]
) -> None:
    module = labelled(tiny_folder)
    optimizer = paddle.optimizer.Adam(1e-3, parameters=module.parameters())
    with pytest.raises(InputError, match=f"{next(iter(change))} is for the optimizer that"):
        Trainer(module, optimizer, progress=False).train(toy_train, **change)


# --- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_loss_that_is_no_number_names_its_step(
    trainer: Callable[..., Trainer],
    toy_train: Rows,
    monkeypatch: pytest.MonkeyPatch,
    wrong: float,
) -> None:
    recorder = Recorder()
    subject = trainer(callbacks=[recorder])
    cls = type(subject.task)
    original, calls = cls.loss, []

    def loss(self: Any, *arguments: Any) -> paddle.Tensor:
        calls.append(arguments)
        value = original(self, *arguments)
        return value * wrong if len(calls) == 5 else value

    monkeypatch.setattr(cls, "loss", loss)
    with pytest.raises(TrainingError, match=rf"The loss of step 5 is {wrong}") as caught:
        subject.train(toy_train)
    assert "learning rate" in str(caught.value)
    assert max(recorder.losses) == 4
    assert recorder.calls[-1] == "end"
    weights = copy_weights(subject.module.network)
    assert all(np.isfinite(array).all() for array in weights.values())


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"epochs": -1},
        {"epochs": 1.5},
        {"epochs": "3"},
        {"batch_size": 0},
        {"eval_batch_size": 0},
        {"max_steps": 0},
        {"patience": 0},
        {"learning_rate": 0},
        {"learning_rate": -1e-3},
        {"learning_rate": math.nan},
        {"warmup_ratio": 1},
        {"warmup_ratio": -0.1},
        {"weight_decay": -1},
        {"max_grad_norm": -1},
        {"max_grad_norm": math.nan},
        {"checkpoint_minutes": -1},
    ],
    ids=str,
)
def test_an_argument_out_of_its_limits_is_refused_by_name(
    trainer: Callable[..., Trainer], toy_train: Rows, change: dict[str, Any]
) -> None:
    (name,) = change
    with pytest.raises(InputError, match=name):
        TrainingArguments(**change)
    recorder = Recorder()
    with pytest.raises(InputError, match=name):
        trainer(callbacks=[recorder]).train(toy_train, **change)
    assert recorder.calls == []


@pytest.mark.parametrize(
    "change",
    [
        {"seed": -1},
        {"seed": "x"},
        {"seed": 99999999999999999999},
        {"max_seq_len": 0},
        {"max_seq_len": 2},
        {"max_seq_len": -3},
        {"max_seq_len": 3.5},
        {"learning_rate": math.inf},
        {"learning_rate": "fast"},
        {"batch_size": True},
    ],
    ids=str,
)
def test_an_argument_of_a_wrong_kind_is_refused_by_name(change: dict[str, Any]) -> None:
    (name,) = change
    with pytest.raises(InputError, match=name):
        TrainingArguments(**change)


def test_an_unknown_argument_is_answered_with_those_there_are(
    trainer: Callable[..., Trainer], toy_train: Rows
) -> None:
    with pytest.raises(InputError, match="no training argument 'lr'") as caught:
        trainer().train(toy_train, lr=0.1)
    assert "learning_rate" in str(caught.value)


def test_a_change_of_none_leaves_an_argument_as_it_is() -> None:
    assert ARGUMENTS.with_changes(epochs=None, batch_size=4).to_dict() == {
        **ARGUMENTS.to_dict(),
        "batch_size": 4,
    }


@pytest.mark.skipif(paddle.is_compiled_with_cuda(), reason="this Paddle can use a GPU")
def test_a_gpu_that_paddle_cannot_use_is_refused(tiny_folder: Path) -> None:
    with pytest.raises(InputError):
        Trainer(labelled(tiny_folder), use_gpu=True)


def test_without_arguments_the_models_recommended_ones_are_used(tiny_folder: Path) -> None:
    assert Trainer(labelled(tiny_folder)).arguments == TrainingArguments()
    module = hub.Module("ernie-pocket-zh", task="seq-cls")
    assert module.entry is not None and module.entry.finetuning
    assert Trainer(module).arguments == TrainingArguments(**module.entry.finetuning)
