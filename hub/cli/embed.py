"""`hub embed`."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from hub.cli.lines import standard_input
from hub.cli.options import long_text_option, pooling_options, quiet_option
from hub.cli.output import progress_bar, say
from hub.cli.parameters import DataName, ModelName
from hub.errors import InputError


@click.command("embed")
@click.argument("model", type=ModelName())
@click.argument("file", type=DataName())
@click.option(
    "--output", "-o", required=True, type=click.Path(path_type=Path), help="The .npy file to write."
)
@click.option("--text-column", help="Column of the text; by default one with a usual name.")
@pooling_options
@click.option(
    "--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Texts at a time."
)
@click.option("--max-seq-len", type=int, help="Tokens read at a time; by default the model's.")
@long_text_option
@click.option("--overwrite", is_flag=True, help="Replace --output if it is there.")
@quiet_option
def embed_command(
    model: str,
    file: str,
    output: Path,
    text_column: str | None,
    pooling: str | None,
    normalize: bool | None,
    batch_size: int,
    max_seq_len: int | None,
    long_text: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Write a vector for each text of FILE, in their order, to a NumPy file (float32 [N, D]).

    MODEL is a folder or a name: a pretrained model, a fine-tuned one, or one that was exported for
    sentence embeddings. FILE is a table with a column of texts (.tsv, .csv, .jsonl, .parquet,
    .xlsx), a .txt with a text a line, or `-`: the standard input, a text a line.

    \b
    Examples:
      hub embed ernie-3.0-nano-zh questions.tsv --output vectors.npy --normalize
      hub embed runs/vectors - --output vectors.npy < questions.txt
    """
    from hub.inference.embedding import check_output, embed

    check_output(output, overwrite)
    if output.suffix.lower() != ".npy":
        raise InputError(
            f"The vectors are written as a NumPy file: give --output {output.with_suffix('.npy')} "
            f"instead of {output}."
        )
    texts, total = _texts(file, text_column)
    loaded = _load(model, pooling, normalize, max_seq_len)
    assert loaded.task is not None
    with _stoppable(), progress_bar(total, "rows", quiet) as bar:
        rows, width = embed(
            loaded,
            texts,
            output,
            batch_size=batch_size,
            long_text=long_text,
            overwrite=overwrite,
            progress=bar.update,
        )
    options = loaded.task.options
    how = f"pooling {options['pooling']}" + (", normalized" if options["normalize"] else "")
    say(f"written   {output}: {rows:,} x {width:,} float32, {how}")


def _load(model: str, pooling: str | None, normalize: bool | None, max_seq_len: int | None) -> Any:
    from hub.inference.loading import load
    from hub.tasks import SentenceEmbedding

    asked = {"pooling": pooling, "normalize": normalize}
    options = {name: value for name, value in asked.items() if value is not None}
    return load(model, None, SentenceEmbedding.name, options, max_seq_len)


def _texts(file: str, column: str | None) -> tuple[Iterable[str], int | None]:
    """The texts, and how many there are if that is known."""
    if file == "-":
        if column is not None:
            raise InputError("The standard input has a text a line and no --text-column.")
        return standard_input(), None
    from hub.data.texts import read_texts

    texts = read_texts(Path(file), column)
    for note in texts.notes:
        say(f"note      {note}")
    return texts, len(texts)


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM end the command as an error does, so that no half-written file stays."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    previous = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous if previous is not None else signal.SIG_DFL)
