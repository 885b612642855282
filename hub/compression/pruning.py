"""Fewer layers, and fewer units in each layer's feed-forward part.

The units that matter least are taken out: those whose removal would change the loss least, to first
order (https://arxiv.org/abs/1905.10650, and DynaBERT, https://arxiv.org/abs/2004.04037). Layers are
taken out at even distances, the first and the last stay. Attention heads stay: the form in which
models are kept, that of `transformers`, has the same width in every part of a layer.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from hub.backend import paddle
from hub.compression.rewriting import Arrays, check_output, rewrite
from hub.data import TextDataset
from hub.data.batches import collate, shuffled_batches
from hub.errors import InputError
from hub.module import Module
from hub.tasks import LabelledTask
from hub.tasks.encoded_passages import read_all
from hub.tasks.losses import LossSettings
from hub.tasks.sequence_classification import SequenceClassification
from hub.training.distillation.teacher import Teacher
from hub.training.trainer import Trainer

_LAYER = re.compile(r"(.*encoder\.layer\.)(\d+)(\..*)")
# So many rows say what matters.
_ROWS = 512


def prune(
    module: Module,
    data: TextDataset,
    output: str | Path,
    *,
    width: float = 1.0,
    layers: int | None = None,
    seed: int = 42,
    overwrite: bool = False,
) -> Module:
    """Write a model with fewer layers and units; it needs recovery epochs to answer well again.

    Args:
        module: a fine-tuned module.
        data: labelled rows; the first 512 of a random order say what matters.
        output: the folder to write.
        width: the part of each feed-forward layer's units that stays.
        layers: how many layers stay; None is all.
        seed: of the rows' order.
        overwrite: replace the model in `output`.

    Returns:
        The smaller model.

    Raises:
        InputError: the module has no labels, or nothing or everything would be taken out.
        OutputError: the folder holds something.
    """
    folder = Path(output)
    config = module.config
    if not isinstance(module.task, LabelledTask):
        raise InputError(f"{module.name} has no task with labels: fine-tune it first.")
    if not 0 < width <= 1:
        raise InputError(f"width must be above 0 and at most 1, not {width!r}.")
    count = config.num_hidden_layers if layers is None else layers
    if not 1 <= count <= config.num_hidden_layers:
        raise InputError(
            f"layers must be from 1 to the model's {config.num_hidden_layers}, not {layers!r}."
        )
    units = max(1, round(width * config.intermediate_size))
    if units == config.intermediate_size and count == config.num_hidden_layers:
        raise InputError("Nothing would be taken out: give a width below 1, or fewer layers.")
    check_output(folder, overwrite)
    scores = unit_importance(module, data, seed)
    kept_units = [np.sort(np.argsort(-row, kind="stable")[:units]) for row in scores]
    kept_layers = np.unique(np.linspace(0, config.num_hidden_layers - 1, count).round().astype(int))
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
            rows, rest = kept_units[old], found[3]
            if rest.startswith(".intermediate.dense."):
                array = array[rows]
            elif rest == ".output.dense.weight":
                array = array[:, rows]
            result[f"{found[1]}{numbers[old]}{rest}"] = array
        return result

    changes = {"intermediate_size": units, "num_hidden_layers": len(kept_layers)}
    return rewrite(module, folder, cut, changes)


def unit_importance(module: Module, data: TextDataset, seed: int) -> np.ndarray:
    """How much the loss would change without each feed-forward unit, to first order.

    Returns:
        float64 [layers, units], of no particular scale.
    """
    task, network = module.task, module.network
    assert isinstance(task, LabelledTask)
    rows = np.random.default_rng(seed).permutation(len(data))[:_ROWS]
    chosen = data.with_examples(data.select(np.sort(rows)))
    passages = read_all(
        module.tokenizer, chosen.texts, module.max_seq_len, "cut", task.needs_offsets
    )
    targets = task.window_targets(passages, task.targets(chosen), module.tokenizer)
    layers: list[Any] = [layer.feed_forward for layer in network.encoder.layers]
    scores = np.zeros((len(layers), module.config.intermediate_size))
    network.eval()
    for batch_rows in shuffled_batches(passages.encodings, 32, seed, 0):
        batch = collate(passages.encodings, batch_rows, module.tokenizer.pad_token_id)
        inputs = [paddle.to_tensor(array) for array in batch.inputs.values()]
        loss = task.loss(
            network(*inputs), [targets[row] for row in batch_rows], LossSettings(), network
        )
        loss.backward()
        for row, layer in enumerate(layers):
            # A unit is a column of the first map, an element of its bias and a row of the second.
            weight = layer.output.weight
            scores[row] += np.abs((weight * weight.grad).sum(axis=1).numpy())
        network.clear_gradients()
    return scores


def recover(
    smaller: Module,
    whole: Module,
    data: TextDataset,
    dev: TextDataset | None,
    folder: str | Path,
    changes: dict[str, Any],
    *,
    progress: bool = True,
) -> None:
    """Let a pruned model learn from labelled rows and the whole model's answers; save it.

    Args:
        smaller: what `prune` gave; it ends with the best weights on `dev`.
        whole: what it was made from.
        data: labelled rows.
        dev: rows to choose the best epoch by; None sets a tenth of `data` aside.
        folder: where `smaller` is kept.
        changes: training arguments that differ from the defaults.
        progress: show a progress bar.

    Raises:
        TrainingInterrupted: Ctrl-C or SIGTERM; `folder` holds the model as it was pruned.
    """
    by_text = isinstance(whole.task, SequenceClassification)
    teacher = Teacher(whole) if by_text or whole.long_text == "cut" else None
    Trainer(smaller, teacher=teacher, progress=progress).finetune_and_eval(data, dev, **changes)
    smaller.save(folder)
