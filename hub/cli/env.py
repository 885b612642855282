"""`hub env`."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import click

from hub import __version__, constants
from hub.cli.output import json_option, print_json
from hub.machine import cpu_count

_PACKAGES = (
    "paddlepaddle", "numpy", "tokenizers", "safetensors", "datasets", "huggingface_hub",
    "scikit-learn", "jieba", "sentencepiece", "onnxruntime", "paddle2onnx", "matplotlib",
)  # fmt: skip


@click.command("env")
@json_option
def env_command(as_json: bool) -> None:
    """Show versions, settings and the machine, for bug reports."""
    names = (
        constants.HOME_VARIABLE, constants.SOURCES_VARIABLE, constants.CATALOGUE_VARIABLE,
        *constants.OFFLINE_VARIABLES, constants.HF_ENDPOINT_VARIABLE,
        *constants.MODELSCOPE_ENDPOINT_VARIABLES, constants.TIMEOUT_VARIABLE,
        constants.PROGRESS_VARIABLE, constants.DEBUG_VARIABLE, constants.THREADS_VARIABLE,
    )  # fmt: skip
    facts = {
        "ernie-hub": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": str(cpu_count()),
        "models": str(constants.home()),
        **{package: _version(package) for package in _PACKAGES},
        **{name: os.environ.get(name, "not set") for name in names},
    }
    if as_json:
        print_json(facts)
        return
    width = max(map(len, facts))
    for key, value in facts.items():
        click.echo(f"{key:<{width}}  {value}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
