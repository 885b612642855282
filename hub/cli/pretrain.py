"""`hub pretrain`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from hub.cli.launching import device_options
from hub.cli.options import learning_rate_option, precision_option, quiet_option, shard_option
from hub.cli.output import json_option, print_json, say
from hub.constants import DEFAULT_MODEL


@click.command("pretrain")
@click.argument("corpus", nargs=-1, required=True)
@click.option(
    "--output", "-o", required=True, type=click.Path(path_type=Path), help="Folder to write."
)
@click.option("--model", help=f"Go on from this name or folder; by default {DEFAULT_MODEL}.")
@click.option(
    "--from-scratch",
    metavar="CONFIG",
    help="Make a new model instead, of the shape of a config.json or of a model's name.",
)
@click.option(
    "--vocab",
    "vocabulary",
    type=click.Path(path_type=Path),
    help="The vocab.txt of a new model (`hub vocab train`).",
)
@click.option("--text-column", help="The tables' column of the text; by default one named so.")
@click.option("--words", type=click.Path(path_type=Path), help="Words for jieba, masked as one.")
@click.option(
    "--phrases",
    type=click.Path(path_type=Path),
    help="Phrases and entities, masked as one, before words.",
)
@click.option("--epochs", type=int, help="Passes over the corpus; by default 1.")
@click.option("--max-tokens", type=int, help="Stop after having read so many tokens.")
@click.option("--max-seq-len", type=int, help="Tokens of a packed sequence; by default 128.")
@click.option("--batch-tokens", type=int, help="Tokens of a step; by default 4096.")
@learning_rate_option("The highest one, after the warm-up.")
@click.option("--mask-probability", type=float, help="Part of the tokens to guess; 0.15.")
@click.option("--held-out", type=float, help="Part of the corpus to measure with; 0.01.")
@click.option("--evaluations", type=int, help="How often to measure; by default 10 times.")
@click.option("--seed", type=int, help="Of the order, the masks, dropout, a new model's weights.")
@click.option("--recompute", is_flag=True, default=None, help="Less memory, more time.")
@precision_option
@device_options
@shard_option
@click.option("--resume", is_flag=True, help="Go on with the unfinished run in --output.")
@click.option("--overwrite", is_flag=True, help="Replace the model in --output.")
@quiet_option
@json_option
def pretrain_command(
    corpus: tuple[str, ...],
    output: Path,
    model: str | None,
    from_scratch: str | None,
    vocabulary: Path | None,
    text_column: str | None,
    words: Path | None,
    phrases: Path | None,
    resume: bool,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
    device: str,
    **changes: Any,
) -> None:
    """Pretrain a model on the texts CORPUS, before it is fine-tuned on labelled ones.

    CORPUS are files with a text a line (.txt), tables with a column of texts (.jsonl, .parquet,
    .tsv, .csv), those ending in .txt.zst or .jsonl.zst, and folders of them. The model learns to
    guess whole words that were masked. --output becomes a model folder for `hub finetune --model`.

    \b
    Examples:
      hub pretrain our_texts.txt --output runs/ours
      hub finetune train.tsv --model runs/ours --output runs/travel
      hub pretrain corpus/ --from-scratch ernie-3.0-nano-zh --vocab vocab.txt --output runs/new
      hub pretrain our_texts.txt --output runs/ours --resume
    """
    from hub.training.pretraining.pretrain import pretrain

    result = pretrain(
        corpus,
        output,
        model=model,
        from_scratch=from_scratch,
        vocabulary=vocabulary,
        text_column=text_column,
        words=words,
        phrases=phrases,
        resume=resume,
        overwrite=overwrite,
        changes=changes,
        device=device,
        command=shlex.join(["hub", *sys.argv[1:]]),
        progress=not quiet,
        say=say,
    )
    if not result.summary:  # one of several processes, of which the first has written all
        return
    say(f"written   {output}: the model, its card, metrics.json")
    if as_json:
        print_json(result.summary)
