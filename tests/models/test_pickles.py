"""PyTorch's and Paddle's files are read to the last bit, and never run."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import hub
from hub.backend import paddle
from hub.errors import ModelError
from hub.models.conversion import convert
from hub.models.pickles import read_paddle, read_torch

GOLDEN = Path(__file__).parents[1] / "golden" / "transformers"

# transformers' names -> PaddleNLP's, written by hand from its model files.
PADDLENLP = [
    ("encoder.layer.", "encoder.layers."),
    ("attention.self.query.", "self_attn.q_proj."),
    ("attention.self.key.", "self_attn.k_proj."),
    ("attention.self.value.", "self_attn.v_proj."),
    ("attention.output.dense.", "self_attn.out_proj."),
    ("attention.output.LayerNorm.", "norm1."),
    ("intermediate.dense.", "linear1."),
    ("output.dense.", "linear2."),
    ("output.LayerNorm.", "norm2."),
    ("embeddings.LayerNorm.", "embeddings.layer_norm."),
]


def folder_without_weights(case: str, target: Path) -> Path:
    """A golden model's folder but for its weights."""
    return shutil.copytree(
        GOLDEN / case, target, ignore=shutil.ignore_patterns("*.safetensors", "golden.json")
    )


def paddlenlps_state(case: str) -> dict[str, Any]:
    """A golden model's weights as PaddleNLP names and lays them out."""
    state = {}
    for name, array in load_file(GOLDEN / case / "model.safetensors").items():
        new = name
        for theirs, paddlenlps in PADDLENLP:
            new = new.replace(theirs, paddlenlps)
        linear = array.ndim == 2 and "embeddings" not in name
        state[new] = paddle.to_tensor(array.T if linear else array)
    return state


def test_a_torch_file_gives_the_weights_of_the_safetensors_file(tmp_path: Path) -> None:
    arrays = read_torch(GOLDEN / "bert-bin" / "pytorch_model.bin")
    assert arrays.pop("extra").tolist() == [0.5, -2.0]
    theirs = load_file(GOLDEN / "bert" / "model.safetensors")
    assert len(arrays) == len(theirs)
    for name, array in theirs.items():
        old = name.replace("LayerNorm.weight", "LayerNorm.gamma")
        old = old.replace("LayerNorm.bias", "LayerNorm.beta")
        np.testing.assert_array_equal(arrays[old], array, err_msg=name)


def test_a_folder_with_a_torch_file_answers_as_with_safetensors(tmp_path: Path) -> None:
    folder = folder_without_weights("bert", tmp_path / "bert")
    shutil.copy(GOLDEN / "bert-bin" / "pytorch_model.bin", folder)
    texts = ["今天天气好吗", "买张票"]
    mine = hub.Module(directory=folder).predict(texts, probabilities=True)
    assert mine == hub.Module(directory=GOLDEN / "bert").predict(texts, probabilities=True)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_a_paddlenlp_file_answers_as_with_safetensors(tmp_path: Path, protocol: int) -> None:
    folder = folder_without_weights("ernie-3.0", tmp_path / "ernie")
    state = paddlenlps_state("ernie-3.0")
    paddle.save(state, str(folder / "model_state.pdparams"), protocol=protocol)
    texts = ["今天天气好吗", "买张票"]
    mine = hub.Module(directory=folder).predict(texts, probabilities=True)
    assert mine == hub.Module(directory=GOLDEN / "ernie-3.0").predict(texts, probabilities=True)


def test_a_paddlenlp_file_in_bfloat16_answers_as_its_numbers_in_float32(tmp_path: Path) -> None:
    texts = ["今天天气好吗", "买张票"]
    answers = []
    for kind in ("bfloat16", "float32"):
        folder = folder_without_weights("ernie-3.0", tmp_path / kind)
        state = {
            name: tensor.astype("bfloat16").astype(kind)
            for name, tensor in paddlenlps_state("ernie-3.0").items()
        }
        paddle.save(state, str(folder / "model_state.pdparams"))
        answers.append(hub.Module(directory=folder).predict(texts, probabilities=True))
        (tmp_path / f"{kind}-made").mkdir()
        convert(folder, tmp_path / f"{kind}-made")
        made = hub.Module(directory=tmp_path / f"{kind}-made")
        answers.append(made.predict(texts, probabilities=True))
    assert answers[1:] == answers[:1] * 3
    whole = hub.Module(directory=GOLDEN / "ernie-3.0").predict(texts, probabilities=True)
    for half, answer in zip(answers[0], whole, strict=True):
        assert half["probabilities"] == pytest.approx(answer["probabilities"], abs=0.02)


