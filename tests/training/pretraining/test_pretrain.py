"""`hub pretrain` on a small shape: it learns, goes on exactly, and its folder is a model."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from click.testing import CliRunner

import hub
from hub.backend import paddle
from hub.cli.main import cli
from hub.constants import CHECKPOINT_DIRECTORY
from hub.errors import InputError, OutputError, TrainingError
from hub.tasks.masked_language_modelling import MaskedLanguageModelling
from hub.tokenizers.units import UnitFinder
from hub.tokenizers.whole_word import MaskingArguments
from hub.training.callbacks import Callback
from hub.training.parallel import Group
from hub.training.pretraining.arguments import PretrainingArguments
from hub.training.pretraining.loop import PretrainingLoop
from hub.training.pretraining.packed_corpus import UNCUT_LENGTH, PackedCorpus, encode_corpus
from hub.training.pretraining.pretrain import PretrainResult, pretrain
from hub.training.signals import TrainingInterrupted
from hub.training.state import TrainingState
from hub.training.update import Update

SHAPE = {
    "model_type": "ernie", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 128, "max_position_embeddings": 64, "hidden_act": "gelu",
    "initializer_range": 0.1,
}  # fmt: skip
CHANGES = {
    "epochs": 3, "max_seq_len": 24, "batch_tokens": 192, "learning_rate": 3e-3, "held_out": 0.1,
    "evaluations": 3, "seed": 7,
}  # fmt: skip
TEXTS = ["今天天气好吗", "明天北京下雨吗", "我去听音乐", "请帮我查一下火车票", "酒店电话多少钱"]


class Recorder(Callback):
    """Remembers the losses, and sends a signal after a step."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.losses: dict[int, float] = {}
        self.stop_at = stop_at

    def on_step(self, state: Any, loss: float, rows: int) -> None:
        self.losses[state.step] = loss
        if state.step == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., PretrainResult]:
    """Pretrain the small shape from scratch into `tmp_path / name`."""
    corpus, shape, vocabulary = (tmp_path / n for n in ("corpus.txt", "config.json", "vocab.txt"))
    corpus.write_text("\n".join(TEXTS * 40), encoding="utf-8")
    shape.write_text(json.dumps(SHAPE))
    entries = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *sorted(set("".join(TEXTS)))]
    vocabulary.write_text("\n".join(entries) + "\n", encoding="utf-8")

    def make(
        name: str = "run",
        changes: dict[str, Any] | None = None,
        texts: list[str] | None = None,
        **options: Any,
    ) -> Any:
        if texts is not None:
            corpus.write_text("\n".join(texts), encoding="utf-8")
        start: dict[str, Any] = {"from_scratch": str(shape), "vocabulary": vocabulary}
        if "model" in options:
            start = {}
        return pretrain(
            [corpus], tmp_path / name, changes={**CHANGES, **(changes or {})}, progress=False,
            say=lambda line: None, **start, **options,
        )  # fmt: skip

    return make


def corpus_of(folder: Path, texts: list[str]) -> Path:
    path = folder / "texts.txt"
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


def weights(folder: Path) -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(folder / "model.safetensors")


def test_it_learns_what_stands_at_masks_of_text_it_never_read(
    run: Callable[..., PretrainResult],
) -> None:
    characters = "天气雨北京我听"
    texts = ["".join([one, other] * 12) for one in characters for other in characters]
    history = run(changes={"epochs": 25}, texts=texts).summary["history"]
    assert history[0]["step"] == 0
    assert history[0]["held_out_loss"] > 3  # it knows nothing of 33 entries
    assert history[-1]["held_out_loss"] < 1.5  # frequencies alone give 1.9
    assert history[-1]["held_out_accuracy"] > 0.5


def test_the_folder_answers_is_fine_tuned_and_pretrained_further(
    run: Callable[..., PretrainResult], tmp_path: Path
) -> None:
    first = run()
    folder = first.folder
    assert not (folder / CHECKPOINT_DIRECTORY).exists()
    answers = hub.Module(directory=folder).predict("今天天[MASK]好吗", top_k=2)
    assert len(answers) == 2
    assert set(answers[0]) == {"score", "token", "token_str", "sequence"}
    classifier = hub.Module(directory=folder, task="seq-cls", label_map=["a", "b"])
    assert classifier.base_model == folder.name
    encoder = {n: v for n, v in weights(folder).items() if n.startswith("ernie.")}
    layer = classifier.network.encoder.layers[0].attention.query.weight.numpy()
    assert np.array_equal(encoder["ernie.encoder.layer.0.attention.self.query.weight"], layer.T)
    further = run("further", model=str(folder)).summary["history"]
    assert further[0]["held_out_loss"] == pytest.approx(
        first.summary["history"][-1]["held_out_loss"]
    )
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "from scratch" in card
    assert "corpus.txt" in card


