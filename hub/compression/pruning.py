"""Fewer layers, and in each layer fewer attention heads and fewer units of the feed-forward part.

What matters least is taken out: the heads and units whose removal would change the loss least, to
first order (https://arxiv.org/abs/1905.10650, and DynaBERT, https://arxiv.org/abs/2004.04037).
Layers are taken out at even distances, the first and the last stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hub.backend import paddle
from hub.compression.rewriting import Arrays, made_aside, rewrite
from hub.data import TextDataset
from hub.data.batches import collate, shuffled_batches
from hub.errors import InputError
from hub.inference.run_data import evenly
from hub.module import Module
from hub.tasks import LabelledTask
from hub.tasks.encoded_passages import read_all
from hub.tasks.losses import LossSettings
from hub.tasks.sequence_classification import SequenceClassification
from hub.training.arguments import TrainingArguments
from hub.training.distillation.teacher import Teacher
from hub.training.output_folder import check_output
from hub.training.trainer import Trainer

_LAYER = re.compile(r"(.*encoder\.layer\.)(\d+)(\..*)")
# So many rows say what matters.
_ROWS = 512


@dataclass(frozen=True)
class Importance:
    """How much the loss would change without each part of a layer, of no particular scale.

    Attributes:
        heads: float64 [layers, heads].
        units: those of the feed-forward parts, float64 [layers, units].
    """

    heads: np.ndarray
    units: np.ndarray


def prune(
    module: Module,
    data: TextDataset,
    output: str | Path,
    *,
    width: float = 1.0,
    heads: int | None = None,
    layers: int | None = None,
    seed: int = 42,
    overwrite: bool = False,
    dev: TextDataset | None = None,
    recovery: dict[str, Any] | None = None,
    progress: bool = True,
) -> Module:
    """Write a model with fewer layers, heads and units, after the epochs that it needs to recover.

    Args:
        module: a fine-tuned module.
        data: labelled rows; the first 512 of a random order say what matters.
        output: the folder to write.
        width: the part of each feed-forward layer's units that stays.
        heads: how many heads of each layer stay; None is all. `transformers` has no form for a
            model with fewer of them than its width is cut into: such a folder opens in this package
            alone.
        layers: how many layers stay; None is all.
        seed: of the rows' order.
        overwrite: replace the model in `output`.
        dev: rows to choose the best epoch of the recovery by; None sets a tenth of `data` aside.
        recovery: training arguments that differ from the defaults, for epochs in which the smaller
            model learns from `data` and the whole one's answers; None is no such epochs.
        progress: show a progress bar along them.

    Returns:
        The smaller model.

    Raises:
        InputError: the module has no labels, or nothing or everything would be taken out.
        OutputError: the folder holds something.
        TrainingInterrupted: Ctrl-C or SIGTERM; nothing was written.
    """
    folder = Path(output)
    config = module.config
    if not isinstance(module.task, LabelledTask):
        raise InputError(f"{module.name} has no task with labels: fine-tune it first.")
    if not 0 < width <= 1:
        raise InputError(f"width must be above 0 and at most 1, not {width!r}.")
    kept_heads = _part("heads", heads, config.num_attention_heads)
    count = _part("layers", layers, config.num_hidden_layers)
    units = max(1, round(width * config.intermediate_size))
    smaller = replace(
        config,
        intermediate_size=units,
        num_attention_heads=kept_heads,
        num_hidden_layers=count,
        head_dim=config.head_dim if kept_heads == config.num_attention_heads else config.head_size,
    )
    if smaller == config:
        raise InputError(
            "Nothing would be taken out: give a width below 1, fewer heads or fewer layers."
        )
    check_output(folder, False, overwrite)
    taught = data
    if recovery is not None:  # what would be refused is refused before anything is computed
        TrainingArguments().with_changes(**recovery)
        if dev is None:
            taught, dev = data.split(0.1, seed)
    found = importance(module, data, seed)
    kept_units = [_largest(row, units) for row in found.units]
    # The rows of a head in the maps to queries, keys and values stand together.
    columns = np.arange(config.attention_size).reshape(config.num_attention_heads, -1)
    kept_columns = [columns[_largest(row, kept_heads)].ravel() for row in found.heads]
    kept_layers = evenly(config.num_hidden_layers, count)
    numbers = {int(old): new for new, old in enumerate(kept_layers)}

    def cut(arrays: Arrays) -> Arrays:
        result: Arrays = {}
        for name, array in arrays.items():
            found = _LAYER.match(name)
            if found is None:
                result[name] = array
                continue
            old = int(found[2])
            if old not in numbers:
                continue
            rest = found[3]
            if rest.startswith(".intermediate.dense."):
                array = array[kept_units[old]]
            elif rest == ".output.dense.weight":
                array = array[:, kept_units[old]]
            elif rest.startswith(".attention.self."):
                array = array[kept_columns[old]]
            elif rest == ".attention.output.dense.weight":
                array = array[:, kept_columns[old]]
            result[f"{found[1]}{numbers[old]}{rest}"] = array
        return result

    with made_aside(folder) as made:
        result = rewrite(module, made, cut, smaller.to_dict())
        if recovery is not None:
            recover(result, module, taught, dev, recovery, progress=progress)
            result.save(made)
    return result


def _part(what: str, wanted: int | None, whole: int) -> int:
    """How many of a model's parts stay."""
    count = whole if wanted is None else wanted
    if not 1 <= count <= whole:
        raise InputError(f"{what} must be from 1 to the model's {whole}, not {wanted!r}.")
    return count


