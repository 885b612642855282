"""Every format becomes one: checkpoints written by the peers answer as the peers do."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import hub
from hub.backend import paddle
from hub.errors import ModelError
from hub.models.conversion import convert
from hub.models.ernie.checkpoints import to_arrays
from hub.models.ernie.config import ErnieConfig
from hub.models.ernie.modeling import ErnieModel
from hub.models.ernie.shapes import encoder_shapes

GOLDEN = Path(__file__).parents[1] / "golden"
PADDLENLP = GOLDEN / "paddlenlp"
# What the catalogue knows better than PaddleNLP's configuration files.
KNOWN: dict[str, dict[str, Any]] = {
    "roberta-wwm": {"model_type": "bert"},
    "ernie-gram": {"model_type": "ernie", "layer_norm_eps": 1e-5},
}


def architecture(case: str) -> Mapping[str, Any] | None:
    """The shape as a catalogue would give it, or None if the folder's is right."""
    if case not in KNOWN:
        return None
    values = json.loads((PADDLENLP / case / "config.json").read_text("utf-8"))
    return {**values, **KNOWN[case]}


def converted(case: str, target: Path) -> Path:
    target.mkdir()
    convert(PADDLENLP / case, target, architecture(case))
    return target


def batches(case: str) -> list[dict[str, np.ndarray]]:
    document = json.loads((PADDLENLP / case / "golden.json").read_text("utf-8"))
    return [{name: np.array(v) for name, v in batch.items()} for batch in document["batches"]]


@pytest.mark.parametrize("case", sorted(path.name for path in PADDLENLP.iterdir()))
def test_a_checkpoint_of_paddlenlp_computes_what_it_computes_there(
    case: str, tmp_path: Path
) -> None:
    module = hub.Module(directory=converted(case, tmp_path / "made"))
    for batch in batches(case):
        inputs = [
            paddle.to_tensor(batch[name].astype("int64"))
            for name in ("input_ids", "token_type_ids", "attention_mask")
        ]
        with paddle.no_grad():
            sequence, pooled = module.network.encoder(*inputs)
        seen = batch["attention_mask"][..., None]
        np.testing.assert_allclose(sequence.numpy() * seen, batch["sequence"] * seen, atol=1e-5)
        np.testing.assert_allclose(pooled.numpy(), batch["pooled"], atol=1e-5)


def test_heads_are_kept_under_the_names_of_transformers(tmp_path: Path) -> None:
    folder = converted("ernie-3.0", tmp_path / "made")
    arrays = safetensors.numpy.load_file(folder / "model.safetensors")
    heads = {name for name in arrays if name.startswith("cls.")}
    assert heads == {
        "cls.predictions.bias",
        "cls.predictions.transform.dense.weight",
        "cls.predictions.transform.dense.bias",
        "cls.predictions.transform.LayerNorm.weight",
        "cls.predictions.transform.LayerNorm.bias",
    } | ({"cls.predictions.decoder.bias"} & heads)
    values = json.loads((folder / "config.json").read_text("utf-8"))
    assert values["architectures"] == ["ErnieForMaskedLM"]


def test_the_masked_word_is_guessed_as_paddlenlp_guesses_it(tmp_path: Path) -> None:
    """The head's weights, put together by hand, give PaddleNLP's logits."""
    folder = converted("ernie-3.0", tmp_path / "made")
    arrays = safetensors.numpy.load_file(folder / "model.safetensors")
    batch = next(b for b in batches("ernie-3.0") if "logits" in b)

    def head(name: str) -> np.ndarray:
        return arrays[f"cls.predictions.{name}"]

    from math import erf

    x = batch["sequence"] @ head("transform.dense.weight").T + head("transform.dense.bias")
    x = x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
    x = x * head("transform.LayerNorm.weight") + head("transform.LayerNorm.bias")
    words = arrays["ernie.embeddings.word_embeddings.weight"]
    np.testing.assert_allclose(x @ words.T + head("bias"), batch["logits"], atol=1e-4)


def test_the_same_weights_in_every_format_become_the_same_file(tmp_path: Path) -> None:
    source = GOLDEN / "transformers" / "bert"
    binary = shutil.copytree(source, tmp_path / "bin")
    (binary / "model.safetensors").unlink()
    shutil.copy(GOLDEN / "transformers" / "bert-bin" / "pytorch_model.bin", binary)
    made = []
    for folder in (source, binary):
        target = tmp_path / f"from-{folder.name}"
        target.mkdir()
        convert(folder, target)
        made.append(safetensors.numpy.load_file(target / "model.safetensors"))
    made[1].pop("extra", None)
    assert made[0].keys() == made[1].keys()
    for name, array in made[0].items():
        np.testing.assert_array_equal(array, made[1][name])


def test_a_fine_tuned_folder_keeps_its_labels(tmp_path: Path) -> None:
    target = tmp_path / "made"
    target.mkdir()
    convert(GOLDEN / "transformers" / "bert", target)
    texts = ["今天天气好吗", "听一首歌", "买张票"]
    original = hub.Module(directory=GOLDEN / "transformers" / "bert")
    assert hub.Module(directory=target).predict(texts) == original.predict(texts)


