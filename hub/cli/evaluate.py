"""`hub evaluate`."""

from __future__ import annotations

from typing import Any

import click

from hub.cli.options import data_options, long_text_option, no_bar_option, threads_option
from hub.cli.output import json_option, print_json, print_table, say
from hub.cli.parameters import DataName, ModelName
from hub.wording import counted


@click.command("evaluate")
@click.argument("model", type=ModelName())
@click.argument("data", type=DataName())
@data_options
@click.option(
    "--batch-size", type=click.IntRange(1), default=64, show_default=True, help="Texts at a time."
)
@long_text_option
@threads_option
@no_bar_option
@json_option
def evaluate_command(
    model: str,
    data: str,
    batch_size: int,
    long_text: str | None,
    threads: int | None,
    as_json: bool,
    **reading: Any,
) -> None:
    """Measure the fine-tuned or exported MODEL, a folder or a registered name, on the texts DATA.

    The columns of DATA are those that the model was fine-tuned with, unless others are named.

    \b
    Examples:
      hub evaluate runs/travel test.tsv
      hub evaluate runs/travel-onnx test.tsv --json
    """
    from hub.inference.loading import evaluate, labelled_task, load
    from hub.inference.run_data import load_rows, options_for
    from hub.models.installation import folder_of
    from hub.tasks.base import metric_title

    loaded = load(model, threads)
    options = options_for(folder_of(model), data, reading)
    rows = load_rows(data, labelled_task(loaded), "test", options)
    for note in rows.notes:
        say(f"note      {note}")
    if rows.skipped:
        say(f"skipped   {counted(len(rows.skipped), 'row')} of {rows.source}")
    metrics = evaluate(loaded, rows, batch_size, long_text)
    if as_json:
        print_json({"rows": len(rows), "skipped_rows": len(rows.skipped), **metrics})
        return
    print_table(
        ["model", "rows", *map(metric_title, metrics)],
        [[str(model), f"{len(rows):,}", *(f"{value:.2%}" for value in metrics.values())]],
    )
