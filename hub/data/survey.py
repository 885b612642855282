"""One pass over labelled texts that counts what `hub.data.check` tells, in a few bytes a row.

Texts are compared by 8 bytes each, and labels of equal texts by 4: 50 million rows take 0.8 GB, and
the chance that two of their texts are taken for equal is below 1 in 10,000.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from hub.data.characters import has_odd_edge, odd_characters
from hub.data.examples import Example, Text, TextDataset, entities_in, names_in

SHOWN = 5
# Rows are compared in parts of about so many.
_PART = 1 << 21


@dataclass
class Places:
    """Where something was found: how often, the first lines, what it looked like."""

    count: int = 0
    lines: list[int] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    characters: Counter[str] = field(default_factory=Counter)

    def add(self, line: int) -> bool:
        """Count one more; whether it is one of the first."""
        self.count += 1
        if self.count > SHOWN:
            return False
        self.lines.append(line)
        return True


class Survey:
    """What a pass over labelled texts found.

    Attributes:
        texts: a number for each text, int64 [N]; equal texts have the same.
        labels: a number for each label, uint32 [N].
        lines: where each row stands, uint32 or int64 [N].
        lengths: how many texts have as many characters.
        label_counts: how often each label occurs, the most frequent first.
        entity_counts: how often each type of entity occurs, the most frequent first.
        odd: the sorts of odd characters that texts have.
        edges: the entities that begin or end with space or punctuation.
        singles, pairs: the rows with one text, and those with two.
    """

    def __init__(self, data: TextDataset) -> None:
        texts, labels, lines = array("q"), array("I"), array("I")
        names: Counter[str] = Counter()
        types: Counter[str] = Counter()
        self.lengths: Counter[int] = Counter()
        self.odd: dict[str, Places] = {}
        self.edges = Places()
        self.singles, self.pairs = Places(), Places()
        for example in data:
            text, label = example.text, example.label
            texts.append(hash(text))
            labels.append(hash(label) & 0xFFFFFFFF)
            try:
                lines.append(example.line)
            except OverflowError:  # a task's id
                lines = array("q", [*lines, example.line])
            (self.singles if isinstance(text, str) else self.pairs).add(example.line)
            self.lengths[length_of(text)] += 1
            for sort, character in odd_characters(joined(text)).items():
                places = self.odd.setdefault(sort, Places())
                places.add(example.line)
                places.characters[character] += 1
            if isinstance(label, str):
                names[label] += 1
            else:
                names.update(names_in(label))
                types.update(entity.type for entity in entities_in(label))
                self._look_at_edges(example)
        self.texts = np.frombuffer(texts, np.int64)
        self.labels = np.frombuffer(labels, np.uint32)
        self.lines = np.frombuffer(lines, np.uint32 if lines.typecode == "I" else np.int64)
        self.label_counts = dict(names.most_common())
        self.entity_counts = dict(types.most_common())

    def _look_at_edges(self, example: Example) -> None:
        for entity in entities_in(example.label):
            text = example.text[entity.start : entity.end]
            if isinstance(text, str) and has_odd_edge(text) and self.edges.add(example.line):
                self.edges.examples.append(f"{entity.type} {text!r}")

    def length_percentile(self, percent: int) -> int:
        """The shortest length that so many percent of the texts do not exceed."""
        lengths = sorted(self.lengths)
        reached = np.cumsum([self.lengths[length] for length in lengths])
        # Whole numbers: a product of fractions may fall short of what it should be.
        return lengths[int(np.searchsorted(100 * reached, percent * reached[-1]))]


@dataclass(frozen=True)
class Repetitions:
    """Rows whose texts stand several times.

    Attributes:
        agreeing: the rows that repeat an earlier one, where all have the same label; int64.
        differing: how many texts have different labels.
        shown: the rows of the first of these texts, a text each; int64.
    """

    agreeing: np.ndarray
    differing: int
    shown: list[np.ndarray]


def repetitions(survey: Survey) -> Repetitions:
    """The rows whose texts stand several times."""
    agreeing: list[np.ndarray] = []
    shown: list[np.ndarray] = []
    differing = 0
    for (rows,) in _parts(survey.texts):
        order = rows[np.argsort(survey.texts[rows], kind="stable")]
        is_first = _is_first(survey.texts[order])
        starts = np.flatnonzero(is_first)
        counts = np.diff([*starts, len(order)])
        labels = survey.labels[order]
        same = np.minimum.reduceat(labels, starts) == np.maximum.reduceat(labels, starts)
        agreeing.append(order[np.repeat(same, counts) & ~is_first])
        groups = np.flatnonzero(~same)
        differing += len(groups)
        first_ones = groups[np.argsort(order[starts[groups]])][:SHOWN]
        shown += [order[starts[g] : starts[g] + counts[g]] for g in first_ones]
    shown.sort(key=lambda rows: int(rows[0]))
    return Repetitions(np.concatenate(agreeing), differing, shown[:SHOWN])


def shared(ours: Survey, theirs: Survey) -> tuple[np.ndarray, int]:
    """The rows of another data set whose texts are in this one too.

    Returns:
        their numbers, int64, ascending; and how many have another label than the last row here.
    """
    found: list[np.ndarray] = []
    differing = 0
    for our_rows, their_rows in _parts(ours.texts, theirs.texts):
        order = our_rows[np.argsort(ours.texts[our_rows], kind="stable")]
        if not len(order):
            continue
        last = order[np.roll(_is_first(ours.texts[order]), -1)]
        known = ours.texts[last]
        wanted = theirs.texts[their_rows]
        places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        both = known[places] == wanted
        found.append(their_rows[both])
        labels = ours.labels[last[places[both]]]
        differing += int((labels != theirs.labels[their_rows[both]]).sum())
    return np.sort(np.concatenate([np.zeros(0, np.int64), *found])), differing


def _is_first(ordered: np.ndarray) -> np.ndarray:
    """Whether each number is another than the one before it."""
    result = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=result[1:])
    return result


def _parts(*keys: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """The rows of each of `keys` in parts: equal numbers are in the same one."""
    count = 1
    while count < 256 and count * _PART < max(map(len, keys)):
        count *= 2
    # One byte of each number chooses; they are random in all of them.
    choosers = [its_keys.view(np.uint8)[:: its_keys.itemsize] for its_keys in keys]
    for number in range(count):
        yield tuple(np.flatnonzero(chooser % count == number) for chooser in choosers)


def length_of(text: Text) -> int:
    """The characters of a text; of a pair `[SEP]` stands between its texts."""
    return len(text) if isinstance(text, str) else len(text[0]) + len(text[1]) + 1


def joined(text: Text) -> str:
    """A text, or a pair, as one line for a person."""
    return text if isinstance(text, str) else " / ".join(text)
