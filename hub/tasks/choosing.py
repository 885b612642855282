"""Which task and labels a model has: those that are asked for, or those of its folder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hub.constants import CONFIG_FILE
from hub.errors import InputError, ModelError
from hub.models.ernie.config import network_name
from hub.registry.manifest import Manifest
from hub.tasks import (
    TASKS,
    IntentSlots,
    MultiLabelClassification,
    Task,
    TextClassification,
    TokenClassification,
    create_task,
    task_name,
)


class ChosenTask(NamedTuple):
    """A module's task, and what its folder has of it.

    Attributes:
        task: None for a bare encoder.
        labels_given: whether the labels are known, and not just counted.
        is_the_folders: whether the folder describes a model of this task and these labels.
        head_is_anothers: whether the folder's model was fine-tuned for another task.
    """

    task: Task | None
    labels_given: bool
    is_the_folders: bool
    head_is_anothers: bool


def choose_task(
    task: str | None,
    labels: list[str] | None,
    options: Mapping[str, Any] | None,
    manifest: Manifest | None,
    config: dict[str, Any],
) -> ChosenTask:
    """The task of a model from a folder.

    Args:
        task: what is asked for; None is the folder's own.
        labels: those that are asked for; None are the folder's own, if the task is.
        options: of the task, before those of the folder.
        manifest: the folder's `hub.json`, if it has one.
        config: the content of its `config.json`.

    Raises:
        InputError: there is no such task, or labels or options are not for it.
        ModelError: the folder's labels cannot be read.
    """
    own = _tasks_of_head(config)
    if manifest is not None and manifest.task is not None:
        own = [manifest.task]
    if task is None and not own:
        if labels is not None:
            raise InputError("Labels were given without a task: say task='seq-cls' as well.")
        return ChosenTask(None, False, False, False)
    name = task_name(task or own[0])
    takes_labels = TASKS[name].takes_labels
    stored: list[str] | None
    if manifest is not None and manifest.task == name:
        stored, its_options = manifest.labels, manifest.task_options
    else:
        stored, its_options = _labels_in(config, name, own) if takes_labels else None, {}
    if labels is not None:
        check_labels(labels, name)
    known = stored is not None and labels in (None, stored)
    its_options = {**(its_options if known else {}), **(options or {})}
    anothers = takes_labels and own != [] and name not in own
    labels = stored if labels is None else labels
    if takes_labels and labels is None:
        made = create_task(name, *_placeholders(name, its_options))
        return ChosenTask(made, False, False, anothers)
    return ChosenTask(create_task(name, labels or [], its_options), True, known, anothers)


def labels_of(
    label_map: Mapping[int, str] | Sequence[str] | None, num_classes: int | None
) -> list[str] | None:
    """The labels in the order of their numbers; None if nothing is said of them.

    Args:
        label_map: number -> label, or the labels in their order.
        num_classes: how many there are; without `label_map` their names are their numbers.

    Raises:
        InputError: they are not numbered from 0, are no strings, or not so many.
    """
    if num_classes is not None and (not isinstance(num_classes, int) or num_classes < 1):
        raise InputError(f"num_classes must be a whole number from 1, not {num_classes!r}.")
    if label_map is None:
        return None if num_classes is None else [str(number) for number in range(num_classes)]
    if isinstance(label_map, Mapping):
        if set(label_map) != set(range(len(label_map))):
            raise InputError(
                f"label_map must number its labels 0 to {len(label_map) - 1}, "
                f"not {', '.join(map(repr, label_map))}."
            )
        labels = [label_map[number] for number in range(len(label_map))]
    elif isinstance(label_map, str) or not isinstance(label_map, Sequence):
        # A set's order, and with it the labels' numbers, is another in every process.
        raise InputError(f"label_map must be a dictionary or a list, not {label_map!r:.200}.")
    else:
        labels = list(label_map)
    if not labels or not all(isinstance(label, str) for label in labels):
        raise InputError(f"label_map must hold strings, one or more, not {labels!r}.")
    if num_classes is not None and num_classes != len(labels):
        raise InputError(f"num_classes is {num_classes}, but label_map has {len(labels)} labels.")
    return labels


def check_labels(labels: Sequence[str], task: str) -> None:
    """See that there are enough labels to choose from.

    Raises:
        InputError: there are not.
    """
    if len(labels) < 2 and task != MultiLabelClassification.name:
        raise InputError(f"{task} takes two labels or more, not {labels[0]!r} alone.")


def _tasks_of_head(config: dict[str, Any]) -> list[str]:
    """The tasks that a folder's network may have been fine-tuned for, the likeliest first.

    They are read from what `transformers` calls the network. Any pretrained one can fill masks:
    its head says nothing of a task.
    """
    architecture = network_name(config)
    if architecture.endswith(TokenClassification.architecture):
        return [TokenClassification.name]
    if not architecture.endswith(TextClassification.architecture):
        return []
    if config.get("problem_type") == "multi_label_classification":
        return [MultiLabelClassification.name]
    if config.get("problem_type") is None:
        return [TextClassification.name, MultiLabelClassification.name]
    return [TextClassification.name]


def _labels_in(config: dict[str, Any], task: str, own: Sequence[str]) -> list[str] | None:
    """The labels that a `config.json` has for a task; None if it has none, or another task's.

    Args:
        config: the content of `config.json`.
        task: the task's name.
        own: the tasks that the model may have been fine-tuned for, the likeliest first.
    """
    if not config.get("id2label") or "label2id" not in config:
        return None
    labels = _stored_labels(config["id2label"])
    if task in own[:1]:
        return labels
    # Where nothing says whose they are, they are taken for the task's; but transformers writes
    # placeholders for models without a head too.
    nobodys = all(re.fullmatch(r"LABEL_\d+", label) for label in labels)
    may_be_its = task in own or not network_name(config)
    return labels if may_be_its and not nobodys else None


def _placeholders(task: str, options: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Labels and options for a task whose labels will be learned from data."""
    if task == IntentSlots.name:
        return ["O"], {"intents": ["0", "1"], **options}
    return (["O"] if task == TokenClassification.name else ["0", "1"]), options


def _stored_labels(id2label: Any) -> list[str]:
    """The labels of a `config.json`, checked."""
    try:
        by_number = {int(number): str(label) for number, label in id2label.items()}
        return [by_number[number] for number in range(len(by_number))]
    except (AttributeError, ValueError, KeyError) as error:
        raise ModelError(
            f"id2label in {CONFIG_FILE} does not number its labels from 0: {id2label!r:.200}."
        ) from error
