"""`hub compress`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub.cli.options import data_options, learning_rate_option, no_bar_option, quiet_option
from hub.cli.output import json_option, print_json, say
from hub.cli.parameters import RunFolder

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
@click.argument("run", type=RunFolder())
@click.option(
    "--corpus",
    "corpus",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="Texts that say which entries are used: a file or folder; may be given several times.",
)
@click.option(
    "--min-count", type=int, default=1, show_default=True, help="Keep what is used so often."
)
@dev_option
@data_options
@output_option
@overwrite_option
@no_bar_option
@json_option
def vocab_command(
    run: Path,
    corpus: tuple[Path, ...],
    min_count: int,
    dev: str | None,
    output: Path,
    overwrite: bool,
    as_json: bool,
    **reading: Any,
) -> None:
    """Drop the vocabulary entries that the texts of --corpus never use from the model RUN.

    \b
    Example:
      hub compress vocab runs/travel --corpus train.tsv --corpus our_texts.txt --output runs/trimmed
    """
    from hub.compression.vocabulary import trim_vocabulary

    module, rows = _load(run, output, dev, reading, shared=True)  # with the corpus
    texts = _texts(run, module, corpus, reading)
    trimmed = trim_vocabulary(module, texts, output, min_count=min_count, overwrite=overwrite)
    before, after = trimmed.entries
    say(
        f"trimmed   {before:,} -> {after:,} entries, used by {trimmed.texts:,} texts; "
        f"{trimmed.unknown:.2%} of their tokens are [UNK]"
    )
    _finish("vocab", run, module, output, trimmed.module, rows, as_json)


@compress_command.command("prune")
@click.argument("run", type=RunFolder())
@click.argument("train")
@click.option("--width", type=float, default=1.0, help="Part of the feed-forward units to keep.")
@click.option("--heads", type=int, help="How many attention heads of each layer to keep.")
@click.option("--layers", type=int, help="How many layers to keep.")
@click.option("--epochs", type=int, help="Passes over TRAIN to recover; 0 is none.")
@click.option("--batch-size", type=int, help="Rows in a step.")
@learning_rate_option("The highest one, after the warm-up.")
@click.option(
    "--seed", type=int, default=42, show_default=True, help="Of the order of rows and dropout."
)
@dev_option
@data_options
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
    batch_size: int | None,
    learning_rate: float | None,
    seed: int,
    dev: str | None,
    output: Path,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
    **reading: Any,
) -> None:
    """Take the least important units and heads, or whole layers, out of the model RUN.

    The labelled rows TRAIN say what is important; the smaller model then learns from them and from
    the answers of RUN (of a tagger, unless it reads long texts in windows).

    \b
    Example:
      hub compress prune runs/travel train.tsv --width 0.5 --dev dev.tsv --output runs/narrow
    """
    from hub.compression.pruning import prune

    module, rows = _load(run, output, dev, reading)
    data = _rows(run, module, train, "train", reading)
    changes = {
        "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed,
    }  # fmt: skip
    smaller = prune(
        module, data, output, width=width, heads=heads, layers=layers, seed=seed,
        overwrite=overwrite, dev=rows, recovery=None if epochs == 0 else changes,
        progress=not quiet,
    )  # fmt: skip
    parts = [f"width {width:g}"] if width < 1 else []
    parts += [] if heads is None else [f"{heads} heads"]
    parts += [] if layers is None else [f"{layers} layers"]
    _finish(f"prune: {', '.join(parts)}", run, module, output, smaller, rows, as_json)


@compress_command.command("quantize")
@click.argument("run", type=RunFolder())
@click.argument("train")
@click.option("--dev", required=True, help="Labelled rows to measure on.")
@data_options
@click.option(
    "--max-drop",
    type=click.FloatRange(0),
    default=0.5,
    show_default=True,
    help="Points of the metric that int8 may cost without training for it.",
)
@click.option("--epochs", type=int, help="Passes over TRAIN, at most.")
@click.option("--batch-size", type=int, help="Rows in a step.")
@learning_rate_option("The highest one, after the warm-up.")
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
    batch_size: int | None,
    learning_rate: float | None,
    seed: int,
    output: Path,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
    **reading: Any,
) -> None:
    """Make the model RUN lose little in int8, by training with rounded weights if it must be.

    If int8 costs it no more than --max-drop points it is written as it is. Its weights stay
    float32 either way: `hub export --precision int8` makes them int8.

    \b
    Example:
      hub compress quantize runs/travel train.tsv --dev dev.tsv --output runs/robust
    """
    from hub.compression.quantization import quantize

    module, rows = _load(run, output, dev, reading)
    assert rows is not None  # --dev is required
    data = _rows(run, module, train, "train", reading)
    changes = {
        "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed,
    }  # fmt: skip
    made = quantize(
        module, data, rows, output, max_drop=max_drop, changes=changes, overwrite=overwrite,
        progress=not quiet, say=say,
    )  # fmt: skip
    what = "quantize: trained" if made.is_trained else "quantize: as it was"
    _finish(what, run, module, output, made.module, rows, as_json)


@compress_command.command("distil")
@click.argument("teacher", type=RunFolder())
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
@learning_rate_option("The highest one, after the warm-up.")
@click.option("--max-steps", type=int, help="Stop after this many steps.")
@click.option("--seed", type=int, help="Of the student's new weights, the order of rows, dropout.")
@dev_option
@data_options
@output_option
@click.option("--resume", is_flag=True, help="Go on with the unfinished run in --output.")
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
    text_column: str | None,
    text_pair_column: str | None,
    label_column: str | None,
    skip_bad_rows: bool,
    scheme: str | None,
    repair_tags: bool,
    output: Path,
    resume: bool,
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
    from hub.module import Module

    reading = {
        "text_column": text_column, "text_pair_column": text_pair_column,
        "label_column": label_column, "skip_bad_rows": skip_bad_rows,
        "scheme": scheme, "repair_tags": repair_tags,
    }  # fmt: skip
    module, rows = _load(teacher, output, dev, reading)
    data = _rows(teacher, module, train, "train", reading)
    texts = list(_texts(teacher, module, unlabelled, reading, shared=True))
    distil(
        module, student, data, output, dev=rows, unlabelled=texts, weight=weight,
        temperature=temperature, hidden_states=hidden_states, relations=relations,
        changes=changes, resume=resume, overwrite=overwrite,
        command=shlex.join(["hub", *sys.argv[1:]]), progress=not quiet, say=say,
    )  # fmt: skip
    result = Module(directory=output)
    _finish(f"distil: {student}", teacher, module, output, result, rows, as_json)


def _load(
    run: Path, output: Path, dev: str | None, reading: dict[str, Any], shared: bool = False
) -> tuple[Module, TextDataset | None]:
    from hub.compression.rewriting import check_is_other
    from hub.module import Module

    check_is_other(run, output)
    module = Module(directory=run)
    return module, None if dev is None else _rows(run, module, dev, "dev", reading, shared)


def _rows(
    run: Path, module: Module, data: str, split: str, reading: dict[str, Any], shared: bool = False
) -> TextDataset:
    from hub.inference.run_data import load_rows, options_for

    return load_rows(data, module.task, split, options_for(run, data, reading, shared))


def _texts(
    run: Path,
    module: Module,
    paths: Sequence[Path],
    reading: dict[str, Any],
    shared: bool = False,
) -> Iterable[str]:
    """The texts of files and folders; none of no files."""
    from hub.data.corpus import corpus_files
    from hub.inference.run_data import RunTexts
    from hub.tasks import compares_texts

    pairs = compares_texts(module.task)
    return RunTexts(corpus_files(paths) if paths else [], run, reading, pairs, shared)


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
    from hub.constants import METRICS_FILE
    from hub.inference.exporting import rows_to_compare
    from hub.inference.run_data import carry_record

    if dev is None:
        dev = rows_to_compare(before, None, {}, must_hold=False)
    if not (output / METRICS_FILE).exists():  # a student has been fine-tuned, and has its own
        carry_record(run, output)
    steps = chain_of(run) or [measure("start", before, run, dev)]
    steps.append(measure(what, after, output, dev))
    write_chain(output, steps)
    for line in table(steps):
        say(line)
    say(f"written   {output}")
    if as_json:
        print_json([asdict(step) for step in steps])
