"""`hub serve`, and PaddleHub's spelling of it, `hub serving start`."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from hub.cli.options import task_option
from hub.cli.parameters import PRETRAINED_TASKS, ModelName, check_is_finished
from hub.errors import MissingPackageError

Decorated = Callable[..., Any]
_WATCH_S = 5.0
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")


class _ServeCommand(click.Command):
    """A command whose `--watch` takes the next word only where that is a number.

    Click's optional values take any word: of `--watch runs/travel` the model.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = [
            f"{word}={_WATCH_S}" if word == "--watch" and not _NUMBER.fullmatch(after) else word
            for word, after in zip(args, [*args[1:], ""], strict=False)
        ]
        return super().parse_args(ctx, words)


def _server_options(function: Decorated) -> Decorated:
    """What both spellings take; the defaults are those of `hub.serving.settings`."""
    options = (
        click.option("--host", default="127.0.0.1", show_default=True, help="Where it listens."),
        click.option("--workers", type=click.IntRange(1), default=1, show_default=True,
                     help="Processes that share the port."),
        click.option("--threads", type=click.IntRange(1),
                     help="Threads that compute, in each worker; by default the processors are "
                     "shared out."),
        task_option("What pretrained models answer; by default with vectors.",
                    *PRETRAINED_TASKS),
        click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True,
                     help="Texts computed at a time."),
        click.option("--batch-delay-ms", type=click.FloatRange(0), default=2.0, show_default=True,
                     help="The longest that a text waits for others to be computed with."),
        click.option("--queue", type=click.IntRange(1), default=256, show_default=True,
                     help="Texts that may wait; beyond them callers are told to come back (429)."),
        click.option("--deadline-s", type=click.FloatRange(0.05), default=10.0, show_default=True,
                     help="The longest that a request takes; then it is given up (504)."),
        click.option("--body-s", type=click.FloatRange(0.1), default=10.0, show_default=True,
                     help="The longest that a client takes to send a request (408)."),
        click.option("--unread-s", type=click.FloatRange(0.1), default=60.0, show_default=True,
                     help="The longest that a client may read nothing of its answer; then the "
                     "connection is cut."),
        click.option("--max-body-bytes", type=click.IntRange(1000), default=2_000_000,
                     show_default=True, help="The longest body of a request (413)."),
        click.option("--max-texts", type=click.IntRange(1), default=32, show_default=True,
                     help="The most texts of a request; never more than --queue (422)."),
        click.option("--max-characters", type=click.IntRange(1), default=10_000, show_default=True,
                     help="The longest text (422)."),
        click.option("--api-keys", metavar="FILE", help="A file with one API key per line."),
        click.option("--admin-token", metavar="FILE",
                     help="A file with one admin token per line; without it /admin refuses."),
        click.option("--cors", multiple=True, metavar="ORIGIN",
                     help="An origin whose pages may call the API."),
        click.option("--tls-cert", metavar="FILE", help="The certificate, PEM."),
        click.option("--tls-key", metavar="FILE", help="Its key, PEM."),
        click.option("--watch", type=click.FloatRange(0.1), metavar="[SECONDS]",
                     help="Look for new versions in folders and aliases, every SECONDS or, if no "
                     f"number follows, every {_WATCH_S:g} seconds."),
        click.option("--drain-delay-s", type=click.FloatRange(0), default=0.0, show_default=True,
                     help="On SIGTERM, how long /readyz says no before the port closes."),
        click.option("--drain-s", type=click.IntRange(1), default=30, show_default=True,
                     help="On SIGTERM, how long requests in flight may take."),
        click.option("--log-format", type=click.Choice(["json", "text"]), default="json",
                     show_default=True, help="The log on stderr."),
        click.option("--log-texts", is_flag=True,
                     help="Log texts and answers too; of a batch the first 100."),
        click.option("--no-page", is_flag=True, help="No page at / to try the models."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


_port_option = click.option(
    "--port", "-p", type=click.IntRange(0, 65535), default=8866, show_default=True,
    help="The port; 0 takes a free one.",
)  # fmt: skip


@click.command("serve", cls=_ServeCommand)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...", type=ModelName())
@_port_option
@_server_options
def serve_command(models: tuple[str, ...], port: int, **options: Any) -> None:
    """Answer texts over HTTP with each MODEL: a folder or a name.

    NAME@VERSION=MODEL:WEIGHT gives it a name, a version and a share of the traffic; a WEIGHT of
    `shadow` lets it answer unseen. The API is described at /docs, and / is a page to try it at.

    \b
    Examples:
      hub serve runs/travel
      hub serve runs/travel-onnx --workers 2 --host 0.0.0.0 --api-keys keys.txt
      hub serve travel@3=runs/v3:90 travel@4=runs/v4:10
      hub serve travel=travel@prod --watch
      hub serve --watch 60 runs/travel
    """
    _run(models, port, options)


@click.group("serving")
def serving_command() -> None:
    """PaddleHub's spelling of `hub serve`."""


@serving_command.command("start", cls=_ServeCommand)
@click.option("--modules", "-m", "modules", multiple=True, required=True, metavar="NAME",
              type=ModelName(),
              help="A model, or NAME==VERSION; may be repeated.")  # fmt: skip
@_port_option
@click.option("--use_gpu", is_flag=True, hidden=True)
@click.option("--use_multiprocess", is_flag=True, hidden=True)
@click.argument("more", nargs=-1)
@_server_options
def start_command(
    modules: tuple[str, ...],
    port: int,
    use_gpu: bool,
    use_multiprocess: bool,
    more: tuple[str, ...],
    **options: Any,
) -> None:
    """Serve models at POST /predict/NAME, and at every other address of `hub serve`.

    \b
    Examples:
      hub serving start -m ernie_tiny -p 8866
    """
    names = [name for part in (*modules, *more) for name in re.split(r"[,\s]+", part) if name]
    _run([re.sub("==", "@", name) for name in names], port, options)


@serving_command.command("stop", hidden=True, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1)
def stop_command(words: tuple[str, ...]) -> None:
    """PaddleHub's way to end a service, which is not needed here."""
    raise click.UsageError(
        "A service ends by Ctrl-C, or by SIGTERM to its process (`kill PID`), when what is in "
        "flight is answered."
    )


def _run(models: Any, port: int, options: dict[str, Any]) -> None:
    if hasattr(signal, "SIGHUP"):
        # Until the service can look at its sources again; unhandled it would end the process.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        import prometheus_client  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(error.name or "uvicorn", "serve", "Serving") from None
    from hub.serving.run import run
    from hub.serving.settings import Limits, Settings, check_specs, parse_spec

    limits = Limits(
        body_bytes=options["max_body_bytes"],
        texts=options["max_texts"],
        text_characters=options["max_characters"],
        deadline_s=options["deadline_s"],
        body_s=options["body_s"],
        unread_s=options["unread_s"],
        queue_texts=options["queue"],
    )
    settings = Settings(
        host=options["host"],
        port=port,
        workers=options["workers"],
        threads=options["threads"],
        task=options["task"],
        batch_size=options["batch_size"],
        batch_delay_ms=options["batch_delay_ms"],
        limits=limits,
        api_keys=options["api_keys"],
        admin_token=options["admin_token"],
        cors=options["cors"],
        tls_certificate=options["tls_cert"],
        tls_key=options["tls_key"],
        watch_s=options["watch"],
        drain_delay_s=options["drain_delay_s"],
        drain_s=options["drain_s"],
        json_logs=options["log_format"] == "json",
        log_texts=options["log_texts"],
        page=not options["no_page"],
    )
    specs = check_specs(parse_spec(text) for text in models)
    for spec in specs:
        check_is_finished(Path(spec.source))
    run(settings, specs)
