"""Texts as a model reads them: whole, their beginning, or in overlapping windows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from hub.errors import InputError
from hub.tokenizers import Text, Tokenizer
from hub.tokenizers.base import Span
from hub.tokenizers.windows import Window, cut_into_windows, owned
from hub.wording import must_be_one_of

logger = logging.getLogger(__name__)

# What is done with a text of more tokens than the model reads: only its beginning is read, or all
# of it in windows.
LONG_TEXT = ("cut", "window")


@dataclass(frozen=True)
class Passage:
    """A text, and the windows in which it is read: mostly one."""

    text: Text
    windows: Sequence[Window]

    @property
    def truncated(self) -> bool:
        """Whether its end was left out."""
        return self.windows[0].encoding.truncated

    @property
    def input_ids(self) -> list[int]:
        """The ids of the text's own tokens, each once."""
        return [
            window.encoding.input_ids[1 + number - window.start]
            for window, numbers in zip(self.windows, owned(self.windows), strict=True)
            for number in numbers
        ]

    @property
    def offsets(self) -> list[Span]:
        """Where the text's own tokens stand in it, if the passage was read with offsets."""
        return [
            window.encoding.offsets[1 + number - window.start]
            for window, numbers in zip(self.windows, owned(self.windows), strict=True)
            if window.encoding.offsets is not None
            for number in numbers
        ]


def check_long_text(value: str) -> str:
    """`value`, if it is one of `LONG_TEXT`.

    Raises:
        InputError: it is not.
    """
    if value not in LONG_TEXT:
        raise InputError(must_be_one_of("long_text", LONG_TEXT, value))
    return value


@dataclass
class LongTexts:
    """How many texts were too long to be read at once: counted as they come, and told once."""

    max_seq_len: int
    texts: int = 0
    cut: int = 0
    windowed: int = 0
    windows: int = 0

    def count(self, passages: Sequence[Passage]) -> None:
        """Count these as well."""
        self.texts += len(passages)
        for passage in passages:
            self.cut += passage.truncated
            if len(passage.windows) > 1:
                self.windowed += 1
                self.windows += len(passage.windows)

    def tell(self) -> None:
        """Say how many there were, if any."""
        too_long = f"{{:,}} of {self.texts:,} texts are longer than {self.max_seq_len} tokens"
        if self.windowed:
            made = f"{self.windows:,}"
            logger.info("%s: read in %s windows.", too_long.format(self.windowed), made)
        if self.cut and _is_news(self.texts):
            logger.warning(
                "%s: only their beginning was read. A larger max_seq_len, or long_text 'window', "
                "reads more.",
                too_long.format(self.cut),
            )


_told_of_single_texts = False


def _is_news(texts: int) -> bool:
    """Whether to say that of so many texts some were cut.

    Whoever asks one text after the other hears it once, and not a thousand times.
    """
    global _told_of_single_texts
    if texts > 1:
        return True
    told, _told_of_single_texts = _told_of_single_texts, True
    return not told


def read(
    tokenizer: Tokenizer,
    texts: Sequence[Text],
    max_seq_len: int,
    long_text: str = "cut",
    return_offsets: bool = False,
) -> list[Passage]:
    """Encode texts, saying how many were too long for the model to read at once.

    The arguments and errors are those of `encode`.
    """
    passages = encode(tokenizer, texts, max_seq_len, long_text, return_offsets)
    long = LongTexts(max_seq_len)
    long.count(passages)
    long.tell()
    return passages


def encode(
    tokenizer: Tokenizer,
    texts: Sequence[Text],
    max_seq_len: int,
    long_text: str = "cut",
    return_offsets: bool = False,
) -> list[Passage]:
    """Encode texts, the long ones cut or in windows.

    A pair that is too long is always cut, its longer text first.

    Raises:
        InputError: `long_text` or `max_seq_len` is out of its limits.
    """
    windows = are_windowed(texts, long_text)
    return read_quietly(tokenizer, texts, max_seq_len, windows, return_offsets)


def are_windowed(texts: Sequence[Text], long_text: str) -> bool:
    """Whether what is too long of these texts is read in windows; that of pairs never is.

    Raises:
        InputError: `long_text` is out of its limits.
    """
    return check_long_text(long_text) == "window" and not any(isinstance(t, tuple) for t in texts)


def read_quietly(
    tokenizer: Tokenizer,
    texts: Sequence[Text],
    max_seq_len: int,
    windows: bool,
    return_offsets: bool,
) -> list[Passage]:
    """Encode texts, their beginnings or in windows.

    Raises:
        InputError: `max_seq_len` is out of its limits.
    """
    if windows:
        wholes = tokenizer.encode(texts, None, return_offsets)
        return [
            Passage(text, cut_into_windows(whole, max_seq_len))
            for text, whole in zip(texts, wholes, strict=True)
        ]
    encodings = tokenizer.encode(texts, max_seq_len, return_offsets)
    return [
        Passage(text, [Window(encoding)]) for text, encoding in zip(texts, encodings, strict=True)
    ]
