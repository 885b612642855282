"""Training with what int8 rounds: the exported graph's numbers, and what it recovers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import hub
from hub.backend import paddle
from hub.cli.main import cli
from hub.compression.quantization import quantize
from hub.data import load_dataset
from hub.data.batches import collate
from hub.errors import InputError, OutputError
from hub.inference.engines import open_engine
from hub.inference.export import export
from hub.inference.graphs.quantization import quantize_symmetric
from hub.training.quantization_aware import rounded, rounded_inputs, rounded_weights
from hub.training.trainer import Trainer

KINDS = (("雨", "天气"), ("歌", "音乐"), ("票", "车票"))
FILLER = "的一是在不了有和人这中大为上个我你他"
ROWS = [(f"{a}{sign}{b}吗", label) for a in FILLER for b in FILLER[:3] for sign, label in KINDS]
LABELS = ["天气", "音乐", "车票"]


def damage(module: hub.Module) -> None:
    """Change no answer, but make int8's steps coarse where all that was read comes together.

    Some inputs of the pooler are made a thousand times smaller, and their weights as much larger:
    the other weights are then less than a step, and these inputs too.
    """
    encoder, places, factor = module.network.encoder, slice(0, 3), 1_000
    norm, pooler = encoder.layers[-1].output_norm, encoder.pooler.dense
    for tensor, change in (
        (norm.weight, 1 / factor), (norm.bias, 1 / factor), (pooler.weight, factor),
    ):  # fmt: skip
        values = tensor.numpy()
        values[places] *= change
        tensor.set_value(values)


@pytest.fixture(scope="module")
def damaged(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fine-tuned classifier that int8 ruins."""
    module = hub.Module(directory=tiny_folder, task="seq-cls", label_map=LABELS)
    Trainer(module, progress=False).finetune_and_eval(
        ROWS, ROWS, epochs=10, batch_size=16, learning_rate=1e-2, seed=3
    )
    before = module.predict([text for text, _ in ROWS])
    damage(module)
    assert module.predict([text for text, _ in ROWS]) == before
    folder = tmp_path_factory.mktemp("int8") / "damaged"
    module.save(folder)
    return folder


def test_weights_are_rounded_as_they_are_exported() -> None:
    array = np.random.default_rng(1).normal(size=(7, 5)).astype(np.float32)
    array[:, 2] = 0
    for axis in (0, 1):
        values, scales = quantize_symmetric(array, axis)
        found = rounded_weights(paddle.to_tensor(array), axis).numpy()
        assert np.allclose(found, values * scales, atol=1e-6)


def test_inputs_are_rounded_as_onnx_defines_it() -> None:
    draw = np.random.default_rng(2)
    for x in (
        draw.normal(size=(3, 4)), draw.uniform(1, 2, size=(3, 4)), -draw.uniform(1, 2, size=(3, 4)),
        np.zeros((2, 2)),
    ):  # fmt: skip
        low, high = min(0.0, x.min()), max(0.0, x.max())
        scale = (high - low) / 255 or 1.0
        zero = round(-low / scale)
        wanted = (np.clip(np.rint(x / scale) + zero, 0, 255) - zero) * scale
        found = rounded_inputs(paddle.to_tensor(x.astype(np.float32))).numpy()
        assert np.allclose(found, wanted, atol=scale * 1e-3)


def test_gradients_pass_through_the_rounding() -> None:
    x = paddle.to_tensor(np.linspace(-1, 1, 6, dtype=np.float32), stop_gradient=False)
    (rounded_inputs(x) * 3).sum().backward()
    assert x.grad.numpy().tolist() == [3.0] * 6


def test_the_network_computes_what_the_exported_graph_does(tmp_path: Path) -> None:
    module = hub.Module(name="ernie-pocket-zh", task="seq-cls", label_map=LABELS)
    export(module, tmp_path / "int8", precision="int8")
    engine = open_engine("onnx", tmp_path / "int8", 1, "int8")
    encodings = module.tokenizer.encode([text for text, _ in ROWS[:9]])
    alone = [collate(encodings, np.array([n]), module.tokenizer.pad_token_id) for n in range(9)]
    exact, names = [module.compute(batch) for batch in alone], set(module.network.state_dict())
    with rounded(module.network, True):
        assert module.network.encoder.embeddings.word_embeddings.weight.shape[1] == 312
        ours = [module.compute(batch) for batch in alone]
    theirs = [engine(batch) for batch in alone]
    apart = [np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True)]
    cost = [np.abs(a - b).max() for a, b in zip(exact, theirs, strict=True)]
    # A value in the middle between two steps may be rounded either way, and with it all above it.
    assert np.median(apart) < 1e-4 < 1e-3 < np.median(cost)
    assert set(module.network.state_dict()) == names
    assert np.array_equal(module.compute(alone[0]), exact[0])


def test_training_recovers_what_int8_costs(damaged: Path, tmp_path: Path) -> None:
    module = hub.Module(directory=damaged)
    data = load_dataset(ROWS, kind="text-classification")
    lines: list[str] = []
    changes = {"epochs": 10, "learning_rate": 1e-2, "batch_size": 16, "seed": 1}
    made = quantize(
        module, data, data, tmp_path / "robust", changes=changes, progress=False, say=lines.append
    )
    assert made.is_trained and made.fp32 > 0.95
    assert made.before < made.fp32 - 0.05 and made.after > made.fp32 - 0.02
    assert "it loses" in lines[0]
    # What was written is what was measured.
    loaded = hub.Module(directory=tmp_path / "robust")
    found = export(loaded, tmp_path / "int8", precision="int8", data=data).verification
    assert found.after == made.after
    # Training on without rounding does not make it so.
    other = hub.Module(directory=damaged)
    Trainer(other, progress=False).finetune_and_eval(ROWS, ROWS, **changes)
    plain = export(
        other, tmp_path / "plain", precision="int8", data=data, max_drop=100
    ).verification
    assert plain.after is not None and plain.after < made.after
    with pytest.raises(OutputError, match="already holds a model"):
        quantize(module, data, data, tmp_path / "robust", progress=False)


def test_the_command_leaves_a_model_that_loses_nothing(tiny_folder: Path, tmp_path: Path) -> None:
    module = hub.Module(directory=tiny_folder, task="seq-cls", label_map=LABELS)
    Trainer(module, progress=False).finetune_and_eval(
        ROWS, ROWS, epochs=10, batch_size=16, learning_rate=1e-2, seed=3
    )
    module.save(tmp_path / "run")
    data = tmp_path / "rows.tsv"
    data.write_text("text\tlabel\n" + "".join(f"{t}\t{label}\n" for t, label in ROWS), "utf-8")
    result = CliRunner().invoke(
        cli,
        ["compress", "quantize", str(tmp_path / "run"), str(data), "--dev", str(data), "-q",
         "--max-drop", "5", "--json", "--output", str(tmp_path / "robust")],
        catch_exceptions=False,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "it needs no training for int8" in result.stderr
    steps: list[dict[str, Any]] = json.loads(result.stdout)
    assert [step["what"] for step in steps] == ["start", "quantize: as it was"]
    texts = [text for text, _ in ROWS]
    assert hub.Module(directory=tmp_path / "robust").predict(texts) == module.predict(texts)


def test_low_rank_changes_are_not_rounded(damaged: Path) -> None:
    module = hub.Module(directory=damaged)
    with pytest.raises(InputError, match="leave lora or"):
        Trainer(module, progress=False).finetune_and_eval(
            ROWS, ROWS, lora=4, quantization_aware=True
        )