def test_a_checkpoint_of_paddlehub_is_put_over_the_models_weights(tmp_path: Path) -> None:
    state = {f"model.{name}": tensor for name, tensor in paddlenlps_state("ernie-3.0").items()}
    path = tmp_path / "model.pdparams"
    paddle.save(state, str(path))
    original = hub.Module(directory=GOLDEN / "ernie-3.0")
    assert original.task is not None
    module = hub.Module(
        directory=GOLDEN / "ernie-3.0", task="seq-cls", label_map=original.task.labels,
        pretrained=False, load_checkpoint=path,
    )  # fmt: skip
    texts = ["今天天气好吗", "买张票"]
    assert module.predict(texts, probabilities=True) == original.predict(texts, probabilities=True)


def test_a_genuine_state_dict_of_paddle_is_bit_equal(tmp_path: Path) -> None:
    layer = paddle.nn.TransformerEncoderLayer(8, 2, 16)
    paddle.save(layer.state_dict(), str(tmp_path / "x.pdparams"))
    arrays = read_paddle(tmp_path / "x.pdparams")
    assert sorted(arrays) == sorted(layer.state_dict())
    for name, tensor in layer.state_dict().items():
        np.testing.assert_array_equal(arrays[name], tensor.numpy())


# --- files that want to run something --------------------------------------------------------


class _Call:
    """Pickles to a call of `function`."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


class _State:
    """Pickles to an object whose state is set from the file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (io.StringIO, (), None, None, None)


def evil(canary: Path) -> dict[str, Any]:
    """Objects whose unpickling, done carelessly, makes the file `canary`."""
    command = f"touch {canary}"
    python = f"open({str(canary)!r}, 'w')"
    return {
        "os.system": _Call(os.system, command),
        "subprocess": _Call(subprocess.check_call, ["touch", str(canary)]),
        "eval": _Call(eval, python),
        "exec": _Call(exec, python),
        "open": _Call(open, str(canary), "w"),
        "getattr": _Call(getattr, io.StringIO, "close"),
        "import": _Call(__import__, "antigravity"),
        "nested": {"a": [{"b": (_Call(os.system, command),)}]},
        "pickle in pickle": _Call(pickle.loads, pickle.dumps(_Call(os.system, command))),
        "numpy load": _Call(np.load, str(canary), None, True),
        "another class": _State(),
    }


NAMES = list(evil(Path("x")))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", NAMES)
def test_a_paddle_file_that_runs_code_is_refused_by_name(
    tmp_path: Path, name: str, protocol: int
) -> None:
    canary = tmp_path / "canary"
    path = tmp_path / "evil.pdparams"
    path.write_bytes(pickle.dumps({"weight": evil(canary)[name]}, protocol))
    with pytest.raises(ModelError, match=r"evil\.pdparams asks for .*nothing in it was run"):
        read_paddle(path)
    assert not canary.exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_torch_file_that_runs_code_is_refused_by_name(tmp_path: Path, name: str) -> None:
    canary = tmp_path / "canary"
    path = tmp_path / "evil.bin"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps({"weight": evil(canary)[name]}, 2))
    with pytest.raises(ModelError, match=r"evil\.bin asks for .*nothing in it was run"):
        read_torch(path)
    assert not canary.exists()


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "objects.pdparams"
    path.write_bytes(pickle.dumps({"weight": np.array([_Call(os.getpid)], dtype=object)}, 4))
    with pytest.raises(ModelError, match="asks for"):
        read_paddle(path)


def test_tensors_larger_than_their_data_are_refused(tmp_path: Path) -> None:
    source = GOLDEN / "bert-bin" / "pytorch_model.bin"
    path = tmp_path / "short.bin"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content[:8] if name.endswith("/data/0") else content)
    with pytest.raises(ModelError, match="a tensor larger than its data"):
        read_torch(path)


@pytest.mark.parametrize("size", [0, 1, 100, -1])
def test_files_cut_short_are_refused(tmp_path: Path, size: int) -> None:
    for source, read in (
        (GOLDEN / "bert-bin" / "pytorch_model.bin", read_torch),
        (None, read_paddle),
    ):
        path = tmp_path / "cut"
        if source is None:
            paddle.save(paddle.nn.Linear(3, 3).state_dict(), str(path))
        content = path.read_bytes() if source is None else source.read_bytes()
        path.write_bytes(content[:size])
        with pytest.raises(ModelError, match="cut"):
            read(path)


def test_what_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(ModelError, match="holds a list"):
        read_paddle(path)
    path.write_bytes(pickle.dumps({"epoch": 3}))
    with pytest.raises(ModelError, match="'epoch' is a int"):
        read_paddle(path)
