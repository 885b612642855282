"""`hub convert`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click

from hub.cli.output import say
from hub.constants import MANIFEST_FILE
from hub.errors import InputError, OutputError
from hub.files import put_in_place, readable_size


@click.command("convert")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder to write."
)
def convert_command(source: Path, output: Path) -> None:
    """Write the checkpoint folder SOURCE in this package's form.

    Read are model.safetensors, PyTorch's pytorch_model.bin and PaddleNLP's .pdparams, with
    config.json and the vocabulary. What is written opens in Hugging Face transformers as well.

    \b
    Examples:
      hub convert ~/downloads/ernie-3.0-nano-zh --output models/nano
    """
    from hub.models.installation import convert_folder

    if not source.is_dir():
        raise InputError(f"There is no folder {source}.")
    if output.exists() and (output.is_file() or any(output.iterdir())):
        raise OutputError(f"{output} is not empty: choose another --output.")
    output = Path(os.path.abspath(output))
    scratch = output.with_name(f".{output.name}.unfinished")
    try:
        scratch.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        convert_folder(source, scratch, output.name)
        put_in_place(scratch, output, MANIFEST_FILE)
    except OSError as error:
        raise OutputError(f"{output} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    size = sum(path.stat().st_size for path in output.iterdir())
    say(f"written   {output}: {readable_size(size)}")
