"""What a model folder says is what is computed: its epsilon, its precision, its format, its files.

`test_parity.py` compares logits; these are the promises that its golden cases cannot tell apart.
"""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import hub
from hub.backend import paddle
from hub.data.batches import Batch, collate
from hub.errors import ModelError

GOLDEN = Path(__file__).parents[1] / "golden" / "transformers"
CLASSIFIERS = ("ernie-1.0", "ernie-3.0", "bert")
TEXTS = ["今天下雨吗", "听", "", "明天北京天气好吗，要多少", "去酒店"]


def batch_of(module: hub.Module, texts: list[str]) -> Batch:
    """Texts as the network reads them."""
    encodings = module.tokenizer.encode(texts, module.max_seq_len)
    return collate(encodings, np.arange(len(texts)), module.tokenizer.pad_token_id)


def write_bfloat16(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Write the upper halves of float32 arrays, as the format's documentation describes it."""
    header: dict[str, object] = {}
    data = b""
    for name, array in arrays.items():
        piece = (np.ascontiguousarray(array).view(np.uint32) >> 16).astype("<u2").tobytes()
        offsets = [len(data), len(data) + len(piece)]
        header[name] = {"dtype": "BF16", "shape": list(array.shape), "data_offsets": offsets}
        data += piece
    head = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + data)


@pytest.mark.parametrize("case", [*CLASSIFIERS, "bare-encoder"])
def test_every_layer_norm_has_the_epsilon_of_the_configuration(case: str) -> None:
    # The rows vary so little that 1e-5 and 1e-12 differ a lot; in the golden batches they do not.
    module = hub.Module(directory=GOLDEN / case)
    wanted = json.loads((GOLDEN / case / "config.json").read_text("utf-8"))["layer_norm_eps"]
    x = np.random.default_rng(0).normal(0, 1e-3, (4, 24)).astype(np.float32)
    centred = x - x.mean(axis=-1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + wanted)
    layers = [
        layer for layer in module.network.sublayers() if isinstance(layer, paddle.nn.LayerNorm)
    ]
    assert len(layers) == 5  # one over the embeddings, two in each of the two layers
    for layer in layers:
        expected = normal * layer.weight.numpy() + layer.bias.numpy()
        with paddle.no_grad():
            answer = layer(paddle.to_tensor(x)).numpy()
        np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("case", CLASSIFIERS)
def test_rows_of_a_batch_are_answered_as_alone_whatever_the_padding(case: str) -> None:
    module = hub.Module(directory=GOLDEN / case)
    together = module.compute(batch_of(module, TEXTS))
    assert np.ptp(together, axis=0).min() > 1e-2  # the rows do differ
    for row, text in enumerate(TEXTS):
        alone = module.compute(batch_of(module, [text]))[0]
        np.testing.assert_allclose(alone, together[row], rtol=0, atol=1e-5)


def test_a_folder_in_bfloat16_answers_as_its_numbers_in_float32(tmp_path: Path) -> None:
    half, whole = (shutil.copytree(GOLDEN / "ernie-1.0", tmp_path / n) for n in ("half", "whole"))
    arrays = load_file(GOLDEN / "ernie-1.0" / "model.safetensors")
    write_bfloat16(arrays, half / "model.safetensors")
    cut = {name: (a.view(np.uint32) & 0xFFFF0000).view(np.float32) for name, a in arrays.items()}
    assert any((cut[name] != array).any() for name, array in arrays.items())
    save_file(cut, whole / "model.safetensors")
    widened, wanted = hub.Module(directory=half), hub.Module(directory=whole)
    assert {str(p.dtype) for p in widened.parameters()} == {"paddle.float32"}
    batch = batch_of(wanted, TEXTS)
    np.testing.assert_array_equal(widened.compute(batch), wanted.compute(batch))


def test_a_folder_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    hub.Module(directory=GOLDEN / "bert").save(tmp_path / "saved")
    path = tmp_path / "saved" / "hub.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values["format_version"] += 1
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(ModelError, match=r"hub\.json is of format 2.*Upgrade"):
        hub.Module(directory=tmp_path / "saved")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_flipped_bit_in_any_file_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    hub.Module(directory=GOLDEN / "bert").save(tmp_path / "saved")
    path = tmp_path / "saved" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        hub.Module(directory=tmp_path / "saved")
