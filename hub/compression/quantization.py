"""What int8 costs a model, and recovery epochs in which it learns to live with it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.compression.pruning import recover
from hub.compression.rewriting import made_aside
from hub.data import TextDataset
from hub.errors import InputError
from hub.inference.export import export
from hub.module import Module
from hub.tasks import LabelledTask
from hub.training.arguments import TrainingArguments
from hub.training.output_folder import check_output


@dataclass(frozen=True)
class Quantized:
    """A model that answers in int8.

    Attributes:
        module: it, its weights still float32: `hub export --precision int8` makes them int8.
        metric: what the figures are.
        fp32: the metric of what it was made from, as a fraction.
        before, after: the metric in int8, as it was and as it is.
        is_trained: whether it needed training.
    """

    module: Module
    metric: str
    fp32: float
    before: float
    after: float
    is_trained: bool


def quantize(
    module: Module,
    data: TextDataset,
    dev: TextDataset,
    output: str | Path,
    *,
    max_drop: float = 0.5,
    changes: dict[str, Any] | None = None,
    overwrite: bool = False,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> Quantized:
    """Write a model that loses little in int8, training it with rounded weights if it must be.

    Args:
        module: a fine-tuned module.
        data: labelled rows to learn from.
        dev: labelled rows to measure on.
        output: the folder to write.
        max_drop: how many points of its first metric the model may lose in int8; if it loses no
            more, it is written as it is.
        changes: training arguments that differ from the module's recommended ones.
        overwrite: replace the model in `output`.
        progress: show a progress bar.
        say: told what happens, a line at a time.

    Raises:
        InputError: the module has no labels.
        OutputError: the folder holds something.
        MissingPackageError: what ONNX takes is not installed.
        TrainingInterrupted: Ctrl-C or SIGTERM; nothing was written.
    """
    folder = Path(output)
    if not isinstance(module.task, LabelledTask):
        raise InputError(f"{module.name} has no task with labels: fine-tune it first.")
    check_output(folder, False, overwrite)
    TrainingArguments().with_changes(**(changes or {}))  # told before anything is measured
    metric, fp32, before = _measure(module, dev)
    lost = 100 * (fp32 - before)
    with made_aside(folder) as made:
        module.save(made)
        smaller = Module(directory=made)
        if lost <= max_drop:
            say(f"int8      {metric} {fp32:.2%} -> {before:.2%}: it needs no training for int8")
            return Quantized(smaller, metric, fp32, before, before, False)
        say(f"int8      {metric} {fp32:.2%} -> {before:.2%}: it loses {lost:.2f} points")
        learned = {**(changes or {}), "quantization_aware": True}
        recover(smaller, module, data, dev, learned, progress=progress)
        smaller.save(made)
        _, _, after = _measure(smaller, dev)
        say(f"trained   {metric} in int8 {after:.2%}")
    return Quantized(smaller, metric, fp32, before, after, True)


def _measure(module: Module, dev: TextDataset) -> tuple[str, float, float]:
    """The name of the first metric, its value, and its value in int8."""
    with tempfile.TemporaryDirectory() as scratch:
        found = export(
            module, Path(scratch) / "int8", precision="int8", data=dev, max_drop=100
        ).verification
    assert found.metric is not None and found.before is not None and found.after is not None
    return found.metric, found.before, found.after
