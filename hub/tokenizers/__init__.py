"""Text to token ids, without PaddlePaddle."""

from __future__ import annotations

from pathlib import Path

from hub.constants import (
    SENTENCEPIECE_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
    VOCABULARY_FILE,
    WORDS_FILE,
)
from hub.tokenizers.base import Encoding, Text, Tokenizer, read_vocabulary
from hub.tokenizers.ernie_tiny import ErnieTinyTokenizer
from hub.tokenizers.wordpiece import WordPieceTokenizer
from hub.tokenizers.words import has_words

__all__ = [
    "TOKENIZER_FILES",
    "Encoding",
    "ErnieTinyTokenizer",
    "Text",
    "Tokenizer",
    "WordPieceTokenizer",
    "load_tokenizer",
    "read_vocabulary",
]

# Those of either kind: by them a folder's tokenizer is known.
TOKENIZER_FILES = frozenset(
    {TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, VOCABULARY_FILE, SENTENCEPIECE_FILE, WORDS_FILE}
)


def load_tokenizer(folder: Path, style: str | None = None) -> Tokenizer:
    """The tokenizer of a model folder, of the kind that the folder's files make.

    A SentencePiece model or a word dictionary makes it ernie-tiny's; without them `tokenizer.json`
    or `vocab.txt` makes it WordPiece, of the given style: see `WordPieceTokenizer.from_folder`.

    Raises:
        ModelError: it has none, or a file of it is missing or damaged.
    """
    # A vocabulary beside a word dictionary alone is ernie-tiny's: WordPiece would read it wrongly.
    half = has_words(folder) and not (folder / TOKENIZER_FILE).exists()
    if half or (folder / SENTENCEPIECE_FILE).exists():
        return ErnieTinyTokenizer.from_folder(folder)
    return WordPieceTokenizer.from_folder(folder, style)
