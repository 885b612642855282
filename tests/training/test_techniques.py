"""Techniques of fine-tuning: each does what its paper says, and a stopped run goes on exactly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hub
from hub.backend import paddle
from hub.errors import InputError, TrainingError
from hub.tasks import TextClassification
from hub.training.arguments import TrainingArguments
from hub.training.callbacks import Callback
from hub.training.checkpoints import copy_weights
from hub.training.signals import TrainingInterrupted
from hub.training.techniques import adversarial_embeddings, divergence, hide_tokens
from hub.training.trainer import Trainer

ROWS = [(f"今天{sign}{filler}吗", label) for filler in "的一是在不了有和" for sign, label in
        (("雨", "天气"), ("歌", "音乐"), ("票", "车票"))]  # fmt: skip
DEV = ROWS[:6]
ARGUMENTS = TrainingArguments(epochs=2, batch_size=8, learning_rate=1e-2, patience=None, seed=5)

FROZEN_BY_LORA = ("encoder.embeddings.", "encoder.layers.")

Make = Callable[..., Trainer]


class Losses(Callback):
    """Remembers the losses; stops the run with a signal after a step."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.values: dict[int, float] = {}
        self.stop_at = stop_at

    def on_step(self, state: Any, loss: float, rows: int) -> None:
        self.values[state.step] = loss
        if state.step == self.stop_at:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def make(tiny_folder: Path) -> Make:
    """A trainer of the tiny model with some arguments changed; without dropout if asked."""

    def build(dropout: bool = True, folder: Path | None = None, **changes: Any) -> Trainer:
        module = hub.Module(
            directory=tiny_folder, task="seq-cls", label_map=["天气", "音乐", "车票"]
        )
        if not dropout:
            for layer in module.network.sublayers():
                if type(layer).__name__ == "Dropout":
                    layer.p = 0.0
        callbacks = changes.pop("callbacks", [])
        return Trainer(
            module, checkpoint_dir=folder, arguments=ARGUMENTS.with_changes(**changes),
            callbacks=callbacks, progress=False,
        )  # fmt: skip

    return build


def weights(trainer: Trainer) -> dict[str, np.ndarray]:
    return copy_weights(trainer.module.network)


def test_micro_batches_give_the_gradient_of_the_whole_batch(make: Make) -> None:
    whole, divided = Losses(), Losses()
    one, other = (
        make(dropout=False, callbacks=[whole]),
        make(dropout=False, callbacks=[divided], micro_batch_size=3),
    )
    for trainer in (one, other):
        trainer.finetune_and_eval(ROWS, DEV, epochs=1)
    assert divided.values == pytest.approx(whole.values, abs=1e-5)
    theirs = weights(other)
    for name, value in weights(one).items():
        # A key's bias changes no attention: Adam makes a step of what is rounding alone.
        if not name.endswith("key.bias"):
            assert np.abs(value - theirs[name]).max() < 1e-4, name


TRIPS = [
    {"text": text, "entities": entities, "intent": intent}
    for text, entities, intent in (
        ("我明天去北京", [[4, 6, "地"]], "订票"),
        ("去海南", [[1, 3, "地"]], "订票"),
        ("请帮我查一下北京的酒店电话多少钱", [[6, 8, "地"], [9, 11, "物"]], "问价"),
        ("你好", [], "订票"),
        ("酒店", [[0, 2, "物"]], "问价"),
    )
]


