"""What a model is asked. A task owns its head, its labels, and how texts and answers look."""

from __future__ import annotations

from collections.abc import Sequence

from hub.errors import InputError
from hub.tasks.answering import predict
from hub.tasks.base import AnswerOptions, LabelledTask, Task
from hub.tasks.fill_mask import FillMask
from hub.tasks.text_classification import TextClassification
from hub.tasks.token_classification import TokenClassification

__all__ = [
    "TASKS",
    "TASK_NAMES",
    "AnswerOptions",
    "FillMask",
    "LabelledTask",
    "Task",
    "TextClassification",
    "TokenClassification",
    "create_task",
    "predict",
    "task_name",
]

TASKS: dict[str, type[Task]] = {
    task.name: task for task in (TextClassification, TokenClassification, FillMask)
}
# Every spelling people use, and the one that is stored.
TASK_NAMES = {
    "text-classification": TextClassification.name,
    "seq-cls": TextClassification.name,
    "sequence-classification": TextClassification.name,
    "token-classification": TokenClassification.name,
    "token-cls": TokenClassification.name,
    "ner": TokenClassification.name,
    "fill-mask": FillMask.name,
    "masked-lm": FillMask.name,
}


def task_name(spelling: str) -> str:
    """The stored name of a task, from any of its spellings.

    Raises:
        InputError: there is no such task.
    """
    name = TASK_NAMES.get(spelling.lower().replace("_", "-"))
    if name is None:
        raise InputError(f"There is no task {spelling!r}; there is {', '.join(TASK_NAMES)}.")
    return name


def create_task(name: str, labels: Sequence[str]) -> Task:
    """Make the task called `name` (any spelling) with its labels, in the order of their numbers."""
    return TASKS[task_name(name)](labels)
