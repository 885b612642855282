"""`hub convert`."""

from __future__ import annotations

from pathlib import Path

import click

from hub.cli.output import say
from hub.errors import InputError
from hub.files import readable_size


@click.command("convert")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder to write."
)
def convert_command(source: Path, output: Path) -> None:
    """Write the checkpoint folder SOURCE in this package's form.

    Read are model.safetensors, PyTorch's pytorch_model.bin and PaddleNLP's .pdparams, with
    config.json and the vocabulary. What is written opens in Hugging Face transformers as well. A
    folder that this package wrote is copied with its task and labels.

    \b
    Examples:
      hub convert ~/downloads/ernie-3.0-nano-zh --output models/nano
    """
    from hub.models.registration import write_converted

    if not source.is_dir():
        raise InputError(f"There is no folder {source}.")
    write_converted(source, output)
    size = sum(path.stat().st_size for path in output.iterdir())
    say(f"written   {output}: {readable_size(size)}")
