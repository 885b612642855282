"""`hub export`."""

from __future__ import annotations

from pathlib import Path

import click

from hub.cli.options import pooling_options
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
@click.option(
    "--task",
    type=click.Choice(["fill-mask", "sentence-embedding"]),
    help="What it shall answer; by default what it was fine-tuned for.",
)
@pooling_options
@click.option("--overwrite", is_flag=True, help="Replace the exported model in --output.")
def export_command(
    model: str,
    output: Path,
    format: str,
    task: str | None,
    pooling: str | None,
    normalize: bool | None,
    overwrite: bool,
) -> None:
    """Write the fine-tuned MODEL, a folder or a registered name, for an inference engine.

    With --task, also a pretrained one.

    The answers of what was written are compared with the model's.

    \b
    Examples:
      hub export runs/travel --format onnx --output runs/travel-onnx
      hub predict runs/travel-onnx "这家酒店的电话是多少"
      hub export ernie-3.0-nano-zh --task sentence-embedding --normalize --output runs/vectors
    """
    from hub.inference.export import export
    from hub.inference.loading import load_module

    asked = {"pooling": pooling, "normalize": normalize}
    options = {name: value for name, value in asked.items() if value is not None}
    module = load_module(model, task, options)
    difference = export(module, output, format, overwrite)
    is_vector = module.task is not None and module.task.name == "sentence-embedding"
    size = sum(path.stat().st_size for path in output.iterdir())
    say(
        f"written   {output}: {format}, {size / 1e6:.1f} MB; "
        f"largest difference from the module's {'vectors' if is_vector else 'logits'} "
        f"{difference:.1e}"
    )
