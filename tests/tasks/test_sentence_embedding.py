"""Texts as vectors: transformers' numbers, padding, long texts, export, and every module's own."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hub
from hub.backend import paddle
from hub.data.batches import Batch
from hub.errors import InputError
from hub.inference.export import export
from hub.tasks import AnswerOptions, SentenceEmbedding, create_task, predict, task_name
from hub.tasks.passages import read
from hub.tokenizers import WordPieceTokenizer
from hub.tokenizers.windows import owned

GOLDEN = Path(__file__).parents[1] / "golden"
VECTORS: dict[str, Any] = json.loads((GOLDEN / "embeddings.json").read_text("utf-8"))
TEXTS = ["今天下雨吗", "听", "", "买 2 张 iPhone 票？", "明天天气好吗我去北京听一首歌" * 2]
OPTIONS = [
    {"pooling": pooling, "normalize": normalize}
    for pooling in ("mean", "cls")
    for normalize in (False, True)
]


def embedder(folder: Path, **options: Any) -> hub.Module:
    return hub.Module(directory=folder, task="sentence-embedding", task_options=options)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("case", ["bare-encoder", "bert", "ernie-1.0"])
def test_vectors_are_those_of_transformers(case: str, pooling: str) -> None:
    folder = GOLDEN / "transformers" / case
    module = hub.Module(
        directory=folder, task="embedding", task_options={"pooling": pooling}, max_seq_len=32
    )
    ours = np.stack(module.predict(VECTORS["texts"]))
    np.testing.assert_allclose(ours, VECTORS[case][pooling], rtol=0, atol=1e-5)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_padding_does_not_change_a_vector(tiny_folder: Path, options: dict[str, Any]) -> None:
    module = embedder(tiny_folder, **options)
    together = module.predict(TEXTS, batch_size=len(TEXTS))
    assert [v.shape for v in together] == [(24,)] * len(TEXTS)
    assert all(v.dtype == np.float32 and np.isfinite(v).all() for v in together)
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(module.predict(text), vector, rtol=0, atol=1e-6)
    if options["normalize"]:
        np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=0, atol=1e-6)
        plain = embedder(tiny_folder, pooling=options["pooling"]).predict(TEXTS)
        lengths = np.linalg.norm(plain, axis=1, keepdims=True)
        np.testing.assert_allclose(together, np.stack(plain) / lengths, rtol=0, atol=1e-6)


def test_without_a_mask_padding_is_what_the_configuration_calls_so(tiny_folder: Path) -> None:
    module = embedder(tiny_folder)
    ids = paddle.to_tensor([[1, 9, 8, 2, 0, 0], [1, 7, 2, 0, 0, 0]])
    mask = (ids != 0).astype("int64")
    with paddle.no_grad():
        implied, given = module(ids).numpy(), module(ids, None, mask).numpy()
    np.testing.assert_array_equal(implied, given)


# --- long texts ----------------------------------------------------------------------------------

TOKENIZER = WordPieceTokenizer.from_vocabulary(
    ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *"甲乙丙丁戊己庚辛壬癸"]
)


def first_and_last(batch: Batch) -> np.ndarray:
    """A network whose vector is the first and the last own token of what it reads."""
    lengths = batch.attention_mask.sum(axis=1)
    last = batch.input_ids[np.arange(len(batch)), lengths - 2]
    return np.stack([batch.input_ids[:, 1], last], axis=1).astype(np.float32)


@pytest.mark.parametrize("normalize", [False, True])
def test_windows_weigh_as_much_as_they_own(normalize: bool) -> None:
    text = "甲乙丙丁戊己庚辛壬癸"
    task = create_task("embedding", [], {"normalize": normalize})
    (passage,) = read(TOKENIZER, [text], 8, "window")
    weights = [len(numbers) for numbers in owned(passage.windows)]
    assert len(weights) == 2 and sum(weights) == 10
    # 甲 is 5, 己 (the end of the first window) is 10; the second window is from 戊 (9) to 癸 (14).
    wanted = np.average([[5, 10], [9, 14]], axis=0, weights=weights)
    if normalize:
        wanted = wanted / np.linalg.norm(wanted)
    found = predict(task, TOKENIZER, first_and_last, text, max_seq_len=8, long_text="window")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    cut = predict(task, TOKENIZER, first_and_last, text, max_seq_len=8)
    assert cut.tolist() == [5, 10]


def test_a_long_text_in_windows_is_near_its_parts(tiny_folder: Path) -> None:
    module = embedder(tiny_folder, normalize=True)
    text = "明天天气好吗我去北京听一首歌" * 10
    window, cut = (module.predict(text, long_text=how, max_seq_len=32) for how in ("window", "cut"))
    assert np.linalg.norm(window) == pytest.approx(1, abs=1e-6)
    assert not np.allclose(window, cut, atol=1e-4)
    short = module.predict("去北京", long_text="window")
    np.testing.assert_array_equal(short, module.predict("去北京"))


# --- the task ------------------------------------------------------------------------------------


def test_every_spelling_is_the_task() -> None:
    for name in ("sentence-embedding", "sentence_embedding", "feature-extraction", "Embedding"):
        assert task_name(name) == SentenceEmbedding.name


def test_what_it_cannot_be_is_a_sentence(tiny_folder: Path) -> None:
    for options, message in (
        ({"pooling": "max"}, "pooling must be one of mean, cls, not 'max'"),
        ({"normalize": "yes"}, "normalize is True or False, not 'yes'"),
        ({"crf": True}, "sentence-embedding has no option 'crf'"),
    ):
        with pytest.raises(InputError, match=message):
            embedder(tiny_folder, **options)
    with pytest.raises(InputError, match="takes no labels"):
        hub.Module(directory=tiny_folder, task="embedding", label_map=["a", "b"])
    module = embedder(tiny_folder)
    for options in ({"top_k": 2}, {"probabilities": True}):
        with pytest.raises(InputError, match="no probabilities and no top_k"):
            module.predict(["听歌"], **options)
    with pytest.raises(InputError, match="Text 1 is a pair of texts"):
        module.predict(["听歌", ("甲", "乙")])
    with pytest.raises(InputError, match="was loaded for sentence-embedding"):
        hub.Trainer(module)
    with pytest.raises(InputError, match="no probabilities"):
        SentenceEmbedding().decode([], [], TOKENIZER, AnswerOptions(top_k=1))


def test_the_model_that_is_not_pretrained_warns(caplog: pytest.LogCaptureFixture) -> None:
    bare = hub.Module(name="pocket")
    random = not bare.entry.pretrained  # type: ignore[union-attr]
    assert caplog.text == ""
    bare.get_embedding("好")
    assert ("not pretrained: its vectors are random" in caplog.text) == random
    hub.Module(name="pocket", task="sentence-embedding")
    assert ("not pretrained: its answers are random" in caplog.text) == random


# --- kept, exported ------------------------------------------------------------------------------


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_saved_module_comes_back_with_its_options(
    tiny_folder: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    module = embedder(tiny_folder, **options)
    module.save(tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["ErnieModel"]
    loaded = hub.Module(directory=tmp_path / "saved")
    assert isinstance(loaded.task, SentenceEmbedding) and loaded.task.options == options
    np.testing.assert_array_equal(loaded.predict(TEXTS), module.predict(TEXTS))
    np.testing.assert_array_equal(loaded.get_embedding(TEXTS), module.predict(TEXTS))
    other = embedder(tmp_path / "saved", normalize=not options["normalize"])
    assert isinstance(other.task, SentenceEmbedding)
    assert other.task.options == {**options, "normalize": not options["normalize"]}


@pytest.mark.parametrize("engine", ["onnx", "paddle"])
def test_exported_vectors_are_the_modules(
    tiny_folder: Path, tmp_path: Path, engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    texts = [*TEXTS, "我去北京听一首歌" * 20]
    for number, options in enumerate(OPTIONS):
        module = embedder(tiny_folder, **options)
        assert export(module, tmp_path / str(number), engine).verification.difference < 1e-5
        predictor = hub.Predictor(tmp_path / str(number))
        assert isinstance(predictor.task, SentenceEmbedding) and predictor.task.options == options
        for how in ("cut", "window"):
            wanted = np.stack(module.predict(texts, long_text=how))
            for batch_size in (1, 32):
                found = predictor.predict(texts, long_text=how, batch_size=batch_size)
                np.testing.assert_allclose(np.stack(found), wanted, rtol=0, atol=1e-5)


def test_paddle_saves_it_without_further_arguments(tiny_folder: Path, tmp_path: Path) -> None:
    module = embedder(tiny_folder, normalize=True)
    paddle.jit.save(module, str(tmp_path / "model"))
    graph = paddle.jit.load(str(tmp_path / "model"))
    inputs = [paddle.to_tensor([ids]) for ids in module.tokenizer("听一首歌").values()]
    difference = graph(*inputs).numpy()[0] - module.predict("听一首歌")
    assert np.abs(difference).max() < 1e-6


# --- get_embedding -------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [None, "seq-cls", "ner", "sentence-embedding"])
def test_any_module_has_embeddings(tiny_folder: Path, task: str | None) -> None:
    module = hub.Module(directory=tiny_folder, task=task)
    for options in OPTIONS:
        wanted = np.stack(embedder(tiny_folder, **options).predict(TEXTS))
        found = module.get_embedding(TEXTS, **options)
        assert found.dtype == np.float32 and found.shape == (len(TEXTS), 24)
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(
        module.get_embedding(TEXTS), np.stack(embedder(tiny_folder).predict(TEXTS))
    )
    alone = module.get_embedding(TEXTS[0])
    assert alone.shape == (24,)
    assert module.get_embedding([]).shape == (0, 24)
    assert module.task is None or module.task.name == task_name(task or "")


def test_a_fine_tuned_classifier_gives_what_it_learned(
    tiny_folder: Path, toy_train: list[tuple[str, str]], tmp_path: Path
) -> None:
    module = hub.Module(directory=tiny_folder, task="seq-cls")
    before = module.get_embedding(TEXTS)
    hub.Trainer(module, progress=False).finetune_and_eval(
        toy_train, toy_train, epochs=1, learning_rate=1e-3
    )
    after = module.get_embedding(TEXTS)
    assert np.abs(after - before).max() > 1e-3
    labels = module.predict(TEXTS)
    module.save(tmp_path / "run")
    loaded = hub.Module(directory=tmp_path / "run")
    np.testing.assert_allclose(loaded.get_embedding(TEXTS), after, rtol=0, atol=1e-6)
    assert loaded.predict(TEXTS) == labels  # it still answers as before
    as_task = embedder(tmp_path / "run")
    np.testing.assert_allclose(np.stack(as_task.predict(TEXTS)), after, rtol=0, atol=1e-6)


def test_paddlehubs_calls_work(tiny_folder: Path) -> None:
    module = hub.Module(directory=tiny_folder)
    rows = [[text] for text in TEXTS]
    found = module.get_embedding(rows, max_seq_len=16, batch_size=1, use_gpu=False)
    wanted = module.get_embedding(TEXTS, max_seq_len=16)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)
    module.get_embedding(data=rows, use_gpu=False)
    with pytest.raises(InputError, match="Text 0 is a pair of texts"):
        module.get_embedding([["甲", "乙"]])
    with pytest.raises(InputError, match="Text 0 is int, not a string"):
        module.get_embedding([3])  # type: ignore[list-item]
    with pytest.raises(InputError, match="max_seq_len is 65"):
        module.get_embedding(rows, max_seq_len=65)
    with pytest.raises(InputError, match="pooling must be one of mean, cls"):
        module.get_embedding(rows, pooling="max")


def test_long_texts_are_told_once(tiny_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    module = hub.Module(directory=tiny_folder)
    with caplog.at_level(logging.INFO):
        module.get_embedding(["听一首歌" * 30, "听"])
    assert caplog.text.count("1 of 2 texts are longer than 64 tokens: only their beginning") == 1
    with caplog.at_level(logging.INFO):
        module.get_embedding(["听一首歌" * 30, "听"], long_text="window")
    assert "1 of 2 texts are longer than 64 tokens: read in 3 windows" in caplog.text
