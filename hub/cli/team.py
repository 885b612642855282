"""`hub register`, `hub push`, `hub pull` and `hub alias`: a team's own models."""

from __future__ import annotations

from pathlib import Path

import click

from hub.cli.options import quiet_option
from hub.cli.output import say
from hub.cli.parameters import ModelName, check_is_finished
from hub.errors import InputError, UnknownModelError
from hub.registry.names import check_version, parse_reference
from hub.registry.settings import setting
from hub.registry.store import Store, StoredModel
from hub.registry.team import TeamCatalogue

_catalogue_option = click.option(
    "--catalogue",
    metavar="LOCATION",
    help="A folder, https://..., s3://... or oss://...; by default that of `hub config catalogue`.",
)


@click.command("register")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="The model's name.")
@click.option("--version", required=True, help="Its version, which never changes: 1.0.0.")
def register_command(folder: Path, name: str, version: str) -> None:
    """Give the model in FOLDER a name on this machine.

    FOLDER is a run of `hub finetune`, an exported model, or any folder of a pretrained model.

    \b
    Examples:
      hub register runs/travel --name travel --version 1.0.0
      hub predict travel@1.0.0 "这家酒店的电话是多少"
    """
    from hub.models.registration import register

    check_is_finished(folder)
    model = register(folder, name, version, Store())
    say(f"registered {model.name}@{model.version}: {model.folder}")


@click.command("push")
@click.argument("model", type=ModelName())
@click.option("--alias", "aliases", multiple=True, help="Point this alias to it, such as prod.")
@_catalogue_option
@quiet_option
def push_command(model: str, aliases: tuple[str, ...], catalogue: str | None, quiet: bool) -> None:
    """Publish MODEL (NAME@VERSION) in the team's catalogue, for good.

    \b
    Examples:
      hub push travel@1.0.0 --catalogue /mnt/models
      hub push travel@1.1.0 --alias canary
    """
    place = _open(catalogue, quiet)
    stored = _stored(model)
    created = place.publish(stored, aliases)
    what = "published" if created else "was there already, the same:"
    say(f"{what} {stored.name}@{stored.version} in {place.location}")
    Store().add_aliases(stored.name, dict.fromkeys(aliases, stored.version))
    for alias in aliases:
        say(f"{stored.name}@{alias} is now {stored.version}")


@click.command("pull")
@click.argument("model", type=ModelName())
@_catalogue_option
@quiet_option
def pull_command(model: str, catalogue: str | None, quiet: bool) -> None:
    """Bring MODEL (NAME, NAME@VERSION or NAME@ALIAS) from the team's catalogue to this machine.

    Without a version it is the newest. Aliases are brought up to date.

    \b
    Examples:
      hub pull travel@prod
      hub pull travel@1.0.0 --catalogue s3://models/team
    """
    reference = parse_reference(model)
    place = _open(catalogue, quiet)
    stored = place.pull(reference.name, reference.version, Store())
    say(f"{reference} is {stored.version}: {stored.folder}")


@click.command("alias")
@click.argument("model", type=ModelName())
@click.argument("alias")
@_catalogue_option
def alias_command(model: str, alias: str, catalogue: str | None) -> None:
    """Point ALIAS (such as prod) to MODEL (NAME@VERSION), in the team's catalogue if there is one.

    \b
    Examples:
      hub alias travel@1.1.0 prod
    """
    reference = parse_reference(model)
    if reference.version is None:
        raise InputError(f"Say which version {alias!r} is to mean: {reference.name}@VERSION.")
    store = Store()
    location = catalogue or setting("catalogue")
    if location is not None:
        place = TeamCatalogue(location)
        place.set_alias(reference.name, alias, reference.version)
        where = place.location
        if store.versions(reference.name):
            store.add_aliases(reference.name, place.aliases(reference.name))
    else:
        versions = store.versions(reference.name)
        if reference.version not in versions:
            raise UnknownModelError(f"{reference} is not on this machine.")
        if check_version(alias) in versions:
            raise InputError(f"{alias!r} is a version of {reference.name} and cannot be an alias.")
        store.add_aliases(reference.name, {alias: reference.version})
        where = str(store.root)
    say(f"{reference.name}@{alias} is now {reference.version} in {where}")


def _open(location: str | None, quiet: bool) -> TeamCatalogue:
    location = location or setting("catalogue")
    if location is None:
        raise InputError(
            "No catalogue is known. Give --catalogue LOCATION, or settle it once with: "
            "hub config catalogue LOCATION"
        )
    return TeamCatalogue(location, quiet)


def _stored(text: str) -> StoredModel:
    """A model on this machine, public ones included: a team may keep a mirror of them."""
    from hub.models.installation import locate

    _, folder = locate(text)
    store = Store()
    if store.root not in folder.parents:
        raise InputError(f"{text} is inside every installation of this package: nothing to push.")
    return store.get(folder.parent.name, folder.name)
