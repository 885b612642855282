"""`hub install`, `hub download` and `hub uninstall`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hub.cli.options import quiet_option
from hub.cli.output import say
from hub.cli.parameters import ModelName
from hub.errors import InputError
from hub.files import readable_size
from hub.registry import ModelEntry, known_model
from hub.registry.names import parse_reference
from hub.registry.store import Store, StoredModel, folder_size


@click.command("install")
@click.argument("model", type=ModelName())
@click.option(
    "--accept-new-files",
    is_flag=True,
    help="Forget the checksums recorded at the first download: the publisher replaced the files.",
)
@quiet_option
def install_command(model: str, accept_new_files: bool, quiet: bool) -> None:
    """Fetch MODEL so that it can be used without a network.

    MODEL is a name of `hub list`, NAME@VERSION, a repository (hf://organisation/name), or a folder
    or archive that `hub download` made on another machine.

    \b
    Examples:
      hub install ernie-3.0-nano-zh
      hub install hf://hfl/chinese-roberta-wwm-ext
      hub install /media/usb/ernie-tiny.tar
    """
    from hub.models.installation import locate, public_entry
    from hub.models.registration import install_from

    store = Store()
    if accept_new_files:
        entry = None if _is_place(model) else public_entry(model)
        if entry is None:
            raise InputError("--accept-new-files is for models that a public source publishes.")
        store.forget_checksums(entry.name, entry.version)
    if _is_place(model):
        stored = install_from(Path(model), store)
        say(f"installed {stored.name}@{stored.version}: {stored.folder}")
        return
    _, folder = locate(model, store=store, quiet=quiet)
    say(f"installed {model}: {folder}")


@click.command("download")
@click.argument("model", type=ModelName())
@click.option(
    "--to",
    required=True,
    type=click.Path(path_type=Path),
    help="A new folder, or an archive (.tar, .tar.gz, .zip).",
)
@quiet_option
def download_command(model: str, to: Path, quiet: bool) -> None:
    """Fetch MODEL into a folder, to carry it to a machine without a network.

    There it is used as it is (--model FOLDER, hub.Module(directory="FOLDER")), or put among that
    machine's models with `hub install FOLDER`.

    \b
    Examples:
      hub download ernie-3.0-nano-zh --to ernie-3.0-nano-zh
      hub download ernie-3.0-nano-zh --to /media/usb/nano.tar
    """
    from hub.models.installation import locate
    from hub.models.registration import carry

    entry = known_model(parse_reference(model).name)
    if entry is not None and entry.folder is not None:
        say(f"{entry.name} is inside every installation of this package: nothing to carry.")
        return
    _, folder = locate(model, quiet=quiet)
    stored = _stored_at(folder)
    carry(stored, to)
    say(f"written   {to}: {stored.name}@{stored.version}, {readable_size(stored.size_bytes)}")


@click.command("uninstall")
@click.argument("model", type=ModelName())
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def uninstall_command(model: str, yes: bool) -> None:
    """Remove MODEL (NAME or NAME@VERSION) from this machine.

    What the catalogue has is fetched again when it is used. A team's own model may be here only.
    """
    from hub.models.installation import find_stored, not_here

    store = Store()
    reference = parse_reference(model)
    entry: ModelEntry | None = known_model(reference.name)
    if entry is not None:
        reference = type(reference)(entry.name, reference.version)
    stored = find_stored(reference, store)
    if stored is not None:
        folder = stored.folder
    elif damaged := store.damaged(reference.name, reference.version):
        folder = damaged[-1]
    elif entry is None:
        raise not_here(reference, store)
    elif entry.folder is not None:
        raise InputError(f"{entry.name} is a part of this package, and is removed with it alone.")
    else:
        say(f"{reference} is not on this machine.")
        return
    name = f"{folder.parent.name}@{folder.name}"
    if entry is None and not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"{name} is your team's own: say --yes to remove it.")
        click.confirm(f"Remove {name}, your team's own?", abort=True)
    size = folder_size(folder)
    store.remove(folder.parent.name, folder.name)
    say(f"removed   {name}, {readable_size(size)}: {folder}")


def _is_place(text: str) -> bool:
    """Whether the text is a path and not a name."""
    if "://" in text:
        return False
    return Path(text).exists() or text.endswith((".tar", ".tar.gz", ".tgz", ".zip", "/"))


def _stored_at(folder: Path) -> StoredModel:
    return Store().get(folder.parent.name, folder.name)
