"""Weight files: every precision is read, every damage is named."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import hub
from hub.errors import ModelError
from hub.models.conversion import convert
from hub.models.ernie.checkpoints import transformers_name
from hub.models.ernie.formats import read_safetensors


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may damage."""
    return shutil.copytree(tiny_folder, tmp_path / "model")


def change(folder: Path, how: Callable[[dict[str, np.ndarray]], object]) -> None:
    """Rewrite the weights after `how` changed them."""
    arrays = load_file(folder / "model.safetensors")
    how(arrays)
    save_file(arrays, folder / "model.safetensors")


def test_half_precisions_are_widened(tmp_path: Path) -> None:
    values = np.array([[0.5, -2.0, 3.25]], np.float32)  # exact in both half precisions
    save_file({"x": values.astype(np.float16)}, tmp_path / "f16.safetensors")
    assert read_safetensors(tmp_path / "f16.safetensors")["x"].tolist() == values.tolist()
    # NumPy cannot write bfloat16: a file by hand, as the format's documentation describes it.
    header = b'{"x":{"dtype":"BF16","shape":[1,3],"data_offsets":[0,6]}}'
    data = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    (tmp_path / "bf16.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
    assert read_safetensors(tmp_path / "bf16.safetensors")["x"].tolist() == values.tolist()


def test_a_model_in_half_precision_computes_in_float32(folder: Path) -> None:
    change(folder, lambda a: a.update({k: v.astype(np.float16) for k, v in a.items()}))
    module = hub.Module(directory=folder, task="seq-cls", label_map=["a", "b", "c"])
    assert {str(p.dtype) for p in module.parameters()} == {"paddle.float32"}
    assert module.predict(["今天下雨吗"])[0] in "abc"


def test_a_file_cut_short_is_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"model\.safetensors is not a whole safetensors file"):
        hub.Module(directory=folder)


def test_missing_weights_are_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"neither model\.safetensors nor pytorch_model\.bin"):
        hub.Module(directory=folder)


def test_a_missing_part_of_the_encoder_is_named(folder: Path) -> None:
    change(folder, lambda a: a.pop("ernie.encoder.layer.1.attention.self.key.weight"))
    with pytest.raises(ModelError, match=r"lacks 1 .*layers\.1\.attention\.key\.weight"):
        hub.Module(directory=folder)


def test_another_shape_is_named_with_both_shapes(folder: Path) -> None:
    name = "ernie.embeddings.position_embeddings.weight"
    change(folder, lambda a: a.update({name: a[name][:10].copy()}))
    with pytest.raises(ModelError, match=r"position_embeddings.weight has the shape \[10, 24\]"):
        hub.Module(directory=folder)


def test_weights_that_are_no_numbers_are_counted_and_refused(folder: Path) -> None:
    name = "ernie.encoder.layer.0.output.dense.bias"
    change(folder, lambda a: a[name].__setitem__(slice(2), np.nan))
    with pytest.raises(ModelError, match=rf"2 of the numbers in {name} are infinite or none"):
        hub.Module(directory=folder)
    change(folder, lambda a: a.update({name: np.zeros(24, np.int64)}))
    with pytest.raises(ModelError, match=rf"{name} holds int64, not weights"):
        hub.Module(directory=folder)


def test_layer_norms_may_have_the_names_of_tensorflow(folder: Path, tmp_path: Path) -> None:
    wanted = hub.Module(directory=folder).get_embedding("今天下雨吗")

    def rename(arrays: dict[str, np.ndarray]) -> None:
        for name in list(arrays):
            old = name.replace("LayerNorm.weight", "LayerNorm.gamma")
            arrays[old.replace("LayerNorm.bias", "LayerNorm.beta")] = arrays.pop(name)

    change(folder, rename)
    assert "ernie.embeddings.LayerNorm.gamma" in load_file(folder / "model.safetensors")
    (tmp_path / "made").mkdir()
    convert(folder, tmp_path / "made")
    for place in (folder, tmp_path / "made"):
        answer = hub.Module(directory=place).get_embedding("今天下雨吗")
        np.testing.assert_array_equal(answer, wanted)


def test_a_head_for_other_labels_starts_anew(folder: Path) -> None:
    module = hub.Module(directory=folder, task="seq-cls", label_map=list("abcde"))
    assert len(module.predict(["今天"], probabilities=True)[0]["probabilities"]) == 5


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("embeddings.layer_norm.bias", "embeddings.LayerNorm.bias"),
        ("layers.3.attention.value.weight", "encoder.layer.3.attention.self.value.weight"),
        ("layers.0.attention.output.bias", "encoder.layer.0.attention.output.dense.bias"),
        ("layers.11.feed_forward.output.weight", "encoder.layer.11.output.dense.weight"),
        ("layers.1.output_norm.weight", "encoder.layer.1.output.LayerNorm.weight"),
        ("pooler.dense.weight", "pooler.dense.weight"),
    ],
)
def test_names_are_those_of_transformers(ours: str, theirs: str) -> None:
    assert transformers_name(f"encoder.{ours}", "bert") == f"bert.{theirs}"
    assert transformers_name("classifier.weight", "bert") == "classifier.weight"
