"""What every tokenizer does, so that the rest of the package needs to know no kind of them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hub.constants import DEFAULT_MAX_SEQ_LEN
from hub.errors import InputError

Text = str | tuple[str, str]
# Where a token stands in the text: (start, end) in characters.
Span = tuple[int, int]

SPECIAL_TOKENS = ("[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]")

_SURROGATE = re.compile("[\ud800-\udfff]")
_CHARACTER = re.compile("[\ud800-\udbff][\udc00-\udfff]|.", re.DOTALL)


@dataclass(frozen=True)
class Encoding:
    """One text (or pair of texts) as the model reads it; the lists are T long.

    `offsets`, where they were asked for, say where each token stands in its own text, in
    characters; a token that was put there, such as `[CLS]`, has (0, 0).
    """

    input_ids: list[int]
    token_type_ids: list[int]
    truncated: bool
    offsets: list[Span] | None = None


class Tokenizer(ABC):
    """Turns texts into the ids that a model was trained with."""

    @property
    @abstractmethod
    def id_count(self) -> int:
        """The highest id and 1: the embeddings a model must have."""

    @property
    @abstractmethod
    def pad_token_id(self) -> int:
        """The id of `[PAD]`."""

    @property
    @abstractmethod
    def mask_token_id(self) -> int:
        """The id of `[MASK]`."""

    @property
    @abstractmethod
    def unk_token_id(self) -> int:
        """The id of `[UNK]`."""

    @property
    @abstractmethod
    def special_ids(self) -> frozenset[int]:
        """The ids of `[PAD]`, `[CLS]`, `[SEP]`, `[MASK]` and `[UNK]`."""

    @abstractmethod
    def tokens(self, ids: Iterable[int]) -> list[str]:
        """The vocabulary's entries for `ids`; an id beyond the vocabulary is `[UNK]`."""

    @abstractmethod
    def token_to_id(self, token: str) -> int | None:
        """The id of a vocabulary entry; None if it is not one."""

    @property
    @abstractmethod
    def files(self) -> list[str]:
        """The names of the files that `save` writes."""

    @abstractmethod
    def save(self, folder: Path, max_seq_len: int) -> None:
        """Write what `load_tokenizer` reads."""

    @abstractmethod
    def _encode(
        self, texts: list[Text], max_seq_len: int | None, return_offsets: bool
    ) -> list[Encoding]:
        """Encode texts that are free of surrogates; `max_seq_len` is 3 or more."""

    def encode(
        self, texts: Sequence[Text], max_seq_len: int | None = None, return_offsets: bool = False
    ) -> list[Encoding]:
        """Encode texts, or pairs, to at most `max_seq_len` tokens each, special ones included.

        A pair is cut at the longer text first.

        Raises:
            InputError: `max_seq_len` is less than 3.
        """
        if max_seq_len is not None and max_seq_len < 3:
            raise InputError(f"max_seq_len is {max_seq_len}; a text takes 3 tokens at least.")
        whole = [_whole(text) for text in texts]
        encodings = self._encode(whole, max_seq_len, return_offsets)
        if return_offsets:
            return [_in_the_users(text, e) for text, e in zip(texts, encodings, strict=True)]
        return encodings

    def __call__(
        self,
        text: str | Iterable[str],
        max_seq_len: int = DEFAULT_MAX_SEQ_LEN,
        return_offsets: bool = False,
    ) -> dict[str, Any]:
        """Encode one text, or several, as `transformers` does: a list for one, lists for several.

        Returns:
            `input_ids`, `token_type_ids` and `attention_mask` (1 everywhere: nothing is padded);
            with `return_offsets` also `offset_mapping`, each token's (start, end) in the text, in
            characters, and (0, 0) for `[CLS]` and `[SEP]`.

        Raises:
            InputError: `max_seq_len` is less than 3.
        """
        texts = [text] if isinstance(text, str) else list(text)
        encodings = self.encode(texts, max_seq_len, return_offsets)
        answer: dict[str, list[Any]] = {
            "input_ids": [e.input_ids for e in encodings],
            "token_type_ids": [e.token_type_ids for e in encodings],
            "attention_mask": [[1] * len(e.input_ids) for e in encodings],
        }
        if return_offsets:
            answer["offset_mapping"] = [e.offsets for e in encodings]
        if isinstance(text, str):
            return {name: values[0] for name, values in answer.items()}
        return answer


def _whole(text: Any) -> Any:
    """Half a surrogate pair, which JSON can hold and UTF-8 cannot, becomes U+FFFD."""
    if isinstance(text, tuple):
        return tuple(map(_whole, text))
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _in_the_users(text: Text, encoding: Encoding) -> Encoding:
    """The encoding with its offsets in the text as it was before `_whole` joined surrogates."""
    parts = text if isinstance(text, tuple) else (text,)
    if encoding.offsets is None or not any(map(_SURROGATE.search, parts)):
        return encoding
    places = [[m.start() for m in _CHARACTER.finditer(p)] + [len(p)] for p in parts]
    pairs = zip(encoding.token_type_ids, encoding.offsets, strict=True)
    return replace(
        encoding, offsets=[(places[part][start], places[part][end]) for part, (start, end) in pairs]
    )


def read_vocabulary(path: Path) -> list[str]:
    """Read a `vocab.txt`: an entry a line, or two columns of which the first is the entry."""
    lines = path.read_text(encoding="utf-8").split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    return [line.rstrip("\r").split("\t")[0] for line in lines]
