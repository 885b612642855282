"""The text shards of a corpus: UTF-8, one text a line, plain or Zstandard-compressed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import zstandard


def shards(corpus: Path) -> list[Path]:
    """The `.txt` and `.txt.zst` files of a folder, in the order of their names."""
    return sorted([*corpus.glob("*.txt"), *corpus.glob("*.txt.zst")])


def lines(shard: Path) -> Iterator[str]:
    """The lines of a shard."""
    with shard.open("rb") as raw:
        stream = raw
        if shard.suffix == ".zst":
            # Shards may use long-distance matching: allow a window of 128 MiB.
            stream = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(raw)
        yield from io.TextIOWrapper(stream, encoding="utf-8")
