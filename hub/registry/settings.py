"""What the user has settled for this machine: `hub config`, under `$HUB_HOME/settings.json`.

An environment variable wins over the file.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass

from hub.constants import CATALOGUE_VARIABLE, SOURCES_VARIABLE, home
from hub.errors import InputError, OutputError
from hub.files import write_text
from hub.wording import must_be_one_of

SOURCE_KINDS = ("baidu", "modelscope", "huggingface")
# Of the addresses of catalogues: fsspec knows more, with packages of their own.
_SCHEMES = {"file", "http", "https", "s3", "oss", "gs", "az", "abfs", "hdfs", "memory"}


@dataclass(frozen=True)
class Setting:
    """One thing that can be settled.

    Attributes:
        name: what `hub config` calls it.
        variable: the environment variable that wins over it.
        default: what holds where nothing is settled, for people.
        meaning: what it is.
    """

    name: str
    variable: str
    default: str
    meaning: str


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting(
            "sources",
            SOURCES_VARIABLE,
            ",".join(SOURCE_KINDS),
            "where models are fetched from, in order, separated by commas: "
            f"{', '.join(SOURCE_KINDS)}, or a mirror's folder or address",
        ),
        Setting(
            "catalogue",
            CATALOGUE_VARIABLE,
            "none",
            "your team's own models: a folder, https://..., s3://... or oss://...",
        ),
    )
}


def _file() -> dict[str, str]:
    path = home() / "settings.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return {}
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}). Mend or remove it.") from error
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        raise InputError(f"{path} does not hold texts by their names. Mend or remove it.")
    return values


def setting(name: str) -> str | None:
    """The value in force: the environment's, else the file's, else None."""
    return os.environ.get(SETTINGS[name].variable) or _file().get(name)


def where_set(name: str) -> str:
    """Where the value in force comes from, for people."""
    if os.environ.get(SETTINGS[name].variable):
        return SETTINGS[name].variable
    return str(home() / "settings.json") if name in _file() else "default"


def change_setting(name: str, value: str | None) -> None:
    """Keep a value for the next runs; None or nothing forgets it.

    Paths are kept absolute: the next run may begin in another folder.

    Raises:
        InputError: there is no such setting, or it cannot have this value.
        OutputError: the file cannot be written.
    """
    if name not in SETTINGS:
        raise InputError(must_be_one_of("The setting", SETTINGS, name))
    values = {key: text for key, text in _file().items() if key != name}
    if value is not None and value.strip():
        parts = parse_sources(value) if name == "sources" else [check_location(value.strip())]
        values[name] = ",".join(map(_absolute, parts))
    path = home() / "settings.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(values, ensure_ascii=False, indent=2) + "\n")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}.") from error


def parse_sources(text: str) -> list[str]:
    """The parts of `HUB_SOURCES`: kinds of source, and mirrors' folders or addresses.

    Raises:
        InputError: a part is neither.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    for part in parts:
        if part not in SOURCE_KINDS and not is_location(part):
            raise InputError(
                f"{part!r} in the list of sources is neither {', '.join(SOURCE_KINDS)} nor a "
                "folder's path (such as ./models or /mnt/models) nor an address (such as https://...)."
            )
    if not parts:
        raise InputError("The list of sources is empty.")
    return parts


def check_location(text: str) -> str:
    """A catalogue's place, if it can be one.

    Raises:
        InputError: it is an address of an unknown kind.
    """
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", text)
    if scheme and (scheme[1].lower() not in _SCHEMES or "://" not in text):
        raise InputError(
            f"{text!r} is no catalogue's place: give a folder, https://..., s3://... or oss://..."
        )
    return text


def _absolute(place: str) -> str:
    """A folder's path from the root; names and addresses as they are."""
    is_folder = place not in SOURCE_KINDS and "://" not in place
    return os.path.abspath(os.path.expanduser(place)) if is_folder else place


def is_location(text: str) -> bool:
    """Whether the text is a path or an address, and not a name."""
    return "://" in text or is_path(text)


def is_path(text: str) -> bool:
    """Whether the text is a path, and neither a name nor an address."""
    return "://" not in text and ("/" in text or "\\" in text or text.startswith((".", "~")))
