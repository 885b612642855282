"""What every tokenizer does, so that the rest of the package needs to know no kind of them."""

from __future__ import annotations

import re
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hub.constants import DEFAULT_MAX_SEQ_LEN
from hub.errors import InputError, ModelError
from hub.files import sha256_of
from hub.tokenizers.truncation import check_truncation, lengths_kept

Text = str | tuple[str, str]
# Where a token stands in the text: (start, end) in characters.
Span = tuple[int, int]
# A text's own tokens, without [CLS] and [SEP]: their ids and, if asked for, where they stand.
Pieces = tuple[list[int], list[Span] | None]

# In ERNIE's order: [PAD] is 0, [CLS] 1, [SEP] 2, [MASK] 3.
SPECIAL_TOKENS = ("[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]")

_NOWHERE: Span = (0, 0)
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

    # Who has one token more of a pair that is cut to an odd sum: see `lengths_kept`.
    _odd_to_longer = False

    @property
    @abstractmethod
    def id_count(self) -> int:
        """The highest id and 1: the embeddings a model must have."""

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

    def fingerprint(self) -> str:
        """A digest of its files: tokenizers with the same one encode alike.

        Raises:
            OSError: they cannot be written, as there is no room for temporary files.
        """
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            self.save(folder, DEFAULT_MAX_SEQ_LEN)
            return " ".join(f"{name} {sha256_of(folder / name)}" for name in sorted(self.files))

    @property
    def pad_token_id(self) -> int:
        """The id of `[PAD]`; 0 where somebody else's `tokenizer.json` has none."""
        return self.token_to_id("[PAD]") or 0

    @property
    def mask_token_id(self) -> int:
        """The id of `[MASK]`."""
        return self._special("[MASK]")

    @property
    def unk_token_id(self) -> int:
        """The id of `[UNK]`."""
        return self._special("[UNK]")

    @property
    def special_ids(self) -> frozenset[int]:
        """The ids of `[PAD]`, `[CLS]`, `[SEP]`, `[MASK]` and `[UNK]`."""
        return frozenset(map(self._special, SPECIAL_TOKENS))

    @cached_property
    def _separators(self) -> tuple[int, int]:
        """The ids of `[CLS]` and `[SEP]`."""
        return self._special("[CLS]"), self._special("[SEP]")

    def _special(self, token: str) -> int:
        number = self.token_to_id(token)
        if number is None:  # a tokenizer.json of somebody else's
            raise ModelError(f"The tokenizer has no {token}.")
        return number

    @abstractmethod
    def _pieces(self, texts: list[str], return_offsets: bool) -> Iterator[Pieces]:
        """The own tokens of texts that are free of surrogates, one text after the other."""

    def encode(
        self,
        texts: Sequence[Text],
        max_seq_len: int | None = None,
        return_offsets: bool = False,
        truncation: str = "longest_first",
    ) -> list[Encoding]:
        """Encode texts, or pairs, to at most `max_seq_len` tokens each, special ones included.

        Args:
            texts: the texts and pairs.
            max_seq_len: the limit; None is none.
            return_offsets: say where each token stands.
            truncation: how what is too long is cut: see `hub.tokenizers.truncation`.

        Raises:
            InputError: `max_seq_len` or `truncation` is out of its limits, or a text is none or
                cannot be cut so.
        """
        check_truncation(truncation)
        if max_seq_len is not None and max_seq_len < 3:
            raise InputError(f"max_seq_len is {max_seq_len}; a text takes 3 tokens at least.")
        if truncation == "do_not_truncate":
            max_seq_len = None
        flat: list[str] = []
        for text in texts:
            flat += text if isinstance(text, tuple) else (text,)
        made = self._pieces([whole_text(text) for text in flat], return_offsets)
        encodings = []
        for text in texts:
            if not isinstance(text, tuple):
                encodings.append(self._join_one(next(made), max_seq_len, truncation))
            else:
                encodings.append(self._join_two(next(made), next(made), max_seq_len, truncation))
        if return_offsets:
            return [_in_the_users(text, e) for text, e in zip(texts, encodings, strict=True)]
        return encodings

    def _join_one(self, pieces: Pieces, max_seq_len: int | None, truncation: str) -> Encoding:
        """`[CLS] A [SEP]`, in segment 0."""
        cls, sep = self._separators
        ids, spans = pieces
        count = len(ids)
        if max_seq_len is not None and count > max_seq_len - 2:
            (count,) = lengths_kept([count], max_seq_len - 2, truncation)
        return Encoding(
            [cls, *ids[:count], sep],
            [0] * (count + 2),
            count < len(ids),
            None if spans is None else [_NOWHERE, *spans[:count], _NOWHERE],
        )

    def _join_two(
        self, first: Pieces, second: Pieces, max_seq_len: int | None, truncation: str
    ) -> Encoding:
        """`[CLS] A [SEP] B [SEP]`, the second text and its end in segment 1."""
        cls, sep = self._separators
        counts = [len(first[0]), len(second[0])]
        kept = counts
        if max_seq_len is not None:
            kept = lengths_kept(counts, max_seq_len - 3, truncation, self._odd_to_longer)
        one, two = kept
        spans = None
        if first[1] is not None and second[1] is not None:
            spans = [_NOWHERE, *first[1][:one], _NOWHERE, *second[1][:two], _NOWHERE]
        return Encoding(
            [cls, *first[0][:one], sep, *second[0][:two], sep],
            [0] * (one + 2) + [1] * (two + 1),
            kept != counts,
            spans,
        )

    def __call__(
        self,
        text: str | Iterable[str],
        text_pair: str | Iterable[str] | None = None,
        *,
        max_seq_len: int = DEFAULT_MAX_SEQ_LEN,
        truncation: str = "longest_first",
        return_offsets: bool = False,
    ) -> dict[str, Any]:
        """Encode one text, or several, as `transformers` does: a list for one, lists for several.

        Args:
            text: the text or texts.
            text_pair: the second text or texts of pairs.
            max_seq_len: the limit in tokens, special ones included.
            truncation: how what is too long is cut: "longest_first" (of a pair the longer text
                first), "only_first", "only_second" or "do_not_truncate".
            return_offsets: say where each token stands.

        Returns:
            `input_ids`, `token_type_ids` and `attention_mask` (1 everywhere: nothing is padded);
            with `return_offsets` also `offset_mapping`, each token's (start, end) in its text, in
            characters, and (0, 0) for `[CLS]` and `[SEP]`.

        Raises:
            InputError: as for `encode`; or there are not as many second texts as texts.
        """
        single = isinstance(text, str)
        texts: list[Any] = _listed(text)
        if text_pair is not None:
            pairs = _listed(text_pair)
            if len(pairs) != len(texts) or single != isinstance(text_pair, str):
                raise InputError(
                    f"There are {len(texts)} texts and {len(pairs)} second texts: each pair needs "
                    "both."
                )
            texts = list(zip(texts, pairs, strict=True))
        encodings = self.encode(texts, max_seq_len, return_offsets, truncation)
        answer: dict[str, list[Any]] = {
            "input_ids": [e.input_ids for e in encodings],
            "token_type_ids": [e.token_type_ids for e in encodings],
            "attention_mask": [[1] * len(e.input_ids) for e in encodings],
        }
        if return_offsets:
            answer["offset_mapping"] = [e.offsets for e in encodings]
        if single:
            return {name: values[0] for name, values in answer.items()}
        return answer


def _listed(texts: Any) -> list[Any]:
    """One text, or several, as a list."""
    if isinstance(texts, str):
        return [texts]
    if not isinstance(texts, Iterable):
        raise InputError(f"Text is needed, or a list of texts, not {texts!r:.60}.")
    return list(texts)


def whole_text(text: str) -> str:
    """The text with surrogates joined; half a pair, which JSON can hold and UTF-8 cannot, becomes
    U+FFFD."""
    if not isinstance(text, str):
        raise InputError(f"A text is {type(text).__name__}, not a string: {text!r:.60}.")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _in_the_users(text: Text, encoding: Encoding) -> Encoding:
    """The encoding with its offsets in the text as it was before `whole_text` joined surrogates."""
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
