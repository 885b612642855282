"""The service's log: JSON objects a line, or sentences; never a text unless it is asked for."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

logger = logging.getLogger("hub.serving")


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
        return json.dumps(line, ensure_ascii=False, default=str)


class SentenceFormatter(logging.Formatter):
    """A record for a person."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and a traceback under it if there is one."""
        facts = getattr(record, "facts", None)
        text = record.getMessage()
        if facts:
            text += "".join(f"  {name}={value}" for name, value in facts.items())
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


def event(name: str, level: int = logging.INFO, **facts: Any) -> None:
    """Log something that happened, with what belongs to it."""
    if logger.isEnabledFor(level):
        logger.log(level, name, extra={"facts": facts})


def configure(json_lines: bool) -> None:
    """Log to stderr, as JSON or as sentences, from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if json_lines else SentenceFormatter())
    root = logging.getLogger()
    for other in list(root.handlers):
        root.removeHandler(other)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("hub").setLevel(logging.INFO)
    # An invalid request is the client's matter and has a line of its own.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
