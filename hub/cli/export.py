"""`hub export`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub.cli.options import data_options, pooling_options, task_option
from hub.cli.output import json_option, print_json, print_table, say
from hub.cli.parameters import PRETRAINED_TASKS, DataName, ModelName
from hub.wording import counted

if TYPE_CHECKING:
    from hub.inference.export import Exported
    from hub.module import Module


@click.command("export")
@click.argument("model", type=ModelName())
@click.option(
    "--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder to write."
)
@click.option(
    "--format",
    "-f",
    type=click.Choice(["onnx", "openvino", "paddle"]),
    help="For ONNX Runtime (the default), OpenVINO or Paddle Inference.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "int8", "bf16"]),
    help="fp32 (the default); int8 for onnx and openvino: a quarter of the size; bf16 for "
    "openvino and paddle.",
)
@click.option(
    "--static",
    is_flag=True,
    help="For int8 with onnx: measure the ranges of values beforehand, as openvino does, and not "
    "for each text.",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="Texts to measure ranges on: a file or folder; by default the run's training rows.",
)
@click.option("--auto", is_flag=True, help="Measure every format and precision; keep the fastest.")
@click.option(
    "--data",
    type=DataName(),
    help="Labelled rows to compare answers on; by default the run's dev rows.",
)
@data_options
@click.option(
    "--max-drop",
    type=click.FloatRange(0),
    default=0.5,
    show_default=True,
    help="Points of the metric that lower precision may lose; 100 allows any loss.",
)
@task_option("What it shall answer, if not what it was fine-tuned for.", *PRETRAINED_TASKS)
@pooling_options
@click.option("--overwrite", is_flag=True, help="Replace the exported model in --output.")
@json_option
def export_command(
    model: str,
    output: Path,
    format: str | None,
    precision: str | None,
    static: bool,
    calibration: Path | None,
    auto: bool,
    data: str | None,
    max_drop: float,
    task: str | None,
    pooling: str | None,
    normalize: bool | None,
    overwrite: bool,
    as_json: bool,
    **reading: Any,
) -> None:
    """Write the fine-tuned MODEL, a folder or a registered name, for an inference engine.

    With --task, also a pretrained one.

    The answers of the exported model are compared with those of MODEL; in lower precision nothing
    is written if the metric falls by more than --max-drop points on labelled rows. The columns of
    --data and --calibration are those that the run read, unless others are named.

    \b
    Examples:
      hub export runs/travel --output runs/travel-onnx
      hub export runs/travel --precision int8 --output runs/travel-int8
      hub export runs/travel --auto --data dev.tsv --output runs/travel-fast
      hub export ernie-3.0-nano-zh --task sentence-embedding --normalize --output runs/vectors
    """
    from hub.errors import InputError
    from hub.inference.exporting import export_module
    from hub.inference.loading import load_module
    from hub.tasks.base import metric_title

    if auto and (format or precision or static):
        raise InputError(
            "--auto chooses --format, --precision and --static itself: leave them out."
        )
    if static and precision != "int8":
        raise InputError("--static is a way to int8: give --precision int8 as well.")
    asked = {"pooling": pooling, "normalize": normalize}
    options = {name: value for name, value in asked.items() if value is not None}
    module = load_module(model, task, options)
    checks: dict[str, Any] = {
        "data": data, "calibration": calibration, "max_drop": max_drop, "overwrite": overwrite,
        "reading": reading,
    }  # fmt: skip
    if auto:
        exported = _export_fastest(module, output, checks)
    else:
        exported = export_module(
            module, output, format or "onnx", precision or "fp32", static=static, **checks
        )
    found = exported.verification
    vectors = module.task is not None and module.task.name == "sentence-embedding"
    say(
        f"written   {output}: {exported.engine}, {exported.precision}, "
        f"{exported.size_bytes / 1e6:.1f} MB; largest difference from the module's "
        f"{'vectors' if vectors else 'logits'} {found.difference:.1e}"
    )
    if exported.precision != "fp32" or found.metric is not None:
        are = "is" if found.texts == 1 else "are"
        texts = counted(found.texts, "text")
        say(f"answers   {found.agreement:.2%} of {texts} {are} answered alike")
    if found.metric is not None and found.before is not None and found.after is not None:
        say(f"metric    {metric_title(found.metric)} {found.before:.2%} -> {found.after:.2%}")
    _add_to_chain(module, exported, data, reading)
    if as_json:
        print_json(
            {
                "folder": str(output),
                "engine": exported.engine,
                "precision": exported.precision,
                "bytes": exported.size_bytes,
                **asdict(found),
            }
        )


def _add_to_chain(
    module: Module, exported: Exported, data: str | None, reading: dict[str, Any]
) -> None:
    """Show the artefact among the models that were made smaller, if `module` is one of these."""
    from hub.compression.report import chain_of, measure_exported, table, write_chain
    from hub.inference.exporting import rows_to_compare

    steps = [] if module.folder is None else chain_of(module.folder)
    if not steps:
        return
    rows = rows_to_compare(module, data, reading, must_hold=False)
    steps.append(measure_exported(module, exported, rows))
    write_chain(exported.folder, steps)
    for line in table(steps):
        say(line)


def _export_fastest(module: Module, output: Path, checks: dict[str, Any]) -> Exported:
    from hub.inference.choosing import export_fastest

    best, measured = export_fastest(module, output, say=say, **checks)
    print_table(
        ["engine", "precision", "MB", "texts/s", "ms alone", "alike", ""],
        [
            [
                c.engine,
                c.precision,
                "" if c.exported is None else f"{c.exported.size_bytes / 1e6:.1f}",
                "" if c.texts_a_second is None else f"{c.texts_a_second:,.0f}",
                "" if c.latency_ms is None else f"{c.latency_ms:.2f}",
                "" if c.exported is None else f"{c.exported.verification.agreement:.2%}",
                "kept" if c is best else c.reason,
            ]
            for c in measured
        ],
    )
    assert best.exported is not None
    return best.exported
