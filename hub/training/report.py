"""What a run leaves for a person to read: `report.md`, its plots and the model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hub.constants import CARD_FILE, REPORT_FILE
from hub.data import TextDataset
from hub.data.examples import Text
from hub.files import write_text
from hub.tasks import LabelledTask, TextClassification
from hub.tasks.base import LabelScore, Targets, metric_title, softmax
from hub.tasks.text_classification import confusion_matrix
from hub.training.plots import draw_plots

_SHOWN_MISTAKES = 20
_SHOWN_CHARACTERS = 80
# A table, and the curve, has the task's first metrics; metrics.json has all.
_SHOWN_METRICS = 4
_DRAWN_METRICS = 2


@dataclass(frozen=True)
class Evaluation:
    """What a model made of the dev rows.

    Attributes:
        data: the rows.
        targets: what is right, in the task's form.
        decided: what the model answered, in the same form.
        outputs: the network's output for each.
    """

    data: TextDataset
    targets: Targets
    decided: Targets
    outputs: Sequence[np.ndarray]


def write_report(
    folder: Path, summary: dict[str, Any], task: LabelledTask, evaluation: Evaluation
) -> None:
    """Write `report.md`, its plots and the card `README.md`.

    Without matplotlib the plots are left out, and the report says so.

    Args:
        folder: where.
        summary: the content of `metrics.json`.
        task: what the model answers.
        evaluation: what it answered.
    """
    matrix = None
    if isinstance(task, TextClassification):
        matrix = confusion_matrix(evaluation.targets, evaluation.decided, len(task.labels))
    baseline = summary["baseline"]["dev"] if summary["baseline"] else {}
    drawn = task.metric_names[:_DRAWN_METRICS]
    plots = draw_plots(folder, summary["history"], baseline, drawn, matrix, task.labels)
    sections = [
        "# Report",
        _figures(summary, task),
        "## Each label\n\n" + _per_label(task.scores(evaluation.decided, evaluation.targets)),
        "## Learning curve\n\n" + _curve(summary, drawn, plots.curve),
    ]
    if isinstance(task, TextClassification) and matrix is not None:
        confusions = _confusions(matrix, task.labels, plots.matrix, plots.numbered)
        sections += [
            "## Confusion matrix\n\n" + confusions,
            "## The most confident mistakes\n\n" + _confident_mistakes(task, evaluation),
        ]
    else:
        sections.append("## Mistakes\n\n" + _mistakes(task, evaluation))
    write_text(folder / REPORT_FILE, "\n\n".join(sections) + "\n")
    write_text(folder / CARD_FILE, _card(folder, summary, task))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are figures."""
    rule = [":---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in (head, rule, *rows))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _rows_of_figures(summary: dict[str, Any], task: LabelledTask) -> tuple[list[str], list[Any]]:
    """The head and the rows of the table of the model's figures beside the baseline's."""
    names = task.metric_names[:_SHOWN_METRICS]
    rows = [[f"{summary['base_model']}, fine-tuned", *(f"{summary['dev'][n]:.2%}" for n in names)]]
    baseline = summary["baseline"]
    if baseline:
        figures = (f"{baseline['dev'][n]:.2%}" if n in baseline["dev"] else "" for n in names)
        rows.append([f"baseline: {baseline['name']}", *figures])
    return ["on dev", *map(metric_title, names)], rows


def _figures(summary: dict[str, Any], task: LabelledTask) -> str:
    data, count = summary["data"], summary["rows"]
    facts = (
        f"Trained on {data['train']} ({count['train']:,} rows), evaluated on {data['dev']} "
        f"({count['dev']:,} rows), in {summary['seconds']:.0f} s on "
        f"{summary['versions']['machine']}. The weights are those of epoch "
        f"{summary['best_epoch']}, the best of {len(summary['history'])}."
    )
    head, rows = _rows_of_figures(summary, task)
    return f"{facts}\n\n{table(head, rows)}" + _outcome(summary)


def _outcome(summary: dict[str, Any]) -> str:
    """Whether the model beats the baseline, where there is one."""
    if not summary["baseline"]:
        return ""
    name = summary["baseline"]["metric"]
    difference = abs(summary["dev"][name] - summary["baseline"]["dev"][name]) * 100
    if summary["beats_baseline"]:
        outcome = (
            f"The fine-tuned model beats the baseline by {difference:.2f} points of "
            f"{metric_title(name)}."
        )
    else:
        outcome = (
            f"**The fine-tuned model does not beat the baseline** (it is {difference:.2f} points "
            f"of {metric_title(name)} behind): the linear model is the better choice for this data "
            "as it is."
        )
    if not summary["pretrained"]:
        outcome += f" {summary['base_model']} is not pretrained."
    return f"\n\n{outcome}"


def _per_label(scores: Sequence[LabelScore]) -> str:
    rows = [
        [s.name, f"{s.support:,}", *(f"{v:.2%}" for v in (s.precision, s.recall, s.f1))]
        for s in sorted(scores, key=lambda score: -score.support)
    ]
    return table(["label", "on dev", "precision", "recall", "F1"], rows)


def _curve(summary: dict[str, Any], names: Sequence[str], plot: str | None) -> str:
    rows = [
        [
            str(entry["epoch"]),
            f"{entry['loss']:.4f}",
            *(f"{entry[f'dev_{name}']:.2%}" for name in names),
            f"{entry['seconds']:.0f}",
        ]
        for entry in summary["history"]
    ]
    titles = [f"dev {metric_title(name)}" for name in names]
    head = ["epoch", "training loss", *titles, "seconds so far"]
    return _plot(plot, "learning curve") + table(head, rows)


def _confusions(matrix: np.ndarray, labels: Sequence[str], plot: str | None, numbered: bool) -> str:
    text = _plot(plot, "confusion matrix")
    if plot and numbered:
        text += "The plot numbers the labels, for want of a font with Chinese characters:\n\n"
        text += ", ".join(f"{number} {label}" for number, label in enumerate(labels)) + "\n\n"
    off = matrix.copy()
    np.fill_diagonal(off, 0)
    order = np.argsort(-off, axis=None, kind="stable")[:10]
    pairs = [np.unravel_index(index, off.shape) for index in order]
    rows = [
        [labels[true], labels[answer], f"{off[true, answer]:,}"]
        for true, answer in pairs
        if off[true, answer]
    ]
    if not rows:
        return text + "No row was answered wrongly."
    return text + table(["label", "answered as", "rows"], rows)


def _confident_mistakes(task: TextClassification, evaluation: Evaluation) -> str:
    probabilities = softmax(np.stack(evaluation.outputs).astype(np.float64))
    predicted, targets = evaluation.decided, evaluation.targets
    wrong = np.flatnonzero(predicted != targets)
    order = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")]
    if not len(order):
        return "None: every row was answered rightly."
    rows = [
        [
            _shorten(evaluation.data[int(row)].text),
            task.labels[targets[row]],
            task.labels[predicted[row]],
            f"{probabilities[row, predicted[row]]:.1%}",
            str(evaluation.data[int(row)].line),
        ]
        for row in order[:_SHOWN_MISTAKES]
    ]
    head = ["text", "label", "answered as", "probability", "line"]
    return f"{len(wrong):,} of {len(targets):,} rows are answered wrongly.\n\n" + table(head, rows)


def _mistakes(task: LabelledTask, evaluation: Evaluation) -> str:
    """The first rows that were not answered exactly."""
    pairs = zip(evaluation.data, evaluation.targets, evaluation.decided, strict=True)
    wrong = [row for row in pairs if not np.array_equal(row[1], row[2])]
    if not wrong:
        return "None: every row was answered rightly."
    rows = [
        [
            _shorten(example.text),
            _shorten(task.describe(target, example.text)),
            _shorten(task.describe(decided, example.text)),
            str(example.line),
        ]
        for example, target, decided in wrong[:_SHOWN_MISTAKES]
    ]
    count = f"{len(wrong):,} of {len(evaluation.data):,} rows are not answered exactly."
    return f"{count}\n\n" + table(["text", "right", "answered", "line"], rows)


def _shorten(text: Text) -> str:
    if isinstance(text, tuple):
        text = " / ".join(text)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _plot(name: str | None, title: str) -> str:
    if name is None:
        return "(No plot: matplotlib is not installed. `pip install 'ernie-hub[report]'`)\n\n"
    return f"![{title}]({name})\n\n"


def _card(folder: Path, summary: dict[str, Any], task: LabelledTask) -> str:
    head, rows = _rows_of_figures(summary, task)
    names = [score.name for score in task.scores([], [])]
    made_by = f"\n```\n{summary['command']}\n```\n" if summary["command"] else ""
    example = '[("...", "...")]' if task.pairs else '["..."]'
    return f"""---
language: zh
library_name: ernie-hub
pipeline_tag: {task.pipeline}
base_model: {summary["base_model"]}
---

# {folder.name}

A Chinese {task.title} with {len(names)} labels, fine-tuned from {summary["base_model"]} with
ernie-hub {summary["versions"]["ernie-hub"]}.

Labels: {", ".join(names)}

## Data

{summary["data"]["train"]}: {summary["rows"]["train"]:,} rows to train on;
{summary["data"]["dev"]}: {summary["rows"]["dev"]:,} rows to choose the best epoch by.

## Figures on the dev rows

{table(head, rows)}

They chose the best epoch, so they flatter it a little: `hub evaluate` on other rows tells more.
Each label's figures and the mistakes are in `report.md`.

## How it was made
{made_by}
{", ".join(f"{name} {value}" for name, value in summary["versions"].items())}

## Use

```python
import hub

module = hub.Module(directory="{folder.name}")
module.predict({example})
```
"""
