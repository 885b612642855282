"""How commands speak: results on stdout, talk on stderr, one JSON document with --json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on stdout and nothing else."
)


def say(line: str) -> None:
    """Tell the user what happens, on stderr."""
    click.echo(line, err=True)


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=2))


def print_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None
) -> None:
    """Print a table on stdout; columns of figures are right-aligned."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*head, title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for column, cells in zip(table.columns, zip(*rows, strict=True), strict=False):
        if all(cell.replace(",", "").replace(".", "").replace("%", "").isdigit() for cell in cells):
            column.justify = "right"
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, markup=False).print(table)
