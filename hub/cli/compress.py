"""`hub compress`."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub.cli.options import quiet_option
from hub.cli.output import json_option, print_json, say

if TYPE_CHECKING:
    from hub.data import TextDataset
    from hub.module import Module

output_option = click.option(
    "--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder to write."
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace the model in --output.")
dev_option = click.option("--dev", help="Labelled rows to measure each step on.")


@click.group("compress")
def compress_command() -> None:
    """Make a fine-tuned model smaller and faster.

    Each command writes a model folder that the next can take; compression.json in it lists size,
    speed and metric of every step. `hub export --precision int8` is the last one.
    """


@compress_command.command("vocab")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--corpus",
    "corpus",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="Texts that say which entries are used: a file or folder; may be given several times.",
)
@click.option("--text-column", help="The tables' column of the text; by default one named so.")
@click.option(
    "--min-count", type=int, default=1, show_default=True, help="Keep what is used so often."
)
@dev_option
@output_option
@overwrite_option
@json_option
def vocab_command(
    run: Path,
    corpus: tuple[Path, ...],
    text_column: str | None,
    min_count: int,
    dev: str | None,
    output: Path,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Drop the vocabulary entries that the texts of --corpus never use from the model RUN.

    \b
    Example:
      hub compress vocab runs/travel --corpus train.tsv --corpus our_texts.txt --output runs/trimmed
    """
    from hub.compression.vocabulary import trim_vocabulary
    from hub.data.corpus import corpus_files, read_corpus

    module, rows = _load(run, dev)
    texts = read_corpus(corpus_files(list(corpus)), text_column)
    trimmed = trim_vocabulary(module, texts, output, min_count=min_count, overwrite=overwrite)
    before, after = trimmed.entries
    say(
        f"trimmed   {before:,} -> {after:,} entries, used by {trimmed.texts:,} texts; "
        f"{trimmed.unknown:.2%} of their tokens are [UNK]"
    )
    _finish("vocab", run, module, output, trimmed.module, rows, as_json)


