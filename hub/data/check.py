"""What a person should know of labelled texts before a model is trained on them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hub.data.characters import folded, has_odd_edge, odd_characters
from hub.data.examples import BadRow, Example, Label, Text, TextDataset, entities_in

# A label with fewer rows can hardly be learned.
FEW_ROWS = 5
# What the default length leaves of 128 tokens when [CLS] and [SEP] are set aside.
LONG_CHARACTERS = 126
_SHOWN = 5
_PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True)
class Finding:
    """Something that may be wrong.

    Attributes:
        code: a name for programs, such as "duplicates".
        message: a sentence.
        count: how many rows, texts or labels it is about.
        lines: where the first few stand.
        examples: what they look like, if that tells more.
    """

    code: str
    message: str
    count: int
    lines: Sequence[int] = ()
    examples: Sequence[str] = ()


@dataclass(frozen=True)
class CheckReport:
    """What was found in one file.

    Attributes:
        source: the file.
        kind: one of `hub.data.KINDS`.
        facts: how it was read: format, encoding, columns, tag scheme.
        notes: what the reader said.
        rows: how many can be used.
        unusable: how many cannot.
        labels: how often each label occurs, the most frequent first.
        entities: how often each type of entity occurs.
        lengths: percentiles of the texts' lengths in characters, and "max".
        long_texts: how many have more than `LONG_CHARACTERS`.
        findings: what may be wrong.
        unit: what the findings' lines count.
    """

    source: str
    kind: str
    facts: Mapping[str, str]
    notes: Sequence[str]
    rows: int
    unusable: int
    labels: Mapping[str, int]
    entities: Mapping[str, int]
    lengths: Mapping[str, int]
    long_texts: int
    findings: Sequence[Finding]
    unit: str = "line"

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON can hold it."""
        return asdict(self)


def check(data: TextDataset, others: Mapping[str, TextDataset] | None = None) -> CheckReport:
    """Look through labelled texts, read with `skip_bad_rows=True`.

    Args:
        data: the texts to train on.
        others: those to evaluate on, by what they are: "dev", "test".
    """
    lengths = np.array([_length(text) for text in data.texts])
    percentiles = {
        f"{p}%": int(np.percentile(lengths, p, method="inverted_cdf")) for p in _PERCENTILES
    }
    findings = [
        *_unusable(data.skipped),
        *_repeated(data),
        *_labels(data),
        *_characters(data),
        *_edges(data),
    ]
    for name, other in (others or {}).items():
        findings += [*_shared(data, name, other), *_unknown(data, name, other)]
    return CheckReport(
        source=data.source,
        kind=data.kind,
        facts=data.facts,
        notes=list(data.notes),
        rows=len(data),
        unusable=len(data.skipped),
        labels=data.label_counts() if data.kind != "token-classification" else {},
        entities=data.entity_counts(),
        lengths={**percentiles, "max": int(lengths.max())},
        long_texts=int((lengths > LONG_CHARACTERS).sum()),
        findings=findings,
        unit=data.unit,
    )


def _length(text: Text) -> int:
    # [SEP] stands between the texts of a pair.
    return len(text) if isinstance(text, str) else len(text[0]) + len(text[1]) + 1


def _joined(text: Text) -> str:
    return text if isinstance(text, str) else " / ".join(text)


def _shortened(text: Text, characters: int = 40) -> str:
    whole = _joined(text)
    return whole if len(whole) <= characters else whole[: characters - 1] + "…"


def _rows(count: int, one: str, more: str) -> str:
    """A sentence with its number, in the singular or the plural."""
    return f"one {one}" if count == 1 else f"{count:,} {more}"


def _unusable(skipped: Sequence[BadRow]) -> Iterable[Finding]:
    """Rows that cannot be read, by their reasons."""
    by_reason: dict[str, list[BadRow]] = defaultdict(list)
    for row in skipped:
        # The same fault names other tags, labels and numbers in every row.
        by_reason[re.sub(r"'[^']*'|\d[\d-]*", "…", row.reason)].append(row)
    for rows in by_reason.values():
        lines = [row.line for row in rows[:_SHOWN]]
        what = _rows(len(rows), "row cannot be used", "rows cannot be used")
        yield Finding("unusable", f"{what}: {rows[0].reason}", len(rows), lines)


def _repeated(data: TextDataset) -> Iterable[Finding]:
    """Texts that stand several times, with the same label or with different ones."""
    by_text: dict[Text, list[Example]] = defaultdict(list)
    for example in data:
        by_text[example.text].append(example)
    repeated = [rows for rows in by_text.values() if len(rows) > 1]
    agreeing = [rows for rows in repeated if len({row.label for row in rows}) == 1]
    if agreeing:
        lines = sorted(row.line for rows in agreeing for row in rows[1:])
        what = "an earlier text with its label"
        message = _rows(len(lines), f"row repeats {what}", f"rows repeat {what}")
        yield Finding("duplicates", message, len(lines), lines[:_SHOWN])
    differing = [rows for rows in repeated if len({row.label for row in rows}) > 1]
    if differing:
        shown = [
            f"{_shortened(rows[0].text)}: "
            + ", ".join(
                f"{_shortened(spelled(row.label, row.text), 60)} ({data.unit} {row.line})"
                for row in rows[:4]
            )
            for rows in differing[:_SHOWN]
        ]
        what = "several times with different labels"
        message = _rows(len(differing), f"text stands {what}", f"texts stand {what}")
        lines = [row.line for rows in differing for row in rows]
        yield Finding("contradictions", message, len(differing), lines[:_SHOWN], shown)


