"""`hub config`: what holds for every command on this machine."""

from __future__ import annotations

import click

from hub.cli.output import json_option, print_json, say
from hub.errors import InputError
from hub.registry.settings import SETTINGS, change_setting, setting, where_set


@click.command("config")
@click.argument("name", required=False)
@click.argument("value", required=False)
@click.option("--unset", is_flag=True, help="Go back to the default.")
@json_option
def config_command(name: str | None, value: str | None, unset: bool, as_json: bool) -> None:
    """Show the settings, or change NAME to VALUE. Environment variables win over them.

    \b
    sources    where models are fetched from, in order: baidu, modelscope, huggingface, or a
               mirror's folder or address (HUB_SOURCES)
    catalogue  your team's own models: a folder, https://..., s3://... or oss://... (HUB_CATALOGUE)

    \b
    Examples:
      hub config
      hub config sources modelscope,baidu
      hub config catalogue /mnt/models
      hub config sources --unset
    """
    if name is not None and name not in SETTINGS:
        raise InputError(f"There is no setting {name!r}; there are {', '.join(SETTINGS)}.")
    if name is not None and (unset or value is not None):
        change_setting(name, None if unset else value)
        say(f"{name} is now {setting(name) or SETTINGS[name].default}")
        return
    names = [name] if name else list(SETTINGS)
    values = {key: setting(key) for key in names}
    if as_json:
        print_json(values)
        return
    for key in names:
        click.echo(f"{key:<10} {values[key] or SETTINGS[key].default}  ({where_set(key)})")
        say(f"           {SETTINGS[key].meaning}")
