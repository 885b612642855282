"""Label Studio's exports: JSON, with every annotation in full, and JSON_MIN, a flat one.

https://labelstud.io/guide/export#JSON. Spans (`labels`) become `entities`, choices become `label`
or, where a task has several or none, `labels`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hub.data.columns import ENTITIES, TAGS
from hub.data.examples import BadRow
from hub.data.tables import Row

_Item = tuple[int, Row] | BadRow
# As many of the first tasks say what a file is.
TOLD_BY = 20
_OLD_ENTITIES = {*ENTITIES, *TAGS}
_BOOKKEEPING = {"annotation_id", "annotator", "lead_time"}


def is_export(first: list[Any]) -> bool:
    """Whether these are the first tasks of a JSON export."""
    return bool(first) and all(
        isinstance(item, dict) and "annotations" in item and isinstance(item.get("data"), dict)
        for item in first
    )


def is_minimal_export(first: list[Any]) -> bool:
    """Whether these are the first tasks of a JSON_MIN export.

    One column of such a name, `annotator` above all, may be anybody's.
    """
    return bool(first) and all(
        isinstance(item, dict) and len(_BOOKKEEPING & item.keys()) >= 2 for item in first
    )


def rows_of(tasks: Iterable[Any]) -> list[_Item]:
    """A row a task, with what its first finished annotation says."""
    read: list[tuple[int, Row, list[Row]] | BadRow] = []
    for number, task in enumerate(tasks, start=1):
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
            read.append(BadRow(number, "not a task of Label Studio"))
            continue
        number = _id(task, number)
        finished = [a for a in _objects(task.get("annotations")) if not a.get("was_cancelled")]
        if finished:
            read.append((number, dict(task["data"]), _objects(finished[0].get("result"))))
        else:
            read.append(BadRow(number, "no annotation"))
    results = [result for item in read if isinstance(item, tuple) for result in item[2]]
    has_spans = any(result.get("type") == "labels" for result in results)
    has_choices = any(result.get("type") == "choices" for result in results)
    choices = [_choices(item[2]) for item in read if isinstance(item, tuple)]
    column = "label" if all(len(chosen) == 1 for chosen in choices) else "labels"
    rows: list[_Item] = []
    for item in read:
        if isinstance(item, BadRow):
            rows.append(item)
            continue
        number, row, result = item
        row = _without_old(row, has_spans, has_choices)
        if has_spans:
            row["entities"] = [r.get("value") for r in result if r.get("type") == "labels"]
        if has_choices:
            chosen = _choices(result)
            row[column] = chosen[0] if column == "label" else chosen
        rows.append((number, row))
    return rows


def rows_of_minimal(tasks: Iterable[Any]) -> list[_Item]:
    """A row a task; the names that its labelling gave to spans and choices are not kept."""
    tasks = list(tasks)
    spans = {key for task in tasks for key, value in _cells(task) if _is_spans(value)}
    choices = {
        key
        for task in tasks
        for key, value in _cells(task)
        if isinstance(value, dict) and "choices" in value
    }
    rows: list[_Item] = []
    for number, task in enumerate(tasks, start=1):
        if not isinstance(task, dict):
            rows.append(BadRow(number, "not a task of Label Studio"))
            continue
        row = {k: v for k, v in task.items() if k not in spans | choices | _BOOKKEEPING}
        row = _without_old(row, bool(spans), bool(choices))
        if spans:
            # A task without spans is written without the key.
            row["entities"] = [
                span for key in sorted(spans) for span in _several(task.get(key) or [])
            ]
        if choices:
            row["labels"] = [
                name for key in sorted(choices) for name in _several(task.get(key) or [])
            ]
        rows.append((_id(task, number), row))
    return rows


def _without_old(row: Row, has_spans: bool, has_choices: bool) -> Row:
    """A task's data without columns that would be read instead of what was annotated."""

    def is_old(name: str, value: Any) -> bool:
        name = str(name).strip().casefold()
        if has_choices and name in ("label", "labels"):
            return True
        return has_spans and name in _OLD_ENTITIES and isinstance(value, list | dict)

    return {name: value for name, value in row.items() if not is_old(name, value)}


def _choices(result: list[Row]) -> list[Any]:
    return [
        name
        for item in result
        if item.get("type") == "choices"
        for value in _objects([item.get("value")])
        for name in _several(value)
    ]


def _objects(value: Any) -> list[Row]:
    """What of a list can be read: other programs write exports too."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _cells(task: Any) -> Iterable[tuple[str, Any]]:
    return task.items() if isinstance(task, dict) else ()


def _is_spans(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(v, dict) and "start" in v and "labels" in v for v in value)
    )


def _several(value: Any) -> list[Any]:
    """Several choices are written as a dictionary, one as it is."""
    if isinstance(value, dict):
        value = value.get("choices", [])
    return value if isinstance(value, list) else [value]


def _id(task: Row, number: int) -> int:
    return task["id"] if isinstance(task.get("id"), int) else number
