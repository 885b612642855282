"""Weights in files: the names and the layout of Hugging Face `transformers`, both ways.

`model.safetensors` is read and written; `pytorch_model.bin` and PaddleNLP's `.pdparams` are read.

`transformers` (torch) keeps a Linear's weight as [out, in], Paddle as [in, out]: it is transposed
here, at the door, and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from hub.backend import paddle
from hub.constants import WEIGHTS_FILE
from hub.errors import ModelError
from hub.files import write_whole
from hub.models.pickles import Arrays, read_paddle, read_torch

# The types of a safetensors file that NumPy has.
_NUMPY_KINDS = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64}


def _query_key_value(found: re.Match[str]) -> str:
    names = {"q": "query", "k": "key", "v": "value"}
    return f"encoder.layer.{found[1]}.attention.self.{names[found[2]]}."


# (ours, transformers'), applied in this order to names inside the encoder.
_RENAMED = (
    (r"^layers\.(\d+)\.attention_norm\.", r"encoder.layer.\1.attention.output.LayerNorm."),
    (r"^layers\.(\d+)\.attention\.output\.", r"encoder.layer.\1.attention.output.dense."),
    (r"^layers\.(\d+)\.attention\.", r"encoder.layer.\1.attention.self."),
    (r"^layers\.(\d+)\.feed_forward\.intermediate\.", r"encoder.layer.\1.intermediate.dense."),
    (r"^layers\.(\d+)\.feed_forward\.output\.", r"encoder.layer.\1.output.dense."),
    (r"^layers\.(\d+)\.output_norm\.", r"encoder.layer.\1.output.LayerNorm."),
    (r"^embeddings\.layer_norm\.", r"embeddings.LayerNorm."),
)


def transformers_name(name: str, model_type: str) -> str:
    """The name in `transformers` of the parameter that a network here calls `name`.

    >>> transformers_name("encoder.layers.0.attention.query.weight", "ernie")
    'ernie.encoder.layer.0.attention.self.query.weight'
    """
    prefix, _, inner = name.partition(".")
    if prefix != "encoder":
        return name  # a head: the same in both
    for ours, theirs in _RENAMED:
        renamed, count = re.subn(ours, theirs, inner)
        if count:
            return f"{model_type}.{renamed}"
    return f"{model_type}.{inner}"


def _linear_weights(network: paddle.nn.Layer) -> set[str]:
    return {
        f"{name}.weight"
        for name, layer in network.named_sublayers()
        if isinstance(layer, paddle.nn.Linear)
    }


def to_arrays(network: paddle.nn.Layer, model_type: str) -> Arrays:
    """The network's parameters under the names and in the layout of `transformers`."""
    linear = _linear_weights(network)
    arrays = {}
    for name, parameter in network.named_parameters():
        value = parameter.numpy()
        arrays[transformers_name(name, model_type)] = np.ascontiguousarray(
            value.T if name in linear else value
        )
    return arrays


def load_arrays(
    network: paddle.nn.Layer, arrays: Arrays, model_type: str, source: Path
) -> list[str]:
    """Put `arrays` (names and layout of `transformers`) into the network.

    Names may lack the model's prefix (a bare encoder, as `AutoModel.save_pretrained` writes it).
    Arrays that the network has no place for (pretraining heads) are left.

    Returns:
        The names of the head's parameters that `arrays` does not hold in the right shape; they keep
        their values.

    Raises:
        ModelError: a part of the encoder is missing, or a shape differs.
    """
    linear = _linear_weights(network)
    missing_encoder: list[str] = []
    missing_head: list[str] = []
    values: Arrays = {}
    for name, parameter in network.named_parameters():
        key = transformers_name(name, model_type)
        array = arrays.get(key)
        if array is None:
            array = arrays.get(key.removeprefix(f"{model_type}."))
        if array is None:
            (missing_encoder if name.startswith("encoder.") else missing_head).append(name)
            continue
        if name in linear:
            array = array.T
        if list(array.shape) != list(parameter.shape):
            if not name.startswith("encoder."):
                missing_head.append(name)  # a head for another number of labels
                continue
            raise ModelError(
                f"{source}: {key} has the shape {list(array.shape)}, but the configuration asks "
                f"for {list(parameter.shape)}."
            )
        values[name] = array
    # Some encoders are published without a pooler: the first layer after them learns it anew.
    required = [name for name in missing_encoder if not name.startswith("encoder.pooler.")]
    if required:
        raise ModelError(
            f"{source} lacks {len(required)} of the encoder's parameters: {_first(required)}."
        )
    for name, parameter in network.named_parameters():
        if name in values:
            parameter.set_value(values[name].astype(np.float32))
    return missing_head


