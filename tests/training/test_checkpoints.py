"""Checkpoints: whole or absent, enough to go on exactly, and of this run only."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from hub.backend import paddle
from hub.errors import HubError, InputError, OutputError, TrainingError
from hub.models.ernie import dropout
from hub.training.checkpoints import CheckpointStore, copy_weights, set_weights
from hub.training.state import TrainingState

IDENTITY: dict[str, Any] = {"model": "tiny", "labels": ["a", "b"], "epochs": 3, "seed": 42}


class Net(paddle.nn.Layer):  # type: ignore[misc]
    """Two layers; each new one has parameters of other Paddle names, as in a new process."""

    def __init__(self) -> None:
        super().__init__()
        self.first = paddle.nn.Linear(3, 4)
        self.second = paddle.nn.Linear(4, 2)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.second(paddle.tanh(self.first(x)))


def adamw(network: Net) -> paddle.optimizer.Optimizer:
    """AdamW with a schedule."""
    schedule = paddle.optimizer.lr.LambdaDecay(0.1, lambda step: 1 / (1 + step))
    return paddle.optimizer.AdamW(schedule, parameters=network.parameters())


def steps(network: Net, optimizer: paddle.optimizer.Optimizer, count: int) -> None:
    """Train on the same fixed batch."""
    x = paddle.to_tensor(np.arange(15, dtype=np.float32).reshape(5, 3) / 15)
    for _ in range(count):
        (network(x) ** 2).mean().backward()
        optimizer.step()
        optimizer.clear_grad()
        if isinstance(optimizer._learning_rate, paddle.optimizer.lr.LRScheduler):
            optimizer._learning_rate.step()


def same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    """Whether two sets of weights are equal to the bit."""
    return first.keys() == second.keys() and all(
        first[name].tobytes() == second[name].tobytes() for name in first
    )


def files_in(folder: Path) -> set[str]:
    """Names of the files and folders directly in `folder`."""
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    """An empty store."""
    return CheckpointStore(tmp_path / "checkpoint", IDENTITY)


@pytest.mark.parametrize(
    "make",
    [
        adamw,
        lambda n: paddle.optimizer.Adam(0.05, parameters=n.parameters()),
        lambda n: paddle.optimizer.Momentum(0.05, parameters=n.parameters()),
        lambda n: paddle.optimizer.SGD(0.05, parameters=n.parameters()),
        lambda n: paddle.optimizer.Adam(
            paddle.optimizer.lr.CosineAnnealingDecay(0.1, 10), parameters=n.parameters()
        ),
        lambda n: paddle.optimizer.Adam(
            paddle.optimizer.lr.LinearWarmup(0.1, 4, 0.0, 0.1), parameters=n.parameters()
        ),
        pytest.param(
            lambda n: paddle.optimizer.Adam(
                paddle.optimizer.lr.LinearWarmup(
                    paddle.optimizer.lr.PolynomialDecay(0.1, 10), 2, 0.0, 0.1
                ),
                parameters=n.parameters(),
            ),
        ),
    ],
    ids=["adamw", "adam", "momentum", "sgd", "cosine", "warmup", "warmup-of-schedule"],
)
def test_training_goes_on_exactly_from_a_checkpoint(
    store: CheckpointStore, make: Callable[[Net], paddle.optimizer.Optimizer]
) -> None:
    network = Net()
    optimizer = make(network)
    steps(network, optimizer, 3)
    store.save(network, optimizer, TrainingState(step=3, epoch=1))
    steps(network, optimizer, 4)

    other = Net()
    other_optimizer = make(other)
    assert store.load(other, other_optimizer) == TrainingState(step=3, epoch=1)
    steps(other, other_optimizer, 4)
    assert same(copy_weights(network), copy_weights(other))
    assert optimizer.get_lr() == other_optimizer.get_lr()


def test_the_state_and_its_history_come_back(store: CheckpointStore) -> None:
    network = Net()
    state = TrainingState(
        epoch=2,
        batch=5,
        step=17,
        total_steps=30,
        epoch_loss=0.1 + 0.2,
        epoch_rows=40,
        best_metric=2 / 3,
        best_epoch=1,
        stale_epochs=1,
        seconds=12.5,
        history=[{"epoch": 1, "loss": 1 / 3, "dev_accuracy": 2 / 3}],
    )
    store.save(network, adamw(network), state)
    assert store.load(network, adamw(network)) == state


def test_dropout_goes_on_with_the_same_randomness(store: CheckpointStore) -> None:
    network, x = Net(), paddle.ones([100])
    layer = dropout.Dropout(0.5)
    layer.train()
    dropout.seed(3)
    layer(x)
    store.save(network, adamw(network), TrainingState(step=1))
    expected = layer(x).numpy()
    dropout.seed(99)
    store.load(network, adamw(network))
    assert (layer(x).numpy() == expected).all()


def test_the_latest_two_checkpoints_are_kept(store: CheckpointStore) -> None:
    network = Net()
    for step in (1, 2, 3):
        store.save(network, adamw(network), TrainingState(step=step))
    assert files_in(store.folder) == {"step-2", "step-3", "latest.json"}
    assert files_in(store.folder / "step-3") == {
        "weights.safetensors",
        "optimizer.safetensors",
        "state.json",
    }


def test_a_step_may_be_saved_again(store: CheckpointStore) -> None:
    network = Net()
    store.save(network, adamw(network), TrainingState(step=1, epoch=0))
    store.save(network, adamw(network), TrainingState(step=1, epoch=1))
    assert store.load(network, adamw(network)).epoch == 1


def test_what_a_crash_left_half_written_is_cleared_away(store: CheckpointStore) -> None:
    (store.folder / ".step-1.12345").mkdir(parents=True)
    network = Net()
    store.save(network, adamw(network), TrainingState(step=2))
    assert files_in(store.folder) == {"step-2", "latest.json"}


@pytest.mark.parametrize("call", [1, 2])
def test_a_failed_save_leaves_the_one_before(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    network = Net()
    optimizer = adamw(network)
    steps(network, optimizer, 1)
    store.save(network, optimizer, TrainingState(step=1))
    weights = copy_weights(network)
    before = files_in(store.folder)
    original, calls = safetensors.numpy.save_file, []

    def full(*args: Any, **options: Any) -> None:
        calls.append(args)
        if len(calls) == call:
            raise OSError(28, "No space left on device")
        original(*args, **options)

    monkeypatch.setattr(safetensors.numpy, "save_file", full)
    steps(network, optimizer, 1)
    with pytest.raises(OutputError, match="step 2 could not be written") as caught:
        store.save(network, optimizer, TrainingState(step=2))
    assert str(store.folder) in str(caught.value) and "No space left" in str(caught.value)
    assert files_in(store.folder) == before

    other = Net()
    assert store.load(other, adamw(other)).step == 1
    assert same(copy_weights(other), weights)


def test_saving_a_step_again_and_failing_leaves_the_one_before(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of an epoch the newest checkpoint may be of the same step."""
    network = Net()
    store.save(network, adamw(network), TrainingState(step=1))
    original = Path.replace

    def fail(self: Path, target: Any) -> Path:
        if self.is_dir():
            raise OSError(5, "Input/output error")
        return original(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(OutputError):
            store.save(network, adamw(network), TrainingState(step=1, epoch=1))
    assert store.load(network, adamw(network)) == TrainingState(step=1)


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    store = CheckpointStore(tmp_path / "file" / "checkpoint", IDENTITY)
    network = Net()
    with pytest.raises(OutputError, match="could not be written"):
        store.save(network, adamw(network), TrainingState(step=1))
    with pytest.raises(OutputError, match="could not be written"):
        store.save_best(copy_weights(network))


def test_without_a_checkpoint_there_is_nothing_to_resume(store: CheckpointStore) -> None:
    assert not store.exists()
    with pytest.raises(TrainingError, match="holds no checkpoint to resume from"):
        store.load(Net(), adamw(Net()))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 5}, "epochs was 3 and is 5"),
        ({"labels": ["a", "c"]}, "labels was ['a', 'b'] and is ['a', 'c']"),
        ({"train data": "x"}, "train data was None and is 'x'"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_naming_what_changed(
    store: CheckpointStore, change: dict[str, Any], words: str
) -> None:
    network = Net()
    store.save(network, adamw(network), TrainingState(step=1))
    weights = copy_weights(network)
    steps(network, adamw(network), 1)
    changed = copy_weights(network)
    assert not same(weights, changed)
    with pytest.raises(TrainingError) as caught:
        CheckpointStore(store.folder, {**IDENTITY, **change}).load(network, adamw(network))
    assert words in str(caught.value)
    assert isinstance(caught.value, InputError) and caught.value.exit_code == 2
    assert "seed" not in str(caught.value)
    assert same(copy_weights(network), changed)  # nothing was put into the network


def test_a_checkpoint_of_another_network_is_refused(store: CheckpointStore) -> None:
    store.save(Net(), adamw(Net()), TrainingState(step=1))
    larger = Net()
    larger.third = paddle.nn.Linear(2, 2)
    wider = Net()
    wider.second = paddle.nn.Linear(4, 5)
    for other, words in (
        (larger, r"third.weight was None and is \[2, 2\]"),
        (wider, r"second.weight was \[4, 2\] and is \[4, 5\]"),
    ):
        with pytest.raises(TrainingError, match=f"of another run: the shape of {words}"):
            store.load(other, adamw(other))
    store.save(larger, adamw(larger), TrainingState(step=2))
    with pytest.raises(TrainingError, match=r"third.bias was \[2\] and is None"):
        store.load(Net(), adamw(Net()))


def test_what_earlier_versions_did_not_write_is_not_compared(store: CheckpointStore) -> None:
    network = Net()
    store.save(network, adamw(network), TrainingState(step=1))
    newer = {**IDENTITY, "shape": {"layers": 2}, "task options": {"crf": True}, "teacher": None}
    assert CheckpointStore(store.folder, newer).load(network, adamw(network)).step == 1
    CheckpointStore(store.folder, newer).save(network, adamw(network), TrainingState(step=2))
    for change, words in (
        ({"shape": {"layers": 3}}, "layers was 2 and is 3"),
        ({"task options": None}, "task options was {'crf': True} and is None"),
        ({"teacher": ["a", 1]}, "teacher was None and is ['a', 1]"),
    ):
        with pytest.raises(TrainingError) as caught:
            CheckpointStore(store.folder, {**newer, **change}).load(network, adamw(network))
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("latest.json", content) for content in (b"", b"{", b"\xff", b"{}")),
        *(("step-1/state.json", content) for content in (b"", b"{", b"\xff")),
        pytest.param("latest.json", b"[]"),
        pytest.param("step-1/state.json", b"[]"),
        pytest.param("step-1/state.json", b"{}"),
    ],
)
def test_a_damaged_description_is_an_error_of_ours(
    store: CheckpointStore, name: str, content: bytes
) -> None:
    network = Net()
    store.save(network, adamw(network), TrainingState(step=1))
    (store.folder / name).write_bytes(content)
    with pytest.raises(HubError):
        store.load(network, adamw(network))


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors"])
def test_damaged_tensors_are_an_error_of_ours(store: CheckpointStore, name: str) -> None:
    network = Net()
    optimizer = adamw(network)
    steps(network, optimizer, 1)
    store.save(network, optimizer, TrainingState(step=1))
    path = store.folder / "step-1" / name
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(HubError, match=name):
        store.load(network, optimizer)
    path.unlink()
    with pytest.raises(HubError):
        store.load(network, optimizer)


