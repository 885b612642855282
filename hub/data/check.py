"""What a person should know of labelled texts before a model is trained on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hub.data.bad_rows import without_specifics
from hub.data.characters import folded
from hub.data.examples import BadRow, Label, Text, TextDataset, entities_in
from hub.data.survey import SHOWN, Places, Survey, joined, repetitions, shared

# A label with fewer rows can hardly be learned.
FEW_ROWS = 5
# What the default length leaves of 128 tokens when [CLS] and [SEP] are set aside.
LONG_CHARACTERS = 126
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
    survey = Survey(data)
    findings = [
        *_unusable(data.skipped),
        *_mixed(survey),
        *_repeated(data, survey),
        *_labels(data.kind, survey),
        *_characters(survey),
        *_edges(survey),
    ]
    for name, other in (others or {}).items():
        theirs = Survey(other)
        findings += [
            *_of_other_form(survey, name, theirs),
            *_shared(survey, name, other, theirs),
            *_unknown(data.kind, survey, name, theirs),
        ]
    lengths = survey.lengths
    return CheckReport(
        source=data.source,
        kind=data.kind,
        facts=data.facts,
        notes=list(data.notes),
        rows=len(data),
        unusable=len(data.skipped),
        labels=survey.label_counts if data.kind != "token-classification" else {},
        entities=survey.entity_counts,
        lengths={
            **{f"{p}%": survey.length_percentile(p) for p in _PERCENTILES},
            "max": max(lengths),
        },
        long_texts=sum(count for length, count in lengths.items() if length > LONG_CHARACTERS),
        findings=findings,
        unit=data.unit,
    )


def _shortened(text: Text, characters: int = 40) -> str:
    whole = joined(text)
    return whole if len(whole) <= characters else whole[: characters - 1] + "…"


def _rows(count: int, one: str, more: str) -> str:
    """A sentence with its number, in the singular or the plural."""
    return f"one {one}" if count == 1 else f"{count:,} {more}"


def _unusable(skipped: Sequence[BadRow]) -> Iterable[Finding]:
    """Rows that cannot be read, by their reasons."""
    faults: dict[str, str] = {}
    by_fault: dict[str, Places] = {}
    for row in skipped:
        if (fault := faults.get(row.reason)) is None:
            fault = faults[row.reason] = without_specifics(row.reason)
        places = by_fault.setdefault(fault, Places(examples=[row.reason]))
        places.add(row.line)
    for places in by_fault.values():
        what = _rows(places.count, "row cannot be used", "rows cannot be used")
        message = f"{what}: {places.examples[0]}"
        yield Finding("unusable", message, places.count, places.lines)


def _mixed(survey: Survey) -> Iterable[Finding]:
    """Single texts among pairs: nothing can be learned from both."""
    singles, pairs = survey.singles, survey.pairs
    if singles.count and pairs.count:
        message = _rows(singles.count, "row has one text", "rows have one text")
        yield Finding("pairs", f"{message}, the others have pairs", singles.count, singles.lines)


def _of_other_form(ours: Survey, name: str, theirs: Survey) -> Iterable[Finding]:
    """Single texts of another file where there are pairs in this one, or the reverse."""
    has_pairs = ours.pairs.count > 0
    odd = theirs.singles if has_pairs else theirs.pairs
    if odd.count:
        what = "one text" if has_pairs else "a pair of texts"
        message = _rows(odd.count, f"row of {name} has {what}", f"rows of {name} have {what}")
        wanted = "pairs" if has_pairs else "single texts"
        yield Finding("pairs", f"{message}; the training data has {wanted}", odd.count, odd.lines)


def _repeated(data: TextDataset, survey: Survey) -> Iterable[Finding]:
    """Texts that stand several times, with the same label or with different ones."""
    found = repetitions(survey)
    if len(found.agreeing):
        lines = np.sort(survey.lines[found.agreeing])
        what = "an earlier text with its label"
        message = _rows(len(lines), f"row repeats {what}", f"rows repeat {what}")
        yield Finding("duplicates", message, len(lines), lines[:SHOWN].tolist())
    if found.differing:
        shown = []
        for group in found.shown:
            rows = [data[int(row)] for row in group[:4]]
            shown.append(
                f"{_shortened(rows[0].text)}: "
                + ", ".join(
                    f"{_shortened(spelled(row.label, row.text), 60)} ({data.unit} {row.line})"
                    for row in rows
                )
            )
        what = "several times with different labels"
        message = _rows(found.differing, f"text stands {what}", f"texts stand {what}")
        lines = survey.lines[np.concatenate(found.shown)[:SHOWN]]
        yield Finding("contradictions", message, found.differing, lines.tolist(), shown)


def _labels(kind: str, survey: Survey) -> Iterable[Finding]:
    """Labels or types that are rare, look alike, or are the only one."""
    counted = [("label", survey.label_counts)]
    if kind == "token-classification":
        counted = []
    if survey.entity_counts:
        counted.append(("entity type", survey.entity_counts))
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
            yield Finding("alike", message, len(groups), (), shown[:SHOWN])
        if len(counts) == 1:
            name = next(iter(counts))
            if what == "label" and kind == "text-classification":
                yield Finding("one-label", f"all rows have the label {name!r}", 1)


def _characters(survey: Survey) -> Iterable[Finding]:
    for sort, places in survey.odd.items():
        codes = [f"U+{ord(c):04X}" for c, _ in places.characters.most_common(SHOWN)]
        message = _rows(places.count, f"text has a {sort}", f"texts have a {sort}")
        yield Finding("characters", f"{message}: {', '.join(codes)}", places.count, places.lines)


def _edges(survey: Survey) -> Iterable[Finding]:
    """Entities that begin or end with space or punctuation."""
    odd = survey.edges
    if odd.count:
        what = "space or punctuation at an end"
        message = _rows(odd.count, f"entity has {what}", f"entities have {what}")
        yield Finding("edges", message, odd.count, odd.lines, odd.examples)


def _shared(ours: Survey, name: str, other: TextDataset, theirs: Survey) -> Iterable[Finding]:
    """Texts of another file that stand in this one too: the figures on it are too good."""
    rows, differing = shared(ours, theirs)
    if len(rows):
        tail = f", {differing:,} of them with another label" if differing else ""
        if len(rows) == differing == 1:
            tail = ", with another label"
        what = "a text that is in the training data too"
        yield Finding(
            "overlap",
            _rows(len(rows), f"row of {name} has {what}", f"rows of {name} have {what}") + tail,
            len(rows),
            theirs.lines[rows[:SHOWN]].tolist(),
            [_shortened(other[int(row)].text) for row in rows[:3]],
        )


def _unknown(kind: str, ours: Survey, name: str, theirs: Survey) -> Iterable[Finding]:
    """Labels of another file that cannot be learned from this one."""
    kinds = [
        ("label", ours.label_counts, theirs.label_counts),
        ("entity type", ours.entity_counts, theirs.entity_counts),
    ]
    for what, known, others in kinds[kind == "token-classification" :]:
        unknown = [f"{label} ({n})" for label, n in others.items() if label not in known]
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