@pytest.mark.parametrize(
    ("task", "options", "changes"),
    [
        ("seq-cls", {}, {"class_weights": "balanced"}),
        ("seq-cls", {}, {"adversarial": 0.5}),
        ("multi-label", {}, {"class_weights": "balanced", "r_drop": 1.0}),
        ("ner", {}, {}),
        ("ner", {}, {"class_weights": "balanced"}),
        ("ner", {"crf": True}, {}),
        ("intent-slots", {}, {"class_weights": "balanced"}),
    ],
)
def test_parts_of_a_batch_count_as_they_do_in_its_mean(
    tiny_folder: Path, tmp_path: Path, task: str, options: dict[str, Any], changes: dict[str, Any]
) -> None:
    """Tags' losses are means over words, of which texts have more and less."""
    path = shutil.copytree(tiny_folder, tmp_path / "model") / "config.json"
    without = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    path.write_text(json.dumps({**json.loads(path.read_text()), **without}))
    skewed = [(row["text"], row["intent"]) for row in TRIPS]
    rows = skewed if task in ("seq-cls", "multi-label") else TRIPS
    if task == "multi-label":
        rows = [{"text": text, "labels": [label]} for text, label in skewed]
    losses = []
    for size in (None, 2):
        module = hub.Module(directory=tmp_path / "model", task=task, task_options=options or None)
        losses.append(Losses())
        arguments = ARGUMENTS.with_changes(micro_batch_size=size, **changes)
        trainer = Trainer(module, arguments=arguments, callbacks=losses[-1:], progress=False)
        trainer.train(rows, epochs=4, learning_rate=1e-3)
    assert losses[1].values == pytest.approx(losses[0].values, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "frozen"),
    [
        ({"freeze_embeddings": True}, ("encoder.embeddings.",)),
        ({"freeze_layers": 1}, ("encoder.embeddings.", "encoder.layers.0.")),
    ],
)
def test_frozen_parameters_stay_and_the_others_learn(
    make: Make, changes: dict[str, Any], frozen: tuple[str, ...]
) -> None:
    trainer = make(**changes)
    before = weights(trainer)
    trainer.finetune_and_eval(ROWS, DEV)
    for name, value in weights(trainer).items():
        moved = not np.array_equal(value, before[name])
        assert moved != name.startswith(frozen), name


def test_lower_layers_learn_more_slowly(make: Make) -> None:
    """Adam's first step is as long as the learning rate, whatever the gradient."""
    trainer = make(layer_decay=0.5, weight_decay=0.0, warmup_ratio=0.0)
    before = weights(trainer)
    trainer.finetune_and_eval(ROWS, DEV, max_steps=1)
    moved = {n: float(np.abs(v - before[n]).max()) for n, v in weights(trainer).items()}
    rate = ARGUMENTS.learning_rate
    for name, ratio in (
        ("classifier.weight", 1.0),
        ("encoder.layers.1.feed_forward.output.weight", 0.5),
        ("encoder.layers.0.feed_forward.output.weight", 0.25),
        ("encoder.embeddings.word_embeddings.weight", 0.125),
    ):
        assert moved[name] == pytest.approx(rate * ratio, rel=0.02), name


def test_a_crfs_transitions_learn_faster_in_every_run(tiny_folder: Path) -> None:
    module = hub.Module(directory=tiny_folder, task="ner", task_options={"crf": True})
    rows = [{"text": "去北京", "entities": [{"start": 1, "end": 3, "type": "地"}]}] * 8
    arguments = ARGUMENTS.with_changes(layer_decay=0.5, weight_decay=0.0, warmup_ratio=0.0)
    trainer = Trainer(module, arguments=arguments, progress=False)
    for learning_rate in (1e-2, 1e-3):  # what was multiplied once is not multiplied again
        trainer.train(rows, learning_rate=learning_rate, max_steps=1)
        before = weights(trainer)
        trainer.train(rows, learning_rate=learning_rate, max_steps=1)
        moved = {n: float(np.abs(v - before[n]).max()) for n, v in weights(trainer).items()}
        assert moved["crf.transitions"] == pytest.approx(20 * learning_rate, rel=0.02)
        assert moved["classifier.weight"] == pytest.approx(learning_rate, rel=0.02)


def test_embeddings_are_moved_along_the_gradient_and_come_back(make: Make) -> None:
    network = make(dropout=False).module.network
    ids = paddle.to_tensor([[1, 5, 6, 2]])
    target = paddle.to_tensor([1])
    weight = network.encoder.embeddings.word_embeddings.weight

    def loss() -> Any:
        return paddle.nn.functional.cross_entropy(network(ids), target)

    first = loss()
    first.backward()
    kept, gradient = weight.numpy().copy(), weight.grad.numpy()
    with adversarial_embeddings(network, 0.5):
        step = weight.numpy() - kept
        assert np.linalg.norm(step) == pytest.approx(0.5, rel=1e-4)
        cosine = (step * gradient).sum() / np.linalg.norm(step) / np.linalg.norm(gradient)
        assert cosine == pytest.approx(1, abs=1e-4)
        assert float(loss()) > float(first)
    assert np.array_equal(weight.numpy(), kept)


