"""What a row of labelled data is, and a list of them that knows where it came from."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias, overload

import numpy as np

from hub.errors import DataError


@dataclass(frozen=True, slots=True)
class Entity:
    """What stands from the character `start` to the one before `end`, and of what type it is."""

    start: int
    end: int
    type: str


@dataclass(frozen=True, slots=True)
class Utterance:
    """What a speaker wants, and the values that are named: the label of intent and slots."""

    intent: str
    entities: tuple[Entity, ...]


Text: TypeAlias = str | tuple[str, str]
# One label; several labels, or none; entities in the order of the text, none within another; both.
Label: TypeAlias = str | tuple[str, ...] | tuple[Entity, ...] | Utterance


@dataclass(frozen=True, slots=True)
class Example:
    """A text, or a pair of texts, with its label.

    Attributes:
        line: where it stands in its file, counted from 1.
        group: what it belongs to, such as a dialogue: a group is never split.
    """

    text: Text
    label: Label
    line: int
    group: str | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used, and why."""

    line: int
    reason: str


class LazyExamples(Sequence[Example]):
    """Examples that are made when they are asked for: those of a large data set."""

    @property
    @abstractmethod
    def texts(self) -> Sequence[Text]:
        """The texts alone."""

    @property
    @abstractmethod
    def labels(self) -> Sequence[Label]:
        """The labels alone."""

    @abstractmethod
    def select(self, rows: np.ndarray) -> Sequence[Example]:
        """The examples with these numbers, int64 [N], which ascend."""


@dataclass(frozen=True)
class SetAside:
    """How `TextDataset.split` found a part: with these it finds the same rows again."""

    fraction: float
    seed: int


