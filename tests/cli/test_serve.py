"""What `hub serve` understands of its command line."""

from __future__ import annotations

from typing import Any

import pytest

from hub.cli.main import cli


def understood(*arguments: str) -> dict[str, Any]:
    """The parameters of a `hub` command, and None where it was not given."""
    names = [argument for argument in arguments if argument in ("serve", "serving", "start")]
    context = cli.make_context("hub", list(arguments))
    command = cli
    for name in names:
        found = command.get_command(context, name)
        assert found is not None
        command = found  # type: ignore[assignment]
    return command.make_context(names[-1], list(arguments[len(names) :]), parent=context).params


@pytest.mark.parametrize(
    ("words", "watch", "models"),
    [
        (["runs/travel"], None, ["runs/travel"]),
        (["--watch", "runs/travel"], 5, ["runs/travel"]),
        (["runs/travel", "--watch"], 5, ["runs/travel"]),
        (["--watch", "--workers", "2", "a"], 5, ["a"]),
        (["--watch", "60", "runs/travel"], 60, ["runs/travel"]),
        (["--watch=0.5", "runs/travel"], 0.5, ["runs/travel"]),
    ],
)
def test_watch_takes_a_number_and_no_model(
    words: list[str], watch: float | None, models: list[str]
) -> None:
    found = understood("serve", *words)
    assert (found["watch"], list(found["models"])) == (watch, models)
    found = understood("serving", "start", *words, "-m", "x")
    assert (found["watch"], list(found["more"])) == (watch, models)
