"""`hub cache`: the models on this machine, and the encoded texts of large data sets."""

from __future__ import annotations

from pathlib import Path

import click

from hub.cli.output import json_option, print_json, print_table, say
from hub.cli.parameters import ModelName
from hub.errors import InputError, ModelError, UnknownModelError
from hub.files import readable_size
from hub.registry.names import parse_reference
from hub.registry.store import Store, StoredModel, folder_size
from hub.wording import counted


@click.group("cache", invoke_without_command=True)
@json_option
@click.pass_context
def cache_command(ctx: click.Context, as_json: bool) -> None:
    """Show the models on this machine, encoded texts kept for the next run, and their size.

    \b
    Examples:
      hub cache
      hub cache verify
      hub cache remove ernie-3.0-base-zh
      hub cache clean
    """
    if ctx.invoked_subcommand is not None:
        return
    from hub.data.encoded_cache import EncodedCache

    store = Store()
    models = store.models()
    encoded = EncodedCache().size()
    waiting = folder_size(store.root / "unfinished")
    damaged = store.damaged()
    if as_json:
        print_json(
            {
                "folder": str(store.root),
                "models": [_facts(model) for model in models],
                "unfinished_bytes": waiting,
                "encoded_bytes": encoded,
                "damaged": [str(path) for path in damaged],
            }
        )
        return
    if models:
        rows = [[f"{m.name}@{m.version}", readable_size(m.size_bytes), _origin(m)] for m in models]
        print_table(["model", "size", "from"], rows)
    total = sum(model.size_bytes for model in models)
    say(f"{counted(len(models), 'model')}, {readable_size(total)}, in {store.root}")
    if waiting:
        say(f"{readable_size(waiting)} of unfinished downloads: `hub cache clean` removes them.")
    if encoded:
        say(f"{readable_size(encoded)} of encoded texts: `hub cache clean` removes them.")
    for path in damaged:
        say(f"{path} is not whole: it is fetched again when it is used.")


@cache_command.command("verify", short_help="Compute the checksums of models.")
@click.argument("models", nargs=-1, type=ModelName())
@json_option
def verify_command(models: tuple[str, ...], as_json: bool) -> None:
    """Compute the checksum of every file of MODELS (all, if none is named)."""
    store = Store()
    whole = {model.folder: model for model in store.models()}
    here = [*store.damaged(), *whole]
    if models:
        here = list(dict.fromkeys(folder for text in models for folder in _meant(text, here)))
    problems = {}
    for folder in here:
        problem = store.verify(whole[folder]) if folder in whole else f"{folder} is not whole."
        if problem is not None:
            problems[f"{folder.parent.name}@{folder.name}"] = problem
    checked = sum(folder in whole for folder in here)
    if as_json:
        print_json({"checked": checked, "problems": problems})
    if problems:
        raise ModelError(
            "\n".join(problems.values())
            + "\nRemove it with `hub cache remove NAME@VERSION`: what the catalogue has is fetched "
            "again when it is used, a team's own model must be pulled or registered again."
        )
    if not as_json:
        say(f"{counted(checked, 'model')}, every file as it should be.")


@cache_command.command("remove")
@click.argument("model", type=ModelName())
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_context
def remove_command(ctx: click.Context, model: str, yes: bool) -> None:
    """Remove MODEL: the same as `hub uninstall`."""
    from hub.cli.install import uninstall_command

    ctx.invoke(uninstall_command, model=model, yes=yes)


@cache_command.command(
    "clean", short_help="Remove unfinished downloads, damaged models, encoded texts."
)
def clean_command() -> None:
    """Remove unfinished downloads, damaged models and encoded texts; whole models stay."""
    from hub.data.encoded_cache import EncodedCache

    store = Store()
    say(f"{readable_size(store.clean() + EncodedCache().clean())} freed in {store.root}")


def _meant(text: str, here: list[Path]) -> list[Path]:
    """The folders of the models that a name, NAME@VERSION or NAME@ALIAS means."""
    from hub.models.installation import public_entry

    entry = public_entry(text)
    version: str | None
    if entry is None:
        reference = parse_reference(text)
        name = reference.name
        version = Store().aliases(name).get(reference.version or "", reference.version)
    elif entry.folder is None:
        name, version = entry.name, entry.version
    else:
        raise InputError(f"{entry.name} is inside the package: `hub cache` has no files of it.")
    found = [f for f in here if f.parent.name == name and version in (None, f.name)]
    if not found:
        raise UnknownModelError(f"{text} is not on this machine.")
    return found


def _facts(model: StoredModel) -> dict[str, object]:
    return {
        "name": model.name,
        "version": model.version,
        "size_bytes": model.size_bytes,
        "folder": str(model.folder),
        "origin": model.manifest.origin,
    }


def _origin(model: StoredModel) -> str:
    return str((model.manifest.origin or {}).get("source", "this team"))
