"""Any supported model folder, made into this package's own form.

The form is the one that `transformers` opens: `config.json`, `model.safetensors` and the files of
the tokenizer. What is written has been understood first: every parameter of the encoder is there in
the shape that the configuration asks for, and the vocabulary fits.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hub.constants import (
    CONFIG_FILE,
    DEFAULT_MAX_SEQ_LEN,
    VOCABULARY_FILE,
    WEIGHTS_FILE,
)
from hub.errors import ModelError
from hub.files import write_text
from hub.models.ernie.config import MEAN_POOLING_SUFFIX, ErnieConfig, read_config
from hub.models.ernie.formats import read_folder, write_safetensors
from hub.models.ernie.shapes import encoder_shapes
from hub.models.pickles import Arrays
from hub.tokenizers import Tokenizer, WordPieceTokenizer, load_tokenizer, read_vocabulary

logger = logging.getLogger(__name__)

_OLD_CONFIG_FILE = "model_config.json"
_ARCHITECTURES = {"ernie": "Ernie", "bert": "Bert"}
# Where a difference changes every answer of the model.
_DECISIVE = ("num_attention_heads", "hidden_act")
# Names as the peers call the whole encoder: `bert.`, `roberta.`, `ernie_gram.`, or nothing.
_ENCODER = re.compile(r"^(?:[a-z_]+\.)?(embeddings|encoder|pooler)\.")
_TIED = "cls.predictions.decoder.weight"


def convert(
    source: Path,
    target: Path,
    architecture: Mapping[str, Any] | None = None,
    lowercase: bool | None = None,
) -> ErnieConfig:
    """Write the model of the folder `source` into the empty folder `target`.

    Args:
        source: config, weights and tokenizer in any format that is read.
        target: an existing folder.
        architecture: the shape, if it is known better than from the folder's `config.json`.
        lowercase: for a WordPiece vocabulary, whether texts are lower-cased, if that is known.

    Returns:
        The encoder's shape.

    Raises:
        ModelError: a file is missing, damaged, unsafe or does not fit the others.
    """
    raw = _read_any_config(source, required=architecture is None)
    if architecture is not None:
        for name in _DECISIVE:
            if name in raw and raw[name] != architecture.get(name, raw[name]):
                logger.warning(
                    "%s says %s is %r; the catalogue's %r is used.",
                    source / CONFIG_FILE, name, raw[name], architecture[name],
                )  # fmt: skip
    config = ErnieConfig.from_dict({**raw, **(architecture or {})})
    arrays, path = read_folder(source)
    arrays = _canonical(arrays, config, path)
    tokenizer = _read_tokenizer(source, lowercase, config.model_type)
    check_vocabulary(tokenizer, config, source)
    write_safetensors(arrays, target / WEIGHTS_FILE)
    write_text(target / CONFIG_FILE, _describe(config, raw, arrays))
    tokenizer.save(target, min(config.max_position_embeddings, 512))
    return config


def check_vocabulary(tokenizer: Tokenizer, config: ErnieConfig, folder: Path) -> None:
    """See that every id of the tokenizer has an embedding.

    Raises:
        ModelError: one has none.
    """
    if tokenizer.id_count > config.vocab_size:
        raise ModelError(
            f"{folder}: the tokenizer has ids up to {tokenizer.id_count:,}, but the model only has "
            f"embeddings for {config.vocab_size:,}."
        )


def default_length(config: ErnieConfig) -> int:
    """The length in tokens to which texts are cut unless the user says otherwise."""
    return min(DEFAULT_MAX_SEQ_LEN, config.max_position_embeddings)


def _read_any_config(folder: Path, required: bool) -> dict[str, Any]:
    """`config.json`, or PaddleNLP's `model_config.json` of before 2023."""
    if (folder / CONFIG_FILE).exists() or (required and not (folder / _OLD_CONFIG_FILE).exists()):
        return read_config(folder / CONFIG_FILE)
    if not (folder / _OLD_CONFIG_FILE).exists():
        return {}
    values = read_config(folder / _OLD_CONFIG_FILE)
    arguments = values.get("init_args")
    if isinstance(arguments, list) and arguments and isinstance(arguments[0], dict):
        values = arguments[0]  # a head's arguments: the first one is the encoder
    kind = str(values.get("init_class", ""))
    values.setdefault("model_type", "ernie" if kind.startswith("Ernie") else "bert")
    return values


def _canonical(arrays: Arrays, config: ErnieConfig, path: Path) -> Arrays:
    """The arrays under one set of names, checked against the shape."""
    kind = config.model_type
    renamed = {
        _ENCODER.sub(rf"{kind}.\1.", name): np.ascontiguousarray(array)
        for name, array in arrays.items()
    }
    for name, shape in encoder_shapes(config).items():
        found = renamed.get(f"{kind}.{name}")
        if found is None:
            if name.startswith("pooler."):
                continue  # some encoders are published without one
            raise ModelError(f"{path} lacks {kind}.{name}, a part of the encoder.")
        if found.shape != shape:
            raise ModelError(
                f"{path}: {kind}.{name} has the shape {list(found.shape)}, but the configuration "
                f"asks for {list(shape)}."
            )
    tied = renamed.get(_TIED)
    if tied is not None and np.array_equal(
        tied, renamed[f"{kind}.embeddings.word_embeddings.weight"]
    ):
        del renamed[_TIED]
    return renamed


def _read_tokenizer(folder: Path, lowercase: bool | None, model_type: str) -> Tokenizer:
    if lowercase is None:
        return load_tokenizer(folder, model_type)
    entries = read_vocabulary(folder / VOCABULARY_FILE)
    return WordPieceTokenizer.from_vocabulary(entries, lowercase, style=model_type)


def _describe(config: ErnieConfig, raw: Mapping[str, Any], arrays: Arrays) -> str:
    values = config.to_dict()
    prefix = _ARCHITECTURES[config.model_type]
    head = "ForMaskedLM" if any(name.startswith("cls.predictions.") for name in arrays) else "Model"
    values["architectures"] = [prefix + head]
    if any(name.startswith("classifier.") for name in arrays) and "id2label" in raw:
        # A fine-tuned model keeps its labels.
        for name in ("architectures", "id2label", "label2id", "problem_type"):
            if name in raw:
                values[name] = raw[name]
        # So does what keeps transformers from reading the first token.
        if str(raw.get("model_type")).endswith(MEAN_POOLING_SUFFIX):
            values["model_type"] += MEAN_POOLING_SUFFIX
    return json.dumps(values, ensure_ascii=False, indent=2) + "\n"
