"""`hub tune`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from hub.cli.options import (
    data_options,
    learning_rate_option,
    long_text_option,
    metric_option,
    model_option,
    precision_option,
    quiet_option,
    task_options,
    technique_options,
)
from hub.cli.output import json_option, print_json, say
from hub.cli.parameters import DataName
from hub.wording import counted


@click.command("tune")
@click.argument("train", type=DataName())
@click.option(
    "--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder to write."
)
@click.option("--dev", type=DataName(), help="Rows to measure on; without it, a tenth of TRAIN.")
@model_option
@click.option("--minutes", type=float, default=20.0, show_default=True, help="How long to search.")
@click.option(
    "--trials", type=int, help="Stop after this many trials; with --resume, this many more."
)
@task_options
@data_options
@metric_option("What to search for, such as accuracy or macro-F1.")
@click.option("--epochs", type=int, help="The same for every trial.")
@click.option("--batch-size", type=int, help="The same for every trial.")
@learning_rate_option("The same for every trial.")
@click.option("--max-seq-len", type=int, help="Tokens read at a time.")
@long_text_option
@technique_options
@precision_option
@click.option("--max-steps", type=int, help="Stop every trial after this many steps.")
@click.option("--seed", type=int, help="Random seed of the search and of every trial.")
@click.option(
    "--resume", is_flag=True, help="Go on with the search in --output, or join one that runs."
)
@click.option("--overwrite", is_flag=True, help="Begin again in --output.")
@quiet_option
@json_option
def tune_command(
    train: str,
    output: Path,
    dev: str | None,
    model: str,
    minutes: float,
    trials: int | None,
    task: str | None,
    crf: bool,
    text_column: str | None,
    text_pair_column: str | None,
    label_column: str | None,
    skip_bad_rows: bool,
    scheme: str | None,
    repair_tags: bool,
    metric: str | None,
    resume: bool,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
    **changes: Any,
) -> None:
    """Search for the settings that suit the labelled texts TRAIN best.

    Learning rate, epochs, batch size, dropout and technique are tried, those that look promising
    more often; what is given as an option is the same for every trial and not searched. At every
    moment --output is the best model so far. --output/tuning/report.md lists all trials.

    \b
    Examples:
      hub tune train.tsv --dev dev.tsv --minutes 20 --output runs/travel
      hub tune train.tsv --dev dev.tsv --minutes 20 --output runs/travel --resume
    """
    from hub.tasks.base import metric_title
    from hub.training.tuning import tune

    result = tune(
        train,
        output,
        dev=dev,
        model=model,
        task=task,
        task_options={"crf": True} if crf else None,
        minutes=minutes,
        trials=trials,
        metric=metric,
        changes=changes,
        resume=resume,
        overwrite=overwrite,
        command=shlex.join(["hub", *sys.argv[1:]]),
        progress=not quiet,
        say=say,
        text_column=text_column,
        text_pair_column=text_pair_column,
        label_column=label_column,
        skip_bad_rows=skip_bad_rows,
        scheme=scheme,
        repair_tags=repair_tags,
    )
    say(
        f"written   {output}: the best of {counted(result.trials, 'trial')}, "
        f"{metric_title(result.metric)} {result.value:.2%}; {output / 'tuning' / 'report.md'}"
    )
    if as_json:
        print_json(result.to_dict())
