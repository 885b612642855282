"""A new model: a shape, a vocabulary and random weights, to be pretrained from scratch."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from hub.constants import CONFIG_FILE, WEIGHTS_FILE
from hub.errors import InputError, ModelError
from hub.files import write_text
from hub.models.ernie.config import ErnieConfig
from hub.registry.catalogue import find_model
from hub.tokenizers import Tokenizer, WordPieceTokenizer, read_vocabulary

if TYPE_CHECKING:
    from hub.backend import paddle


def read_shape(shape: str) -> ErnieConfig:
    """The configuration that a `config.json`, the folder of one, or a catalogue's name stands for.

    Raises:
        InputError: there is no such file.
        ModelError: the file is damaged, or is no encoder's.
        UnknownModelError: there is neither a file nor a model of this name.
    """
    path = Path(shape)
    if path.is_dir():
        path = path / CONFIG_FILE
    if path.suffix == ".json" or path.exists():
        if not path.exists():
            raise InputError(f"There is no file {path}.")
        return ErnieConfig.from_file(path)
    return ErnieConfig.from_dict(dict(find_model(shape).architecture))


def create_model(
    folder: Path, config: ErnieConfig, vocabulary: Path, seed: int, *, lowercase: bool = True
) -> None:
    """Write a model folder with random weights and the masked language model's head.

    Args:
        folder: an existing folder.
        config: the shape, but for the size of the vocabulary.
        vocabulary: a `vocab.txt`.
        seed: where the weights come from; the same one makes the same weights everywhere.
        lowercase: whether texts are lower-cased, as they were for the vocabulary.

    Raises:
        InputError: the vocabulary is missing or lacks a special token.
    """
    from hub.models.ernie.heads import ErnieForMaskedLM
    from hub.models.ernie.initialization import initialize_untrained

    try:
        entries = read_vocabulary(vocabulary)
        tokenizer = WordPieceTokenizer.from_vocabulary(entries, lowercase, style=config.model_type)
    except (OSError, UnicodeDecodeError, ModelError) as error:
        raise InputError(f"The vocabulary {vocabulary} cannot be used: {error}") from error
    config = dataclasses.replace(
        config, vocab_size=tokenizer.id_count, pad_token_id=tokenizer.pad_token_id
    )
    network = ErnieForMaskedLM(config)
    initialize_untrained(network, config, seed)
    write_model(folder, network, config, tokenizer, min(config.max_position_embeddings, 512))


def write_model(
    folder: Path,
    network: paddle.nn.Layer,
    config: ErnieConfig,
    tokenizer: Tokenizer,
    max_seq_len: int,
) -> None:
    """Write a folder that `hub.Module` opens as a pretrained model.

    Args:
        folder: an existing folder.
        network: with an encoder.
        config: the encoder's.
        tokenizer: the model's.
        max_seq_len: what the tokenizer's files say of the tokens read at a time.
    """
    from hub.models.ernie import checkpoints
    from hub.models.ernie.formats import write_safetensors

    write_safetensors(checkpoints.to_arrays(network, config.model_type), folder / WEIGHTS_FILE)
    text = json.dumps(config.to_dict(), ensure_ascii=False, indent=2) + "\n"
    write_text(folder / CONFIG_FILE, text)
    tokenizer.save(folder, max_seq_len)
