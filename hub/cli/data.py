"""`hub data`: check, convert and split labelled texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub.cli.options import column_options, skip_option, tag_options
from hub.cli.output import json_option, print_json, print_table, say
from hub.cli.parameters import LEARNED_TASKS, DataName, TaskName
from hub.wording import counted

if TYPE_CHECKING:
    from hub.data.check import CheckReport, Finding
    from hub.data.examples import TextDataset

_SHOWN_LABELS = 10
_KIND = TaskName(*LEARNED_TASKS)


def _reading_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Those of `column_options` and `tag_options`, and --kind."""
    kind_option = click.option(
        "--kind",
        type=_KIND,
        metavar=_KIND.metavar,
        help="What the labels are, by any name of the task; by default found out.",
    )
    return column_options(kind_option(tag_options(function)))


def _load(path: str | Path, skip_bad_rows: bool, options: dict[str, Any]) -> TextDataset:
    from hub.data import load_dataset

    return load_dataset(
        path,
        kind=options["kind"],
        text_column=options["text_column"],
        text_pair_column=options["text_pair_column"],
        label_column=options["label_column"],
        group_column=options.get("group_column"),
        scheme=options["scheme"],
        repair_tags=options["repair_tags"],
        skip_bad_rows=skip_bad_rows,
    )


@click.group("data")
def data_command() -> None:
    """Check, convert and split labelled texts; list the data sets known by name.

    \b
    Examples:
      hub data list
      hub data check train.tsv --dev dev.tsv --test test.tsv
      hub data convert export.json train.conll
      hub data split all.jsonl --output data --group-column dialogue
    """


@data_command.command("list", short_help="List the data sets known by name.")
@json_option
def list_command(as_json: bool) -> None:
    """List the data sets known by name. A name can stand wherever a data file can.

    What is not on this machine is fetched when it is first used; in HUB_DATASETS_DIR it is looked
    for first, and other folders of data files that are there are listed too.

    \b
    Examples:
      hub data list
      hub finetune fewclue_tnews --output runs/news
      hub evaluate runs/news fewclue_tnews
    """
    from hub.data.catalogue import list_datasets
    from hub.data.named import is_here, own_datasets

    entries = [*list_datasets(), *own_datasets()]
    if as_json:
        print_json(
            [
                {
                    "name": entry.name,
                    "summary": entry.summary,
                    "task": entry.task,
                    "rows": dict(entry.rows),
                    "licence": entry.licence,
                    "homepage": entry.homepage,
                    "here": is_here(entry),
                }
                for entry in entries
            ]
        )
        return
    rows = [
        [
            entry.name,
            " + ".join(f"{count:,}" for count in entry.rows.values()),
            "yes" if is_here(entry) else "",
            entry.summary,
            entry.licence,
        ]
        for entry in entries
    ]
    print_table(["name", "train + dev + test", "here", "what", "licence"], rows)