@compress_command.command("prune")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("train")
@click.option("--width", type=float, default=1.0, help="Part of the feed-forward units to keep.")
@click.option("--heads", type=int, help="How many attention heads of each layer to keep.")
@click.option("--layers", type=int, help="How many layers to keep.")
@click.option("--epochs", type=int, help="Passes over TRAIN to recover; 0 is none.")
@click.option("--learning-rate", type=float, help="The highest one, after the warm-up.")
@click.option(
    "--seed", type=int, default=42, show_default=True, help="Of the order of rows and dropout."
)
@dev_option
@output_option
@overwrite_option
@quiet_option
@json_option
def prune_command(
    run: Path,
    train: str,
    width: float,
    heads: int | None,
    layers: int | None,
    epochs: int | None,
    learning_rate: float | None,
    seed: int,
    dev: str | None,
    output: Path,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Take the least important units and heads, or whole layers, out of the model RUN.

    The labelled rows TRAIN say what is important; the smaller model then learns from them and from
    the answers of RUN (of a tagger, unless it reads long texts in windows).

    \b
    Example:
      hub compress prune runs/travel train.tsv --width 0.5 --dev dev.tsv --output runs/narrow
    """
    from hub.compression.pruning import prune, recover
    from hub.data import load_dataset

    module, rows = _load(run, dev)
    data = load_dataset(train, kind=_kind(module), split="train")
    smaller = prune(
        module, data, output, width=width, heads=heads, layers=layers, seed=seed,
        overwrite=overwrite,
    )  # fmt: skip
    if epochs != 0:
        changes = {"epochs": epochs, "learning_rate": learning_rate, "seed": seed}
        recover(smaller, module, data, rows, output, changes, progress=not quiet)
    parts = [f"width {width:g}"] if width < 1 else []
    parts += [] if heads is None else [f"{heads} heads"]
    parts += [] if layers is None else [f"{layers} layers"]
    _finish(f"prune: {', '.join(parts)}", run, module, output, smaller, rows, as_json)


@compress_command.command("quantize")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("train")
@click.option("--dev", required=True, help="Labelled rows to measure on.")
@click.option(
    "--max-drop",
    type=click.FloatRange(0),
    default=0.5,
    show_default=True,
    help="Points of the metric that int8 may cost without training for it.",
)
@click.option("--epochs", type=int, help="Passes over TRAIN, at most.")
@click.option("--learning-rate", type=float, help="The highest one, after the warm-up.")
@click.option(
    "--seed", type=int, default=42, show_default=True, help="Of the order of rows and dropout."
)
@output_option
@overwrite_option
@quiet_option
@json_option
def quantize_command(
    run: Path,
    train: str,
    dev: str,
    max_drop: float,
    epochs: int | None,
    learning_rate: float | None,
    seed: int,
    output: Path,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make the model RUN lose little in int8, by training with rounded weights if it must be.

    If int8 costs it no more than --max-drop points it is written as it is. Its weights stay
    float32 either way: `hub export --precision int8` makes them int8.

    \b
    Example:
      hub compress quantize runs/travel train.tsv --dev dev.tsv --output runs/robust
    """
    from hub.compression.quantization import quantize
    from hub.data import load_dataset

    module, rows = _load(run, dev)
    assert rows is not None  # --dev is required
    data = load_dataset(train, kind=_kind(module), split="train")
    changes = {"epochs": epochs, "learning_rate": learning_rate, "seed": seed}
    made = quantize(
        module, data, rows, output, max_drop=max_drop, changes=changes, overwrite=overwrite,
        progress=not quiet, say=say,
    )  # fmt: skip
    what = "quantize: trained" if made.is_trained else "quantize: as it was"
    _finish(what, run, module, output, made.module, rows, as_json)


@compress_command.command("distil")
@click.argument("teacher", type=click.Path(path_type=Path))
@click.argument("train")
@click.option(
    "--student",
    required=True,
    help="A name (`hub list`), a model folder, or LAYERSxWIDTH for a new model.",
)
@click.option(
    "--unlabelled",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Texts without labels to be taught on too: a file or folder; may be given several times.",
)
@click.option("--weight", type=float, default=0.7, show_default=True, help="The teacher's part.")
@click.option(
    "--temperature",
    type=float,
    default=2.0,
    show_default=True,
    help="The higher, the more the student hears of the teacher's second choices.",
)
@click.option(
    "--hidden-states", type=float, default=0.0, help="What its layers' states count besides."
)
@click.option(
    "--relations", type=float, default=0.0, help="What its attention's relations count besides."
)
@click.option("--epochs", type=int, help="Passes over the rows, at most.")
@click.option("--batch-size", type=int, help="Rows in a step.")
@click.option("--learning-rate", type=float, help="The highest one, after the warm-up.")
@click.option("--max-steps", type=int, help="Stop after this many steps.")
@click.option("--seed", type=int, help="Of the student's new weights, the order of rows, dropout.")
@dev_option
@output_option
@overwrite_option
@quiet_option
@json_option
def distil_command(
    teacher: Path,
    train: str,
    student: str,
    unlabelled: tuple[Path, ...],
    weight: float,
    temperature: float,
    hidden_states: float,
    relations: float,
    dev: str | None,
    output: Path,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
    **changes: Any,
) -> None:
    """Teach a smaller model what the fine-tuned model TEACHER answers.

    \b
    Example:
      hub compress distil runs/large train.tsv --student ernie-pocket-zh --dev dev.tsv \\
        --unlabelled our_texts.txt --output runs/small
    """
    from hub.compression.distillation import distil
    from hub.data import load_dataset
    from hub.data.corpus import corpus_files, read_corpus
    from hub.module import Module

    module, rows = _load(teacher, dev)
    data = load_dataset(train, kind=_kind(module), split="train")
    texts = list(read_corpus(corpus_files(list(unlabelled)))) if unlabelled else []
    distil(
        module, student, data, output, dev=rows, unlabelled=texts, weight=weight,
        temperature=temperature, hidden_states=hidden_states, relations=relations,
        changes=changes, overwrite=overwrite, command=shlex.join(["hub", *sys.argv[1:]]),
        progress=not quiet, say=say,
    )  # fmt: skip
    result = Module(directory=output)
    _finish(f"distil: {student}", teacher, module, output, result, rows, as_json)


def _load(run: Path, dev: str | None) -> tuple[Module, TextDataset | None]:
    from hub.data import load_dataset
    from hub.module import Module

    module = Module(directory=run)
    if dev is None:
        return module, None
    return module, load_dataset(dev, kind=_kind(module), split="dev")


def _kind(module: Module) -> str | None:
    return None if module.task is None else module.task.name


def _finish(
    what: str,
    run: Path,
    before: Module,
    output: Path,
    after: Module,
    dev: TextDataset | None,
    as_json: bool,
) -> None:
    """Measure, keep and show the chain."""
    from hub.compression.report import chain_of, measure, table, write_chain

    steps = chain_of(run) or [measure("start", before, run, dev)]
    steps.append(measure(what, after, output, dev))
    write_chain(output, steps)
    for line in table(steps):
        say(line)
    say(f"written   {output}")
    if as_json:
        print_json([asdict(step) for step in steps])