def _labels(data: TextDataset) -> Iterable[Finding]:
    """Labels or types that are rare, look alike, or are the only one."""
    counted = [("label", data.label_counts())]
    if data.kind == "token-classification":
        counted = []
    if data.entity_counts():
        counted.append(("entity type", data.entity_counts()))
    for what, counts in counted:
        rare = [f"{name} ({count})" for name, count in counts.items() if count < FEW_ROWS]
        if rare:
            often = f"less than {FEW_ROWS} times"
            message = _rows(len(rare), f"{what} occurs {often}", f"{what}s occur {often}")
            yield Finding("rare", message, len(rare), (), rare[:20])
        alike: dict[str, list[str]] = defaultdict(list)
        for name in counts:
            alike[folded(name)].append(name)
        groups = [names for names in alike.values() if len(names) > 1]
        if groups:
            shown = [" = ".join(f"{name!r} ({counts[name]})" for name in names) for names in groups]
            by = "differ only by case, space or full-width forms"
            message = f"{what}s {by}"
            yield Finding("alike", message, len(groups), (), shown[:_SHOWN])
        if len(counts) == 1:
            name = next(iter(counts))
            if what == "label" and data.kind == "text-classification":
                yield Finding("one-label", f"all rows have the label {name!r}", 1)


def _characters(data: TextDataset) -> Iterable[Finding]:
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for example in data:
        for sort, character in odd_characters(_joined(example.text)).items():
            found[sort].append((example.line, character))
    for sort, places in found.items():
        codes = Counter(f"U+{ord(character):04X}" for _, character in places)
        shown = ", ".join(code for code, _ in codes.most_common(_SHOWN))
        message = _rows(len(places), f"text has a {sort}", f"texts have a {sort}")
        lines = [line for line, _ in places[:_SHOWN]]
        yield Finding("characters", f"{message}: {shown}", len(places), lines)


def _edges(data: TextDataset) -> Iterable[Finding]:
    """Entities that begin or end with space or punctuation."""
    odd: list[tuple[int, str]] = []
    for example in data:
        for entity in entities_in(example.label):
            text = example.text[entity.start : entity.end]
            if isinstance(text, str) and has_odd_edge(text):
                odd.append((example.line, f"{entity.type} {text!r}"))
    if odd:
        what = "space or punctuation at an end"
        yield Finding(
            "edges",
            _rows(len(odd), f"entity has {what}", f"entities have {what}"),
            len(odd),
            [line for line, _ in odd[:_SHOWN]],
            [text for _, text in odd[:_SHOWN]],
        )


def _shared(data: TextDataset, name: str, other: TextDataset) -> Iterable[Finding]:
    """Texts of another file that stand in this one too: the figures on it are too good."""
    ours: dict[Text, Example] = {example.text: example for example in data}
    both = [(ours[example.text], example) for example in other if example.text in ours]
    if both:
        differing = sum(one.label != another.label for one, another in both)
        tail = f", {differing:,} of them with another label" if differing else ""
        if len(both) == differing == 1:
            tail = ", with another label"
        what = "a text that is in the training data too"
        yield Finding(
            "overlap",
            _rows(len(both), f"row of {name} has {what}", f"rows of {name} have {what}") + tail,
            len(both),
            [another.line for _, another in both[:_SHOWN]],
            [_shortened(another.text) for _, another in both[:3]],
        )


def _unknown(data: TextDataset, name: str, other: TextDataset) -> Iterable[Finding]:
    """Labels of another file that cannot be learned from this one."""
    kinds: list[tuple[str, Callable[[TextDataset], dict[str, int]]]] = [
        ("label", TextDataset.label_counts),
        ("entity type", TextDataset.entity_counts),
    ]
    for what, count in kinds[data.kind == "token-classification" :]:
        known = count(data)
        unknown = [f"{label} ({n})" for label, n in count(other).items() if label not in known]
        if unknown:
            yield Finding(
                "unknown",
                _rows(len(unknown), f"{what} of {name} does", f"{what}s of {name} do")
                + " not occur in the training data",
                len(unknown),
                (),
                unknown[:20],
            )


def spelled(label: Label, text: Text) -> str:
    """A label for a person to read."""
    if isinstance(label, str):
        return label
    parts = [f"{e.type} {text[e.start : e.end]!r}" for e in entities_in(label)]
    if isinstance(label, tuple) and not parts:
        parts = [part for part in label if isinstance(part, str)]
    elif not isinstance(label, tuple):
        parts = [label.intent, *parts]
    return "[" + ", ".join(parts) + "]"
