"""Files with a token a line and its tag in the last column; a blank line ends a sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from hub.data.examples import BadRow
from hub.data.tables import LINES, Row, Rows
from hub.data.tags import is_tag, may_be_tag, with_mark_first

EXTENSIONS = (".conll", ".bio", ".iob", ".bmes", ".bioes")
_SAMPLE = 50


def read_conll(file: TextIO, path: Path) -> tuple[Rows, list[str]]:
    """Open a file of tokens with tags.

    Cells are divided by tabs in a line that has one, otherwise by spaces. A token may be a space,
    as in " O": sets of one character a line keep the text's spaces so.

    Returns:
        The rows, each with its tokens, tags and lines; the names of these columns.
    """

    def rows() -> Rows:
        tokens: list[str] = []
        tags: list[str] = []
        lines: list[int] = []
        bad: BadRow | None = None
        with file:
            for number, line in _lines(file):
                if line and not line.startswith("-DOCSTART-"):
                    cells = _cells(line)
                    if len(cells) < 2:
                        bad = bad or BadRow(number, f"no tag beside {cells[0]!r}")
                    elif not cells[0]:
                        bad = bad or BadRow(number, "no token before the tag")
                    tokens.append(sys.intern(cells[0]))  # texts share their characters
                    tags.append(sys.intern(cells[-1]))
                    lines.append(number)
                elif lines:
                    yield bad or (lines[0], _row(tokens, tags, lines))
                    tokens, tags, lines, bad = [], [], [], None

    return rows(), ["tokens", "tags"]


def looks_like_conll(file: TextIO) -> bool:
    """Whether the first lines, of any file of text, have tokens and tags; the file is rewound."""
    seen = 0
    found = True
    for _, line in _lines(file):
        if not line or line.startswith("-DOCSTART-"):
            continue
        cells = _cells(line)
        found = len(cells) > 1 and (is_tag(cells[-1]) or is_tag(with_mark_first(cells[-1])))
        seen += 1
        if not found or seen == _SAMPLE:
            break
    file.seek(0)
    return found and seen > 0


def _lines(file: TextIO) -> Iterator[tuple[int, str]]:
    """Every line without its end, those of white space as empty ones, and one more at the end."""
    number = 0
    for number, line in enumerate(file, start=1):
        line = line.rstrip("\r\n")
        yield number, line if line.strip() else ""
    yield number + 1, ""


def _cells(line: str) -> list[str]:
    cells = line.rstrip("\t").split("\t")
    if len(cells) == 1:
        cells = line.split()
        if len(cells) == 1 and line[0].isspace() and may_be_tag(cells[0]):
            cells = [line[0], *cells]  # the token is a space
    cells[-1] = cells[-1].strip()
    return cells


def _row(tokens: list[str], tags: list[str], lines: list[int]) -> Row:
    whole = range(lines[0], lines[-1] + 1)  # but for a line that only says that a document starts
    return {"tokens": tokens, "tags": tags, LINES: whole if len(whole) == len(lines) else lines}
