"""Every command's options: none is declared twice, and each says what it is for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from hub.cli.main import cli
from hub.cli.output import print_table
from hub.wording import counted


def commands(group: click.Command, path: str = "hub") -> Iterator[tuple[str, click.Command]]:
    """All commands under `group`, with what is typed for them."""
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None, name
            yield from commands(command, f"{path} {name}")
    else:
        yield path, group


COMMANDS = dict(commands(cli))


def test_an_emoji_does_not_end_a_command_whose_output_is_gbk() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "gbk"}
    command = [sys.executable, "-m", "hub", "search", "谢谢😀"]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert done.stderr.decode("gbk").startswith("No model matches '谢谢?'.")


def test_a_label_that_looks_like_an_emojis_name_stays(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["label"], [[":dog:"], ["[bold]"]])
    assert ":dog:" in (out := capsys.readouterr().out) and "[bold]" in out


def test_one_thing_is_not_called_many() -> None:
    assert [counted(n, "row") for n in (0, 1, 2_000)] == ["0 rows", "1 row", "2,000 rows"]


def test_all_are_found() -> None:
    assert {"hub finetune", "hub data check", "hub serving start", "hub compress distil"} <= set(
        COMMANDS
    )


@pytest.mark.parametrize("path", COMMANDS)
def test_no_option_is_declared_twice(path: str) -> None:
    command = COMMANDS[path]
    spelled = [word for p in command.params for word in (*p.opts, *p.secondary_opts)]
    assert len(set(spelled)) == len(spelled)
    assert command.help, path
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, f"{path} {parameter.opts[0]}"
