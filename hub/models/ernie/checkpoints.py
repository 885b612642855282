"""A network's parameters under the names and in the layout of Hugging Face `transformers`.

`transformers` (torch) keeps a Linear's weight as [out, in], Paddle as [in, out]: it is transposed
here, at the door, and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hub.backend import paddle
from hub.errors import ModelError
from hub.models.ernie.formats import has_own_names
from hub.models.pickles import Arrays

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
    if prefix != "encoder":  # a head: the same in both, but for one
        return name.replace("transform.layer_norm.", "transform.LayerNorm.")
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


def under_their_names(arrays: Arrays, network: paddle.nn.Layer, model_type: str) -> Arrays:
    """Arrays that have this package's own names and layout, as `transformers` has them.

    Args:
        arrays: what `state_dict` gave of a network, or of a module around it; or arrays that have
            the names of `transformers`, which are given back.
        network: one like theirs.
        model_type: "ernie" or "bert".
    """
    if not has_own_names(arrays):
        return arrays
    linear = _linear_weights(network)
    theirs = {}
    for whole, array in arrays.items():
        name = whole.removeprefix("network.")
        theirs[transformers_name(name, model_type)] = array.T if name in linear else array
    return theirs


def of_encoder(arrays: Arrays, model_type: str) -> Arrays:
    """Those of `arrays` (names of `transformers`, with the model's prefix or without) that are the
    encoder's own: no head's."""
    ours = (f"{model_type}.", "embeddings.", "encoder.", "pooler.")
    return {name: array for name, array in arrays.items() if name.startswith(ours)}


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
