"""Weight files: every format is read as `transformers` names and lays out the weights.

`model.safetensors` is read and written; `pytorch_model.bin` and PaddleNLP's `.pdparams` are read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from hub.constants import WEIGHTS_FILE
from hub.errors import ModelError
from hub.files import write_whole
from hub.models.pickles import Arrays, bfloat16_to_float32, read_paddle, read_torch

# A layer's parameter as this package's networks call it, where PaddleNLP says `self_attn`.
_OWN_NAME = re.compile(r"(network\.)?encoder\.layers\.\d+\.(attention|feed_forward)\.")
# The types of a safetensors file that NumPy has.
_NUMPY_KINDS = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64}


def write_safetensors(arrays: Arrays, path: Path) -> None:
    """Write `arrays` to `path` in one step: the file is there whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    # `format: pt` is what `transformers` asks of a file that it opens.
    metadata = {"format": "pt"}
    try:
        write_whole(path, lambda p: safetensors.numpy.save_file(arrays, p, metadata=metadata))
    except safetensors.SafetensorError as error:
        # A full disk comes as text: "I/O error: No space left on device (os error 28)".
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def read_safetensors(path: Path) -> Arrays:
    """Read every tensor of a safetensors file, half precisions widened to float32.

    Raises:
        ModelError: the file is missing, cut short or not a safetensors file.
    """
    if not path.exists():
        raise ModelError(f"There is no file {path}.")
    try:
        with safetensors.safe_open(path, framework="np") as file:
            kinds = {file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118
            if kinds <= _NUMPY_KINDS.keys():
                return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return _read_with_bfloat16(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} is not a whole safetensors file ({error}). Copy or download it again."
        ) from error


def _read_with_bfloat16(path: Path) -> Arrays:
    arrays = {}
    for name, tensor in safetensors.deserialize(path.read_bytes()):
        if tensor["dtype"] == "BF16":
            array = bfloat16_to_float32(np.frombuffer(tensor["data"], np.uint16))
        elif tensor["dtype"] in _NUMPY_KINDS:
            array = np.frombuffer(tensor["data"], _NUMPY_KINDS[tensor["dtype"]])
        else:
            raise ModelError(
                f"{path}: {name} is of type {tensor['dtype']}, which is not supported."
            )
        arrays[name] = array.reshape(tensor["shape"])
    return arrays


def _query_key_value(found: re.Match[str]) -> str:
    names = {"q": "query", "k": "key", "v": "value"}
    return f"encoder.layer.{found[1]}.attention.self.{names[found[2]]}."


# PaddleNLP's names inside the encoder -> transformers', applied in this order. PaddleHub's modules
# held a network of PaddleNLP as their `model`.
_FROM_PADDLENLP = (
    (r"^model\.", ""),
    (r"encoder\.layers\.(\d+)\.self_attn\.([qkv])_proj\.", _query_key_value),
    (r"encoder\.layers\.(\d+)\.self_attn\.out_proj\.", r"encoder.layer.\1.attention.output.dense."),
    (r"encoder\.layers\.(\d+)\.linear1\.", r"encoder.layer.\1.intermediate.dense."),
    (r"encoder\.layers\.(\d+)\.linear2\.", r"encoder.layer.\1.output.dense."),
    (r"encoder\.layers\.(\d+)\.norm1\.", r"encoder.layer.\1.attention.output.LayerNorm."),
    (r"encoder\.layers\.(\d+)\.norm2\.", r"encoder.layer.\1.output.LayerNorm."),
    (r"embeddings\.layer_norm\.", r"embeddings.LayerNorm."),
    (r"cls\.predictions\.transform\.(weight|bias)", r"cls.predictions.transform.dense.\1"),
    (r"cls\.predictions\.layer_norm\.", r"cls.predictions.transform.LayerNorm."),
    (r"cls\.predictions\.decoder_bias", r"cls.predictions.bias"),
    (r"cls\.predictions\.decoder_weight", r"cls.predictions.decoder.weight"),
)
# The masked-language-model's decoder is the transpose of the word embeddings, kept as they are.
_NOT_LINEAR = re.compile(r"embeddings|predictions\.decoder")


def from_paddlenlp(arrays: Arrays) -> Arrays:
    """PaddleNLP's weights under the names and in the layout of `transformers`."""
    converted = {}
    for name, array in arrays.items():
        new_name = name
        for pattern, replacement in _FROM_PADDLENLP:
            new_name = re.sub(pattern, replacement, new_name)
        # Its Linear weights are Paddle's, [in, out]; embeddings are the same in both.
        is_linear = array.ndim == 2 and not _NOT_LINEAR.search(new_name)
        converted[new_name] = np.ascontiguousarray(array.T) if is_linear else array
    return converted


def has_own_names(names: Iterable[str]) -> bool:
    """Whether parameters are called as in this package's networks (or in a module around one)."""
    return any(_OWN_NAME.match(name) for name in names)


def read_weights(path: Path) -> Arrays:
    """Read a weight file, of the format that its name ends with, as `transformers` names them.

    What `state_dict` gave of a module of this package stays under its names.

    Returns:
        float32 and float16 arrays of finite numbers.

    Raises:
        ModelError: the file is missing, damaged or unsafe, or holds something else.
    """
    if not path.exists():
        raise ModelError(f"There is no file {path}.")
    if path.suffix == ".pdparams":
        arrays = read_paddle(path)
        if not has_own_names(arrays):
            arrays = from_paddlenlp(arrays)
    elif path.suffix in (".bin", ".pt", ".pth"):
        arrays = read_torch(path)
    else:
        arrays = read_safetensors(path)
    weights = {}
    for name, array in arrays.items():
        if name.endswith("position_ids"):
            continue  # 0, 1, 2, ...: older versions of transformers kept it
        if not np.issubdtype(array.dtype, np.floating):
            raise ModelError(f"{path}: {name} holds {array.dtype}, not weights.")
        if bad := int(array.size - np.isfinite(array).sum()):
            raise ModelError(f"{path}: {bad:,} of the numbers in {name} are infinite or none.")
        wide = array.astype(np.float32) if array.dtype == np.float64 else array
        weights[_modern_name(name)] = wide
    return weights


def _modern_name(name: str) -> str:
    """A parameter's name, in which TensorFlow's of a layer norm are made `transformers`'."""
    return re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))


def read_folder(folder: Path) -> tuple[Arrays, Path]:
    """Read a model folder's weights, whatever their format, as `transformers` names them.

    Returns:
        The arrays, and the file they came from.

    Raises:
        ModelError: there are none, or the file is damaged or unsafe.
    """
    for path in (
        folder / WEIGHTS_FILE,
        folder / "pytorch_model.bin",
        *sorted(folder.glob("*.pdparams")),
    ):
        if path.exists():
            return read_weights(path), path
    raise ModelError(
        f"{folder} holds no weights: neither {WEIGHTS_FILE} nor pytorch_model.bin nor a .pdparams "
        "file."
    )
