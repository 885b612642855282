"""`hub predict`."""

from __future__ import annotations

import sys
from typing import Any

import click

from hub.cli.output import json_option, print_json
from hub.errors import InputError


@click.command("predict")
@click.argument("model")
@click.argument("texts", nargs=-1)
@click.option("--probabilities", "-p", is_flag=True, help="Also each label's probability.")
@click.option(
    "--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Texts at a time."
)
@json_option
def predict_command(
    model: str, texts: tuple[str, ...], probabilities: bool, batch_size: int, as_json: bool
) -> None:
    """Answer TEXTS with the fine-tuned or exported MODEL, a folder or a registered name.

    Without TEXTS, every line of the standard input is one.

    \b
    Examples:
      hub predict runs/travel "这家酒店的电话是多少" --probabilities
      hub predict runs/travel-onnx < questions.txt
    """
    from hub.inference.loading import load

    given = list(texts) or _standard_input()
    answers = load(model).predict(given, probabilities=probabilities, batch_size=batch_size)
    if as_json:
        print_json(
            [
                {"text": text, **(answer if probabilities else {"label": answer})}
                for text, answer in zip(given, answers, strict=True)
            ]
        )
        return
    for text, answer in zip(given, answers, strict=True):
        click.echo(_probabilities(text, answer) if probabilities else f"{answer}\t{text}")


def _standard_input() -> list[str]:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"The standard input is not UTF-8 ({error}).") from None


def _probabilities(text: str, answer: dict[str, Any]) -> str:
    ranked = sorted(answer["probabilities"].items(), key=lambda item: -item[1])
    return "\n".join([text, *(f"  {share:7.2%}  {label}" for label, share in ranked)])