def _largest(scores: np.ndarray, count: int) -> np.ndarray:
    """The numbers of the `count` largest scores, ascending."""
    result: np.ndarray = np.sort(np.argsort(-scores, kind="stable")[:count])
    return result


def importance(module: Module, data: TextDataset, seed: int) -> Importance:
    """How much the loss would change without each head and each feed-forward unit, to first order.

    Args:
        module: with a task that has labels.
        data: labelled rows.
        seed: of the order of which the first 512 are looked at.
    """
    task, network, config = module.task, module.network, module.config
    assert isinstance(task, LabelledTask)
    rows = np.random.default_rng(seed).permutation(len(data))[:_ROWS]
    chosen = data.with_examples(data.select(np.sort(rows)))
    passages = read_all(
        module.tokenizer, chosen.texts, module.max_seq_len, "cut", task.needs_offsets
    )
    targets = task.window_targets(passages, task.targets(chosen), module.tokenizer)
    layers: list[Any] = list(network.encoder.layers)
    units = np.zeros((len(layers), config.intermediate_size))
    heads = np.zeros((len(layers), config.num_attention_heads))
    network.eval()
    with _nothing_frozen(network):
        for batch_rows in shuffled_batches(passages.encodings, 32, seed, 0):
            batch = collate(passages.encodings, batch_rows, module.tokenizer.pad_token_id)
            inputs = [paddle.to_tensor(array) for array in batch.inputs.values()]
            loss = task.loss(
                network(*inputs), [targets[row] for row in batch_rows], LossSettings(), network
            )
            loss.backward()
            for row, layer in enumerate(layers):
                # What a unit gives is multiplied by a row of the map behind it, a head by several:
                # the products of weights and gradients are those of outputs and their gradients.
                units[row] += np.abs(_products(layer.feed_forward.output))
                of_columns = _products(layer.attention.output)
                heads[row] += np.abs(of_columns.reshape(config.num_attention_heads, -1).sum(axis=1))
            network.clear_gradients()
    return Importance(heads, units)


@contextmanager
def _nothing_frozen(network: Any) -> Iterator[None]:
    """While entered, every parameter has gradients: also those that training left frozen."""
    frozen = [parameter for parameter in network.parameters() if parameter.stop_gradient]
    for parameter in frozen:
        parameter.stop_gradient = False
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.stop_gradient = True


def _products(linear: Any) -> np.ndarray:
    """For each input of a map the sum of its weights' products with their gradients, [in]."""
    products: np.ndarray = (linear.weight * linear.weight.grad).sum(axis=1).numpy()
    return products


def recover(
    smaller: Module,
    whole: Module,
    data: TextDataset,
    dev: TextDataset | None,
    changes: dict[str, Any],
    *,
    progress: bool = True,
) -> None:
    """Let a smaller model learn from labelled rows and the whole model's answers.

    Args:
        smaller: the model; it ends with the best weights on `dev`.
        whole: what it was made from.
        data: labelled rows.
        dev: rows to choose the best epoch by; None sets a tenth of `data` aside.
        changes: training arguments that differ from the defaults.
        progress: show a progress bar.

    Raises:
        TrainingInterrupted: Ctrl-C or SIGTERM; it is kept nowhere.
    """
    by_text = isinstance(whole.task, SequenceClassification)
    teacher = Teacher(whole) if by_text or whole.long_text == "cut" else None
    Trainer(smaller, teacher=teacher, progress=progress).finetune_and_eval(data, dev, **changes)