def test_r_drops_divergence_is_the_papers() -> None:
    draw = np.random.default_rng(0)
    one, other = draw.normal(size=(2, 4, 3)).astype(np.float32)

    def softmax(x: np.ndarray) -> np.ndarray:
        return np.exp(x) / np.exp(x).sum(-1, keepdims=True)

    p, q = softmax(one), softmax(other)
    wanted = 0.5 * ((p * np.log(p / q)).sum(-1) + (q * np.log(q / p)).sum(-1)).mean()
    tensors = paddle.to_tensor(one), paddle.to_tensor(other)
    assert float(divergence(*tensors, several=False)) == pytest.approx(wanted, rel=1e-5)
    p, q = 1 / (1 + np.exp(-one)), 1 / (1 + np.exp(-other))
    kl = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    mirror = q * np.log(q / p) + (1 - q) * np.log((1 - q) / (1 - p))
    wanted = 0.5 * (kl + mirror).sum(-1).mean()
    assert float(divergence(*tensors, several=True)) == pytest.approx(wanted, rel=1e-4)


def test_r_drop_adds_to_the_loss_under_dropout_and_nothing_without(make: Make) -> None:
    plain, same, more = Losses(), Losses(), Losses()
    make(dropout=False, callbacks=[plain]).finetune_and_eval(ROWS, DEV, epochs=1)
    make(dropout=False, callbacks=[same], r_drop=1.0).finetune_and_eval(ROWS, DEV, epochs=1)
    make(callbacks=[more], r_drop=50.0).finetune_and_eval(ROWS, DEV, epochs=1, max_steps=1)
    assert same.values == pytest.approx(plain.values, abs=1e-5)
    assert more.values[1] > plain.values[1] + 0.01


@pytest.mark.parametrize(
    "changes",
    [
        {"adversarial": 0.5},
        {"r_drop": 1.0},
        {"layer_decay": 0.8, "micro_batch_size": 3},
        {"ema": 0.9},
        {"lora": 2},
        {"token_dropout": 0.3},
    ],
)
def test_a_stopped_run_goes_on_exactly(make: Make, tmp_path: Path, changes: dict[str, Any]) -> None:
    whole, before, after = Losses(), Losses(stop_at=4), Losses()
    first = make(callbacks=[whole], **changes)
    first.finetune_and_eval(ROWS, DEV)
    with pytest.raises(TrainingInterrupted):
        make(folder=tmp_path, callbacks=[before], **changes).finetune_and_eval(ROWS, DEV)
    resumed = make(folder=tmp_path, callbacks=[after], **changes)
    resumed.finetune_and_eval(ROWS, DEV, resume=True)
    assert {**before.values, **after.values} == whole.values
    theirs = weights(resumed)
    for name, value in weights(first).items():
        assert np.array_equal(value, theirs[name]), name


def test_tokens_are_hidden_but_for_special_ones(make: Make) -> None:
    tokenizer = make().module.tokenizer
    encoded = tokenizer.encode(["今天雨的吗" * 20])[0].input_ids
    ids = np.array([encoded + [tokenizer.pad_token_id] * 7] * 50)
    special = np.isin(ids, sorted(tokenizer.special_ids))
    hidden = hide_tokens(ids, 0.25, tokenizer)
    changed = hidden != ids
    assert (hidden[changed] == tokenizer.mask_token_id).all() and not changed[special].any()
    assert changed[~special].mean() == pytest.approx(0.25, abs=0.03)
    assert (hide_tokens(ids, 0.25, tokenizer) != hidden).any()
    with pytest.raises(InputError, match="token_dropout must be"):
        TrainingArguments(token_dropout=1.0)


