"""What a model is asked. A task owns its head, its labels, and how texts and answers look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hub.data.choosing import KIND_NAMES, OF_PAIRS
from hub.errors import InputError
from hub.tasks.answering import predict
from hub.tasks.base import AnswerOptions, LabelledTask, Task
from hub.tasks.fill_mask import FillMask
from hub.tasks.intent_slots import IntentSlots
from hub.tasks.multi_label_classification import MultiLabelClassification
from hub.tasks.sentence_embedding import SentenceEmbedding
from hub.tasks.text_classification import TextClassification
from hub.tasks.token_classification import TokenClassification
from hub.wording import must_be_one_of

__all__ = [
    "TASKS",
    "TASK_NAMES",
    "AnswerOptions",
    "FillMask",
    "IntentSlots",
    "LabelledTask",
    "MultiLabelClassification",
    "SentenceEmbedding",
    "Task",
    "TextClassification",
    "TokenClassification",
    "compares_texts",
    "create_task",
    "labelled_task_type",
    "predict",
    "task_name",
]

TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (
        TextClassification, MultiLabelClassification, TokenClassification, IntentSlots, FillMask,
        SentenceEmbedding,
    )
}  # fmt: skip
# Every spelling people use, and the one that is stored.
TASK_NAMES = {
    **KIND_NAMES,
    OF_PAIRS: TextClassification.name,
    "fill-mask": FillMask.name,
    "masked-lm": FillMask.name,
    "sentence-embedding": SentenceEmbedding.name,
    "feature-extraction": SentenceEmbedding.name,
    "embedding": SentenceEmbedding.name,
}


def task_name(spelling: str) -> str:
    """The stored name of a task, from any of its spellings.

    Raises:
        InputError: there is no such task.
    """
    name = TASK_NAMES.get(spelling.lower().replace("_", "-"))
    if name is None:
        raise InputError(must_be_one_of("The task", TASK_NAMES, spelling))
    return name


def compares_texts(task: Task | None) -> bool:
    """Whether a model with this task takes pairs of texts, and nothing else."""
    return task is not None and bool(task.pairs)


def create_task(name: str, labels: Sequence[str], options: dict[str, Any] | None = None) -> Task:
    """Make a task.

    Args:
        name: what it is called, in any spelling.
        labels: its labels, in the order of their numbers.
        options: what it is besides: its `Task.options`.

    Raises:
        InputError: there is no such task, it has no such option, or it needs labels.
    """
    kind = TASKS[task_name(name)]
    if kind.takes_labels and not labels:
        raise InputError(f"{kind.name} needs labels: neither label_map nor hub.json names any.")
    return kind(labels, **(options or {}))


def labelled_task_type(name: str) -> type[LabelledTask]:
    """The class of a task that can be learned, by any spelling of its name.

    Raises:
        InputError: there is no such task, or it is not learned from labels.
    """
    kind = TASKS[task_name(name)]
    if not issubclass(kind, LabelledTask):
        raise InputError(f"{kind.name} is not learned from labelled texts.")
    return kind