@data_command.command("check", short_help="Say what a file is, and what may be wrong with it.")
@click.argument("file", type=DataName())
@click.option("--dev", type=DataName(), help="Data to choose by, to compare with.")
@click.option("--test", type=DataName(), help="Data to measure on, to compare with.")
@_reading_options
@json_option
def check_command(
    file: str,
    dev: str | None,
    test: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Say what FILE was recognised as, how its labels are balanced, and what may be wrong with it.

    Unusable rows are counted, not refused; the exit code is 0 whatever is found.

    \b
    Examples:
      hub data check train.tsv
      hub data check train.conll --dev dev.conll --test test.conll
    """
    from hub.data.check import check

    data = _load(file, True, options)
    options["kind"] = data.kind
    others = {
        name: _load(path, True, options)
        for name, path in (("dev", dev), ("test", test))
        if path is not None
    }
    report = check(data, others)
    if as_json:
        print_json(report.to_dict())
        return
    _print_report(report)


@data_command.command("convert", short_help="Write a file in another format.")
@click.argument("source", metavar="IN", type=DataName())
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--scheme",
    "written_scheme",
    type=click.Choice(["BIO", "BIOES", "BMES"], case_sensitive=False),
    default="BIO",
    show_default=True,
    help="How tags are written.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUT.")
@_reading_options
@skip_option
def convert_command(
    source: str,
    target: Path,
    written_scheme: str,
    overwrite: bool,
    skip_bad_rows: bool,
    **options: Any,
) -> None:
    """Write the labelled texts of IN as OUT, in the format of its extension.

    .tsv .csv .xlsx .jsonl .json .parquet hold labels of every kind, .conll .bio .bmes entities as
    a tag a character, .doccano.jsonl what doccano imports.

    \b
    Examples:
      hub data convert export.json train.jsonl
      hub data convert train.jsonl train.conll --scheme BMES
    """
    from hub.data.converting import check_target, write_dataset

    check_target(target, overwrite)
    data = _load(source, skip_bad_rows, options)
    _tell(data)
    write_dataset(data, target, scheme=written_scheme, overwrite=overwrite)
    say(f"written   {target}: {counted(len(data), 'row')}, {data.kind}")


@data_command.command("split", short_help="Split a file into train, dev and test.")
@click.argument("file", type=DataName())
@click.option(
    "--output", "-o", required=True, type=click.Path(path_type=Path), help="The folder to write."
)
@click.option(
    "--dev", type=float, default=0.1, show_default=True, help="Share of the rows for dev."
)
@click.option(
    "--test", type=float, default=0.1, show_default=True, help="Share of the rows for test."
)
@click.option("--group-column", help="Rows with the same value here stay together.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=42,
    show_default=True,
    help="Random seed; another one splits otherwise.",
)
@click.option("--overwrite", is_flag=True, help="Replace files in the folder.")
@_reading_options
@skip_option
def split_command(
    file: str,
    output: Path,
    dev: float,
    test: float,
    seed: int,
    overwrite: bool,
    skip_bad_rows: bool,
    **options: Any,
) -> None:
    """Split the rows of FILE into train, dev and test, in its own format, in the folder --output.

    Each label has its share in each part. Rows with the same text or in the same group stay
    together. The files have all columns of FILE, and are UTF-8.

    \b
    Examples:
      hub data split all.tsv --output data
      hub data split all.csv --output data --dev 0.2 --test 0 --group-column 会话
    """
    from hub.data.splitting import assign_parts, split_file

    data = _load(file, skip_bad_rows, options)
    _tell(data)
    parts = assign_parts(data, {"dev": dev, "test": test}, seed)
    written = split_file(Path(file), data, output, parts, overwrite)
    rows = []
    for name, path in written.items():
        part = data.with_examples([e for e, p in zip(data, parts, strict=True) if p == name])
        counts = part.label_counts()
        rows.append(
            [name, str(path), f"{len(part):,}", f"{len(part) / len(data):.1%}", f"{len(counts):,}"]
        )
    print_table(["part", "file", "rows", "share", "labels"], rows)


# --- talking -------------------------------------------------------------------------------------


def _tell(data: TextDataset) -> None:
    for note in data.notes:
        say(f"note      {note}")
    if data.skipped:
        first = data.skipped[0]
        say(
            f"skipped   {counted(len(data.skipped), 'row')} of {data.source}, the first in "
            f"{data.unit} {first.line}: {first.reason}"
        )


def _print_report(report: CheckReport) -> None:
    unusable = f", and {report.unusable:,} that cannot be used" if report.unusable else ""
    lengths = ", ".join(f"{name} {value:,}" for name, value in report.lengths.items())
    long = f"{report.long_texts:,} may be too long" if report.long_texts else "none too long"
    lines = [
        ("file", report.source),
        *report.facts.items(),
        ("kind", report.kind),
        *(("note", note) for note in report.notes),
        ("rows", f"{report.rows:,}{unusable}"),
        ("characters", f"{lengths}; {long} for 128 tokens"),
    ]
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        click.echo(f"{name:<{width}}  {value}")
    for title, counts in (("label", report.labels), ("entity type", report.entities)):
        if counts:
            _print_counts(title, counts)
    if not report.findings:
        click.echo("Nothing odd was found.")
        return
    click.echo("What to look at:")
    for finding in report.findings:
        click.echo(_finding(finding, report.unit))


def _print_counts(title: str, counts: dict[str, int] | Any) -> None:
    total = sum(counts.values())
    rows = [[name, f"{count:,}", f"{count / total:.1%}"] for name, count in counts.items()]
    if len(rows) > 2 * _SHOWN_LABELS:
        left_out = len(rows) - 2 * _SHOWN_LABELS
        rows[_SHOWN_LABELS:-_SHOWN_LABELS] = [[f"... {left_out:,} more", "", ""]]
    print_table([title, "count", "share"], rows)


def _finding(finding: Finding, unit: str) -> str:
    text = f"- {finding.message}"
    if finding.lines:
        more = ", ..." if finding.count > len(finding.lines) else ""
        units = unit if len(finding.lines) == 1 else f"{unit}s"
        text += f" ({units} {', '.join(map(str, finding.lines))}{more})"
    if finding.examples and not finding.lines:  # names, not texts
        text += f": {', '.join(finding.examples)}"
        text += ", ..." if finding.count > len(finding.examples) else ""
        return text
    return "\n".join([text, *(f"    {example}" for example in finding.examples)])
