"""From a table's columns and first rows: what kind of labels it has, and where they stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hub.data import columns as names
from hub.data.annotations import looks_like_entities
from hub.data.columns import Chosen, find, find_texts
from hub.data.tables import Row, Table
from hub.errors import DataError, InputError
from hub.wording import must_be_one_of

KINDS = (
    "text-classification",
    "multi-label-classification",
    "token-classification",
    "intent-slots",
)
# Every spelling people use, and the kind that it means; `hub.tasks` takes the same.
KIND_NAMES = {
    "text-classification": "text-classification",
    "seq-cls": "text-classification",
    "sequence-classification": "text-classification",
    "multi-label-classification": "multi-label-classification",
    "multi-label": "multi-label-classification",
    "token-classification": "token-classification",
    "token-cls": "token-classification",
    "ner": "token-classification",
    "intent-slots": "intent-slots",
    "joint": "intent-slots",
}
# Classification of two texts together: the same kind of label, but there must be a second text.
OF_PAIRS = "text-matching"


def kind_name(spelling: str) -> str:
    """A kind's own name, from any of its spellings.

    Raises:
        InputError: there is no such kind.
    """
    name = spelling.lower().replace("_", "-")
    name = KIND_NAMES.get(name, name)
    if name not in (*KINDS, OF_PAIRS):
        raise InputError(must_be_one_of("The kind of data", (*KINDS, OF_PAIRS), spelling))
    return name


def detect_kind(columns: Sequence[str], sample: Sequence[Row]) -> str:
    """What kind of labels a table has, by its columns' names and by what stands in them."""
    lower = [str(column).strip().casefold() for column in columns]
    has_intent = find(columns, names.INTENTS) is not None
    if _find_tagged(columns, sample):
        return "intent-slots" if has_intent else "token-classification"
    cells: Callable[[str], list[Any]] = lambda column: [row.get(column) for row in sample]  # noqa: E731
    if any(
        looks_like_entities(cell) for column in _entity_columns(columns) for cell in cells(column)
    ):
        return "intent-slots" if has_intent else "token-classification"
    if "entities" in lower:
        return "intent-slots" if has_intent else "token-classification"
    label = find(columns, names.LABELS)
    lists = [cell for cell in cells(label) if isinstance(cell, list)] if label else []
    if any(len(cell) != 1 for cell in lists) or (label and label.strip().casefold() == "labels"):
        return "multi-label-classification"
    return "text-classification"


def choose_columns(
    kind: str,
    table: Table,
    columns: Sequence[str],
    sample: Sequence[Row],
    *,
    text: str | None,
    pair: str | None,
    label: str | None,
) -> Chosen:
    """The columns to read, those that the user named first of all.

    Args:
        kind: one of `KINDS`, or "text-matching".
        table: where the rows come from.
        columns: the names that occur in it.
        sample: its first rows.
        text: the column the user named, if any; so with `pair` and `label`.
        pair: the second text's.
        label: the label's.

    Raises:
        DataError: a column is missing from a table that fixes its columns beforehand.
    """
    if kind in ("token-classification", "intent-slots"):
        chosen = _choose_entities(kind, columns, sample, text, label)
    else:
        first, second = (text, pair) if text or pair else find_texts(columns)
        if kind == OF_PAIRS and pair is None and second is None:
            second = "text_b"  # reported as missing
            first = first or "text_a"
        several = kind == "multi-label-classification"
        found = label or find(columns, names.SEVERAL_LABELS if several else names.LABELS)
        chosen = Chosen(first or "text", found or "label", second)
        if first is None and _find_tagged(columns, sample):
            raise DataError(
                f"{table.source} has tokens with tags: that is data for token-classification, not "
                f"for {kind}."
            )
    if table.columns is not None:
        _require(chosen, table)
    return chosen


def note_on(chosen: Chosen, given: Sequence[str | None], table: Table) -> str | None:
    """What to tell the user if columns were taken that are neither named nor of the plain names."""
    usual = {
        "text": ("text", "text_a"),
        "second text": ("text_b",),
        "label": ("label", "labels", "entities"),
        "tokens": ("tokens",),
        "tags": ("tags",),
        "intent": ("intent",),
    }
    roles = chosen.roles()
    odd = {
        role: name
        for role, name in roles.items()
        if name not in usual.get(role, ()) and name not in given
    }
    if not odd:
        return None
    parts = [f"the {role} is {name!r}" for role, name in roles.items()]
    return f"{table.source}: of its columns, {' and '.join(parts)}"


def _choose_entities(
    kind: str, columns: Sequence[str], sample: Sequence[Row], text: str | None, label: str | None
) -> Chosen:
    intent = None
    if kind == "intent-slots":
        intent = find(columns, names.INTENTS) or "intent"
    rest = [column for column in columns if column != intent]
    tagged = _find_tagged(rest, sample, text, label)
    if tagged is not None:
        return Chosen(*tagged, intent=intent, tagged=True)
    if label is None:
        candidates = _entity_columns(rest)
        holding = [c for c in candidates if any(looks_like_entities(r.get(c)) for r in sample)]
        label = next(iter([*holding, *candidates]), "entities")
    return Chosen(text or find(rest, names.TEXTS) or "text", label, intent=intent)


def _find_tagged(
    columns: Sequence[str], sample: Sequence[Row], text: str | None = None, label: str | None = None
) -> tuple[str, str] | None:
    """The columns that hold tokens and, as many, their tags; None if there are none."""
    for text_names in (names.TOKENS, names.TEXTS):
        tokens, tags = text or find(columns, text_names), label or find(columns, names.TAGS)
        if tokens is None or tags is None:
            continue
        rows = [row for row in sample if row.get(tokens) is not None and row.get(tags) is not None]
        if not sample or any(_is_list(row[tokens]) and _is_list(row[tags]) for row in rows):
            return (tokens, tags) if sample or text_names is names.TOKENS else None
    return None


def _is_list(cell: Any) -> bool:
    """Whether a cell has several tokens or tags; a pair of texts or offsets are none."""
    if isinstance(cell, str):
        return "\2" in cell
    return isinstance(cell, list) and not any(isinstance(part, list | dict) for part in cell)


def _entity_columns(columns: Sequence[str]) -> list[str]:
    found = (find(columns, [name]) for name in names.ENTITIES)
    return [column for column in found if column is not None]


def _require(chosen: Chosen, table: Table) -> None:
    assert table.columns is not None
    wanted = [chosen.text, chosen.pair, chosen.label, chosen.intent]
    missing = [name for name in wanted if name is not None and name not in table.columns]
    if missing:
        named = " and ".join(map(repr, missing))
        raise DataError(
            f"{table.source} has no column {named}; it has "
            f"{', '.join(map(repr, table.columns))}. "
            f"Name the right ones with --text-column and --label-column.{_missing_header(table)}"
        )


def _missing_header(table: Table) -> str:
    """What else may be wrong with a file whose columns have no usual names."""
    if table.format not in ("TSV", "CSV") or not table.columns:
        return ""
    name, mark = ("tab", "<TAB>") if table.format == "TSV" else ("comma", ",")
    if len(table.columns) == 1:
        return f" There is no {name} in its first line, so that it has one column alone."
    return f" If its first line is a row already, put another before it: text{mark}label"
