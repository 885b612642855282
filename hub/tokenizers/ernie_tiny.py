"""ernie-tiny's tokenizer: words from a dictionary, cut further by SentencePiece.

It follows PaddleNLP's `ErnieTinyTokenizer` as `from_pretrained` makes it: special tokens written in
the text are set apart, the rest is lower-cased character by character and cut into words, the words
are joined by spaces and cut by the SentencePiece model (https://arxiv.org/abs/1808.06226), and each
piece is looked up in the vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path

from hub.constants import SENTENCEPIECE_FILE, VOCABULARY_FILE, WORDS_FILE
from hub.errors import ModelError
from hub.files import write_text, write_whole
from hub.tokenizers.alignment import lowered, place_pieces
from hub.tokenizers.base import SPECIAL_TOKENS, Pieces, Span, Tokenizer, read_vocabulary
from hub.tokenizers.words import cut, has_words, read_words, words_file_names, write_words

_SPECIAL = re.compile("(" + "|".join(map(re.escape, SPECIAL_TOKENS)) + ")")


class ErnieTinyTokenizer(Tokenizer):
    """Turn texts into the ids of ernie-tiny.

    Args:
        model: the content of the SentencePiece model file.
        words: the word dictionary.
        entries: the vocabulary; an entry's position is its id. One that stands twice has its last.

    Raises:
        ModelError: the SentencePiece model is damaged, or a special token is missing.
    """

    def __init__(self, model: bytes, words: Set[str], entries: Sequence[str]) -> None:
        import sentencepiece

        self._model = model
        self._words = frozenset(words)
        self._entries = list(entries)
        self._ids = {entry: number for number, entry in enumerate(entries)}
        missing = [token for token in SPECIAL_TOKENS if token not in self._ids]
        if missing:
            raise ModelError(f"The vocabulary lacks {', '.join(missing)}.")
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            # Given to the constructor, an empty model would only be noticed by the first text.
            self._processor.load_from_serialized_proto(model)
        except RuntimeError as error:
            raise ModelError(f"The SentencePiece model is damaged ({error}).") from error

    @classmethod
    def from_folder(cls, folder: Path) -> ErnieTinyTokenizer:
        """Read the SentencePiece model, the word dictionary and `vocab.txt`.

        Raises:
            ModelError: one of them is missing, damaged or unsafe.
        """
        names = (SENTENCEPIECE_FILE, VOCABULARY_FILE)
        missing = [name for name in names if not (folder / name).exists()]
        if not has_words(folder):
            missing.append(words_file_names())
        if missing:
            raise ModelError(
                f"{folder} lacks {', '.join(missing)}: ernie-tiny's tokenizer is made of a "
                "SentencePiece model, a word dictionary and a vocabulary. Copy or download the "
                "whole model again."
            )
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

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """The vocabulary's entries for `ids`; an id beyond the vocabulary is `[UNK]`."""
        known = range(len(self._entries))
        return [self._entries[number] if number in known else "[UNK]" for number in ids]

    def token_to_id(self, token: str) -> int | None:
        """The id of a vocabulary entry; None if it is not one."""
        return self._ids.get(token)

    def tokenize(self, text: str) -> list[str]:
        """The pieces of one text, those that the vocabulary lacks as `[UNK]`."""
        encoding = self.encode([text])[0]
        return [self._entries[number] for number in encoding.input_ids[1:-1]]

    def _pieces(self, texts: list[str], return_offsets: bool) -> Iterator[Pieces]:
        return (self._part(text, return_offsets) for text in texts)

    def _part(self, text: str, return_offsets: bool) -> Pieces:
        """The ids of one text without `[CLS]` and `[SEP]`, and on request where they stand."""
        unknown = self._ids["[UNK]"]
        numbers: list[int] = []
        offsets: list[Span] = []
        for start, chunk in _chunks(text):
            if chunk in SPECIAL_TOKENS:
                numbers.append(self._ids[chunk])
                offsets.append((start, start + len(chunk)))
                continue
            lower, origins = lowered(chunk)
            spans = cut(lower, self._words)
            joined = " ".join([lower[begin:end] for begin, end in spans])
            pieces = self._processor.encode(joined, out_type=str)
            numbers += [self._ids.get(piece, unknown) for piece in pieces]
            if return_offsets and pieces:
                # A space between words has the place of the word after it.
                inner = [p for begin, end in spans for p in (begin, *range(begin, end))][1:]
                places = [*(start + origins[p] for p in inner), start + len(chunk)]
                normalized, sources = self._processor.normalize(joined, with_offsets=True)
                if "".join(pieces) != normalized:  # as of a model that falls back to bytes
                    raise ModelError("This SentencePiece model cannot say where its tokens stand.")
                offsets += place_pieces(pieces, sources, joined, places)
        return numbers, offsets if return_offsets else None


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """A text's special tokens and what is between them, each with its position.

    White space beside a special token is left out.
    """
    chunks = _SPECIAL.split(text)
    position = 0
    for number, chunk in enumerate(chunks):
        start, end = 0, len(chunk)
        if number > 0:
            start = end - len(chunk.lstrip())
        if number < len(chunks) - 1:
            end = max(start, len(chunk.rstrip()))
        if start < end:
            yield position + start, chunk[start:end]
        position += len(chunk)
