"""How commands speak: results on stdout, talk on stderr, one JSON document with --json."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import click

from hub.constants import progress_interval_s

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on stdout and nothing else."
)


def say(line: str) -> None:
    """Tell the user what happens, on stderr."""
    click.echo(line, err=True)


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=2))


def progress_bar(total: int | None, unit: str, quiet: bool) -> Any:
    """A bar on stderr that counts to `total`; None is not known."""
    from tqdm.auto import tqdm

    return tqdm(
        total=total,
        unit=f" {unit}",
        mininterval=progress_interval_s(),
        dynamic_ncols=True,
        disable=quiet,
    )


def print_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    title: str | None = None,
    one_line: bool = False,
) -> None:
    """Print a table on stdout; columns of figures are right-aligned.

    Args:
        head: the columns' names.
        rows: their cells.
        title: stands above.
        one_line: every row takes one line: the last column is cut at the terminal's edge.
    """
    from rich import box
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table

    table = Table(*head, title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for column, name, cells in zip(table.columns, head, zip(*rows, strict=True), strict=False):
        if all(cell.replace(",", "").replace(".", "").replace("%", "").isdigit() for cell in cells):
            column.justify = "right"
        if one_line:
            column.no_wrap = True
            column.width = max(map(cell_len, (name, *cells)))
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 200  # a pipe has no edge
    last = table.columns[-1]
    if one_line and last.width is not None:
        # Left to itself, a table that is too wide takes from every column alike.
        unbounded = console.options.update_width(1 << 20)
        beyond = console.measure(table, options=unbounded).maximum - console.width
        last.width = max(1, last.width - max(0, beyond))
    console.print(table)
