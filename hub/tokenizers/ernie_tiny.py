"""ernie-tiny's tokenizer: words from a dictionary, cut further by SentencePiece.

It follows PaddleNLP's `ErnieTinyTokenizer`: the text is lower-cased character by character and cut
into words, the words are joined by spaces and cut by the SentencePiece model
(https://arxiv.org/abs/1808.06226), and each piece is looked up in the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from pathlib import Path
from typing import Any

from hub.constants import (
    DEFAULT_MAX_SEQ_LEN,
    SENTENCEPIECE_FILE,
    VOCABULARY_FILE,
    WORDS_FILE,
)
from hub.errors import InputError, ModelError
from hub.files import write_text, write_whole
from hub.tokenizers.base import Encoding, Text, read_vocabulary, whole_text
from hub.tokenizers.words import cut, read_words, write_words

# SentencePiece's sign for a space; it also puts one before the text.
_SPACE = "▁"
_SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]")


class ErnieTinyTokenizer:
    """Turn texts into the ids of ernie-tiny.

    Args:
        model: the content of the SentencePiece model file.
        words: the word dictionary.
        entries: the vocabulary; an entry's position is its id.

    Raises:
        ModelError: the SentencePiece model is damaged, or a special token is missing.
    """

    def __init__(self, model: bytes, words: Set[str], entries: Sequence[str]) -> None:
        import sentencepiece

        self._model = model
        self._words = frozenset(words)
        self._entries = list(entries)
        self._ids = {entry: number for number, entry in enumerate(entries)}
        missing = [token for token in _SPECIAL if token not in self._ids]
        if missing:
            raise ModelError(f"The vocabulary lacks {', '.join(missing)}.")
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise ModelError(f"The SentencePiece model is damaged ({error}).") from error

    @classmethod
    def from_folder(cls, folder: Path) -> ErnieTinyTokenizer:
        """Read the SentencePiece model, the word dictionary and `vocab.txt`.

        Raises:
            ModelError: one of them is missing, damaged or unsafe.
        """
        words = read_words(folder)
        try:
            entries = read_vocabulary(folder / VOCABULARY_FILE)
            model = (folder / SENTENCEPIECE_FILE).read_bytes()
        except (OSError, ValueError) as error:
            raise ModelError(f"The tokenizer in {folder} cannot be read: {error}.") from error
        try:
            return cls(model, words, entries)
        except ModelError as error:
            raise ModelError(f"{folder}: {error}") from error

    def save(self, folder: Path, max_seq_len: int) -> None:
        """Write the SentencePiece model, the word dictionary as JSON, and `vocab.txt`."""
        write_whole(folder / SENTENCEPIECE_FILE, lambda path: path.write_bytes(self._model))
        write_words(self._words, folder / WORDS_FILE)
        write_text(folder / VOCABULARY_FILE, "".join(f"{entry}\n" for entry in self._entries))

    @property
    def files(self) -> list[str]:
        """The names of the files that `save` writes."""
        return [SENTENCEPIECE_FILE, WORDS_FILE, VOCABULARY_FILE]

    @property
    def id_count(self) -> int:
        """The highest id and 1: the embeddings a model must have."""
        return len(self._entries)

    @property
    def pad_token_id(self) -> int:
        """The id of `[PAD]`."""
        return self._ids["[PAD]"]

    def tokenize(self, text: str) -> list[str]:
        """The pieces of one text, those that the vocabulary lacks as `[UNK]`."""
        return [self._entries[number] for number in self._ids_of(text)]

    def encode(self, texts: Sequence[Text], max_seq_len: int | None = None) -> list[Encoding]:
        """Encode texts, or pairs, to at most `max_seq_len` tokens each, special ones included.

        A pair is cut at the longer text first.
        """
        return [self._encode(text, max_seq_len) for text in texts]

    def __call__(
        self,
        text: str | Iterable[str],
        max_seq_len: int = DEFAULT_MAX_SEQ_LEN,
        return_offsets: bool = False,
    ) -> dict[str, Any]:
        """Encode one text, or several: a list for one, lists for several.

        Returns:
            `input_ids`, `token_type_ids` and `attention_mask` (1 everywhere: nothing is padded);
            with `return_offsets` also `offset_mapping`, each token's (start, end) in the text, in
            characters, and (0, 0) for special tokens.
        """
        texts = [text] if isinstance(text, str) else list(text)
        encoded = self.encode(texts, max_seq_len)
        answer: dict[str, list[Any]] = {
            "input_ids": [e.input_ids for e in encoded],
            "token_type_ids": [e.token_type_ids for e in encoded],
            "attention_mask": [[1] * len(e.input_ids) for e in encoded],
        }
        if return_offsets:
            answer["offset_mapping"] = [
                [(0, 0), *self._offsets_of(t)[: len(e.input_ids) - 2], (0, 0)]
                for t, e in zip(texts, encoded, strict=True)
            ]
        if isinstance(text, str):
            return {name: values[0] for name, values in answer.items()}
        return answer

    def _encode(self, text: Text, max_seq_len: int | None) -> Encoding:
        if max_seq_len is not None and max_seq_len < 3:
            raise InputError(f"max_seq_len is {max_seq_len}; a text takes 3 tokens at least.")
        parts = [self._ids_of(part) for part in (text if isinstance(text, tuple) else (text,))]
        room = None if max_seq_len is None else max(0, max_seq_len - 1 - len(parts))
        truncated = room is not None and sum(map(len, parts)) > room
        if truncated and room is not None:
            _cut_longest_first(parts, room)
        numbers, kinds = [self._ids["[CLS]"]], [0]
        for segment, part in enumerate(parts):
            numbers += [*part, self._ids["[SEP]"]]
            kinds += [segment] * (len(part) + 1)
        return Encoding(numbers, kinds, truncated)

    def _ids_of(self, text: str) -> list[int]:
        """The ids of one text, without special tokens."""
        lower, _ = _lowered(whole_text(text))
        joined = " ".join(lower[start:end] for start, end in cut(lower, self._words))
        unknown = self._ids["[UNK]"]
        return [
            self._ids.get(piece, unknown) for piece in self._processor.encode(joined, out_type=str)
        ]

    def _offsets_of(self, text: str) -> list[tuple[int, int]]:
        """Where each piece of one text stands in it."""
        lower, origins = _lowered(whole_text(text))
        spans = cut(lower, self._words)
        joined = " ".join(lower[start:end] for start, end in spans)
        # The place in the text of every character of `joined`; a space has its word's.
        places = [origins[p] for start, end in spans for p in (start, *range(start, end))][1:]
        # The pieces one after the other are the normalised text; SentencePiece knows where each of
        # its characters comes from.
        _, sources = self._processor.normalize(joined, with_offsets=True)
        offsets, position = [], 0
        for piece in self._processor.encode(joined, out_type=str):
            begin, end = sources[position], sources[position + len(piece)]
            position += len(piece)
            if piece != _SPACE:
                end = max(end, min(begin + 1, len(joined)))  # one character that became several
            while begin < end and joined[begin] == " ":
                begin += 1
            if begin < end:
                offsets.append((places[begin], places[end - 1] + 1))
            else:  # a space that was put between words: nowhere, before what follows
                place = places[begin] if begin < len(places) else len(text)
                offsets.append((place, place))
        return offsets


def _lowered(text: str) -> tuple[str, Sequence[int]]:
    """The text in lower case, and each character's position in the text.

    Each character is lowered alone, and a few become two: no context as that of the final sigma.
    """
    lower = text.lower()
    if len(lower) == len(text) and "Σ" not in text:
        return lower, range(len(text))
    characters = [(c, place) for place, upper in enumerate(text) for c in upper.lower()]
    return "".join(c for c, _ in characters), [place for _, place in characters]


def _cut_longest_first(parts: list[list[int]], room: int) -> None:
    """Shorten the longer of the parts until all fit; of equal ones the last."""
    if len(parts) == 1:
        del parts[0][room:]
        return
    first, second = parts
    while len(first) + len(second) > room:
        (first if len(first) > len(second) else second).pop()
