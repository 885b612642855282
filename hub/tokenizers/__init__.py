"""Text to token ids, without PaddlePaddle."""

from __future__ import annotations

from pathlib import Path

from hub.constants import SENTENCEPIECE_FILE
from hub.tokenizers.base import Encoding, Text, Tokenizer, read_vocabulary
from hub.tokenizers.ernie_tiny import ErnieTinyTokenizer
from hub.tokenizers.wordpiece import WordPieceTokenizer

__all__ = [
    "Encoding",
    "ErnieTinyTokenizer",
    "Text",
    "Tokenizer",
    "WordPieceTokenizer",
    "load_tokenizer",
    "read_vocabulary",
]


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model folder, of the kind that the folder's files make.

    Raises:
        ModelError: it has none, or a file of it is missing or damaged.
    """
    if (folder / SENTENCEPIECE_FILE).exists():
        return ErnieTinyTokenizer.from_folder(folder)
    return WordPieceTokenizer.from_folder(folder)
