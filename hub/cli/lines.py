"""The standard input as texts, a line each."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from hub.errors import InputError


def standard_input() -> Iterator[str]:
    """Every line, without its end, as it comes; of what Unicode calls line ends only "\\n" is one.

    Raises:
        InputError: a line is not UTF-8.
    """
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"Line {number:,} of the standard input is not UTF-8 ({error})."
            ) from None
        yield text.removesuffix("\n").removesuffix("\r")
