"""`hub export`."""

from __future__ import annotations

from pathlib import Path

import click

from hub.cli.output import say


@click.command("export")
@click.argument("model")
@click.option(
    "--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder to write."
)
@click.option(
    "--format",
    "-f",
    type=click.Choice(["onnx", "paddle"]),
    default="onnx",
    show_default=True,
    help="For ONNX Runtime or Paddle Inference.",
)
@click.option("--overwrite", is_flag=True, help="Replace the exported model in --output.")
def export_command(model: str, output: Path, format: str, overwrite: bool) -> None:
    """Write the fine-tuned MODEL, a folder or a registered name, for an inference engine.

    The answers of what was written are compared with the model's.

    \b
    Examples:
      hub export runs/travel --format onnx --output runs/travel-onnx
      hub predict runs/travel-onnx "这家酒店的电话是多少"
    """
    from hub.inference.export import export
    from hub.models.installation import folder_of
    from hub.module import Module

    difference = export(Module(directory=folder_of(model)), output, format, overwrite)
    size = sum(path.stat().st_size for path in output.iterdir())
    say(
        f"written   {output}: {format}, {size / 1e6:.1f} MB; "
        f"largest difference from the module's logits {difference:.1e}"
    )