@dataclass(frozen=True)
class TextDataset(Sequence[Example]):
    """Examples in the order of their source.

    Attributes:
        examples: the usable rows.
        source: the file, folder or name they came from, for messages.
        skipped: the rows left out because the user allowed it.
        notes: what the reader found worth telling, such as an encoding other than UTF-8.
        kind: what the labels are, one of `hub.data.KINDS`.
        facts: how the source was read: its format, encoding, columns, tag scheme.
        unit: what `line` counts: lines, rows of a table, tasks of a project.
        set_aside: how these rows were split off the source's; None if they are not a part of them.
        tag_options: `load_dataset`'s options for tags, of those that were given.
    """

    examples: Sequence[Example]
    source: str
    skipped: Sequence[BadRow] = field(default=())
    notes: Sequence[str] = field(default=())
    kind: str = "text-classification"
    facts: Mapping[str, str] = field(default_factory=dict)
    unit: str = "line"
    set_aside: SetAside | None = None
    tag_options: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.examples)

    @overload
    def __getitem__(self, index: int) -> Example: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...

    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        return self.examples[index]

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    @property
    def texts(self) -> Sequence[Text]:
        """Every text or pair of texts."""
        if isinstance(self.examples, LazyExamples):
            return self.examples.texts
        return [example.text for example in self.examples]

    @property
    def labels(self) -> Sequence[Label]:
        """Every example's label."""
        if isinstance(self.examples, LazyExamples):
            return self.examples.labels
        return [example.label for example in self.examples]

    @property
    def classes(self) -> list[str]:
        """Every example's label, where each has exactly one.

        Raises:
            DataError: the labels are of another kind.
        """
        classes = [label for label in self.labels if isinstance(label, str)]
        if len(classes) < len(self):
            return [class_of(example, self.place(example)) for example in self]  # says which
        return classes

    def label_counts(self) -> dict[str, int]:
        """How often each label occurs, the most frequent first, ties in order of appearance.

        Of several labels each counts; of entities their types; of intents with slots the intents.
        """
        counts = Counter(name for label in self.labels for name in names_in(label))
        return dict(counts.most_common())

    def entity_counts(self) -> dict[str, int]:
        """How often each type of entity occurs, the most frequent first."""
        counts = Counter(e.type for label in self.labels for e in entities_in(label))
        return dict(counts.most_common())

    def place(self, row: Example | BadRow) -> str:
        """Where a row stands, for messages."""
        return f"{self.source}, {self.unit} {row.line}"

    def split(self, fraction: float, seed: int) -> tuple[TextDataset, TextDataset]:
        """Set `fraction` of each label's rows aside; a label's only row stays in the first part.

        A row with several labels, entities or slots counts for the rarest of them; what occurs at
        all occurs in the first part. Rows with one text, or of one group, stay together if there
        are enough others.

        Raises:
            DataError: there are too few rows to set any aside.
        """
        from hub.data.splitting import assign_parts, needed_to_learn

        if len(set(self.texts)) < len(self) or any(e.group is not None for e in self.examples):
            with suppress(DataError):
                parts = assign_parts(self, {"dev": fraction}, seed)
                aside = [row for row, part in enumerate(parts) if part == "dev"]
                return self._divided(aside, fraction, seed)
        generator = np.random.default_rng(seed)
        by_label: dict[str, list[int]] = {}
        names = self.names()
        for index, name in enumerate(rarest_of(names)):
            by_label.setdefault(name, []).append(index)
        aside = []
        for indices in by_label.values():
            count = min(round(fraction * len(indices)), len(indices) - 1)
            aside += generator.permutation(indices)[:count].tolist()
        needed = needed_to_learn(names, [[row] for row in aside])
        aside = [row for row, is_needed in zip(aside, needed, strict=True) if not is_needed]
        if not aside:
            raise DataError(
                f"{self.source} has too few rows ({len(self)}) to set some aside for evaluation: "
                "give a file of its own with --dev."
            )
        return self._divided(aside, fraction, seed)

    def _divided(
        self, aside: Sequence[int], fraction: float, seed: int
    ) -> tuple[TextDataset, TextDataset]:
        taken = np.zeros(len(self), bool)
        taken[aside] = True
        return self.with_examples(self.select(np.flatnonzero(~taken))), TextDataset(
            self.select(np.flatnonzero(taken)), f"{fraction:.0%} of {self.source}",
            kind=self.kind, facts=self.facts, unit=self.unit, set_aside=SetAside(fraction, seed),
            tag_options=self.tag_options,
        )  # fmt: skip

    def select(self, rows: np.ndarray) -> Sequence[Example]:
        """The examples with these numbers, int64 [N], which ascend."""
        if isinstance(self.examples, LazyExamples):
            return self.examples.select(rows)
        return [self.examples[row] for row in rows]

    def names(self) -> list[tuple[str, ...]]:
        """For each example all that it is an example of: see `names_to_learn`."""
        shared: dict[tuple[str, ...], tuple[str, ...]] = {}
        found = map(names_to_learn, self.labels)
        return [shared.setdefault(names, names) for names in found]

    def with_examples(self, examples: Sequence[Example]) -> TextDataset:
        """The same source with other examples."""
        return TextDataset(
            examples, self.source, self.skipped, self.notes, self.kind, self.facts, self.unit,
            tag_options=self.tag_options,
        )  # fmt: skip


def names_in(label: Label) -> tuple[str, ...]:
    """The names that a label is made of: classes, the types of entities, an intent."""
    if isinstance(label, str):
        return (label,)
    if isinstance(label, Utterance):
        return (label.intent,)
    return tuple(part.type if isinstance(part, Entity) else part for part in label)


def names_to_learn(label: Label) -> tuple[str, ...]:
    """All that training data must have an example of, each once: of intents the slots' types too,
    told from the intents by a line end before them."""
    names = names_in(label)
    if isinstance(label, Utterance):
        names += tuple(f"\n{entity.type}" for entity in label.entities)
    return tuple(dict.fromkeys(names))


def rarest_of(names: Sequence[tuple[str, ...]]) -> list[str]:
    """Of each example's names the rarest; empty where there is none."""
    counts = Counter(name for its_names in names for name in its_names)
    return [min(its_names, key=counts.__getitem__, default="") for its_names in names]


def entities_in(label: Label) -> tuple[Entity, ...]:
    """The entities that a label holds, if any."""
    if isinstance(label, Utterance):
        return label.entities
    return tuple(part for part in label if isinstance(part, Entity))


def class_of(example: Example, place: str) -> str:
    """The only label of the example that stands at `place`.

    Raises:
        DataError: it has entities, or may have several labels.
    """
    if not isinstance(example.label, str):
        raise DataError(f"{place}: one label a text is needed here, not several and no entities.")
    return example.label
