"""An example as a row again: what a file of each form writes of it."""

from __future__ import annotations

import json
import re
from typing import Any

from hub.data.examples import Entity, Example, Utterance, entities_in
from hub.data.tables import Row
from hub.data.tags import TaggedSpan, tags_of
from hub.errors import DataError

_NEEDS_JSON = re.compile(r"[,，]|^\s*\[")


def columns_of(kind: str, pairs: bool) -> list[str]:
    """The names of the columns for labels of a kind."""
    texts = ["text_a", "text_b"] if pairs else ["text"]
    labels = {
        "text-classification": ["label"],
        "multi-label-classification": ["labels"],
        "token-classification": ["entities"],
        "intent-slots": ["intent", "entities"],
    }
    return texts + labels[kind]


def record(example: Example, kind: str) -> Row:
    """An example as a row with lists in it."""
    text, label = example.text, example.label
    row: Row = {"text": text} if isinstance(text, str) else {"text_a": text[0], "text_b": text[1]}
    if isinstance(label, Utterance):
        row["intent"] = label.intent
    if isinstance(label, str):
        row["label"] = label
    elif kind == "multi-label-classification":
        row["labels"] = list(label) if isinstance(label, tuple) else []
    else:
        row["entities"] = [
            {"start": e.start, "end": e.end, "type": e.type} for e in entities_in(label)
        ]
    return row


def flat_record(example: Example, kind: str) -> Row:
    """An example as a row of text: several labels with commas between, entities as JSON."""
    row = record(example, kind)
    if "labels" in row:
        plain = ",".join(row["labels"])
        as_json = any(_NEEDS_JSON.search(label) for label in row["labels"])
        row["labels"] = _json(row["labels"]) if as_json else plain
    if "entities" in row:
        row["entities"] = _json([[e["start"], e["end"], e["type"]] for e in row["entities"]])
    return row


def doccano_record(example: Example) -> Row:
    """An example as a line of doccano's JSONL.

    Raises:
        DataError: doccano has no project for such rows.
    """
    label = example.label
    if isinstance(example.text, tuple) or isinstance(label, Utterance):
        raise DataError("doccano's format holds single texts with labels or entities only")
    if isinstance(label, str):
        return {"text": example.text, "label": [label]}
    return {
        "text": example.text,
        "label": [[e.start, e.end, e.type] if isinstance(e, Entity) else e for e in label],
    }


def tagged_record(example: Example, scheme: str) -> tuple[str, list[str]]:
    """An example of a text with entities as its characters and their tags."""
    assert isinstance(example.text, str)
    spans = [TaggedSpan(e.type, e.start, e.end) for e in entities_in(example.label)]
    return example.text, tags_of(spans, len(example.text), scheme)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
