"""What a model is fine-tuned for. A task owns its labels, loss, metrics and how answers look."""

from __future__ import annotations

from collections.abc import Sequence

from hub.errors import InputError
from hub.tasks.base import Task, predict
from hub.tasks.text_classification import TextClassification

__all__ = ["TASK_NAMES", "Task", "TextClassification", "create_task", "predict", "task_name"]

# Every spelling people use, and the one that is stored.
TASK_NAMES = {
    "text-classification": "text-classification",
    "seq-cls": "text-classification",
    "sequence-classification": "text-classification",
}
_TASKS: dict[str, type[Task]] = {"text-classification": TextClassification}


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
    return _TASKS[task_name(name)](labels)
