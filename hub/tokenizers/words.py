"""ernie-tiny's words: the longest match in a dictionary, over at most five characters."""

from __future__ import annotations

import json
import pickle
from collections import OrderedDict
from collections.abc import Set
from pathlib import Path
from typing import Any

from hub.constants import PUBLISHED_WORDS_FILE, WORDS_FILE
from hub.errors import ModelError
from hub.files import write_text

_LONGEST = 5
# What a pickle names to make them; Python 2 called its `builtins` otherwise. Lists, plain
# dictionaries and strings have no names there.
_CONTAINERS: dict[tuple[str, str], type] = {
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("__builtin__", "set"): set,
    ("__builtin__", "frozenset"): frozenset,
    ("collections", "OrderedDict"): OrderedDict,
}


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


def words_file_names() -> str:
    """The dictionary's names, for an error message."""
    return f"{WORDS_FILE} (or {PUBLISHED_WORDS_FILE})"


def has_words(folder: Path) -> bool:
    """Whether a model folder has the dictionary, in either form."""
    return any((folder / name).exists() for name in (WORDS_FILE, PUBLISHED_WORDS_FILE))


def read_words(folder: Path) -> frozenset[str]:
    """Read the dictionary of a model folder: JSON, or the pickle as which it is published.

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
        raise ModelError(f"{folder} has no word dictionary: {words_file_names()}.") from None
    except _Refused as error:
        raise ModelError(
            f"{path} asks for {error}, which is no part of a word dictionary: it was not loaded, "
            "and nothing in it was run. Get the model from a source you trust."
        ) from None
    except Exception as error:  # a damaged pickle can fail in any way
        raise ModelError(
            f"{path} cannot be read ({type(error).__name__}: {error}). Copy or download it again."
        ) from error
    if not isinstance(values, dict | set | frozenset | list) or not all(map(_is_word, values)):
        raise ModelError(f"{path} does not hold words.")
    return frozenset(values)


def write_words(words: Set[str], path: Path) -> None:
    """Write the dictionary as JSON, sorted."""
    write_text(path, json.dumps(sorted(words), ensure_ascii=False, indent=0) + "\n")


def _is_word(value: Any) -> bool:
    """Whether it is a string that can be written as UTF-8."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


class _Refused(Exception):
    """The pickle names something that is not a container of words."""


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows the containers a dictionary is made of, and calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _CONTAINERS[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused("a persistent object")
