"""`hub evaluate`."""

from __future__ import annotations

import click

from hub.cli.options import data_options, long_text_option
from hub.cli.output import json_option, print_json, print_table, say


@click.command("evaluate")
@click.argument("model")
@click.argument("data")
@data_options
@click.option(
    "--batch-size", type=click.IntRange(1), default=64, show_default=True, help="Texts at a time."
)
@long_text_option
@json_option
def evaluate_command(
    model: str,
    data: str,
    text_column: str | None,
    text_pair_column: str | None,
    label_column: str | None,
    skip_bad_rows: bool,
    batch_size: int,
    long_text: str | None,
    as_json: bool,
) -> None:
    """Measure the fine-tuned or exported MODEL, a folder or a registered name, on the texts DATA.

    \b
    Examples:
      hub evaluate runs/travel test.tsv
      hub evaluate runs/travel-onnx test.tsv --json
    """
    from hub.data import load_dataset
    from hub.inference.loading import evaluate, labelled_task, load
    from hub.tasks.base import metric_title
    from hub.tasks.known_rows import known_rows

    loaded = load(model)
    task = labelled_task(loaded)
    rows = load_dataset(
        data,
        kind=task.name,
        text_column=text_column,
        text_pair_column=text_pair_column,
        label_column=label_column,
        split="test",
        skip_bad_rows=skip_bad_rows,
    )
    if skip_bad_rows:
        rows = known_rows(rows, task)
    for note in rows.notes:
        say(f"note      {note}")
    if rows.skipped:
        say(f"skipped   {len(rows.skipped):,} rows of {rows.source}")
    metrics = evaluate(loaded, rows, batch_size, long_text)
    if as_json:
        print_json({"rows": len(rows), "skipped_rows": len(rows.skipped), **metrics})
        return
    print_table(
        ["model", "rows", *map(metric_title, metrics)],
        [[str(model), f"{len(rows):,}", *(f"{value:.2%}" for value in metrics.values())]],
    )
