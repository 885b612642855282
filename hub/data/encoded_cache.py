"""Encoded texts on the disk, so that a second run over many texts need not encode them again.

    $HUB_HOME/encoded/DIGEST.safetensors   a data set's arrays, by a digest of what they come from

A file is there whole or not at all, is checked when it is read, and can be removed at any time: it
is made anew when it is missing. Nothing here fails a run: what cannot be read or written is told in
the log.
"""

from __future__ import annotations

import json
import logging
import os
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hub.constants import ENCODED_BYTES, encoded_directory
from hub.files import readable_size, write_whole

logger = logging.getLogger(__name__)

_EXTENSION = ".safetensors"
_CHECKSUM = "crc32"
# safetensors' names of the types that occur.
_TYPES = {"BOOL": bool, "U8": np.uint8, "U16": np.uint16, "I32": np.int32, "I64": np.int64}
_BLOCK = 1 << 24
# A file that a killed process left unfinished is removed after so long.
_ABANDONED_S = 3600.0


class EncodedCache:
    """The folder of encoded texts.

    Args:
        folder: where; `$HUB_HOME/encoded` unless given. It is made when something is first kept.
        most: the bytes that all files may have; those not used for longest go first.
    """

    def __init__(self, folder: Path | None = None, most: int = ENCODED_BYTES) -> None:
        self.folder = folder or encoded_directory()
        self.most = most

    def read(self, key: str) -> dict[str, np.ndarray] | None:
        """The arrays that were kept under `key`, mapped from the file; None if there are none.

        A damaged file is none.
        """
        path = self.folder / f"{key}{_EXTENSION}"
        try:
            arrays = _read(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.info("%s is damaged and made anew: %s", path, error)
            return None
        try:
            os.utime(path)  # used just now
        except OSError:
            logger.debug("%s is read-only.", path)
        logger.info("Encoded texts are read from %s.", path)
        return arrays

    def write(self, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep arrays under `key`, and remove what there is no room for."""
        size = sum(array.nbytes for array in arrays.values())
        path = self.folder / f"{key}{_EXTENSION}"
        if size > self.most:
            logger.info("Encoded texts of %s are too large to be kept.", readable_size(size))
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room(size, path)
            write_whole(path, lambda temporary: _write(temporary, arrays))
        except OSError as error:
            logger.info("Encoded texts are not kept for the next run: %s", error)
            return
        logger.info("Encoded texts are kept in %s.", path)

    def files(self) -> list[Path]:
        """All files, those that are being written included."""
        try:
            return [path for path in self.folder.iterdir() if path.is_file()]
        except OSError:
            return []

    def size(self) -> int:
        """The bytes of all files."""
        return sum(_facts(path)[1] for path in self.files())

    def clean(self) -> int:
        """Remove all files; the bytes that were freed."""
        freed = 0
        for path in self.files():
            size = _facts(path)[1]
            try:
                path.unlink()
                freed += size
            except OSError as error:
                logger.warning("%s cannot be removed: %s", path, error)
        return freed

    def _make_room(self, size: int, keep: Path) -> None:
        """Remove files, the one not used for longest first, until `size` more bytes fit."""
        found = sorted((*_facts(path), path) for path in self.files() if path != keep)
        total = size + sum(its_size for _, its_size, _ in found)
        for used, its_size, path in found:
            finished = path.suffix == _EXTENSION
            if total > self.most if finished else time.time() - used > _ABANDONED_S:
                path.unlink(missing_ok=True)  # who has it mapped keeps it until the end
                total -= its_size


def _facts(path: Path) -> tuple[float, int]:
    """When a file was last used, and its size; nothing of one that another process removed."""
    try:
        status = path.stat()
    except OSError:
        return 0.0, 0
    return status.st_mtime, status.st_size


# --- the file ------------------------------------------------------------------------------------


def _write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as safetensors (https://github.com/huggingface/safetensors): the length of the
    header, a header in JSON with each array's place, the arrays."""
    names = {np.dtype(value): name for name, value in _TYPES.items()}
    header: dict[str, Any] = {}
    position = checksum = 0
    # The largest elements first: every array begins where its type may.
    ordered = sorted(arrays.items(), key=lambda item: -item[1].itemsize)
    for name, array in ordered:
        header[name] = {
            "dtype": names[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [position, position + array.nbytes],
        }
        position += array.nbytes
        checksum = zlib.crc32(np.ascontiguousarray(array).data, checksum)
    header["__metadata__"] = {_CHECKSUM: str(checksum)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, array in ordered:
            file.write(np.ascontiguousarray(array).data)


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file, mapped.

    Raises:
        FileNotFoundError: there is none.
        OSError, ValueError, KeyError, TypeError: it is damaged.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > size:
            raise ValueError("it is no safetensors file")
        header = json.loads(file.read(length))
        begin = file.tell()
        expected = int(header.pop("__metadata__")[_CHECKSUM])
        checksum = 0
        while block := file.read(_BLOCK):
            checksum = zlib.crc32(block, checksum)
    end = max(entry["data_offsets"][1] for entry in header.values())
    if begin + end != size:
        raise ValueError(f"it has {size:,} bytes instead of {begin + end:,}")
    if checksum != expected:
        raise ValueError("its checksum is wrong")
    return {name: _mapped(path, begin, entry) for name, entry in header.items()}


def _mapped(path: Path, begin: int, entry: dict[str, Any]) -> np.ndarray:
    shape = tuple(entry["shape"])
    kind = np.dtype(_TYPES[entry["dtype"]])
    if 0 in shape:  # nothing cannot be mapped
        return np.zeros(shape, kind)
    return np.asarray(np.memmap(path, kind, "r", begin + entry["data_offsets"][0], shape))
