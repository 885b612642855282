"""A model folder with fewer parameters: what every way of making a model smaller ends with."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hub.constants import CONFIG_FILE, MANIFEST_FILE, WEIGHTS_FILE
from hub.errors import OutputError
from hub.files import move_files, write_text
from hub.models.ernie.formats import read_safetensors, write_safetensors
from hub.module import Module
from hub.registry.manifest import read_manifest, write_manifest
from hub.training.output_folder import forget_run, forget_story, probe

Arrays = dict[str, np.ndarray]


def check_is_other(run: Path, folder: Path) -> None:
    """See that a model is not written over what it is made from, which is measured beside it.

    Raises:
        OutputError: it is.
    """
    if folder.resolve() == run.resolve():
        raise OutputError(f"{folder} is the model that is made smaller: choose another --output.")


@contextmanager
def made_aside(folder: Path) -> Iterator[Path]:
    """While entered, a model is made in another folder of the same name; then it is put in place.

    Whatever fails or is interrupted before leaves `folder` as it was.

    Args:
        folder: where the model is to be, and perhaps another is; `check_output` has seen it.

    Yields:
        The other folder, which is empty.

    Raises:
        OutputError: the folder cannot be written.
    """
    folder = folder.resolve()  # of a link what it points to; "." has a name
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            probe(folder)
        scratch = tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent)
        made = Path(scratch.name) / folder.name
        made.mkdir()
    except OSError as error:
        raise OutputError(_complaint(folder, error)) from error
    with scratch:
        yield made
        try:
            folder.mkdir(exist_ok=True)
            (folder / MANIFEST_FILE).unlink(missing_ok=True)
            forget_story(folder)
            forget_run(folder)
            move_files(made, folder, MANIFEST_FILE)
        except OSError as error:
            raise OutputError(_complaint(folder, error)) from error


def _complaint(folder: Path, error: OSError) -> str:
    return f"{folder} cannot be written: {error.strerror or error}."


def rewrite(
    module: Module,
    folder: Path,
    change_arrays: Callable[[Arrays], Arrays],
    config: dict[str, Any],
    write_more: Callable[[Path], None] | None = None,
) -> Module:
    """Write a module with other arrays and another configuration, and load it.

    Args:
        module: what is changed; it stays as it is.
        folder: an empty folder.
        change_arrays: given the weights under `transformers`' names, the new ones.
        config: what differs in `config.json`.
        write_more: writes files that differ as well, such as the tokenizer's.
    """
    module.save(folder)
    manifest = read_manifest(folder, check_content=False)
    assert manifest is not None  # save has just written it
    (folder / MANIFEST_FILE).unlink()
    arrays = change_arrays(dict(read_safetensors(folder / WEIGHTS_FILE)))
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_safetensors(contiguous, folder / WEIGHTS_FILE)
    settings = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    # The type is not only the encoder's: it says as well what transformers may not read.
    settings.update({**config, "model_type": settings["model_type"]})
    write_text(folder / CONFIG_FILE, json.dumps(settings, ensure_ascii=False, indent=2) + "\n")
    if write_more is not None:
        write_more(folder)
    write_manifest(folder, manifest, manifest.files)
    return Module(directory=folder)
