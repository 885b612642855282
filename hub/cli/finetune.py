"""`hub finetune`."""

from __future__ import annotations

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from hub.cli.launching import device_options
from hub.cli.options import (
    data_options,
    learning_rate_option,
    long_text_option,
    metric_option,
    model_option,
    precision_option,
    shard_option,
    task_options,
    technique_options,
)
from hub.cli.output import json_option, print_json, say
from hub.cli.parameters import DataName
from hub.errors import MissingPackageError

# What --track takes: the package, and what it is imported as.
_TRACKERS = {
    "tensorboard": ("tensorboardX", "tensorboardX"),
    "visualdl": ("visualdl", "visualdl"),
    "mlflow": ("mlflow-skinny", "mlflow"),
}


def _check_trackers(
    ctx: click.Context, param: click.Parameter, names: tuple[str, ...]
) -> tuple[str, ...]:
    """See that what tracks a run is installed, before data and model are loaded for it.

    Raises:
        MissingPackageError: it is not.
    """
    for name in names:
        package, module = _TRACKERS[name]
        if find_spec(module) is None:
            raise MissingPackageError(package, "track", f"--track {name}")
    return names


@click.command("finetune")
@click.argument("train", type=DataName())
@click.option(
    "--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder to write."
)
@click.option(
    "--dev",
    type=DataName(),
    help="Rows to choose the best epoch by; without it, a tenth of TRAIN.",
)
@model_option
@task_options
@data_options
@click.option("--epochs", type=int, help="Passes over the rows, at most.")
@click.option("--batch-size", type=int, help="Rows in a step.")
@click.option(
    "--eval-batch-size",
    type=int,
    help="Rows computed at a time while dev rows are measured; by default 64.",
)
@learning_rate_option("The highest learning rate, after the warm-up.")
@click.option(
    "--warmup-ratio",
    type=float,
    help="Part of all steps over which the learning rate rises from 0; by default 0.1. After it, "
    "the rate falls to 0.",
)
@click.option(
    "--weight-decay",
    type=float,
    help="AdamW's: how strongly weights are drawn towards 0; by default 0.01.",
)
@click.option(
    "--max-grad-norm",
    type=float,
    help="Scale gradients down to this norm; by default 1, and 0 leaves them as they are.",
)
@click.option(
    "--max-seq-len",
    type=int,
    help="Tokens read at a time; by default 128, or 256 where that cuts many texts.",
)
@long_text_option
@click.option(
    "--classifier-pooling",
    type=click.Choice(["cls", "mean"]),
    help="What a classifier reads of a text: its first token, or the mean; by default the model's.",
)
@click.option(
    "--random-weights",
    is_flag=True,
    help="Begin with random weights of the model's shape instead of its own.",
)
@click.option("--max-steps", type=int, help="Stop after this many steps.")
@click.option("--patience", type=int, help="Epochs without a better metric before stopping.")
@metric_option("What chooses the best epoch, such as accuracy or macro-F1.")
@technique_options
@click.option("--micro-batch-size", type=int, help="Compute this many rows at a time: less memory.")
@precision_option
@click.option(
    "--skip-nonfinite",
    is_flag=True,
    default=None,
    help="Leave out a step whose loss is not a number.",
)
@click.option("--seed", type=int, help="Random seed (head's weights, order of rows, dropout).")
@click.option(
    "--recompute",
    is_flag=True,
    default=None,
    help="Less memory, more time: compute layers again for their gradients.",
)
@click.option(
    "--keep", "keep_checkpoints", type=int, help="Checkpoints kept while it runs; by default 2."
)
@click.option("--checkpoint-minutes", type=float, help="Minutes between checkpoints; by default 1.")
@click.option(
    "--track",
    multiple=True,
    type=click.Choice(list(_TRACKERS)),
    callback=_check_trackers,
    help="Also show the run's figures there; may be given several times.",
)
@click.option(
    "--mlflow-model", help="With --track mlflow, register the model as a version of this one."
)
@device_options
@shard_option
@click.option("--resume", is_flag=True, help="Go on with the unfinished run in --output.")
@click.option("--overwrite", is_flag=True, help="Replace the model in --output.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check data and settings, take a few steps, and say how long the run would take and how "
    "much memory; nothing is kept.",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress bar.")
@json_option
def finetune_command(
    train: str,
    output: Path,
    dev: str | None,
    model: str,
    task: str | None,
    crf: bool,
    text_column: str | None,
    text_pair_column: str | None,
    label_column: str | None,
    skip_bad_rows: bool,
    scheme: str | None,
    repair_tags: bool,
    classifier_pooling: str | None,
    random_weights: bool,
    resume: bool,
    overwrite: bool,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    device: str,
    track: tuple[str, ...],
    mlflow_model: str | None,
    **changes: Any,
) -> None:
    """Fine-tune a model on the labelled texts TRAIN.

    TRAIN (and --dev) is a .tsv, .csv, .jsonl, .conll or other data file (`hub data check` says what
    it is taken for), a folder saved by Hugging Face datasets, or the name of a known data
    set (`hub data list`). Its labels say what is learned: one label a text or a pair of texts,
    several labels, entities, or an intent with slots. Settings that are not given are the model's
    recommended ones. --output becomes a model folder with report.md, which also holds the figures
    of a linear baseline.

    \b
    Examples:
      hub finetune train.tsv --dev dev.tsv --output runs/travel
      hub finetune data.csv --text-column 句子 --label-column 意图 --output runs/bank
      hub finetune entities.conll --crf --output runs/ner
      hub finetune train.tsv --output runs/travel --dry-run
      hub finetune train.tsv --output runs/travel --resume
    """
    from hub.training.finetune import finetune
    from hub.training.tracking import trackers

    result = finetune(
        train,
        output,
        dev=dev,
        model=model,
        task=task,
        task_options={"crf": True} if crf else None,
        classifier_pooling=classifier_pooling,
        pretrained=not random_weights,
        resume=resume,
        overwrite=overwrite,
        text_column=text_column,
        text_pair_column=text_pair_column,
        label_column=label_column,
        skip_bad_rows=skip_bad_rows,
        scheme=scheme,
        repair_tags=repair_tags,
        changes=changes,
        device=device,
        callbacks=trackers(track, output, mlflow_model),
        command=shlex.join(["hub", *sys.argv[1:]]),
        dry_run=dry_run,
        progress=not quiet,
        say=say,
    )
    if not result.summary:  # one of several processes, of which the first has written all
        return
    if not dry_run:
        say(f"written   {output}: the model, report.md, metrics.json")
    if as_json:
        print_json(result.summary)
