"""`hub predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hub.cli.lines import standard_input
from hub.cli.options import long_text_option, quiet_option, task_option, threads_option
from hub.cli.output import json_option, print_json, progress_bar, say
from hub.cli.parameters import LEARNED_TASKS, PRETRAINED_TASKS, ModelName
from hub.errors import InputError
from hub.wording import counted

# Of a vector people see the first ones only; --json has all.
_SHOWN_NUMBERS = 6
# The extensions of JSON lines.
_ANSWERS = (".jsonl", ".ndjson")
_STANDARD_INPUT = Path("-")


@click.command("predict")
@click.argument("model", type=ModelName())
@click.argument("texts", nargs=-1)
@task_option(
    "What to ask; by default what the model was fine-tuned for.", *LEARNED_TASKS, *PRETRAINED_TASKS
)
@click.option("--probabilities", "-p", is_flag=True, help="Also each label's probability.")
@click.option("--top-k", type=click.IntRange(1), help="This many of the best answers, with scores.")
@click.option(
    "--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Texts at a time."
)
@long_text_option
@click.option(
    "--input",
    "source",
    type=click.Path(path_type=Path),
    help="A file of texts, of any size; - is the standard input.",
)
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), help="The .jsonl file for its answers."
)
@click.option(
    "--text-column", help="The file's column of the text; by default one with a usual name."
)
@click.option("--text-pair-column", help="Column of a pair's second text.")
@threads_option
@click.option(
    "--engine-cluster",
    type=click.Choice(["ray"]),
    help="Answer every file of the folder --input on a cluster, into the folder --output.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Files answered at a time on the cluster; by default 2.",
)
@click.option(
    "--address", help="The cluster's address, or auto; by default one is started on this machine."
)
@click.option("--overwrite", is_flag=True, help="Replace --output.")
@quiet_option
@json_option
def predict_command(
    model: str,
    texts: tuple[str, ...],
    task: str | None,
    probabilities: bool,
    top_k: int | None,
    batch_size: int,
    long_text: str | None,
    source: Path | None,
    output: Path | None,
    text_column: str | None,
    text_pair_column: str | None,
    threads: int | None,
    engine_cluster: str | None,
    workers: int | None,
    address: str | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Answer TEXTS with the fine-tuned or exported MODEL, a folder or a registered name.

    Without TEXTS, every line of the standard input is one. Where the model compares two texts, a
    tab divides them, or they stand in two columns. A pretrained model fills masks and gives vectors
    (for a file of texts: `hub embed`). With --input and --output every row of a file is answered, a
    JSON object a line; a run that was stopped goes on when the same command is typed again.

    \b
    Examples:
      hub predict runs/travel "这家酒店的电话是多少" --probabilities
      hub predict runs/travel-onnx < questions.txt
      hub predict runs/travel-onnx --input questions.tsv --output answers.jsonl
      hub predict runs/travel-onnx --engine-cluster ray --input shards/ --output answers/
      hub predict ernie-3.0-nano-zh --task fill-mask "北京是中国的[MASK]都"
    """
    from hub.data.texts import pair_of_line
    from hub.inference.files import check_output
    from hub.inference.loading import load
    from hub.tasks import compares_texts
    from hub.tasks.documents import document

    if source == _STANDARD_INPUT:
        if output is not None:
            # A file of answers is gone on with after a stop, for which texts are read again.
            raise InputError(
                "The standard input is answered to the standard output: hub predict MODEL --json "
                "< texts.txt > answers.json. For --output give a file as --input."
            )
        source = None
    if (source is None) != (output is None) or (source is not None and texts):
        raise InputError("A file is answered with --input and --output, and no texts beside them.")
    if engine_cluster is None and (workers is not None or address is not None):
        raise InputError("--workers and --address are for a cluster: --engine-cluster ray.")
    if engine_cluster is not None:
        if source is None or output is None:
            raise InputError("A cluster answers files: give --input and --output.")
        _answer_shards(
            model, source, output, quiet, overwrite, workers=workers or 2, threads=threads or 1,
            address=address, columns=(text_column, text_pair_column), task=task,
            options={
                "probabilities": probabilities, "top_k": top_k, "batch_size": batch_size,
                "long_text": long_text,
            },
        )  # fmt: skip
        return
    if source is not None and output is not None:
        check_output(output, overwrite)
        if output.suffix.lower() not in _ANSWERS:
            raise InputError(
                f"The answers are written as JSON lines: give --output "
                f"{output.with_suffix('.jsonl')} instead of {output}."
            )
        loaded = load(model, threads, task=task)
        options = {
            "probabilities": probabilities, "top_k": top_k, "batch_size": batch_size,
            "long_text": long_text, "overwrite": overwrite,
        }  # fmt: skip
        columns = (text_column, text_pair_column)
        _answer_file(loaded, model, source, output, columns, quiet, options)
        return
    given = list(texts) or list(standard_input())
    loaded = load(model, threads, task=task)
    pairs = compares_texts(loaded.task)
    answers = loaded.predict(
        [pair_of_line(text) for text in given] if pairs else given,
        probabilities=probabilities,
        top_k=top_k,
        batch_size=batch_size,
        long_text=long_text,
    )
    name = "" if loaded.task is None else loaded.task.name
    rows = list(zip(given, answers, strict=True))
    if as_json:
        print_json([{"text": text, **document(name, answer)} for text, answer in rows])
        return
    for text, answer in rows:
        click.echo(_lines(name, text, answer))


