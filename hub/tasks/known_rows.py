"""Labelled rows that a task has an answer for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hub.data.examples import BadRow, Example, Label, TextDataset, entities_in, names_in
from hub.errors import DataError
from hub.tasks.base import LabelledTask
from hub.tasks.sequence_classification import SequenceClassification


def known_rows(data: TextDataset, task: LabelledTask) -> TextDataset:
    """The rows that the task knows; the others are among the skipped ones.

    Raises:
        DataError: there is none.
    """
    known = np.array([task.knows(example) for example in data], bool)
    if known.all():
        return data
    rest = [data[int(row)] for row in np.flatnonzero(~known)]
    unknown = [BadRow(example.line, _fault(example, task)) for example in rest]
    if not known.any():
        raise DataError(
            f"{data.source} has no row that the model can be measured with. In {data.unit} "
            f"{unknown[0].line}: {unknown[0].reason}."
        )
    examples = data.select(np.flatnonzero(known))
    return replace(data, examples=examples, skipped=[*data.skipped, *unknown])


def _fault(example: Example, task: LabelledTask) -> str:
    if isinstance(task, SequenceClassification) and not task.takes(example.text):
        return task.wanted
    return f"the label {_shown(example.label)} is not one of the model's"


def _shown(label: Label) -> str:
    names = [*names_in(label), *(entity.type for entity in entities_in(label))]
    return ", ".join(repr(name) for name in dict.fromkeys(names))