def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    run: Callable[..., PretrainResult],
) -> None:
    whole, before, after = Recorder(), Recorder(stop_at=17), Recorder()
    first = run("whole", callbacks=[whole])
    with pytest.raises(TrainingInterrupted, match="--resume") as stopped:
        run("stopped", callbacks=[before])
    assert stopped.value.exit_code == 143
    with pytest.raises(OutputError, match="unfinished run"):
        run("stopped")
    second = run("stopped", callbacks=[after], resume=True)
    assert {**before.losses, **after.losses} == whole.losses
    assert not before.losses.keys() & after.losses.keys()
    for name, value in weights(first.folder).items():
        assert np.array_equal(value, weights(second.folder)[name]), name
    timeless = [{k: v for k, v in e.items() if k != "seconds"} for e in first.summary["history"]]
    assert [
        {k: v for k, v in e.items() if k != "seconds"} for e in second.summary["history"]
    ] == timeless


@pytest.mark.parametrize("change", [{"num_hidden_layers": 1}, {"num_attention_heads": 4}])
def test_another_shape_is_not_resumed(
    run: Callable[..., PretrainResult], tmp_path: Path, change: dict[str, int]
) -> None:
    with pytest.raises(TrainingInterrupted):
        run(callbacks=[Recorder(stop_at=3)])
    (tmp_path / "config.json").write_text(json.dumps({**SHAPE, **change}))
    with pytest.raises(TrainingError, match=f"{next(iter(change))} was 2 and is"):
        run(resume=True)


def test_another_run_is_not_resumed(run: Callable[..., PretrainResult]) -> None:
    with pytest.raises(TrainingInterrupted):
        run(callbacks=[Recorder(stop_at=3)])
    with pytest.raises(TrainingError, match=r"learning_rate was 0\.003 and is 0\.02"):
        run(changes={"learning_rate": 0.02}, resume=True)


def test_max_tokens_ends_the_run_and_the_measurements_are_spread(
    run: Callable[..., PretrainResult],
) -> None:
    recorder = Recorder()
    history = run(changes={"max_tokens": 192 * 9}, callbacks=[recorder]).summary["history"]
    assert max(recorder.losses) == 9
    assert [entry["step"] for entry in history] == [0, 3, 6, 9]
    assert history[1]["loss"] == pytest.approx(np.mean([recorder.losses[n] for n in (1, 2, 3)]))


def test_the_loss_is_taken_at_masked_tokens_only(
    run: Callable[..., PretrainResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = hub.Module(directory=run().folder)
    rows = [
        {
            "input_ids": np.arange(5, 25), "token_type_ids": np.zeros(20, np.int64),
            "units": np.arange(20), "knowledge": np.array([], np.int64),
        }
    ]  # fmt: skip
    task = MaskedLanguageModelling(module.tokenizer, MaskingArguments(probability=0.2))
    batch = task.batch(rows, 0)
    assert len(batch.targets) == 4
    assert np.array_equal(batch.targets, rows[0]["input_ids"][batch.inputs["positions"]])
    module.eval()
    logits = task.logits(module.network, batch).numpy().astype(np.float64)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    wanted = -np.log(shares[np.arange(4), batch.targets]).mean()
    assert float(task.loss(module.network, batch)) == pytest.approx(wanted, rel=1e-5)
    score = task.score(module.network, [batch, batch])
    assert (score.loss, score.tokens) == (pytest.approx(wanted, rel=1e-5), 8)
    assert score.accuracy == pytest.approx((logits.argmax(1) == batch.targets).mean())


def test_masks_differ_between_epochs(
    run: Callable[..., PretrainResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, bytes]] = []
    original = MaskedLanguageModelling.batch

    def watched(self: MaskedLanguageModelling, rows: Any, epoch: int) -> Any:
        batch = original(self, rows, epoch)
        seen.append((epoch, batch.inputs["input_ids"].tobytes()))
        return batch

    monkeypatch.setattr(MaskedLanguageModelling, "batch", watched)
    monkeypatch.setattr(
        PackedCorpus, "batches", lambda self, epoch, size: [self.train[:8]]
    )  # the same rows in every epoch
    run(changes={"max_tokens": 192 * 3})
    trained = [ids for epoch, ids in seen if epoch < 3]
    assert len(trained) == len(set(trained)) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number from 1"),
        ({"batch_tokens": 10}, "at least one sequence of 128 tokens"),
        ({"held_out": 1.0}, "held_out must be between 0 and 1"),
        ({"mask_probability": 1.5}, "probability must be between 0 and 1"),
        ({"learning_rate": 0}, "learning_rate must be above 0"),
        ({"checkpoint_minutes": -1}, "checkpoint_minutes must be a number from 0"),
    ],
)
def test_arguments_out_of_their_limits_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PretrainingArguments(**changes)


