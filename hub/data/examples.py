"""What a row of labelled data is, and a list of them that knows where it came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np

from hub.errors import DataError


@dataclass(frozen=True, slots=True)
class Example:
    """A text with its label; `line` is where it stands in its file, counted from 1."""

    text: str
    label: str
    line: int


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used, and why."""

    line: int
    reason: str


@dataclass(frozen=True)
class TextDataset(Sequence[Example]):
    """Examples in the order of their source.

    Attributes:
        examples: the usable rows.
        source: the file, folder or name they came from, for messages.
        skipped: the rows left out because the user allowed it.
        notes: what the reader found worth telling, such as an encoding other than UTF-8.
    """

    examples: Sequence[Example]
    source: str
    skipped: Sequence[BadRow] = field(default=())
    notes: Sequence[str] = field(default=())

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
    def texts(self) -> list[str]:
        """Every text."""
        return [example.text for example in self.examples]

    @property
    def labels(self) -> list[str]:
        """Every example's label."""
        return [example.label for example in self.examples]

    def label_counts(self) -> dict[str, int]:
        """How often each label occurs, the most frequent first, ties in order of appearance."""
        return dict(Counter(self.labels).most_common())

    def split(self, fraction: float, seed: int) -> tuple[TextDataset, TextDataset]:
        """Set `fraction` of each label's rows aside; a label's only row stays in the first part.

        Raises:
            DataError: there are too few rows to set any aside.
        """
        generator = np.random.default_rng(seed)
        by_label: dict[str, list[int]] = {}
        for index, example in enumerate(self.examples):
            by_label.setdefault(example.label, []).append(index)
        aside: set[int] = set()
        for indices in by_label.values():
            count = min(round(fraction * len(indices)), len(indices) - 1)
            aside.update(generator.permutation(indices)[:count].tolist())
        if not aside:
            raise DataError(
                f"{self.source} has too few rows ({len(self)}) to set some aside for evaluation: "
                "give a file of its own with --dev."
            )
        kept = [e for i, e in enumerate(self.examples) if i not in aside]
        taken = [e for i, e in enumerate(self.examples) if i in aside]
        return (
            TextDataset(kept, self.source, self.skipped, self.notes),
            TextDataset(taken, f"{fraction:.0%} of {self.source}"),
        )
