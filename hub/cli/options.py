"""Options that more than one command takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from hub.cli.parameters import LEARNED_TASKS, MetricName, ModelName, TaskName
from hub.constants import DEFAULT_MODEL

Decorated = Callable[..., Any]


skip_option = click.option(
    "--skip-bad-rows", is_flag=True, help="Leave unusable rows out, and count them."
)


def column_options(function: Decorated) -> Decorated:
    """--text-column, --text-pair-column and --label-column."""
    for option in reversed(
        (
            click.option(
                "--text-column", help="Column of the text; by default one with a usual name."
            ),
            click.option("--text-pair-column", help="Column of a pair's second text."),
            click.option(
                "--label-column", help="Column of the label; by default one with a usual name."
            ),
        )
    ):
        function = option(function)
    return function


def tag_options(function: Decorated) -> Decorated:
    """--tag-scheme and --repair-tags, by `load_dataset`'s names: `scheme` and `repair_tags`."""
    for option in reversed(
        (
            click.option(
                "--tag-scheme",
                "scheme",
                help="How tags are written, such as BIO; by default found out.",
            ),
            click.option(
                "--repair-tags",
                is_flag=True,
                help="Read broken tags as what they most likely mean.",
            ),
        )
    ):
        function = option(function)
    return function


def data_options(function: Decorated) -> Decorated:
    """Those of `column_options` and `tag_options`, and --skip-bad-rows."""
    return column_options(tag_options(skip_option(function)))


def task_option(help: str, *names: str) -> Callable[[Decorated], Decorated]:
    """--task, of those that the command can use."""
    kind = TaskName(*names)
    return click.option("--task", type=kind, metavar=kind.metavar, help=help)


def task_options(function: Decorated) -> Decorated:
    """--task and --crf: what is learned."""
    for option in reversed(
        (
            task_option(
                "What to learn, by any name of the task (ner, seq-cls, ...); by default what the "
                "data's labels are.",
                *LEARNED_TASKS,
            ),
            click.option(
                "--crf",
                is_flag=True,
                help="For tags: also learn which tag may follow which (CRF).",
            ),
        )
    ):
        function = option(function)
    return function


def learning_rate_option(help: str) -> Callable[[Decorated], Decorated]:
    """--learning-rate, and --lr for it."""
    return click.option("--learning-rate", "--lr", "learning_rate", type=float, help=help)


model_option = click.option(
    "--model",
    type=ModelName(),
    default=DEFAULT_MODEL,
    show_default=True,
    help="A name (`hub list`) or a folder.",
)


def metric_option(help: str) -> Callable[[Decorated], Decorated]:
    """--metric, as it is stored or as it is printed."""
    return click.option("--metric", type=MetricName(), help=help)


precision_option = click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16", "fp16"]),
    help="Mixed precision; by default fp32. On a CPU: bf16, where the processor has it.",
)

shard_option = click.option(
    "--shard-optimizer",
    is_flag=True,
    default=None,
    help="With several processes, each keeps the optimizer's state for its share of the weights "
    "(ZeRO).",
)

long_text_option = click.option(
    "--long-text",
    type=click.Choice(["cut", "window"]),
    help="For texts with too many tokens: read the beginning (cut), or all of it in overlapping "
    "windows; by default as the model was fine-tuned, else cut.",
)


def technique_options(function: Decorated) -> Decorated:
    """Ways to get more out of few or skewed labels, each a training argument."""
    for option in reversed(
        (
            click.option(
                "--class-weights",
                type=click.Choice(["balanced"]),
                help="Let rare labels count more.",
            ),
            click.option(
                "--focal-gamma",
                type=float,
                help="Focal loss: texts that are answered rightly count less, such as 2.",
            ),
            click.option(
                "--label-smoothing",
                type=float,
                help="Spread this share of a label over all labels, such as 0.1.",
            ),
            click.option(
                "--dropout", type=float, help="Share of the encoder's values left out at random."
            ),
            click.option(
                "--token-dropout",
                type=float,
                help="Share of the tokens hidden at random, such as 0.15.",
            ),
            click.option(
                "--layer-decay",
                type=float,
                help="Each lower layer learns slower by this factor, such as 0.9.",
            ),
            click.option(
                "--freeze-embeddings",
                is_flag=True,
                default=None,
                help="Keep the embeddings as they are.",
            ),
            click.option(
                "--freeze-layers", type=int, help="Keep this many of the lowest layers as they are."
            ),
            click.option(
                "--adversarial",
                type=float,
                help="FGM: also learn with embeddings moved by this much, such as 1.",
            ),
            click.option(
                "--r-drop",
                type=float,
                help="R-Drop: weight of the difference of two outputs for a text, such as 1.",
            ),
            click.option(
                "--ema",
                type=float,
                help="Keep a moving average of the weights, with this decay, such as 0.999.",
            ),
            click.option(
                "--lora", type=int, help="LoRA: train only changes of this rank, such as 8."
            ),
            click.option(
                "--quantization-aware",
                is_flag=True,
                default=None,
                help="Train with weights rounded as in int8.",
            ),
        )
    ):
        function = option(function)
    return function


def pooling_options(function: Decorated) -> Decorated:
    """--pooling and --normalize, for sentence embeddings; None is the model's own."""
    for option in reversed(
        (
            click.option(
                "--pooling",
                type=click.Choice(["mean", "cls"]),
                help="For sentence embeddings: the mean over the tokens, or the vector of [CLS]; "
                "by default what the model was made with, else mean.",
            ),
            click.option(
                "--normalize/--no-normalize",
                default=None,
                help="For sentence embeddings: divide each vector by its length.",
            ),
        )
    ):
        function = option(function)
    return function


# Who types -q by habit is not refused.
no_bar_option = click.option(
    "--quiet",
    "-q",
    is_flag=True,
    expose_value=False,
    help="Taken as by other commands: there is no progress bar here.",
)

threads_option = click.option("--threads", type=click.IntRange(1), help="Threads that compute.")

quiet_option = click.option("--quiet", "-q", is_flag=True, help="No progress bar.")
