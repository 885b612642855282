"""Make `tests/golden/seqeval.json`: what `seqeval` says of random tags.

    python tests/golden/make_seqeval.py        # in an environment with seqeval 1.2.2

Right and predicted tags in BIO; the predicted ones are the right ones with some entities moved,
retyped, dropped and made up, so that every kind of mistake occurs.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from seqeval.metrics import classification_report
from seqeval.scheme import IOB2

TYPES = ("LOC", "PER", "ORG")


def tags_of(spans: list[tuple[int, int, str]], length: int) -> list[str]:
    tags = ["O"] * length
    for start, end, kind in spans:
        tags[start:end] = [f"B-{kind}"] + [f"I-{kind}"] * (end - start - 1)
    return tags


def spans_in(length: int, generator: random.Random) -> list[tuple[int, int, str]]:
    spans, start = [], 0
    while start < length:
        start += generator.randint(0, 4)
        end = min(length, start + generator.randint(1, 4))
        if start < end:
            spans.append((start, end, generator.choice(TYPES)))
        start = end
    return spans


def changed(
    spans: list[tuple[int, int, str]], length: int, generator: random.Random
) -> list[tuple[int, int, str]]:
    found, free = [], 0
    for start, end, kind in spans:
        fate = generator.random()
        if fate < 0.15:
            continue
        if fate < 0.3:
            kind = generator.choice(TYPES)
        if fate > 0.85:
            start, end = max(free, start - 1), min(length, end + generator.randint(0, 1))
        if free <= start < end:
            found.append((start, end, kind))
            free = end
    return found


def main() -> None:
    generator = random.Random(0)
    cases = []
    for sentences in [1, 2, 3, 5, 10, 30] * 20:
        truth, predicted = [], []
        for _ in range(sentences):
            length = generator.randint(1, 14)
            spans = spans_in(length, generator)
            truth.append(tags_of(spans, length))
            predicted.append(tags_of(changed(spans, length, generator), length))
        report = classification_report(
            truth, predicted, output_dict=True, mode="strict", scheme=IOB2, zero_division=0
        )
        figures = {
            name: [float(values[key]) for key in ("precision", "recall", "f1-score")]
            for name, values in report.items()
            if name != "weighted avg"
        }
        cases.append({"truth": truth, "predicted": predicted, "report": figures})
    path = Path(__file__).with_name("seqeval.json")
    path.write_text(json.dumps(cases, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
