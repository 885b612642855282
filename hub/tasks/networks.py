"""A task's network, and the weights that are put into it: of a model's folder, or a checkpoint."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from hub.backend import paddle
from hub.constants import BEST_WEIGHTS_FILE, WEIGHTS_FILE
from hub.errors import ModelError
from hub.models.ernie import checkpoints, formats
from hub.models.ernie.config import MEAN_POOLING_SUFFIX, ErnieConfig
from hub.models.ernie.initialization import initialize
from hub.models.ernie.modeling import ErnieModel
from hub.models.pickles import Arrays
from hub.tasks import FillMask, MultiLabelClassification, Task, TextClassification
from hub.tasks.choosing import ChosenTask
from hub.tasks.sequence_classification import SequenceClassification

logger = logging.getLogger(__name__)

# What `transformers` puts before an architecture's name.
_PREFIXES = {"ernie": "Ernie", "bert": "Bert"}
# In a folder that is given as a checkpoint the first of these that is there is read.
_CHECKPOINTS = (WEIGHTS_FILE, BEST_WEIGHTS_FILE, "model_state.pdparams", "model.pdparams")


class BareEncoder(paddle.nn.Layer):
    """The encoder alone, under the name that a network with a head gives it."""

    def __init__(self, config: ErnieConfig) -> None:
        super().__init__()
        self.encoder = ErnieModel(config)

    def forward(self, *inputs: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        """The encoder's output."""
        return self.encoder(*inputs)


def build_network(config: ErnieConfig, task: Task | None) -> paddle.nn.Layer:
    """A network of this shape: for a task, or without a head."""
    return BareEncoder(config) if task is None else task.build_network(config)


def initialize_head(network: paddle.nn.Layer, config: ErnieConfig, seed: int) -> None:
    """Give all but the encoder random weights, which follow from `seed`."""
    for name, layer in network.named_children():
        if name != "encoder":
            initialize(layer, config, seed)


def head_of(network: paddle.nn.Layer) -> dict[str, np.ndarray]:
    """A copy of all weights but the encoder's."""
    weights = network.state_dict()
    head = {name: values for name, values in weights.items() if not name.startswith("encoder.")}
    return {name: values.numpy().copy() for name, values in head.items()}


def load_folder(
    network: paddle.nn.Layer,
    folder: Path,
    config: ErnieConfig,
    task: Task | None,
    chosen: ChosenTask,
    name: str,
) -> bool:
    """Put a model folder's weights into a network.

    Args:
        network: of the folder's shape, for `task`.
        folder, config: the model's.
        task: what the network is for.
        chosen: how the task was chosen.
        name: what the model is called.

    Returns:
        Whether the head's weights were there as well, or there is none.

    Raises:
        ModelError: a file is damaged, or weights are missing without which answers are random.
    """
    arrays, path = formats.read_folder(folder)
    _check_tied(task, arrays, config.model_type, path)
    if chosen.head_is_anothers:
        arrays = checkpoints.of_encoder(arrays, config.model_type)
    missing = checkpoints.load_arrays(network, arrays, config.model_type, path)
    if missing and task is not None and not task.labels:
        raise ModelError(
            f"{name} was published without the head for {task.name} (no {missing[0]} in "
            f"{path.name}): its answers would be random. Take another model."
        )
    if missing and chosen.is_the_folders:
        raise ModelError(
            f"{path} holds no fitting weights for {', '.join(missing)}, though the folder "
            "describes a fine-tuned model: its answers would be random."
        )
    return not missing or task is None


def load_weights(
    network: paddle.nn.Layer, path: Path, config: ErnieConfig, task: Task | None
) -> None:
    """Put the weights of a checkpoint over a network's.

    Args:
        network: for `task`.
        path: a file of weights; a folder with one; or where PaddleHub's trainer had the best ones,
            `best_model/model.pdparams`, in a folder where this package's trainer has kept them.
        config: the network's shape.
        task: what it is for.

    Raises:
        ModelError: there are none, they are damaged, or they are another network's.
    """
    path, kind = _file_at(path), config.model_type
    arrays = checkpoints.under_their_names(formats.read_weights(path), network, kind)
    _check_tied(task, arrays, kind, path)
    missing = checkpoints.load_arrays(network, arrays, kind, path)
    if not missing or task is None:
        return
    head = [name for name in network.state_dict() if not name.startswith("encoder.")]
    if not task.labels or len(missing) < len(head) or any(name in arrays for name in head):
        raise ModelError(
            f"{path} holds no fitting weights for {', '.join(missing)}: it was trained for "
            "another task or other labels, and the answers would be random."
        )
    logger.warning("%s is an encoder alone: the head stays as it is without it.", path)


def _file_at(path: Path) -> Path:
    folder = path
    if not path.exists() and path.parent.name == "best_model":
        folder = path.parents[1]
    if not folder.is_dir():
        return path
    for name in _CHECKPOINTS:
        if (folder / name).is_file():
            return folder / name
    raise ModelError(
        f"{folder} holds no weights to load: there is none of {', '.join(_CHECKPOINTS)}."
    )


def _check_tied(task: Task | None, arrays: Arrays, model_type: str, path: Path) -> None:
    """See that a masked language model's last weights are its word embeddings.

    Raises:
        ModelError: they are not.
    """
    decoder = arrays.get("cls.predictions.decoder.weight")
    if not isinstance(task, FillMask) or decoder is None:
        return
    name = "embeddings.word_embeddings.weight"
    embeddings = arrays.get(f"{model_type}.{name}", arrays.get(name))
    if embeddings is not None and not np.array_equal(decoder, embeddings):
        raise ModelError(
            f"{path}: cls.predictions.decoder.weight differs from the word embeddings; only models "
            "in which they are the same can fill masks."
        )


def transformers_config(config: ErnieConfig, task: Task | None) -> dict[str, Any]:
    """What `config.json` says of a model, as `transformers` reads it."""
    values = config.to_dict()
    if task is not None:
        values["architectures"] = [_PREFIXES[config.model_type] + task.architecture]
        by_mean = config.classifier_pooling == "mean"
        if by_mean and isinstance(task, SequenceClassification):
            values["model_type"] += MEAN_POOLING_SUFFIX
    if task is not None and task.labels:
        values["id2label"] = {str(i): label for i, label in enumerate(task.labels)}
        values["label2id"] = {label: i for i, label in enumerate(task.labels)}
    if isinstance(task, TextClassification):
        values["problem_type"] = "single_label_classification"
    if isinstance(task, MultiLabelClassification):
        values["problem_type"] = "multi_label_classification"
    return values
