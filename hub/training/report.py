"""What a run leaves for a person to read: `report.md`, its plots and the model card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hub.constants import CARD_FILE, REPORT_FILE
from hub.data import TextDataset
from hub.data.examples import Text
from hub.files import write_text
from hub.tasks.base import softmax
from hub.training.plots import draw_plots

_SHOWN_MISTAKES = 20
_SHOWN_CHARACTERS = 80


def write_report(
    folder: Path,
    summary: dict[str, Any],
    dev: TextDataset,
    targets: np.ndarray,
    logits: np.ndarray,
) -> None:
    """Write `report.md`, `learning_curve.png`, `confusion_matrix.png` and the card `README.md`.

    Args:
        folder: where.
        summary: the content of `metrics.json`.
        dev: the rows that the model was evaluated on.
        targets: their class numbers [N].
        logits: the model's output for them [N, classes].

    Without matplotlib the plots are left out, and the report says so.
    """
    labels = summary["labels"]
    predicted = logits.argmax(axis=-1)
    matrix = confusion_matrix(targets, predicted, len(labels))
    plots = draw_plots(folder, summary["history"], summary["baseline"]["dev"], matrix, labels)
    sections = [
        "# Report",
        _figures(summary),
        "## Each label\n\n" + _per_class(matrix, labels),
        "## Learning curve\n\n" + _curve(summary, plots.curve),
        "## Confusion matrix\n\n" + _confusions(matrix, labels, plots.matrix, plots.numbered),
        "## The most confident mistakes\n\n" + _mistakes(dev, targets, logits, labels),
    ]
    write_text(folder / REPORT_FILE, "\n\n".join(sections) + "\n")
    write_text(folder / CARD_FILE, _card(folder, summary))


def confusion_matrix(targets: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How often each label (row) was answered with each label (column): [classes, classes]."""
    pairs = np.bincount(targets * classes + predicted, minlength=classes * classes)
    return pairs.reshape(classes, classes)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are figures."""
    rule = [":---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(map(_cell, row))} |" for row in (head, rule, *rows))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _figures(summary: dict[str, Any]) -> str:
    ours, theirs = summary["dev"], summary["baseline"]["dev"]
    names = {"accuracy": "accuracy", "macro_f1": "macro-F1", "weighted_f1": "weighted F1"}
    rows = [
        [f"{summary['base_model']}, fine-tuned", *(f"{ours[n]:.2%}" for n in names)],
        [f"baseline: {summary['baseline']['name']}", *(f"{theirs[n]:.2%}" for n in names)],
    ]
    name = summary["metric"]
    difference = abs(ours[name] - theirs[name]) * 100
    if summary["beats_baseline"]:
        outcome = f"The fine-tuned model beats the baseline by {difference:.2f} points of {name}."
    else:
        outcome = (
            f"**The fine-tuned model does not beat the baseline** (it is {difference:.2f} points "
            f"of {name} behind): the linear model is the better choice for this data as it is."
        )
    if not summary["pretrained"]:
        outcome += f" {summary['base_model']} is not pretrained."
    data, count = summary["data"], summary["rows"]
    facts = (
        f"Trained on {data['train']} ({count['train']:,} rows), evaluated on {data['dev']} "
        f"({count['dev']:,} rows), in {summary['seconds']:.0f} s on "
        f"{summary['versions']['machine']}. The weights are those of epoch "
        f"{summary['best_epoch']}, the best of {len(summary['history'])}."
    )
    return f"{facts}\n\n{table(['on dev', *names.values()], rows)}\n\n{outcome}"


def _per_class(matrix: np.ndarray, labels: Sequence[str]) -> str:
    rows = []
    for number in np.argsort(-matrix.sum(axis=1), kind="stable"):
        right = matrix[number, number]
        precision = right / max(1, matrix[:, number].sum())
        recall = right / max(1, matrix[number].sum())
        f1 = 2 * precision * recall / (precision + recall) if right else 0.0
        rows.append(
            [
                labels[number],
                f"{matrix[number].sum():,}",
                *(f"{v:.2%}" for v in (precision, recall, f1)),
            ]
        )
    return table(["label", "rows", "precision", "recall", "F1"], rows)


def _curve(summary: dict[str, Any], plot: str | None) -> str:
    rows = [
        [
            str(entry["epoch"]),
            f"{entry['loss']:.4f}",
            f"{entry['dev_accuracy']:.2%}",
            f"{entry['dev_macro_f1']:.2%}",
            f"{entry['seconds']:.0f}",
        ]
        for entry in summary["history"]
    ]
    head = ["epoch", "training loss", "dev accuracy", "dev macro-F1", "seconds so far"]
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


def _mistakes(
    dev: TextDataset, targets: np.ndarray, logits: np.ndarray, labels: Sequence[str]
) -> str:
    probabilities = softmax(logits.astype(np.float64))
    predicted = probabilities.argmax(axis=-1)
    wrong = np.flatnonzero(predicted != targets)
    order = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")]
    if not len(order):
        return "None: every row was answered rightly."
    rows = [
        [
            _shorten(dev[int(row)].text),
            labels[targets[row]],
            labels[predicted[row]],
            f"{probabilities[row, predicted[row]]:.1%}",
            str(dev[int(row)].line),
        ]
        for row in order[:_SHOWN_MISTAKES]
    ]
    head = ["text", "label", "answered as", "probability", "line"]
    return f"{len(wrong):,} of {len(targets):,} rows are answered wrongly.\n\n" + table(head, rows)


def _shorten(text: Text) -> str:
    if isinstance(text, tuple):
        text = " / ".join(text)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _plot(name: str | None, title: str) -> str:
    if name is None:
        return "(No plot: matplotlib is not installed. `pip install 'ernie-hub[report]'`)\n\n"
    return f"![{title}]({name})\n\n"


def _card(folder: Path, summary: dict[str, Any]) -> str:
    ours, theirs = summary["dev"], summary["baseline"]["dev"]
    rows = [
        ["this model", f"{ours['accuracy']:.2%}", f"{ours['macro_f1']:.2%}"],
        [summary["baseline"]["name"], f"{theirs['accuracy']:.2%}", f"{theirs['macro_f1']:.2%}"],
    ]
    made_by = f"\n```\n{summary['command']}\n```\n" if summary["command"] else ""
    return f"""---
language: zh
library_name: ernie-hub
pipeline_tag: text-classification
base_model: {summary["base_model"]}
---

# {folder.name}

A Chinese text classifier with {len(summary["labels"])} labels, fine-tuned from
{summary["base_model"]} with ernie-hub {summary["versions"]["ernie-hub"]}.

Labels: {", ".join(summary["labels"])}

## Data

{summary["data"]["train"]}: {summary["rows"]["train"]:,} rows to train on;
{summary["data"]["dev"]}: {summary["rows"]["dev"]:,} rows to choose the best epoch by.

## Figures on the dev rows

{table(["", "accuracy", "macro-F1"], rows)}

They chose the best epoch, so they flatter it a little: `hub evaluate` on other rows tells more.
Each label's figures and the mistakes are in `report.md`.

## How it was made
{made_by}
{", ".join(f"{name} {value}" for name, value in summary["versions"].items())}

## Use

```python
import hub

module = hub.Module(directory="{folder.name}")
module.predict(["..."], probabilities=True)
```
"""
