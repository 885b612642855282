"""The service's log: JSON objects a line, or sentences; never a text unless it is asked for."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import sys
import time
from contextlib import nullcontext
from typing import Any, TextIO

logger = logging.getLogger("hub.serving")


_ENCODER = json.JSONEncoder(ensure_ascii=False, default=str)


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: `time`, `level`, `event`, and whatever belongs to it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        facts = getattr(record, "facts", None)
        if facts is None:
            line["event"] = "message"
            line["message"] = record.getMessage()
        else:
            line["event"] = record.getMessage()
            line.update(facts)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _ENCODER.encode(line)


class SentenceFormatter(logging.Formatter):
    """A record for a person."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and a traceback under it if there is one."""
        facts = getattr(record, "facts", None)
        text = _on_one_line(record.getMessage())
        if facts:
            text += "".join(f"  {name}={_on_one_line(str(v))}" for name, v in facts.items())
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


def _on_one_line(text: str) -> str:
    """A text without characters that end a line or steer a terminal: callers write some of it."""
    if text.isprintable():
        return text
    return "".join(ch if ch.isprintable() else ch.encode("unicode_escape").decode() for ch in text)


class LineHandler(logging.Handler):
    """Writes the lines of one turn of an event loop together, at its end.

    A write of its own for each line took a tenth of a busy service's time. Without an event loop
    in the thread a line is written at once.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or see to it that it will be."""
        try:
            self._lines.append(self.format(record) + "\n")
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                self.flush()
            else:
                if len(self._lines) == 1:
                    loop.call_soon(self.flush)
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Write what was not written yet."""
        with self.lock or nullcontext():
            lines, self._lines = self._lines, []
            if lines:
                self._stream.write("".join(lines))
                self._stream.flush()


class Thinned:
    """Lets one event in a second be told, and counts the others: there may be thousands.

    Args:
        every_s: seconds between two that are told.
    """

    def __init__(self, every_s: float = 1.0) -> None:
        self._every_s = every_s
        self._told = -math.inf
        self._left_out = 0

    def admit(self) -> int | None:
        """How many were left out since the last that was told; None if this one is too."""
        now = time.monotonic()
        if now - self._told < self._every_s:
            self._left_out += 1
            return None
        left_out, self._left_out, self._told = self._left_out, 0, now
        return left_out


def event(name: str, level: int = logging.INFO, **facts: Any) -> None:
    """Log something that happened, with what belongs to it."""
    if logger.isEnabledFor(level):
        # Not `logger.log`, which walks up the stack to find a line number that nobody reads.
        record = logger.makeRecord(
            logger.name, level, "", 0, name, (), None, extra={"facts": facts}
        )
        logger.handle(record)


def configure(json_lines: bool) -> None:
    """Log to stderr, as JSON or as sentences, from now on."""
    handler = LineHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if json_lines else SentenceFormatter())
    root = logging.getLogger()
    for other in list(root.handlers):
        root.removeHandler(other)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("hub").setLevel(logging.INFO)
    # An invalid request is the client's matter and has a line of its own.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
