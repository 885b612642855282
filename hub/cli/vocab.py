"""`hub vocab`."""

from __future__ import annotations

from pathlib import Path

import click

from hub.cli.options import quiet_option
from hub.cli.output import say


@click.group("vocab")
def vocab_command() -> None:
    """Make vocabularies for new models."""


@vocab_command.command("train")
@click.argument("corpus", nargs=-1, required=True)
@click.option(
    "--output", "-o", required=True, type=click.Path(path_type=Path), help="The vocab.txt to write."
)
@click.option("--size", type=int, default=12_000, show_default=True, help="Entries, at most.")
@click.option(
    "--characters", type=int, default=8_000, show_default=True, help="Single characters, at most."
)
@click.option(
    "--min-frequency", type=int, default=50, show_default=True, help="To merge two pieces."
)
@click.option(
    "--cased", is_flag=True, help="Keep upper case and accents, as the model will then do."
)
@click.option(
    "--style",
    type=click.Choice(["ernie", "bert"]),
    default="ernie",
    show_default=True,
    help="Whose words: the model_type of the shape that it is for.",
)
@click.option("--text-column", help="The tables' column of the text; by default one named so.")
@click.option("--overwrite", is_flag=True, help="Replace the file.")
@quiet_option
def train_command(
    corpus: tuple[str, ...],
    output: Path,
    size: int,
    characters: int,
    min_frequency: int,
    cased: bool,
    style: str,
    text_column: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Learn a WordPiece vocabulary from the texts CORPUS, for `hub pretrain --from-scratch`.

    \b
    Example:
      hub vocab train corpus/ --size 12000 --output vocab.txt
    """
    from hub.data.corpus import corpus_files, read_corpus
    from hub.files import check_new_file, make_folder_of
    from hub.tokenizers.vocabulary import train_vocabulary, write_vocabulary

    check_new_file(output, overwrite, "vocab.txt")
    files = corpus_files(corpus)
    make_folder_of(output)
    entries = train_vocabulary(
        read_corpus(files, text_column),
        size,
        characters=characters,
        min_frequency=min_frequency,
        lowercase=not cased,
        style=style,
        progress=not quiet,
    )
    write_vocabulary(entries, output)
    say(f"written   {output}: {len(entries):,} entries")