def test_a_classifier_by_the_mean_stays_one_that_transformers_refuses(
    tiny_folder: Path, tmp_path: Path
) -> None:
    module = hub.Module(
        directory=tiny_folder, task="seq-cls", label_map=["a", "b"], classifier_pooling="mean"
    )
    module.save(tmp_path / "run")
    (tmp_path / "run" / "hub.json").unlink()
    (tmp_path / "made").mkdir()
    convert(tmp_path / "run", tmp_path / "made")
    values = json.loads((tmp_path / "made" / "config.json").read_text("utf-8"))
    assert values["model_type"] == "ernie-mean-pooling"
    again = hub.Module(directory=tmp_path / "made").predict("今天", probabilities=True)
    assert again == module.predict("今天", probabilities=True)


@pytest.mark.parametrize("kind", ["ernie", "bert"])
def test_the_shapes_are_those_of_the_network(kind: str) -> None:
    for task, width in ((False, None), (True, None), (False, 3)):
        config = ErnieConfig(
            model_type=kind, vocab_size=11, hidden_size=8, num_hidden_layers=2,
            num_attention_heads=2, intermediate_size=12, max_position_embeddings=7,
            type_vocab_size=3, task_type_vocab_size=5, use_task_id=task, head_dim=width,
        )  # fmt: skip

        class Network(paddle.nn.Layer):
            def __init__(self, config: ErnieConfig) -> None:
                super().__init__()
                self.encoder = ErnieModel(config)

        arrays = to_arrays(Network(config), kind)
        shapes = {name.removeprefix(f"{kind}."): array.shape for name, array in arrays.items()}
        assert encoder_shapes(config) == shapes


# --- what does not fit is refused ----------------------------------------------------------------


def broken(tmp_path: Path) -> Path:
    return shutil.copytree(GOLDEN / "transformers" / "ernie-1.0", tmp_path / "broken")


def change_config(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": 3}, "lacks ernie.encoder.layer.2"),
        ({"vocab_size": 65}, r"word_embeddings.weight has the shape \[64, 24\]"),
        ({"use_task_id": True}, "lacks ernie.embeddings.task_type"),
        ({"hidden_act": "tanh"}, "hidden_act"),
        ({"model_type": "gpt2"}, "model_type"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder = broken(tmp_path)
    change_config(folder, **change)
    (tmp_path / "made").mkdir()
    with pytest.raises(ModelError, match=message):
        convert(folder, tmp_path / "made")


def test_a_vocabulary_that_is_too_large_is_refused(tmp_path: Path) -> None:
    folder = broken(tmp_path)
    with (folder / "vocab.txt").open("a", encoding="utf-8") as file:
        file.writelines(f"x{number}\n" for number in range(100))
    (tmp_path / "made").mkdir()
    with pytest.raises(ModelError, match="embeddings for 64"):
        convert(folder, tmp_path / "made")


def save(arrays: dict[str, np.ndarray], folder: Path) -> None:
    safetensors.numpy.save_file(arrays, folder / "model.safetensors")


def test_weights_that_are_no_numbers_are_counted_and_refused(tmp_path: Path) -> None:
    folder = broken(tmp_path)
    arrays = safetensors.numpy.load_file(folder / "model.safetensors")
    weights = arrays["ernie.embeddings.word_embeddings.weight"].copy()
    weights[3, :2] = np.nan, np.inf
    save({**arrays, "ernie.embeddings.word_embeddings.weight": weights}, folder)
    (tmp_path / "made").mkdir()
    with pytest.raises(ModelError, match=r"2 of the numbers in ernie\.embeddings\.word"):
        convert(folder, tmp_path / "made")


def _header(text: str, length: int | None = None) -> bytes:
    head = text.encode()
    return struct.pack("<Q", len(head) if length is None else length) + head


BAD_FILES = {
    "header too long": _header("{}", 200_000_000),
    "header beyond the file": _header("{}", 1000),
    "no json": _header("nonsense"),
    "out of range": _header('{"x":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}') + b"1234",
    "overlap": _header(
        '{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        '"y":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    )
    + b"1234",
    "hole": _header('{"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}') + b"12345678",
    "shape and size differ": _header('{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,4]}}')
    + b"1234",
    "overflowing shape": _header(
        '{"x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}}'
    )
    + b"1234",
    "unknown type": _header('{"x":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}}') + b"1234",
    "integers": _header(
        '{"embeddings.word_embeddings.weight":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}'
    )
    + b"12345678",
    "short tail": b"",
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_safetensors_file_is_refused(kind: str, tmp_path: Path) -> None:
    folder = broken(tmp_path)
    path = folder / "model.safetensors"
    path.write_bytes(BAD_FILES[kind] or path.read_bytes()[:-1])
    (tmp_path / "made").mkdir()
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        convert(folder, tmp_path / "made")
    assert list((tmp_path / "made").iterdir()) == []


def test_the_catalogue_wins_over_the_folder_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = broken(tmp_path)
    values = json.loads((folder / "config.json").read_text("utf-8"))
    (tmp_path / "made").mkdir()
    config = convert(folder, tmp_path / "made", {**values, "hidden_act": "gelu"})
    assert config.hidden_act == "gelu"
    assert "hidden_act is 'relu'; the catalogue's 'gelu' is used" in caplog.text


def test_the_configuration_of_an_old_paddlenlp_folder_is_read(tmp_path: Path) -> None:
    folder = shutil.copytree(PADDLENLP / "ernie-1.0", tmp_path / "old")
    values = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").unlink()
    encoder = {k: v for k, v in values.items() if k not in ("model_type", "layer_norm_eps")}
    old = {"init_args": [{**encoder, "init_class": "ErnieModel"}], "init_class": "ErnieForX"}
    (folder / "model_config.json").write_text(json.dumps(old))
    (tmp_path / "made").mkdir()
    assert convert(folder, tmp_path / "made").model_type == "ernie"
