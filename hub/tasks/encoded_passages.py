"""Passages of any number of texts in flat arrays, and on the disk for the next run."""

from __future__ import annotations

import hashlib
import logging
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from typing import overload

import numpy as np

from hub import __version__
from hub.constants import MANY_ROWS
from hub.data.encoded import EncodedTexts, starts_of
from hub.data.encoded_cache import EncodedCache
from hub.tasks.passages import LongTexts, Passage, are_windowed, read_quietly
from hub.tokenizers import Text, Tokenizer
from hub.tokenizers.windows import Window

logger = logging.getLogger(__name__)

# As many texts are encoded at a time.
_PART = 10_000


@dataclass(frozen=True, eq=False)
class EncodedPassages(Sequence[Passage]):
    """Passages; each is made when it is asked for.

    Attributes:
        texts: the N texts.
        encodings: every window of every text, W in all.
        window_starts: the number of each window's first token among its text's, int32 [W]; None
            where every text is one window.
        firsts: the number of each text's first window, int64 [N + 1]; None as above.
    """

    texts: Sequence[Text]
    encodings: EncodedTexts
    window_starts: np.ndarray | None = None
    firsts: np.ndarray | None = None

    @property
    def window_counts(self) -> np.ndarray:
        """In how many windows each text is read, int64 [N]."""
        return np.ones(len(self), np.int64) if self.firsts is None else np.diff(self.firsts)

    def rows_of(self, windows: np.ndarray) -> np.ndarray:
        """The number of the text that each of these windows, given by number, is of."""
        if self.firsts is None:
            return windows
        return np.searchsorted(self.firsts, windows, side="right") - 1

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, index: int) -> Passage: ...

    @overload
    def __getitem__(self, index: slice) -> list[Passage]: ...

    def __getitem__(self, index: int | slice) -> Passage | list[Passage]:
        if isinstance(index, slice):
            return [self[row] for row in range(len(self))[index]]
        row = range(len(self))[index]
        return self._passage(row, self.texts[row])

    def __iter__(self) -> Iterator[Passage]:
        return (self._passage(row, text) for row, text in enumerate(self.texts))

    def _passage(self, row: int, text: Text) -> Passage:
        if self.firsts is None or self.window_starts is None:
            return Passage(text, [Window(self.encodings[row])])
        windows = range(int(self.firsts[row]), int(self.firsts[row + 1]))
        return Passage(
            text, [Window(self.encodings[w], int(self.window_starts[w])) for w in windows]
        )


def read_all(
    tokenizer: Tokenizer,
    texts: Sequence[Text],
    max_seq_len: int,
    long_text: str = "cut",
    return_offsets: bool = False,
) -> EncodedPassages:
    """What `hub.tasks.passages.read` gives, in flat arrays.

    From `MANY_ROWS` texts on it is kept on the disk, and not made again for the same texts,
    tokenizer and arguments.

    Raises:
        InputError: as for `read`.
    """
    windows = are_windowed(texts, long_text)
    cache = key = None
    if len(texts) >= MANY_ROWS:
        cache = EncodedCache()
        key = _key(tokenizer, texts, max_seq_len, windows, return_offsets)
    arrays = None if cache is None or key is None else cache.read(key)
    passages = None if arrays is None else _from_arrays(texts, arrays)
    if passages is None:
        passages = _encode(tokenizer, texts, max_seq_len, windows, return_offsets)
        if cache is not None and key is not None:
            cache.write(key, _to_arrays(passages))
    counts = passages.window_counts
    LongTexts(
        max_seq_len,
        texts=len(texts),
        cut=int(passages.encodings.truncated.sum()),
        windowed=int((counts > 1).sum()),
        windows=int(counts[counts > 1].sum()),
    ).tell()
    return passages


def _encode(
    tokenizer: Tokenizer,
    texts: Sequence[Text],
    max_seq_len: int,
    windows: bool,
    return_offsets: bool,
) -> EncodedPassages:
    rest = iter(texts)
    parts: list[EncodedTexts] = []
    starts: list[int] = []
    counts: list[int] = []
    # One part at least: a wrong `max_seq_len` is refused however many texts there are.
    while (part := list(islice(rest, _PART))) or not parts:
        passages = read_quietly(tokenizer, part, max_seq_len, windows, return_offsets)
        made = [window for passage in passages for window in passage.windows]
        parts.append(EncodedTexts.of([window.encoding for window in made]))
        if windows:
            starts += [window.start for window in made]
            counts += [len(passage.windows) for passage in passages]
    encodings = EncodedTexts.joined(parts)
    if len(encodings) == len(texts):
        return EncodedPassages(texts, encodings)
    return EncodedPassages(texts, encodings, np.array(starts, np.int32), starts_of(counts))


# --- on the disk ---------------------------------------------------------------------------------


def _key(
    tokenizer: Tokenizer,
    texts: Sequence[Text],
    max_seq_len: int,
    windows: bool,
    return_offsets: bool,
) -> str | None:
    """A digest of all that the encodings depend on; None if it cannot be told."""
    try:
        own = tokenizer.fingerprint()
    except OSError as error:
        logger.warning("Encoded texts are not kept for the next run: %s", error)
        return None
    programs = [__version__, version("tokenizers"), version("sentencepiece")]
    facts = [own, *programs, unicodedata.unidata_version, max_seq_len, windows, return_offsets]
    digest = hashlib.sha256(repr(facts).encode())
    rest = iter(texts)
    while part := list(islice(rest, _PART)):
        # The lengths say where each text ends, and the second of a pair has a negative one.
        lengths: list[int] = []
        flat: list[str] = []
        for text in part:
            if isinstance(text, str):
                lengths.append(len(text))
                flat.append(text)
            else:
                lengths += (len(text[0]), -1 - len(text[1]))
                flat += text
        digest.update(np.array(lengths, np.int64).tobytes())
        digest.update("".join(flat).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _to_arrays(passages: EncodedPassages) -> dict[str, np.ndarray]:
    encodings = passages.encodings
    values = {
        "input_ids": encodings.input_ids,
        "starts": encodings.starts,
        "truncated": encodings.truncated,
        "token_type_ids": encodings.token_type_ids,
        "offsets": encodings.offsets,
        "window_starts": passages.window_starts,
        "firsts": passages.firsts,
    }
    return {name: value for name, value in values.items() if value is not None}


def _from_arrays(texts: Sequence[Text], arrays: dict[str, np.ndarray]) -> EncodedPassages | None:
    """The passages of the texts; None if the arrays are not theirs."""
    encodings = EncodedTexts(
        arrays["input_ids"], arrays["starts"], arrays["truncated"],
        arrays.get("token_type_ids"), arrays.get("offsets"),
    )  # fmt: skip
    passages = EncodedPassages(texts, encodings, arrays.get("window_starts"), arrays.get("firsts"))
    return passages if len(passages.window_counts) == len(texts) else None
