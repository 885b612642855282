"""Options of commands that can train in several processes, and starting them."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from typing import Any

import click

from hub.cli.output import print_json
from hub.constants import METRICS_FILE

# Option -> the attribute of `hub.training.launching.Launch` that it gives.
_OPTIONS = {
    "--nproc": ("processes", int, "Train in this many processes on this machine."),
    "--devices": ("devices", str, "Train on these devices, one process each, such as 0,1."),
    "--master": ("master", str, "For several machines: HOST:PORT of one of them, on each."),
    "--machines": ("machines", int, "How many machines."),
    "--machine": ("machine", int, "This machine's number, from 0; by default found out."),
}


def device_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--device, and those by which a command runs in several processes.

    Where these are given, the command's function is not called here: the same command runs without
    them in each process, and what --json prints is read from the folder that they have written.
    """

    @functools.wraps(function)
    def command(*arguments: Any, **options: Any) -> Any:
        given = {name: options.pop(name) for name, _, _ in _OPTIONS.values()}
        if any(value is not None for value in given.values()):
            from hub.training.launching import Launch, launch, without_options

            how = Launch(**given)
            if how.is_wanted:
                command_line = without_options(sys.argv[1:], list(_OPTIONS))
                # What goes to stdout is said once, at the end.
                launch(how, [word for word in command_line if word != "--json"])
                if options["as_json"]:
                    summary = options["output"] / METRICS_FILE
                    print_json(json.loads(summary.read_text(encoding="utf-8")))
                return None
        return function(*arguments, **options)

    for option, (name, kind, text) in reversed(_OPTIONS.items()):
        command = click.option(option, name, type=kind, help=text)(command)
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        help="Where to compute: cpu, gpu, gpu:1, xpu, npu, or another that PaddlePaddle knows.",
    )(command)
