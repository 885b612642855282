"""Options that more than one command takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Decorated = Callable[..., Any]


def data_options(function: Decorated) -> Decorated:
    """--text-column, --text-pair-column, --label-column and --skip-bad-rows."""
    for option in reversed(
        (
            click.option("--text-column", help="Column of the text; by default one named so."),
            click.option("--text-pair-column", help="Column of a pair's second text."),
            click.option("--label-column", help="Column of the label; by default one named so."),
            click.option(
                "--skip-bad-rows", is_flag=True, help="Leave unusable rows out, and count them."
            ),
        )
    ):
        function = option(function)
    return function


long_text_option = click.option(
    "--long-text",
    type=click.Choice(["cut", "window"]),
    help="Of a text of too many tokens, read the beginning (cut) or all in overlapping windows; "
    "by default what the model was fine-tuned with, at first cut.",
)

quiet_option = click.option("--quiet", "-q", is_flag=True, help="No progress bar.")