# --- the best weights ----------------------------------------------------------------------------


def test_the_best_weights_are_a_copy_that_comes_back(store: CheckpointStore) -> None:
    network = Net()
    best = copy_weights(network)
    kept = {name: value.copy() for name, value in best.items()}
    store.save_best(best)
    steps(network, adamw(network), 2)
    assert same(best, kept)  # training did not reach into the copy
    assert same(store.load_best(), kept)
    assert not same(copy_weights(network), kept)
    set_weights(network, store.load_best())
    assert same(copy_weights(network), kept)


def test_the_best_weights_survive_later_checkpoints(store: CheckpointStore) -> None:
    network = Net()
    store.save_best(copy_weights(network))
    for step in (1, 2):
        store.save(network, adamw(network), TrainingState(step=step))
    assert files_in(store.folder) == {"best.safetensors", "step-1", "step-2", "latest.json"}


def test_a_finished_run_leaves_nothing(store: CheckpointStore) -> None:
    network = Net()
    store.save(network, adamw(network), TrainingState(step=1))
    assert store.exists()
    store.remove()
    assert not store.exists() and not store.folder.exists()
    store.remove()  # twice is no error


def test_a_checkpoint_can_be_moved(store: CheckpointStore, tmp_path: Path) -> None:
    network = Net()
    store.save(network, adamw(network), TrainingState(step=1))
    shutil.move(store.folder, tmp_path / "elsewhere")
    moved = CheckpointStore(tmp_path / "elsewhere", IDENTITY)
    assert moved.load(network, adamw(network)).step == 1


def test_the_files_of_a_checkpoint_are_open_formats(store: CheckpointStore) -> None:
    network = Net()
    store.save(network, adamw(network), TrainingState(step=1))
    state = json.loads((store.folder / "step-1" / "state.json").read_text(encoding="utf-8"))
    assert state["identity"] == IDENTITY
    arrays = safetensors.numpy.load_file(store.folder / "step-1" / "weights.safetensors")
    assert set(arrays) == {"first.weight", "first.bias", "second.weight", "second.bias"}
