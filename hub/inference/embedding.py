"""The vectors of more texts than fit into memory, written to a `.npy` file as they are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hub.data.batches import Batch
from hub.errors import InputError, OutputError
from hub.files import check_new_file, write_whole
from hub.inference.loading import Answering
from hub.tasks import SentenceEmbedding
from hub.tasks.answering import run
from hub.tasks.passages import LongTexts, Passage, encode

# So many texts, or fewer long ones, are encoded and sorted by length at a time.
_ROWS, _CHARACTERS = 2048, 1 << 20


def check_output(output: Path, overwrite: bool = False) -> None:
    """See that a file of vectors may be written.

    Raises:
        OutputError: it may not.
    """
    check_new_file(output, overwrite, "vectors.npy")


def embed(
    model: Answering,
    texts: Iterable[str],
    output: Path,
    *,
    batch_size: int = 32,
    long_text: str | None = None,
    overwrite: bool = False,
    progress: Callable[[int], object] | None = None,
) -> tuple[int, int]:
    """Write the vectors of `texts`, a row a text in their order, to a float32 `.npy` file.

    The file appears whole or not at all. Memory does not grow with the number of texts.

    Args:
        model: a module or predictor for sentence embeddings.
        texts: the texts; they are asked for as they are needed.
        output: the file to write.
        batch_size: texts computed at a time.
        long_text: "cut" or "window"; None is the model's own.
        overwrite: replace a file that is there.
        progress: is told after each batch how many more texts are done.

    Returns:
        The shape of what was written: (N, D).

    Raises:
        InputError: the model is for another task, there is no text, or an argument is out of its
            limits.
        OutputError: the file is there already, or cannot be written.
    """
    task = model.task
    if not isinstance(task, SentenceEmbedding):
        raise InputError("The model was not loaded for sentence-embedding.")
    if batch_size < 1:
        raise InputError(f"batch_size must be 1 or more, not {batch_size}.")
    check_output(output, overwrite)
    how, long = long_text or model.long_text, LongTexts(model.max_seq_len)
    shape = (0, 0)

    def write(path: Path) -> None:
        nonlocal shape
        begin = 0
        with path.open("wb") as file:
            for part in _parts(texts, max(_ROWS, batch_size)):
                passages = encode(model.tokenizer, part, model.max_seq_len, how)
                long.count(passages)
                forward = _counting(model, passages, progress)
                vectors = np.stack(run(task, model.tokenizer, forward, passages, batch_size))
                if not shape[0]:
                    begin = _write_header(file, vectors.shape)
                shape = (shape[0] + len(vectors), vectors.shape[1])
                file.write(vectors.astype("<f4", copy=False).tobytes())
            if not shape[0]:
                raise InputError("There is no text to embed.")
            # How many rows there are was not known before: NumPy leaves room for it.
            file.seek(0)
            end = _write_header(file, shape)
            assert end == begin, "the header has another length"

    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_whole(output, write)
    except OSError as error:
        raise OutputError(f"{output} cannot be written: {error.strerror or error}.") from error
    long.tell()
    return shape


def _parts(texts: Iterable[str], rows: int) -> Iterator[list[str]]:
    part: list[str] = []
    characters = 0
    for text in texts:
        part.append(text)
        characters += len(text)
        if len(part) >= rows or characters >= _CHARACTERS:
            yield part
            part, characters = [], 0
    if part:
        yield part


def _counting(
    model: Answering, passages: list[Passage], progress: Callable[[int], object] | None
) -> Callable[[Batch], np.ndarray]:
    """`model.compute`, telling `progress` of the texts that are done; several windows are one."""
    if progress is None:
        return model.compute
    windows, done = sum(len(passage.windows) for passage in passages), 0

    def forward(batch: Batch) -> np.ndarray:
        nonlocal done
        output = model.compute(batch)
        before, done = done, done + len(batch)
        progress(done * len(passages) // windows - before * len(passages) // windows)
        return output

    return forward


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> int:
    """Write what stands before the vectors, and return where these begin."""
    # NumPy pads the header for any number of rows: it is as long for the first as for the last.
    description = {"descr": "<f4", "fortran_order": False, "shape": tuple(shape)}
    np.lib.format.write_array_header_1_0(file, description)
    return file.tell()
