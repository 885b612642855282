"""The `hub` command's entry: finds the command, turns errors into sentences and exit codes."""

from __future__ import annotations

import io
import logging
import os
import sys
from importlib import import_module

import click
from click.shell_completion import CompletionItem

from hub import __version__
from hub.constants import DEBUG_VARIABLE, debug
from hub.errors import HubError

# Command -> (module under hub.cli, what it does). The modules load when their command runs, so that
# `hub --help` answers at once.
_COMMANDS = {
    "finetune": ("finetune", "Fine-tune a classifier on your own texts."),
    "tune": ("tune", "Search for the settings that suit your texts best."),
    "pretrain": ("pretrain", "Pretrain a model on texts without labels."),
    "vocab": ("vocab", "Learn a vocabulary for a new model."),
    "evaluate": ("evaluate", "Measure a fine-tuned or exported model on labelled texts."),
    "predict": ("predict", "Answer texts with a fine-tuned or exported model."),
    "embed": ("embed", "Write a vector for each text of a file."),
    "export": ("export", "Write a fine-tuned model for an inference engine."),
    "compress": ("compress", "Make a fine-tuned model smaller and faster."),
    "serve": ("serve", "Answer texts over HTTP."),
    "serving": ("serve", "PaddleHub's spelling of serve: serving start -m NAME."),
    "data": ("data", "Check, convert and split labelled texts."),
    "list": ("models", "List the models known by name."),
    "search": ("models", "Search the models by words."),
    "show": ("models", "Show all that is known of a model."),
    "install": ("install", "Fetch a model so that it can be used without a network."),
    "download": ("install", "Fetch a model into a folder, to carry it to another machine."),
    "uninstall": ("install", "Remove a model from this machine."),
    "cache": ("cache", "Show, verify and clean the models on this machine."),
    "convert": ("convert", "Write a checkpoint of another format in this package's form."),
    "register": ("team", "Give a fine-tuned or exported model a name on this machine."),
    "push": ("team", "Publish a model in the team's catalogue."),
    "pull": ("team", "Bring a model from the team's catalogue."),
    "alias": ("team", "Point an alias such as prod to a version."),
    "config": ("config", "Show or change the settings of this machine."),
    "env": ("env", "Show versions, settings and the machine, for bug reports."),
}
# PaddleHub's other commands, and what does the same here.
_PADDLEHUB = {
    "run": "hub predict MODEL TEXT",
    "version": "hub --version",
    "clear": "hub cache clean",
    "help": "hub --help",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = import_module(f"hub.cli.{_COMMANDS[name][0]}")
        command = getattr(module, f"{name}_command")
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] in _PADDLEHUB:
            ctx.fail(f"There is no command '{args[0]}' here: use `{_PADDLEHUB[args[0]]}`.")
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"There is no command '{args[0]}'.{hint}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [
            CompletionItem(name, help=text)
            for name, (_, text) in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        # Not a group's own way, which loads the modules of all commands.
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", message="ernie-hub %(version)s")
@click.option("--debug", "show_traceback", is_flag=True, help="Show tracebacks of errors.")
def cli(show_traceback: bool) -> None:
    """From a name to a Chinese-language service.

    \b
    Examples:
      hub finetune train.tsv --dev dev.tsv --output runs/travel
      hub evaluate runs/travel test.tsv
      hub predict  runs/travel "这家酒店的电话是多少" --probabilities
      hub export   runs/travel --format onnx --output runs/travel-onnx
    """
    if show_traceback:
        os.environ[DEBUG_VARIABLE] = "1"


def main() -> None:
    """Run the command. Exit codes: 0 done, 1 failed, 2 bad input, 130 Ctrl-C, 143 SIGTERM."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # An emoji of a user's text must not end a command whose output is GBK.
            stream.reconfigure(errors="replace")
    try:
        # Without standalone mode click raises its errors instead of printing and exiting.
        result = cli.main(standalone_mode=False)
        sys.exit(result if isinstance(result, int) else 0)
    except click.exceptions.Abort:
        _fail("Interrupted.", 130)
    except KeyboardInterrupt:
        _fail("Interrupted.", 130)
    except click.ClickException as error:
        if debug():
            raise
        error.show()
        sys.exit(2)
    except HubError as error:
        if debug():
            raise
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        # The reader of a pipe (`| head`) left; nothing more can be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if debug():
            raise
        _fail(
            f"{type(error).__name__}: {error}\nThis is a defect of hub. "
            f"Run the same with `hub --debug ...` for the traceback, and report it.",
            1,
        )


def _fail(message: str, code: int) -> None:
    click.echo(f"Error: {message}", err=True)
    sys.exit(code)
