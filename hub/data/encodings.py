"""The character encoding of a file: UTF-8, as Excel saves it, or one of China's own."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

from hub.errors import DataError

_BLOCK = 1 << 20
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What the start of a file of another kind looks like.
_OTHER_KINDS = (
    (b"PK\x03\x04", "an Excel workbook or a zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word document"),
    (b"%PDF", "a PDF"),
    (b"PAR1", "a Parquet file"),
    (b"\x1f\x8b", "gzip-compressed"),
    (b"\x28\xb5\x2f\xfd", "Zstandard-compressed"),
)


@dataclass(frozen=True)
class TextEncoding:
    """A Python codec's name, and whether the user should hear of it."""

    name: str
    note: str | None = None


def detect_encoding(path: Path) -> TextEncoding:
    """Find out how the text file at `path` is encoded, reading it once in blocks.

    A byte-order mark decides; then UTF-8 if the whole file is valid UTF-8; then GB18030 (which
    contains GBK and GB2312) if the whole file is valid in it.

    Raises:
        DataError: it is not a text file, or is in none of these encodings.
    """
    with path.open("rb") as file:
        start = file.read(8192)
    for magic, kind in _OTHER_KINDS:
        if start.startswith(magic):
            raise DataError(
                f"{path} is {kind}, not a text file: save it as UTF-8 TSV or CSV, or give a "
                "workbook the extension .xlsx or .xls, a Parquet file .parquet."
            )
    for mark, name in _BYTE_ORDER_MARKS:
        if start.startswith(mark):
            bad_line = _first_undecodable_line(path, name)
            if bad_line is None:
                return TextEncoding(name)
            raise DataError(
                f"{path}, line {bad_line}: not valid {name.upper()}, though the file begins with "
                "its byte-order mark. Save it as UTF-8."
            )
    if b"\x00" in start:
        raise DataError(f"{path} is a binary file, not text: save the data as UTF-8 TSV or CSV.")
    if (utf8_line := _first_undecodable_line(path, "utf-8")) is None:
        return TextEncoding("utf-8")
    if (gbk_line := _first_undecodable_line(path, "gb18030")) is None:
        return TextEncoding("gb18030", f"{path} is not UTF-8: read as GB18030 (GBK)")
    # The encoding that got further is the one the file was meant to be in.
    raise DataError(
        f"{path}, line {max(utf8_line, gbk_line)}: neither UTF-8 nor GB18030 (GBK). Is it a text "
        "file? Save it as UTF-8."
    )


def _first_undecodable_line(path: Path, encoding: str) -> int | None:
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                # `error.object` may start with bytes kept from the block before.
                return line + error.object[: error.start].count(b"\n")
            line += block.count(b"\n")
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return line
    return None