def _first(names: Iterable[str], count: int = 3) -> str:
    names = list(names)
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")


def write_safetensors(arrays: Arrays, path: Path) -> None:
    """Write `arrays` to `path` in one step: the file is there whole or not at all."""
    # `format: pt` is what `transformers` asks of a file that it opens.
    metadata = {"format": "pt"}
    write_whole(path, lambda p: safetensors.numpy.save_file(arrays, p, metadata=metadata))


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
    """NumPy has no bfloat16: its bits are the upper half of a float32's."""
    arrays = {}
    for name, tensor in safetensors.deserialize(path.read_bytes()):
        if tensor["dtype"] == "BF16":
            bits = np.frombuffer(tensor["data"], np.uint16).astype(np.uint32) << 16
            array = bits.view(np.float32)
        elif tensor["dtype"] in _NUMPY_KINDS:
            array = np.frombuffer(tensor["data"], _NUMPY_KINDS[tensor["dtype"]])
        else:
            raise ModelError(
                f"{path}: {name} is of type {tensor['dtype']}, which is not supported."
            )
        arrays[name] = array.reshape(tensor["shape"])
    return arrays


# PaddleNLP's names inside the encoder -> transformers', applied in this order.
_FROM_PADDLENLP = (
    (r"encoder\.layers\.(\d+)\.self_attn\.([qkv])_proj\.", _query_key_value),
    (r"encoder\.layers\.(\d+)\.self_attn\.out_proj\.", r"encoder.layer.\1.attention.output.dense."),
    (r"encoder\.layers\.(\d+)\.linear1\.", r"encoder.layer.\1.intermediate.dense."),
    (r"encoder\.layers\.(\d+)\.linear2\.", r"encoder.layer.\1.output.dense."),
    (r"encoder\.layers\.(\d+)\.norm1\.", r"encoder.layer.\1.attention.output.LayerNorm."),
    (r"encoder\.layers\.(\d+)\.norm2\.", r"encoder.layer.\1.output.LayerNorm."),
    (r"embeddings\.layer_norm\.", r"embeddings.LayerNorm."),
)


def from_paddlenlp(arrays: Arrays) -> Arrays:
    """PaddleNLP's weights under the names and in the layout of `transformers`."""
    converted = {}
    for name, array in arrays.items():
        new_name = name
        for pattern, replacement in _FROM_PADDLENLP:
            new_name = re.sub(pattern, replacement, new_name)
        # Its Linear weights are Paddle's, [in, out]; embeddings are the same in both.
        is_linear = array.ndim == 2 and "embeddings" not in name
        converted[new_name] = np.ascontiguousarray(array.T) if is_linear else array
    return converted


def from_torch(arrays: Arrays) -> Arrays:
    """Weights of a `.bin` file with the old names of layer norms made new."""

    def renamed(name: str) -> str:
        return re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name))

    return {renamed(name): array for name, array in arrays.items()}


def read_folder(folder: Path) -> tuple[Arrays, Path]:
    """Read a model folder's weights, whatever their format, as `transformers` names them.

    Returns:
        The arrays, and the file they came from.

    Raises:
        ModelError: there are none, or the file is damaged or unsafe.
    """
    path = folder / WEIGHTS_FILE
    if path.exists():
        return read_safetensors(path), path
    path = folder / "pytorch_model.bin"
    if path.exists():
        return from_torch(read_torch(path)), path
    for path in sorted(folder.glob("*.pdparams")):
        return from_paddlenlp(read_paddle(path)), path
    raise ModelError(
        f"{folder} holds no weights: neither {WEIGHTS_FILE} nor pytorch_model.bin nor a .pdparams "
        "file."
    )
