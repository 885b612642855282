"""Ways to get more out of few labelled texts; each is one argument of `TrainingArguments`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from hub.backend import paddle
from hub.errors import InputError
from hub.models.ernie.config import ErnieConfig
from hub.models.ernie.dropout import Dropout, uniform
from hub.tasks import LabelledTask, TokenClassification
from hub.tasks.sequence_classification import SequenceClassification
from hub.tokenizers import Tokenizer
from hub.training.arguments import TrainingArguments
from hub.training.parallel import Group

F = paddle.nn.functional
_LAYER = re.compile(r"encoder\.layers\.(\d+)\.")


def layer_of(name: str, layers: int) -> int:
    """How high in the network a parameter stands: 0 the embeddings, `layers` + 1 the head."""
    found = _LAYER.match(name)
    if found is not None:
        return int(found[1]) + 1
    return 0 if name.startswith("encoder.embeddings.") else layers + 1


def freeze(network: paddle.nn.Layer, arguments: TrainingArguments) -> None:
    """Keep the parameters that are not to be trained as they are."""
    layers = len(network.encoder.layers)
    lowest = arguments.freeze_layers + 1 if arguments.freeze_layers else 0
    if arguments.freeze_embeddings:
        lowest = max(lowest, 1)
    for name, parameter in network.named_parameters():
        parameter.stop_gradient = layer_of(name, layers) < lowest


def set_dropout(network: paddle.nn.Layer, p: float | None) -> None:
    """Let the encoder leave out this part of its inner values; None changes nothing."""
    if p is not None:
        for layer in network.encoder.sublayers():
            if isinstance(layer, Dropout):
                layer.p = p


def divide_learning_rate(network: paddle.nn.Layer, layer_decay: float) -> None:
    """Give each parameter its part of the learning rate.

    The head has all of it and each layer below `layer_decay` of the one above (discriminative
    fine-tuning: https://arxiv.org/abs/1801.06146). What a layer gave a parameter of its own, as a
    CRF does, is multiplied by that.
    """
    layers = len(network.encoder.layers)
    for name, parameter in network.named_parameters():
        ratio = layer_decay ** (layers + 1 - layer_of(name, layers))
        settings = parameter.optimize_attr
        own = settings.setdefault("own_learning_rate", settings["learning_rate"])
        settings["learning_rate"] = own * ratio


def hide_tokens(input_ids: np.ndarray, p: float, tokenizer: Tokenizer) -> np.ndarray:
    """Ids with the part `p` of a batch's own tokens replaced by `[MASK]`, at random.

    Word dropout (https://aclanthology.org/P15-1162), but what is left out keeps its place.

    Args:
        input_ids: [B, T].
        p: of all but special tokens.
        tokenizer: whose ids they are.
    """
    own = ~np.isin(input_ids, sorted(tokenizer.special_ids))
    return np.where(own & (uniform(input_ids.shape) < p), tokenizer.mask_token_id, input_ids)


@contextmanager
def adversarial_embeddings(
    network: paddle.nn.Layer, epsilon: float, group: Group | None = None
) -> Iterator[None]:
    """While entered, the word embeddings are moved to where the loss grows fastest.

    The step is `epsilon` long and along the gradient of a batch, which backward passes have just
    left (https://arxiv.org/abs/1605.07725). Second passes add the gradients of what is harder now.

    Args:
        network: after a batch's backward passes.
        epsilon: the length of the step.
        group: the processes that have parts of the batch.

    Raises:
        LostWorkerError: another process has ended.
    """
    weight = network.encoder.embeddings.word_embeddings.weight
    kept = weight.clone()
    gradient = (group or Group()).total(weight.grad, weight)
    if gradient is not None:
        length = paddle.linalg.norm(gradient)
        if float(length) > 0:
            with paddle.no_grad():
                weight.set_value(weight + gradient * (epsilon / length))
    try:
        yield
    finally:
        weight.set_value(kept)


def check_techniques(task: LabelledTask, arguments: TrainingArguments, config: ErnieConfig) -> None:
    """See that the task can be learned as the arguments ask, by a model of this shape.

    Raises:
        InputError: it cannot.
    """
    if arguments.freeze_layers > config.num_hidden_layers:
        raise InputError(
            f"freeze_layers is {arguments.freeze_layers}; the model has "
            f"{config.num_hidden_layers} layers."
        )
    if arguments.lora > config.hidden_size:
        raise InputError(f"lora is {arguments.lora}; the model is only {config.hidden_size} wide.")
    if arguments.r_drop and not isinstance(task, SequenceClassification):
        raise InputError(
            f"r_drop compares two outputs for a text as a whole; {task.name} gives one a token."
        )
    if arguments.quantization_aware and arguments.lora:
        raise InputError(
            "LoRA's changes are merged into weights that are rounded only then: leave lora or "
            "quantization_aware out."
        )
    frozen_by = [
        name for name in ("freeze_embeddings", "freeze_layers", "lora") if getattr(arguments, name)
    ]
    if arguments.adversarial and frozen_by:
        raise InputError(
            "adversarial training moves the embeddings along their gradient: they cannot be "
            f"frozen. Leave {' and '.join(frozen_by)} out, or adversarial."
        )
    is_shaped = arguments.class_weights or arguments.focal_gamma or arguments.label_smoothing
    if is_shaped and isinstance(task, TokenClassification) and task.has_crf:
        raise InputError(
            "Class weights, focal loss and label smoothing are for single tags; a CRF learns the "
            "tags of a text as a whole: leave them out, or the CRF."
        )


def divergence(one: paddle.Tensor, other: paddle.Tensor, several: bool) -> paddle.Tensor:
    """How far two outputs for the same texts lie apart, as R-Drop measures it.

    The mean over the texts of the symmetric Kullback-Leibler divergence, halved
    (https://arxiv.org/abs/2106.14448).

    Args:
        one, other: logits, [B, labels].
        several: whether each label has a probability of its own, instead of all together.
    """
    if several:
        p, q = F.sigmoid(one), F.sigmoid(other)
        # For p log(p / q) + (1 - p) log((1 - p) / (1 - q)) and its mirror the logits are enough.
        return 0.5 * ((p - q) * (one - other)).sum(axis=-1).mean()
    logs = F.log_softmax(one, axis=-1), F.log_softmax(other, axis=-1)
    shares = F.softmax(one, axis=-1) - F.softmax(other, axis=-1)
    return 0.5 * (shares * (logs[0] - logs[1])).sum(axis=-1).mean()
