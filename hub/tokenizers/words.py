"""ernie-tiny's words: the longest match in a dictionary, over at most five characters."""

from __future__ import annotations

import json
import pickle
from collections.abc import Set
from pathlib import Path
from typing import Any

from hub.constants import PUBLISHED_WORDS_FILE, WORDS_FILE
from hub.errors import ModelError
from hub.files import write_text

_LONGEST = 5


def cut(text: str, words: Set[str]) -> list[tuple[int, int]]:
    """Cut a text into words from the left, each the longest that the dictionary has.

    A character that begins no word is one of its own; spaces are left out.

    Returns:
        The (start, end) of every word in the text.

    >>> cut("北京 的酒店", {"北京", "酒店"})
    [(0, 2), (3, 4), (4, 6)]
    """
    spans = []
    start = 0
    while start < len(text):
        end = start + 1
        for length in range(_LONGEST, 1, -1):
            if text[start : start + length] in words:
                end = min(start + length, len(text))
                break
        if text[start:end] != " ":
            spans.append((start, end))
        start = end
    return spans


def read_words(folder: Path) -> frozenset[str]:
    """Read the dictionary of a model folder, in either form.

    Raises:
        ModelError: it is missing, damaged, or asks to run code.
    """
    path = folder / WORDS_FILE
    try:
        if path.exists():
            values = json.loads(path.read_text(encoding="utf-8"))
        else:
            path = folder / PUBLISHED_WORDS_FILE
            with path.open("rb") as file:
                values = _Unpickler(file).load()
    except FileNotFoundError:
        raise ModelError(
            f"{folder} has a SentencePiece model but no word dictionary ({WORDS_FILE} or "
            f"{PUBLISHED_WORDS_FILE}), which ernie-tiny's tokenizer needs."
        ) from None
    except _Refused as error:
        raise ModelError(
            f"{path} asks for {error}, which is no part of a word dictionary: it was not loaded, "
            "and nothing in it was run."
        ) from None
    except Exception as error:  # a damaged pickle can fail in any way
        raise ModelError(f"{path} cannot be read ({type(error).__name__}: {error}).") from error
    if not isinstance(values, dict | set | frozenset | list) or not all(
        isinstance(word, str) for word in values
    ):
        raise ModelError(f"{path} does not hold words.")
    return frozenset(values)


def write_words(words: Set[str], path: Path) -> None:
    """Write the dictionary as JSON, sorted."""
    write_text(path, json.dumps(sorted(words), ensure_ascii=False, indent=0) + "\n")


class _Refused(Exception):
    """The pickle names something that is not a container of words."""


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows the containers a dictionary is made of, and calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        known = {"set": set, "frozenset": frozenset}
        if module in ("builtins", "__builtin__") and name in known:
            return known[name]
        raise _Refused(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused("a persistent object")
