"""A new, small model for a teacher to teach, begun from what of the teacher fits into it."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from hub.backend import paddle
from hub.errors import InputError
from hub.models.creation import write_model
from hub.models.ernie.config import ErnieConfig
from hub.models.ernie.initialization import initialize
from hub.models.ernie.modeling import ErnieModel
from hub.module import Module

_SHAPE = re.compile(r"(\d+)x(\d+)(?:x(\d+))?")


def is_shape(student: str) -> bool:
    """Whether a student is given by its shape, and not by a name.

    >>> is_shape("2x128"), is_shape("2x128x4"), is_shape("ernie-pocket-zh")
    (True, True, False)
    """
    return _SHAPE.fullmatch(student) is not None


def create_student(shape: str, teacher: Module, folder: Path, seed: int = 0) -> Path:
    """Write a model with the teacher's tokenizer and vocabulary, and fewer or narrower layers.

    A student as wide as its teacher begins with the teacher's embeddings and with layers of the
    teacher's at even distances (DistilBERT, https://arxiv.org/abs/1910.01108). A narrower one
    begins with the principal components of the teacher's embeddings, and layers of random weights.

    Args:
        shape: "LAYERSxWIDTH" or "LAYERSxWIDTHxHEADS"; the feed-forward parts are four times as wide
            as that, or like the teacher's.
        teacher: whose vocabulary it has.
        folder: where a folder of the name of the shape is written.
        seed: where random weights come from.

    Returns:
        The folder.

    Raises:
        InputError: the shape is none, or larger than the teacher's.
    """
    found = _SHAPE.fullmatch(shape)
    if found is None:
        raise InputError(f"{shape!r} is no shape such as 2x128 (layers, width).")
    heads = None if found[3] is None else int(found[3])
    config = _config(teacher.config, int(found[1]), int(found[2]), heads)
    encoder = ErnieModel(config)
    network: Any = paddle.nn.Layer()
    network.encoder = encoder
    initialize(network, config, seed)
    theirs = teacher.network.encoder
    if config.hidden_size == teacher.config.hidden_size:
        encoder.embeddings.set_state_dict(theirs.embeddings.state_dict())
        encoder.pooler.set_state_dict(theirs.pooler.state_dict())
        last = teacher.config.num_hidden_layers - 1
        for number, layer in enumerate(encoder.layers):
            layers = config.num_hidden_layers
            place = last if layers == 1 else round(number * last / (layers - 1))
            layer.set_state_dict(theirs.layers[place].state_dict())
    else:
        _take_components(encoder.embeddings, theirs.embeddings)
    made = folder / shape
    made.mkdir()
    write_model(made, network, config, teacher.tokenizer, teacher.max_seq_len)
    return made


def _config(theirs: ErnieConfig, layers: int, width: int, heads: int | None) -> ErnieConfig:
    if not (1 <= layers <= theirs.num_hidden_layers and 1 <= width <= theirs.hidden_size):
        raise InputError(
            f"A student has at most its teacher's {theirs.num_hidden_layers} layers and width of "
            f"{theirs.hidden_size}, not {layers} and {width}."
        )
    same = width == theirs.hidden_size
    count = heads or math.gcd(width, theirs.num_attention_heads)
    if width % count or (same and count != theirs.num_attention_heads):
        fitting = f"the teacher's {theirs.num_attention_heads}" if same else "a divisor of it"
        raise InputError(f"{count} heads do not fit a width of {width}: give {fitting}.")
    return dataclasses.replace(
        theirs,
        num_hidden_layers=layers,
        hidden_size=width,
        num_attention_heads=count,
        # Of a teacher without all of its heads: whose width is another's cuts that into its own.
        head_dim=theirs.head_dim if same else None,
        intermediate_size=theirs.intermediate_size if same else 4 * width,
    )


def _take_components(ours: Any, theirs: Any) -> None:
    """Fill narrower embeddings with those principal components of wider ones that vary most."""
    words = theirs.word_embeddings.weight.numpy().astype(np.float64)
    centred = words - words.mean(axis=0)
    width = ours.word_embeddings.weight.shape[1]
    # Of a symmetric matrix `eigh` gives the largest last.
    directions = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :width]
    kinds = ["word", "position", "token_type", *(["task_type"] if theirs.use_task_id else [])]
    for kind in kinds:
        table = getattr(theirs, f"{kind}_embeddings").weight.numpy()
        getattr(ours, f"{kind}_embeddings").weight.set_value(
            (table @ directions).astype(np.float32)
        )
