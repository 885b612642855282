"""The one loop by which the module itself and every engine answer texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from hub.data.batches import collate, sorted_batches
from hub.errors import InputError
from hub.tasks.base import AnswerOptions, Forward, Task, check_count
from hub.tasks.encoded_passages import EncodedPassages
from hub.tasks.passages import Passage, read
from hub.tokenizers import Encoding, Text, Tokenizer

# Of texts without end so many are read, and sorted by length, together.
WINDOW = 2048


def run(
    task: Task,
    tokenizer: Tokenizer,
    forward: Forward,
    passages: Sequence[Passage],
    batch_size: int,
) -> list[np.ndarray]:
    """Put every passage through `forward`, texts of like length together.

    Returns:
        For each passage, in their order, what the network gives for its text.

    Raises:
        InputError: there is no passage.
    """
    encodings: Sequence[Encoding]
    if isinstance(passages, EncodedPassages):
        encodings = passages.encodings
    else:
        encodings = [window.encoding for passage in passages for window in passage.windows]
    if not len(encodings):
        raise InputError("There is no text to answer.")
    concerned = [n for n, e in enumerate(encodings) if task.concerns(e, tokenizer)]
    read_ones = encodings
    if len(concerned) < len(encodings):
        read_ones = [encodings[number] for number in concerned]
    outputs: list[np.ndarray] = [np.empty(0)] * len(encodings)
    for rows in sorted_batches(read_ones, batch_size):
        batch = task.prepare(collate(read_ones, rows, tokenizer.pad_token_id), tokenizer)
        for row, output in zip(rows, task.split(forward(batch), batch), strict=True):
            outputs[concerned[row]] = output
    merged, position = [], 0
    for passage in passages:
        count = len(passage.windows)
        parts = outputs[position : position + count]
        merged.append(parts[0] if count == 1 else task.merge(parts, passage.windows, tokenizer))
        position += count
    return merged


def predict(
    task: Task,
    tokenizer: Tokenizer,
    forward: Forward,
    texts: Sequence[Text] | str,
    *,
    max_seq_len: int,
    batch_size: int = 32,
    long_text: str = "cut",
    options: AnswerOptions | None = None,
) -> Any:
    """Answer `texts` in their order, or one text alone; a pair is a tuple or list of two.

    Raises:
        InputError: an argument is out of its limits, or the task cannot answer a text.
    """
    if isinstance(texts, str):
        return predict(
            task, tokenizer, forward, [texts], max_seq_len=max_seq_len, batch_size=batch_size,
            long_text=long_text, options=options,
        )[0]  # fmt: skip
    texts = [_single(text) for text in many_texts(texts)]
    for number, text in enumerate(texts):
        _check(text, number, task)
    check_count("batch_size", batch_size)
    if not texts:
        return []
    passages = read(tokenizer, texts, max_seq_len, long_text, task.needs_offsets)
    task.check(passages, tokenizer)
    outputs = run(task, tokenizer, forward, passages, batch_size)
    return task.decode(outputs, passages, tokenizer, options or AnswerOptions())


def stream(
    answer: Callable[..., Any], texts: Iterable[Text], window: int, options: dict[str, Any]
) -> Iterator[Any]:
    """What `answer` gives for each text, while they are read: `window` of them at a time.

    Raises:
        InputError: there is one text instead of many, or `window` is no number of texts.
    """
    if isinstance(texts, str):
        raise InputError("One text alone is answered by predict; pipe takes many.")
    check_count("window", window)
    rest = iter(many_texts(texts))

    def answers() -> Iterator[Any]:
        while some := list(islice(rest, window)):
            yield from answer(some, **options)

    return answers()


def many_texts(given: Any) -> Iterable[Any]:
    """What was given as texts, if going through it gives them.

    Raises:
        InputError: it would give something else, such as a data frame the names of its columns.
    """
    if isinstance(given, Path):
        raise InputError(
            f"{given} is a path: give the texts themselves, such as the open file to pipe, or "
            "answer it with hub predict --input."
        )
    if isinstance(given, Mapping | bytes) or hasattr(given, "columns"):
        raise InputError(
            f"A {type(given).__name__} is no list of texts: give one of its columns or values, "
            "such as frame['text']."
        )
    if not isinstance(given, Iterable):
        raise InputError(f"A {type(given).__name__} is no list of texts.")
    return given


def _single(text: Any) -> Any:
    """PaddleHub's callers give each text as a list of one, and each pair as a list of two."""
    if isinstance(text, list | tuple) and len(text) in (1, 2):
        return text[0] if len(text) == 1 else tuple(text)
    return text


def _check(text: Any, number: int, task: Task) -> None:
    """See that a text is one, or a pair where pairs can be answered.

    Raises:
        InputError: it is not.
    """
    if isinstance(text, tuple) and len(text) == 2 and all(isinstance(t, str) for t in text):
        if not task.takes_pairs:
            raise InputError(f"Text {number} is a pair of texts; {task.name} takes one at a time.")
        if task.pairs is False:
            raise InputError(f"Text {number} is a pair; the model was trained for single texts.")
    elif not isinstance(text, str):
        raise InputError(f"Text {number} is {type(text).__name__}, not a string.")
    elif task.pairs:
        raise InputError(
            f"Text {number} is a single text; the model was trained for pairs: give two texts "
            "each, as a tuple (on the command line: with a tab between them)."
        )