def test_models_and_shapes_that_do_not_fit_together_are_refused(
    run: Callable[..., PretrainResult], tmp_path: Path
) -> None:
    corpus = [tmp_path / "corpus.txt"]
    with pytest.raises(InputError, match="needs a vocabulary"):
        pretrain(corpus, tmp_path / "a", from_scratch="ernie-3.0-nano-zh")
    with pytest.raises(InputError, match="either a model to go on from, or the shape"):
        pretrain(corpus, tmp_path / "a", from_scratch="x", model="y", vocabulary="vocab.txt")
    with pytest.raises(InputError, match="belongs to a new model"):
        pretrain(corpus, tmp_path / "a", vocabulary=tmp_path / "vocab.txt")
    with pytest.raises(InputError, match="There is no file"):
        pretrain(corpus, tmp_path / "a", from_scratch="no.json", vocabulary="v.txt")
    with pytest.raises(InputError, match=r"none\.txt cannot be used"):
        pretrain(
            corpus, tmp_path / "a", from_scratch=str(tmp_path / "config.json"),
            vocabulary=tmp_path / "none.txt",
        )  # fmt: skip
    assert not (tmp_path / "a").exists()


def test_a_cased_vocabulary_makes_a_model_that_keeps_upper_case(
    run: Callable[..., PretrainResult], tmp_path: Path
) -> None:
    run()  # it leaves the shape
    corpus, vocabulary = tmp_path / "letters.txt", tmp_path / "cased.txt"
    corpus.write_text("今天听USB音乐\n明天看usb音乐\n" * 60, encoding="utf-8")
    for more, wanted in ((["--cased"], ["USB", "usb"]), ([], ["usb", "usb"])):
        command = ["vocab", "train", str(corpus), "--output", str(vocabulary), "--overwrite", "-q"]
        result = CliRunner().invoke(cli, [*command, *more], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        result = CliRunner().invoke(
            cli,
            ["pretrain", str(corpus), "--from-scratch", str(tmp_path / "config.json"), "--vocab",
             str(vocabulary), "--output", str(tmp_path / "new"), "--max-seq-len", "16",
             "--batch-tokens", "64", "--max-tokens", "64", "--overwrite", "-q"],
            catch_exceptions=False,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        tokenizer = hub.Module(directory=tmp_path / "new").tokenizer
        assert tokenizer.tokens(tokenizer.encode(["USB usb"])[0].input_ids[1:-1]) == wanted
        assert (tokenizer.lowercase is True) == (more == [])


def test_steps_without_a_token_to_guess_change_nothing_and_end_nothing(
    run: Callable[..., PretrainResult],
) -> None:
    recorder = Recorder()
    # A sequence of 7 characters and [SEP] is a text; the vocabulary knows none of the second kind.
    changes = {"epochs": 1, "max_seq_len": 8, "batch_tokens": 8, "held_out": 0.01}
    run(changes=changes, texts=["今天天气好吗", "安安安安安安"] * 20, callbacks=[recorder])
    losses = list(recorder.losses.values())
    assert len(losses) > 30 and all(map(np.isfinite, losses))
    assert 5 < losses.count(0.0) < len(losses)


def test_a_batch_of_which_no_process_has_a_token_to_guess(
    run: Callable[..., PretrainResult], tmp_path: Path
) -> None:
    module = hub.Module(directory=run().folder)
    tokens = encode_corpus(
        [corpus_of(tmp_path, ["安安安安安安"] * 20)],
        UnitFinder(module.tokenizer, max_seq_len=UNCUT_LENGTH),
    )
    packed = PackedCorpus(tokens, module.tokenizer, 8, 0.1, seed=1)
    optimizer = paddle.optimizer.SGD(parameters=module.network.parameters())
    update = Update(module.network, optimizer, group=Group(rank=1, size=2))
    loop = PretrainingLoop(
        module.network, MaskedLanguageModelling(module.tokenizer), TrainingState(),
        PretrainingArguments(), packed, update, None, [],
    )  # fmt: skip
    assert loop._add_gradients(packed.train[:4]) == 0.0


def test_the_command_types_the_whole_way(
    run: Callable[..., PretrainResult], tmp_path: Path
) -> None:
    run()
    command = [
        "pretrain", str(tmp_path / "corpus.txt"), "--model", str(tmp_path / "run"), "--output",
        str(tmp_path / "new"), "--max-seq-len", "24", "--batch-tokens", "96", "--max-tokens", "960",
        "--evaluations", "2", "--held-out", "0.05", "--quiet", "--json",
    ]  # fmt: skip
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert [entry["tokens"] for entry in summary["history"]] == [0, 480, 960]
    assert (tmp_path / "new" / "README.md").exists()
    again = CliRunner().invoke(cli, command)
    assert isinstance(again.exception, OutputError)