def _answer_file(
    loaded: Any,
    model: str,
    source: Path,
    output: Path,
    columns: tuple[str | None, str | None],
    quiet: bool,
    options: dict[str, Any],
) -> None:
    from hub.inference.files import identity_of, predict_file, read_asked
    from hub.models.installation import folder_of

    file = read_asked(source, loaded, folder_of(model), *columns)
    for note in file.notes:
        say(f"note      {note}")
    with progress_bar(len(file), "rows", quiet) as bar:
        before = predict_file(
            loaded, file, output, identity=identity_of(model, file), on_rows=bar.update, **options
        )
    again = f", {before:,} of them by an earlier run" if before else ""
    say(f"written   {output}: {counted(len(file), 'answer')}{again}")


def _answer_shards(
    model: str, source: Path, output: Path, quiet: bool, overwrite: bool, **how: Any
) -> None:
    from hub.data.corpus import corpus_files
    from hub.inference.cluster import Answered, predict_shards

    shards = corpus_files([source])
    done: list[str] = []
    with progress_bar(len(shards), "files", quiet) as bar:

        def tell(answered: Answered) -> None:
            done.append(answered.name)
            bar.update(1)

        rows = predict_shards(model, shards, output, overwrite=overwrite, on_shard=tell, **how)
        bar.update(len(shards) - len(done))
    before = len(shards) - len(done)
    again = f"; {before:,} by an earlier run" if before else ""
    answers, files = counted(rows, "answer"), counted(len(done), "file")
    say(f"written   {output}: {answers} to {files}{again}")


def _lines(task: str, text: str, answer: Any) -> str:
    """The answer before its text, or the text and under it what was answered, a line each."""
    if isinstance(answer, str):
        return f"{answer}\t{text}"
    if task == "multi-label-classification" and all(isinstance(part, str) for part in answer):
        return f"{', '.join(answer)}\t{text}"
    if task == "sentence-embedding":
        first = "".join(f" {value:.4f}" for value in answer[:_SHOWN_NUMBERS])
        return f"{text}\n  {len(answer)} numbers:{first} ..."
    rows: list[Any] = []
    if isinstance(answer, dict):
        if "probabilities" in answer:
            shares = answer["probabilities"].items()
            rows = [{"label": label, "score": share} for label, share in shares]
            rows.sort(key=lambda row: -row["score"])
        elif "intent" in answer:
            rows = [{"label": answer["intent"], "score": answer["score"]}]
        rows += answer.get("slots", [])
    else:
        rows = [row for part in answer for row in (part if isinstance(part, list) else [part])]
    return "\n".join([text, *(_scored(row["score"], _described(row)) for row in rows)])


def _scored(share: float, what: str) -> str:
    return f"  {share:7.2%}  {what}"


def _described(row: dict[str, Any]) -> str:
    """A label; or a token and the text with it; or an entity and where it stands."""
    if "sequence" in row:
        return f"{row['token_str']}\t{row['sequence']}"
    if "type" in row:
        return f"{row['type']}\t{row['text']}\t{row['start']}-{row['end']}"
    return str(row["label"])