def test_the_average_is_that_of_the_weights_after_each_step(make: Make) -> None:
    seen: list[np.ndarray] = []

    class Keep(Callback):
        network: Any = None

        def on_step(self, state: Any, loss: float, rows: int) -> None:
            seen.append(self.network.classifier.weight.numpy().copy())

    keep = Keep()
    trainer = make(callbacks=[keep], ema=0.6)
    keep.network = trainer.module.network
    average = trainer.module.network.classifier.weight.numpy().copy()
    trainer.train(ROWS, epochs=2)
    for step, value in enumerate(seen):
        decay = min(0.6, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * value
    kept = trainer.module.network.classifier.weight.numpy()
    assert np.abs(kept - average).max() < 1e-6
    assert np.abs(kept - seen[-1]).max() > 1e-4


def test_the_average_is_what_is_measured(make: Make) -> None:
    """The best epoch's metrics are those of the weights that the module ends with."""
    trainer = make(ema=0.9, epochs=12)
    metrics = trainer.finetune_and_eval(ROWS, ROWS)
    assert metrics == trainer.evaluate(ROWS)
    assert metrics["accuracy"] > 0.9


def test_lora_changes_two_maps_of_each_attention_by_a_low_rank(make: Make, tmp_path: Path) -> None:
    trainer = make(lora=2, epochs=12, learning_rate=3e-2)
    before, names = weights(trainer), list(trainer.module.network.state_dict())
    assert trainer.finetune_and_eval(ROWS, ROWS)["accuracy"] > 0.9
    assert list(trainer.module.network.state_dict()) == names
    for name, value in weights(trainer).items():
        change = value - before[name]
        if name.endswith(("query.weight", "value.weight")):
            assert np.linalg.matrix_rank(change, tol=1e-4) in (1, 2), name
        else:
            assert change.any() == (not name.startswith(FROZEN_BY_LORA)), name
    trainer.module.save(tmp_path / "saved")
    saved = hub.Module(directory=tmp_path / "saved")
    texts = [text for text, _ in ROWS]
    assert saved.predict(texts) == trainer.predict(texts)


def test_lora_leaves_frozen_layers_as_they_are(make: Make) -> None:
    trainer = make(lora=2, freeze_layers=1)
    before = weights(trainer)
    trainer.finetune_and_eval(ROWS, DEV)
    moved = {n for n, value in weights(trainer).items() if not np.array_equal(value, before[n])}
    maps = {f"encoder.layers.1.attention.{name}.weight" for name in ("query", "value")}
    assert {name for name in moved if name.startswith(FROZEN_BY_LORA)} == maps


def test_it_learns_with_all_of_them(make: Make) -> None:
    trainer = make(adversarial=0.05, r_drop=0.5, layer_decay=0.9, micro_batch_size=4, epochs=16)
    assert trainer.finetune_and_eval(ROWS, ROWS)["accuracy"] > 0.9


def test_what_cannot_be_is_refused(make: Make, tiny_folder: Path) -> None:
    with pytest.raises(InputError, match="the model has 2 layers"):
        make(freeze_layers=3).finetune_and_eval(ROWS, DEV)
    for frozen in ({"freeze_embeddings": True}, {"freeze_layers": 1}, {"lora": 2}):
        with pytest.raises(InputError, match=f"frozen. Leave {next(iter(frozen))} out"):
            make(adversarial=1.0, **frozen).finetune_and_eval(ROWS, DEV)
    with pytest.raises(InputError, match="the model is only"):
        make(lora=1000).finetune_and_eval(ROWS, DEV)
    with pytest.raises(InputError, match="ema must be below 1"):
        TrainingArguments(ema=1.0)
    with pytest.raises(InputError, match="layer_decay must be above 0"):
        TrainingArguments(layer_decay=0.0)
    tagger = hub.Module(directory=tiny_folder, task="ner", label_map=["O", "B-a", "I-a"])
    rows = [{"text": "北京", "entities": [{"type": "a", "start": 0, "end": 2}]}] * 4
    with pytest.raises(InputError, match="one a token"):
        Trainer(tagger, progress=False).finetune_and_eval(rows, rows, r_drop=1.0)


# --- losses and checkpoints that are no numbers --------------------------------------------------


def _break(monkeypatch: pytest.MonkeyPatch, steps: set[int]) -> None:
    """Let the loss of some steps be no number."""
    original, calls = TextClassification.loss, [0]

    def loss(self: Any, *arguments: Any) -> Any:
        calls[0] += 1
        value = original(self, *arguments)
        return value * float("nan") if calls[0] in steps else value

    monkeypatch.setattr(TextClassification, "loss", loss)


def test_a_step_whose_loss_is_no_number_is_left_out_if_asked(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _break(monkeypatch, {2})
    losses = Losses()
    trainer = make(callbacks=[losses], skip_nonfinite=True)
    trainer.finetune_and_eval(ROWS, DEV)
    assert sorted(losses.values) == [1, 3, 4, 5, 6]
    assert "The loss of step 2 is nan (rows" in caplog.text
    assert all(np.isfinite(value).all() for value in weights(trainer).values())


def test_three_such_steps_in_a_row_stop_the_run(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    _break(monkeypatch, {2, 3, 4})
    with pytest.raises(TrainingError, match="The loss of step 4 is nan"):
        make(skip_nonfinite=True).finetune_and_eval(ROWS, DEV)


def test_weights_that_are_no_numbers_are_never_the_best(make: Make) -> None:
    """An epoch's last step may spoil them: the epoch is measured right after."""

    class Damage(Callback):
        def on_step(self, state: Any, loss: float, rows: int) -> None:
            if state.step == 3:
                bias = trainer.module.network.classifier.bias
                bias.set_value(paddle.full_like(bias, float("inf")))

    trainer = make(callbacks=[Damage()])
    with pytest.raises(TrainingError, match=r"After step 3 classifier\.bias holds"):
        trainer.finetune_and_eval(ROWS, DEV)


def test_gradients_that_are_no_numbers_stop_their_step_before_it_changes_a_weight(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The loss is a number and its gradient is none, as where a root is taken of 0."""
    original, calls, before = TextClassification.loss, [0], {}

    def loss(self: Any, *arguments: Any) -> Any:
        calls[0] += 1
        value = original(self, *arguments)
        if calls[0] != 5:
            return value
        before.update(weights(trainer))
        return value + paddle.sqrt(value * 0.0)

    monkeypatch.setattr(TextClassification, "loss", loss)
    trainer = make(folder=tmp_path, checkpoint_minutes=0)
    with pytest.raises(TrainingError, match="The gradient norm of step 5 is nan") as caught:
        trainer.finetune_and_eval(ROWS, DEV)
    after = weights(trainer)
    assert all((after[name] == value).all() for name, value in before.items())
    kept = tmp_path / "nonfinite-step-5.jsonl"
    assert str(kept) in str(caught.value)
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    assert len(lines) == ARGUMENTS.batch_size
    assert all(ROWS[line["row"] - 1][0] == line["text"] for line in lines)
    monkeypatch.setattr(TextClassification, "loss", original)
    rest = Losses()
    make(folder=tmp_path, callbacks=[rest], checkpoint_minutes=0).finetune_and_eval(
        ROWS, DEV, resume=True
    )
    assert sorted(rest.values) == [5, 6]


def test_a_step_of_windows_names_the_rows_that_they_are_of(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _break(monkeypatch, {1})
    rows = [(text * 10, label) for text, label in ROWS]
    trainer = make(folder=tmp_path, long_text="window", max_seq_len=16, batch_size=4)
    with pytest.raises(TrainingError, match="The loss of step 1 is nan"):
        trainer.finetune_and_eval(rows, DEV)
    lines = (tmp_path / "nonfinite-step-1.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    assert 1 <= len(found) <= 4
    assert all(rows[line["row"] - 1][0] == line["text"] for line in found)


def test_weights_that_are_no_numbers_are_never_saved(make: Make, tmp_path: Path) -> None:
    class Damage(Callback):
        def __init__(self) -> None:
            self.network: Any = None

        def on_step(self, state: Any, loss: float, rows: int) -> None:
            if state.step == 5:
                bias = self.network.classifier.bias
                bias.set_value(paddle.full_like(bias, float("nan")))

    damage = Damage()
    trainer = make(folder=tmp_path, callbacks=[damage], checkpoint_minutes=0)
    damage.network = trainer.module.network
    with pytest.raises(TrainingError, match=r"After step 5 classifier\.bias holds"):
        trainer.finetune_and_eval(ROWS, DEV)
    rest = Losses()
    make(folder=tmp_path, callbacks=[rest], checkpoint_minutes=0).finetune_and_eval(
        ROWS, DEV, resume=True
    )
    assert sorted(rest.values) == [5, 6]  # from the last good one on


def test_two_checkpoints_are_kept_and_the_older_one_saves_the_run(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = Losses()
    make(callbacks=[whole]).finetune_and_eval(ROWS, DEV)
    with pytest.raises(TrainingInterrupted):
        make(
            folder=tmp_path, callbacks=[Losses(stop_at=5)], checkpoint_minutes=0
        ).finetune_and_eval(ROWS, DEV)
    kept = sorted(tmp_path.glob("step-*"), key=lambda path: path.stat().st_mtime)
    assert len(kept) == 2
    newest = kept[-1] / "weights.safetensors"
    newest.write_bytes(newest.read_bytes()[:100])
    rest = Losses()
    make(folder=tmp_path, callbacks=[rest], checkpoint_minutes=0).finetune_and_eval(
        ROWS, DEV, resume=True
    )
    assert "is damaged" in caplog.text
    assert rest.values == {step: whole.values[step] for step in rest.values}
    assert max(rest.values) == 6


def test_one_checkpoint_is_kept_if_asked(make: Make, tmp_path: Path) -> None:
    with pytest.raises(TrainingInterrupted):
        make(
            folder=tmp_path, callbacks=[Losses(stop_at=5)], checkpoint_minutes=0, keep_checkpoints=1
        ).finetune_and_eval(ROWS, DEV)
    assert len(list(tmp_path.glob("step-*"))) == 1
